"""Separation by a Ray cluster of this machine: two workers of one core each."""

import hashlib
import json
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import partwise
from conftest import RATE, read, write

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

import partwise.ray  # noqa: E402
from partwise.ray.gpus import given_gpu  # noqa: E402
from partwise.ray.job import Job  # noqa: E402
from partwise.ray.pool import MOST_BYTES, Pool  # noqa: E402
from partwise.ray.rows import Worker as RowsWorker  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    # Workers are nice otherwise, and wait for whatever else this machine does.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def lines(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def contents(folder):
    """The SHA-256 of every file but the manifest, hidden ones too."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "manifest.jsonl"]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_files_have_the_names_and_bytes_of_the_command_and_bad_ones_fail_alone(model, recordings, tmp_path):
    (recordings / "below").mkdir()
    write(recordings / "below" / "mix0.wav", read(recordings / "mix1.wav"))
    (recordings / "broken.wav").write_bytes(b"RIFF")
    expected = partwise.separate_files(recordings, tmp_path / "expected", model, engine="cpu:1", only="low")
    rows = partwise.ray.separate(recordings, model, tmp_path / "out", concurrency=2, only="low").take_all()
    assert contents(tmp_path / "out") == contents(tmp_path / "expected") and expected.done == 4
    by_path = {row["path"]: row for row in rows}
    broken = by_path.pop(str(recordings / "broken.wav"))
    assert broken["status"] == "failed" and "broken.wav" in broken["error"] and len(broken["outputs"]) == 0
    assert len(by_path) == 4
    for row in by_path.values():
        assert (row["status"], row["error"], row["seconds"]) == ("done", None, 2.0)
        assert (row["sample_rate"], row["channels"]) == (RATE, 1)
        assert row["engine"].startswith("cpu") and all(Path(output).is_file() for output in row["outputs"])
    assert sorted(line["input"] for line in lines(tmp_path / "out")) == sorted([*by_path, str(recordings / "broken.wav")])


def test_the_pipeline_resumes_what_ray_has_done_and_ray_what_the_pipeline_has(model, recordings, tmp_path):
    path, out = tmp_path / "model.safetensors", tmp_path / "out"
    model.save(path)
    partwise.separate_files(recordings / "mix0.wav", out, path, engine="cpu:1")
    written = (out / "mix0.low.wav").stat().st_mtime_ns
    rows = partwise.ray.separate(recordings, path, out, resume=True).take_all()
    assert [row["status"] for row in rows] == ["done"] * 3 and len(lines(out)) == 3
    assert (out / "mix0.low.wav").stat().st_mtime_ns == written
    summary = partwise.separate_files(recordings, out, model, resume=True, engine="cpu:1", progress=False)
    assert (summary.done, summary.resumed) == (0, 3)


def test_a_data_set_of_paths_keeps_its_columns(model, recordings, tmp_path):
    paths = [str(recordings / "mix0.wav"), str(recordings / "mix2.wav"), str(recordings / "mix0.wav")]
    files = ray.data.from_items([{"path": path, "take": {"number": index}} for index, path in enumerate(paths)])
    rows = partwise.ray.separate(files, model, tmp_path / "out", concurrency=1).take_all()
    assert sorted((row["take"]["number"], row["path"]) for row in rows) == list(enumerate(paths))
    assert len(lines(tmp_path / "out")) == 2 and len(contents(tmp_path / "out")) == 4


def test_rows_have_the_bits_of_memory_and_bad_ones_fail_alone(model, tones):
    both = np.stack([tones["high"], tones["low"] + tones["high"]])
    for signals in ([tones["low"], np.full(100, np.nan, np.float32), both[1][:5000]], [both, both[:, 100:]]):
        items = [{"samples": samples, "sample_rate": RATE, "number": index} for index, samples in enumerate(signals)]
        rows = partwise.ray.separate(ray.data.from_items(items), model, concurrency=1).take_all()
        assert sorted(row["number"] for row in rows) == list(range(len(signals)))
        for row in rows:
            samples = signals[row["number"]]
            assert row["samples"].shape == samples.shape
            if np.isnan(samples).any():
                assert row["status"] == "failed" and row["error"].startswith("samples: ")
                assert row["low"].shape == row["high"].shape == (0,)
                continue
            assert row["status"] == "done" and row["seconds"] == samples.shape[-1] / RATE
            for name, stem in model.separate(samples, RATE, engine="cpu:1").items():
                np.testing.assert_array_equal(row[name], stem)


def test_rows_that_cannot_be_used_are_refused(model, tones):
    def refused(reason, **columns):
        with pytest.raises(partwise.InputError, match=reason):
            partwise.ray.separate(ray.data.from_items([columns]), model)
        # Of these columns Ray Data does not know before it computes them.
        with pytest.raises(partwise.InputError, match=reason):
            worker = RowsWorker(Job(None, model, "cpu:1", None, False, None, {}), ".")
            worker({name: [value] for name, value in columns.items()})

    refused("no column 'path', and no 'samples'", file="a.wav")
    refused("no column 'sample_rate'", samples=tones["low"])
    refused("have a column 'low'", samples=tones["low"], sample_rate=RATE, low=1)


def test_files_become_rows(model, recordings):
    before = set(Path(tempfile.gettempdir()).glob("partwise-*"))
    (recordings / "broken.wav").write_bytes(b"RIFF")
    rows = {Path(row["path"]).name: row for row in partwise.ray.separate(recordings, model, concurrency=2).iter_rows()}
    assert rows["broken.wav"]["status"] == "failed" and "broken.wav" in rows.pop("broken.wav")["error"]
    assert len(rows) == 3
    for name, row in rows.items():
        stems = model.separate(read(recordings / name)[None], RATE, engine="cpu:1")
        for source, stem in stems.items():
            np.testing.assert_array_equal(row[source], stem)
    assert set(Path(tempfile.gettempdir()).glob("partwise-*")) <= before


def workers():
    """The process ids of the workers, of Ray's actors."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(process.name))
        except OSError:
            pass
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_loses_nothing(model, recordings, tmp_path, tones):
    for index in range(60):
        write(recordings / f"more{index:02}.wav", np.roll(np.tile(tones["low"], 8), index) + np.tile(tones["high"], 8))
    partwise.separate_files(recordings, tmp_path / "expected", model, engine="cpu:1")
    out, killed = tmp_path / "out", []

    def kill():
        while not killed and not ended.wait(0.002):
            if out.exists() and sum(1 for _ in out.glob("*.low.wav")) >= 8:
                killed.append(workers()[0])
                os.kill(killed[0], signal.SIGKILL)

    ended = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        rows = partwise.ray.separate(recordings, model, out, concurrency=2, batch_size=16).take_all()
    finally:
        ended.set()
        thread.join()
    assert killed
    assert len(rows) == 63 and all(row["status"] == "done" for row in rows)
    assert contents(out) == contents(tmp_path / "expected")
    done = [line["input"] for line in lines(out) if line["status"] == "done"]
    assert sorted(done) == sorted(str(file) for file in recordings.iterdir())


