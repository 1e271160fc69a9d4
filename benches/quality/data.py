"""The tasks, made from a folder of recordings: a mixture in a file, its true sources, and what programs may learn from.

A folder has mix_recipes.csv (id, task, file_a, file_b, level_b_db, train_a, train_b; paths and globs inside the folder) and,
where it has them, the recordings of three jobs without recipes:

    music/drums/*/            mix.wav, and for each drum oneshot_NAME.wav (a stroke) and NAME.wav (the stem)
    music/trumpet_piano/      mix.wav and a file for each instrument
    music/guitar/*.wav        clean recordings
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from peers.denoising import musical

MIXTURE, DRUMS, INSTRUMENTS, DENOISING = "mixture", "drums", "trumpet-piano", "denoising"
JOBS = [DRUMS, INSTRUMENTS, DENOISING]


@dataclass
class Task:
    """`mixture` is a file, `training` has the recordings of each source alone; samples are in f64 at `rate` Hz."""

    name: str
    family: str
    kind: str
    rate: int
    mixture: Path
    mixed: np.ndarray
    sources: dict[str, np.ndarray]
    training: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def seconds(self):
        return len(self.mixed) / self.rate

    def training_seconds(self):
        return sum(soundfile.info(path).duration for paths in self.training.values() for path in paths)


def material(folder, pattern, seconds=60):
    """The first files of a glob, as many whole ones as it takes to reach so many seconds."""
    chosen, total = [], 0.0
    for path in sorted(folder.glob(pattern)):
        if total >= seconds:
            break
        chosen.append(path)
        total += soundfile.info(path).duration
    return chosen


def mixtures(data, work):
    """The recipes at 0 dB: both files cut to the shorter one, b brought to a's RMS, the sum to a peak of 0.9."""
    for row in csv.DictReader((data / "mix_recipes.csv").open()):
        if float(row["level_b_db"]) or not row["train_a"] or not row["train_b"]:
            continue
        (a, rate), (b, _) = (soundfile.read(data / row[key]) for key in ("file_a", "file_b"))
        count = min(len(a), len(b))
        a, b = a[:count], b[:count]
        b = b * np.sqrt((a @ a) / (b @ b))
        scale = 0.9 / np.abs(a + b).max()
        training = {source: material(data, row[f"train_{source}"]) for source in "ab"}
        sources = {"a": a * scale, "b": b * scale}
        yield made(work, row["id"], row["task"].split()[0], MIXTURE, rate, sources, training)


def drums(data, work):
    """Kits of drums, with a stroke of each."""
    for kit in sorted((data / "music/drums").glob("*/")):
        strokes = {path.stem.partition("_")[2]: [path] for path in sorted(kit.glob("oneshot_*.wav"))}
        stems = {name: soundfile.read(kit / f"{name}.wav") for name in strokes}
        rate = next(iter(stems.values()))[1]
        yield made(work, kit.name, DRUMS, DRUMS, rate, {name: stem for name, (stem, _) in stems.items()}, strokes)


def instruments(data, work):
    """A trumpet and a piano: nothing to learn from."""
    folder = data / "music/trumpet_piano"
    stems = {path.stem: soundfile.read(path) for path in sorted(folder.glob("*.wav")) if path.stem != "mix"}
    if stems:
        rate = next(iter(stems.values()))[1]
        yield made(work, folder.name, INSTRUMENTS, INSTRUMENTS, rate, {name: stem for name, (stem, _) in stems.items()})


def denoising(data, work, rate=8000, seconds=6, level=-10):
    """Guitars in musical noise, `level` dB above the noise; peak 0.5."""
    rng = np.random.default_rng(8)
    for path in sorted((data / "music/guitar").glob("*.wav")):
        clean, own = soundfile.read(path)
        clean = resample_poly(clean, rate, own)[: seconds * rate]
        noise = musical(len(clean), rng, window=1024)
        noise *= np.sqrt((clean @ clean) / (noise @ noise)) * 10 ** (-level / 20)
        scale = 0.5 / np.abs(clean + noise).max()
        sources = {"denoised": clean * scale}
        yield made(work, path.stem, DENOISING, DENOISING, rate, sources, mixed=(clean + noise) * scale)


def made(work, name, family, kind, rate, sources, training=None, mixed=None):
    """The task, its mixture (by default the sum of the sources) written in f32, so that every program reads the same file."""
    mixed = sum(sources.values()) if mixed is None else mixed
    folder = work / name
    folder.mkdir(parents=True)
    soundfile.write(folder / "mix.wav", mixed, rate, subtype="FLOAT")
    return Task(name, family, kind, rate, folder / "mix.wav", mixed, sources, training or {})


def tasks(data, work, families=None, quick=False):
    """All tasks of a folder, or those of some families; `quick` takes a mixture of each of the first four families."""
    every = [task for make in (mixtures, drums, instruments, denoising) for task in make(data, work)]
    if families:
        known = dict.fromkeys(task.family for task in every)
        if unknown := set(families) - set(known):
            raise SystemExit(f"no such tasks: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        every = [task for task in every if task.family in families]
    if quick:
        first = {task.family: task for task in reversed(every) if task.kind == MIXTURE}
        every = [task for task in every if task is first.get(task.family)][:4]
    return every
