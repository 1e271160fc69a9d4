"""Training and separation in memory."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest

import partwise
from conftest import RATE, write


def test_stems_have_the_shape_of_the_samples_and_sum_to_them(model, tones):
    mix = tones["low"] + tones["high"]
    stems = model.separate(mix, RATE, engine="cpu:1")
    assert list(stems) == model.sources == ["low", "high"]
    assert all(stem.shape == mix.shape and stem.dtype == np.float32 for stem in stems.values())
    np.testing.assert_allclose(sum(stems.values()), mix, atol=1e-5)
    inner = slice(1000, -1000)
    np.testing.assert_allclose(stems["low"][inner], tones["low"][inner], atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only", "unaligned"])
def test_samples_of_any_layout_and_type_give_the_same_stems(model, tones, dtype, layout):
    mix = np.stack([tones["low"] + tones["high"], tones["high"]]).astype(np.float16)
    expected = model.separate(mix.astype(np.float32), RATE, engine="cpu:1")
    given = mix.astype(dtype)
    if layout == "F":
        given = np.asfortranarray(given)
    elif layout == "strided":
        given = np.repeat(given, 2, axis=1)[:, ::2]
    elif layout == "unaligned":
        records = np.zeros(given.shape, np.dtype([("pad", "i1"), ("x", dtype)]))
        records["x"] = given
        given = records["x"]
    elif layout == "read-only":
        given.flags.writeable = False
    stems = model.separate(given, RATE, engine="cpu:1")
    for name in expected:
        assert stems[name].shape == mix.shape
        np.testing.assert_array_equal(stems[name], expected[name])


def test_a_model_comes_back_from_its_file_and_from_a_pickle(model, tones, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded, copied = partwise.Model.load(path), pickle.loads(pickle.dumps(model))
    expected = model.separate(tones["low"], RATE, engine="cpu:1")
    for other in (loaded, copied):
        stems = other.separate(tones["low"], RATE, engine="cpu:1")
        assert all(np.array_equal(stems[name], expected[name]) for name in expected)
    assert (loaded.sample_rate, loaded.method, loaded.sources) == (RATE, "nmf", ["low", "high"])
    assert loaded.options["iterations"] == 20 and loaded.training["sources"][0]["rank"] == 2
    assert repr(loaded) == "<partwise.Model 'nmf' of low, high at 8000 Hz>"
    by_path = partwise.separate(tones["low"], RATE, str(path), engine="cpu:1")
    np.testing.assert_array_equal(by_path["low"], expected["low"])


def test_files_and_arrays_train_the_same_model(tones, tmp_path):
    for name, samples in tones.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.wav", samples[:RATE])
        write(tmp_path / name / "b.wav", samples[RATE:])
    options = {"sr": RATE, "rank": 2, "iterations": 10, "seed": 5, "engine": "cpu:1"}
    halves = {name: [samples[:RATE], samples[RATE:]] for name, samples in tones.items()}
    mixed = {name: [tmp_path / name / "a.wav", samples[RATE:]] for name, samples in tones.items()}
    models = [partwise.train(sources, **options) for sources in (halves, {name: tmp_path / name for name in tones}, mixed)]
    stems = [model.separate(tones["low"], RATE, engine="cpu:1")["low"] for model in models]
    np.testing.assert_array_equal(stems[0], stems[1])
    np.testing.assert_array_equal(stems[0], stems[2])


def test_a_model_tells_the_gain_to_expect(tones):
    longer = {name: np.tile(samples, 4) for name, samples in tones.items()}
    model = partwise.train(longer, sr=RATE, quality="fast", iterations=5, engine="cpu")
    assert list(model.expected) == ["low", "high"]
    assert list(model.expected["low"]) == [-5.0, 0.0, 5.0] and min(model.expected["low"].values()) > 10


def test_one_source_can_be_asked_for_and_denoising_needs_no_model(model, tones):
    assert list(model.separate(tones["low"], RATE, only="high", engine="cpu")) == ["high"]
    stems = partwise.separate(tones["low"], RATE, method="denoise", iterations=2, engine="cpu")
    assert len(stems) == 1 and next(iter(stems.values())).shape == tones["low"].shape


@pytest.mark.parametrize(
    ("samples", "sr", "kind", "reason"),
    [
        (np.zeros(9, int), RATE, partwise.InputError, "they must be floats"),
        (np.zeros(9, object), RATE, partwise.InputError, "use floats"),
        (np.zeros((2, 3, 4)), RATE, partwise.InputError, "must be (N,) or (C, N)"),
        (np.float32(3), RATE, partwise.InputError, "must be (N,) or (C, N)"),
        (np.zeros((9000, 2)), RATE, partwise.AudioError, "transpose"),
        (np.zeros(0), RATE, partwise.AudioError, "0 samples"),
        (np.array([0.0, np.nan]), RATE, partwise.AudioError, "not finite, 1 of channel 0"),
        (np.array([0.0, np.inf]), RATE, partwise.AudioError, "not finite"),
        (np.zeros(9), 0, partwise.InputError, "sr 0"),
        (np.zeros(9), "fast", partwise.InputError, "sample rate in Hz"),
        (np.zeros(9), 8000.5, partwise.InputError, "whole sample rate"),
        (np.zeros(9), np.nan, partwise.InputError, "sample rate"),
    ],
)
def test_unusable_samples_are_value_errors_with_a_sentence(model, samples, sr, kind, reason):
    with pytest.raises(kind) as caught:
        model.separate(samples, sr, engine="cpu:1")
    assert isinstance(caught.value, ValueError) and reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_options_are_checked_by_the_library(model, tones):
    def refused(call, option, reason):
        with pytest.raises(partwise.OptionError) as caught:
            call()
        assert caught.value.option == option and reason in str(caught.value), caught.value

    refused(lambda: model.separate(tones["low"], RATE, maks="hard"), "maks", "the nearest is mask")
    refused(lambda: model.separate(tones["low"], RATE, iterations="many"), "iterations", "a whole number")
    refused(lambda: model.separate(tones["low"], RATE, only="mid"), "only", "there are low, high")
    refused(lambda: model.separate(tones["low"], RATE, engine="tpu"), "engine", "use auto")
    refused(lambda: model.separate(tones["low"], RATE, engine="cpu:0"), "engine", "threads")
    refused(lambda: partwise.train(tones, sr=RATE, mixtures=3), "mixtures", "gain-prior")
    refused(lambda: partwise.train(tones, sr=RATE, rank={"mid": 3}), "rank", "no such source")
    with pytest.raises(partwise.InputError, match="not finite"):
        partwise.train(tones, sr=RATE, tolerance=np.nan)
    with pytest.raises(TypeError, match="cannot stand in a description"):
        partwise.train(tones, sr=RATE, rank=object())
    # numpy's numbers are numbers.
    model.separate(tones["low"], RATE, iterations=np.int64(2), tolerance=np.float32(0.1), engine="cpu:1")


def test_sources_that_cannot_be_learned_from_are_refused(tones, tmp_path):
    with pytest.raises(partwise.InputError, match="give its sample rate"):
        partwise.train(tones)
    with pytest.raises(partwise.InputError, match="there is no such file or folder"):
        partwise.train({"low": tmp_path / "absent.wav"})
    with pytest.raises(partwise.InputError, match="no audio files"):
        partwise.train({"low": tmp_path})
    with pytest.raises(partwise.InputError, match="source"):
        partwise.train({})
    with pytest.raises(TypeError, match="comes from"):
        partwise.Model("model.safetensors")
    with pytest.raises(TypeError, match="use a dict"):
        partwise.train([tones["low"]], sr=RATE)
    with pytest.raises(partwise.InputError, match="does not fit in a file name"):
        partwise.train({"a/b": tones["low"]}, sr=RATE)


def test_model_files_that_cannot_be_read_are_refused(model, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        partwise.Model.load(tmp_path / "absent.safetensors")
    assert isinstance(caught.value, partwise.FileError) and caught.value.filename == str(tmp_path / "absent.safetensors")
    path = tmp_path / "model.safetensors"
    model.save(path)
    path.write_bytes(path.read_bytes().replace(b"partwise/1", b"partwise/9"))
    with pytest.raises(partwise.ModelError, match="it takes partwise 0.1.0 or later") as caught:
        partwise.Model.load(path)
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="cannot write"):
        model.save(tmp_path / "absent" / "model.safetensors")
    with pytest.raises(TypeError, match="partwise.Model"):
        partwise.separate(np.zeros(9), RATE, model=3)


def test_progress_is_told_and_an_exception_of_it_ends_the_work(tones):
    shares = []
    options = {"sr": RATE, "rank": 2, "iterations": 10, "engine": "cpu:1"}
    partwise.train(tones, progress=shares.append, **options)
    assert shares == sorted(shares) and shares[-1] == 1.0

    def stop(share):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        partwise.train(tones, progress=stop, **options)
    with pytest.raises(TypeError, match="progress"):
        partwise.train(tones, progress=3, **options)


def test_ctrl_c_ends_a_training_at_once(tones):
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        partwise.train(tones, sr=RATE, rank=64, iterations=1_000_000, engine="cpu:1")
    assert time.monotonic() - started < 10


def test_the_gil_is_free_while_the_library_works(tones):
    ticks = []

    def tick():
        while not ended.wait(0.01):
            ticks.append(None)

    ended = threading.Event()
    thread = threading.Thread(target=tick)
    thread.start()
    started = time.monotonic()
    partwise.train(tones, sr=RATE, rank=32, iterations=400, engine="cpu:1")
    took = time.monotonic() - started
    ended.set()
    thread.join()
    assert len(ticks) > 20 * took, f"{len(ticks)} ticks in {took:.2f} s"


def test_threads_may_separate_at_the_same_time(model, tones):
    expected = model.separate(tones["low"], RATE, engine="cpu")["low"]
    found = [None] * 4

    def work(index):
        found[index] = model.separate(tones["low"], RATE, engine="cpu")["low"]

    threads = [threading.Thread(target=work, args=[index]) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(np.array_equal(one, expected) for one in found)


def test_warnings_go_to_the_logger(tones, tmp_path, caplog):
    write(tmp_path / "low.wav", tones["low"])
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    partwise.train({"low": [tmp_path], "high": tones["high"]}, sr=RATE, rank=1, iterations=1, engine="cpu:1")
    told = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert any(name == "partwise" and level == "ERROR" and "broken.wav" in text for name, level, text in told), told
