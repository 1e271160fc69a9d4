"""The package itself: what an import costs, and what it brings."""

import importlib.metadata
import subprocess
import sys

import partwise


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_import_is_light_and_touches_no_gpu():
    heavy = run("import sys, partwise; print([name for name in ('sklearn', 'tqdm', 'scipy') if name in sys.modules])")
    assert heavy == "[]"
    maps = "open('/proc/self/maps').read()" if sys.platform == "linux" else "''"
    assert run(f"import partwise; maps = {maps}; print('libvulkan' in maps)") == "False"


def test_every_public_name_is_there_and_documented():
    assert set(partwise.__all__) <= set(dir(partwise))
    for name in partwise.__all__:
        value = getattr(partwise, name)
        assert name.startswith("_") or value.__doc__, name


def test_the_version_is_that_of_the_package():
    assert partwise.__version__ == importlib.metadata.version("partwise")


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(partwise, "NMG")


def test_without_scikit_learn_the_estimators_say_what_to_install():
    code = """
import sys
sys.modules["sklearn"] = None
import partwise
try:
    partwise.NMF
except ImportError as error:
    print(error)
"""
    assert "partwise[estimators]" in run(code)
