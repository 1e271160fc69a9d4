"""Recordings and a model that several tests share."""

import numpy as np
import pytest

import partwise

RATE = 8000


@pytest.fixture(scope="session")
def tones():
    """Two sources that are easy to tell apart, 2 s each."""
    time = np.arange(2 * RATE) / RATE
    low, high = np.sin(2 * np.pi * 200 * time), np.sin(2 * np.pi * 2500 * time)
    return {"low": (0.5 * low).astype(np.float32), "high": (0.25 * high).astype(np.float32)}


@pytest.fixture(scope="session")
def model(tones):
    return partwise.train(tones, sr=RATE, rank=2, iterations=20, engine="cpu:1")


@pytest.fixture
def recordings(tmp_path, tones):
    """A folder of three mixtures as WAV files of 32-bit floats."""
    folder = tmp_path / "mixtures"
    folder.mkdir()
    for index, gain in enumerate([1.0, 0.5, 2.0]):
        write(folder / f"mix{index}.wav", gain * tones["low"] + tones["high"])
    return folder


def write(path, samples, rate=RATE):
    """Writes samples (N,) as a WAV file of 32-bit floats."""
    data = np.asarray(samples, "<f4").tobytes()
    numbers = [(16, 4), (3, 2), (1, 2), (rate, 4), (4 * rate, 4), (4, 2), (32, 2)]
    header = b"fmt " + b"".join(number.to_bytes(size, "little") for number, size in numbers)
    body = b"WAVE" + header + b"data" + len(data).to_bytes(4, "little") + data
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)


def read(path):
    """The samples of such a file."""
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"data") + 8 :], "<f4")