def test_mistakes_are_refused_before_anything_begins(model, recordings, tmp_path):
    def refused(kind, reason, inputs=recordings, output=tmp_path / "out", **options):
        with pytest.raises(kind, match=reason):
            partwise.ray.separate(inputs, model, output, **options)

    refused(partwise.OptionError, "nearest is tolerance", tolerence=1e-3)
    refused(partwise.OptionError, "nearest is tolerance", output=None, tolerence=1e-3)
    (tmp_path / "empty").mkdir()
    refused(partwise.InputError, "no audio files", inputs=tmp_path / "empty")
    refused(partwise.InputError, "batch_size 0", batch_size=0)
    refused(partwise.InputError, "concurrency", concurrency=(3, 2))
    refused(partwise.InputError, "not both 0", num_cpus=0)
    refused(partwise.InputError, "use {stem}", name="x/{stem}")
    refused(partwise.OptionError, "resume: is for results as files", output=None, resume=True)
    refused(partwise.OptionError, "format: is for results as files", output=None, format="flac")
    rows = [("a column 'path'", {"file": "a"}), ("have samples", {"path": "a", "samples": [0.0]})]
    for reason, row in [*rows, ("a column 'error'", {"path": "a", "error": 1})]:
        refused(partwise.InputError, reason, inputs=ray.data.from_items([row]))
    assert not (tmp_path / "out").exists()


def test_a_worker_that_cannot_begin_says_why(model, recordings, tmp_path):
    with pytest.raises(ray.exceptions.RayError, match="is no engine"):
        partwise.ray.separate(recordings, model, tmp_path / "out", engine="tpu", concurrency=1)


def test_batches_are_no_larger_than_asked_and_there_are_some_for_each_worker():
    pool = Pool.of(2, 1, 0, 64, {})
    assert [len(batch) for batch in pool.batches([1] * 2000)] == [64] * 31 + [16]
    assert [len(batch) for batch in pool.batches([1] * 40)] == [2] * 20
    sizes = [1, MOST_BYTES, 1, MOST_BYTES - 1, 1]
    assert pool.batches([0] * 900 + sizes)[-4:] == [range(896, 901), range(901, 902), range(902, 904), range(904, 905)]


def test_a_worker_takes_the_gpu_that_ray_gives_it(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-aa, 00000000:01:00.0'\necho '1, GPU-bb, 00000000:C1:00.0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert given_gpu(["1"]) == given_gpu(["GPU-bb"]) == "gpu:0000:c1:00.0"
    monkeypatch.setenv("PATH", "")
    assert given_gpu(["1"]) == "gpu:1" and given_gpu([]) == "gpu"
