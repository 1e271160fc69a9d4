"""Recordings for the tests: notes, noise, and both together, made with the standard library alone."""

import io
import math
import random
import struct
import wave

RATE = 8000
SECONDS = 3


def notes(seed: int) -> list[float]:
    """Notes of three harmonics that die away, four a second."""
    draw = random.Random(seed)
    samples = []
    for _ in range(4 * SECONDS):
        pitch = 220 * 2 ** (draw.choice([0, 2, 4, 7, 9, 12]) / 12)
        for n in range(RATE // 4):
            t = n / RATE
            tone = sum(math.sin(math.tau * pitch * k * t) / k for k in (1, 2, 3))
            samples.append(0.2 * tone * math.exp(-6 * t))
    return samples


def noise(seed: int) -> list[float]:
    """Noise that comes and goes."""
    draw = random.Random(seed)
    return [0.15 * draw.uniform(-1, 1) * (1.2 + math.sin(math.tau * n / RATE)) / 2 for n in range(RATE * SECONDS)]


def mixed(*parts: list[float]) -> list[float]:
    return [sum(values) for values in zip(*parts)]


def wav(samples: list[float]) -> bytes:
    """16-bit WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(b"".join(struct.pack("<h", round(32767 * max(-1, min(1, x)))) for x in samples))
    return file.getvalue()


def upload(name: str, content: bytes) -> dict:
    """A file for the page's file inputs."""
    return {"name": name, "mimeType": "audio/wav", "buffer": content}
