"""The pipeline over many files."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import partwise
from conftest import RATE, read, write


def test_files_are_separated_with_a_manifest_and_bad_ones_fail_alone(model, recordings, tmp_path):
    (recordings / "broken.wav").write_bytes(b"RIFF")
    seen = []
    summary = partwise.separate_files(recordings, tmp_path / "out", model, progress=seen.append, engine="cpu:1")
    assert (summary.files, summary.done, summary.failed, summary.left, summary.resumed) == (4, 3, 1, 0, 0)
    broken = str(recordings / "broken.wav")
    assert list(summary.failures) == [broken] and "broken.wav" in summary.failures[broken]
    assert summary.manifest == tmp_path / "out" / "manifest.jsonl"
    lines = [json.loads(line) for line in summary.manifest.read_text().splitlines()]
    assert sorted(line["status"] for line in lines) == ["done", "done", "done", "failed"]
    assert summary.error is None and summary.audio_seconds == 6.0 and summary.engine.startswith("cpu")
    last = seen[-1]
    assert last.files_done == last.files_total == 4 and last.bytes_done <= last.bytes_total
    stems = {path.name for path in (tmp_path / "out").glob("*.wav")}
    assert stems == {f"mix{index}.{source}.wav" for index in range(3) for source in ("low", "high")}


def test_files_have_the_bits_of_memory(model, recordings, tmp_path):
    partwise.separate_files([recordings / "mix0.wav"], tmp_path, model, engine="cpu:1", format="wav-f32")
    stems = model.separate(read(recordings / "mix0.wav"), RATE, engine="cpu:1")
    for name, stem in stems.items():
        np.testing.assert_array_equal(read(tmp_path / f"mix0.{name}.wav"), stem)


def test_a_job_resumes_with_the_same_model_from_memory_or_a_file(model, recordings, tmp_path):
    out, path = tmp_path / "out", tmp_path / "model.safetensors"
    model.save(path)
    assert partwise.separate_files(recordings / "mix0.wav", out, model, engine="cpu:1").done == 1
    summary = partwise.separate_files(recordings, out, path, resume=True, engine="cpu:1", progress=False)
    assert (summary.done, summary.resumed) == (2, 1)
    other = partwise.separate_files(recordings, out, path, resume=True, iterations=3, engine="cpu:1")
    assert (other.done, other.resumed) == (3, 0)


def test_names_shards_and_formats_are_used(model, recordings, tmp_path):
    options = {"name": "{source}-{stem}.{ext}", "shard": "2/2", "format": "flac", "only": "low", "engine": "cpu:1"}
    summary = partwise.separate_files(str(recordings), tmp_path / "out", model, **options)
    assert summary.files == 1
    assert [path.name for path in (tmp_path / "out").glob("*.flac")] == ["low-mix1.flac"]


def test_mistakes_are_refused_before_anything_begins(model, recordings, tmp_path):
    out = tmp_path / "out"

    def refused(kind, reason, inputs=recordings, model=model, **options):
        with pytest.raises(kind, match=reason):
            partwise.separate_files(inputs, out, model, **options)

    refused(partwise.InputError, "no input files", inputs=[])
    refused(partwise.InputError, "use 'continue' or 'stop'", on_error="ignore")
    refused(partwise.InputError, "above 0", memory=-3)
    refused(partwise.InputError, "needs at least", memory=1000)
    refused(partwise.InputError, "shard 3/2", shard="3/2")
    refused(partwise.InputError, "use {stem}", name="x/{stem}")
    refused(partwise.OptionError, "nearest is tolerance", tolerence=1e-3)
    refused(partwise.OptionError, "is no engine", engine="tpu")
    refused(partwise.InputError, "no model", model=None)
    refused(FileNotFoundError, "absent", model=tmp_path / "absent")
    refused(TypeError, "progress", progress="yes")
    assert not out.exists()


def test_an_exception_of_the_progress_ends_a_job_and_the_rest_is_resumed(model, recordings, tmp_path, tones):
    for index in range(40):
        write(recordings / f"more{index:02}.wav", np.tile(tones["low"], 20))

    def stop(progress):
        if progress.files_done:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        partwise.separate_files(recordings, tmp_path / "out", model, progress=stop, engine="cpu:1")
    done = sum(1 for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines() if '"done"' in line)
    summary = partwise.separate_files(recordings, tmp_path / "out", model, resume=True, engine="cpu:1")
    assert 0 < done < 43 and (summary.resumed, summary.done) == (done, 43 - done)


def test_ctrl_c_finishes_the_files_in_progress(model, recordings, tmp_path, tones):
    for index in range(200):
        write(recordings / f"more{index:03}.wav", np.tile(tones["low"], 20))

    def interrupt(progress):
        if progress.files_done and not told:
            told.append(None)
            signal.raise_signal(signal.SIGINT)

    told = []
    with pytest.raises(KeyboardInterrupt):
        partwise.separate_files(recordings, tmp_path / "out", model, progress=interrupt, engine="cpu:1")
    hidden = [path for path in (tmp_path / "out").iterdir() if path.suffix == ".partial"]
    assert not hidden and threading.active_count() < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_has_engines_of_its_own():
    code = """
import os, sys
import numpy as np, partwise
tones = {"low": np.sin(np.arange(8000) / 9), "high": np.sin(np.arange(8000))}
options = {"sr": 8000, "rank": 1, "iterations": 2, "engine": "cpu"}
model = partwise.train(tones, **options)
child = os.fork()
if child == 0:
    model = partwise.train(tones, **options)
    model.separate(tones["low"], 8000, engine="cpu")
    os._exit(7)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "7", done.stderr
