"""Data for all programs alike: power spectrograms of recordings, the factors to start from, and the judge of results."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import soundfile

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "audio"
BETA = {"is": 0.0, "kl": 1.0, "eu": 2.0}
# scikit-learn floors the model at 1.2e-7 and torchnmf adds as much to it. On data with their peak at 1 that is a tenth of
# the median of V; with the peak here it is a tenth of the smallest entry, and all minimise the same function.
PEAK = 1e6
FLOOR = 1e-12 * PEAK


def recordings(paths):
    """Samples of all files one after the other, mono. By default those of examples/audio: speech and piano at 16 kHz."""
    paths = paths or sorted(EXAMPLES.rglob("*.flac"))
    return np.concatenate([soundfile.read(path, always_2d=True)[0].mean(axis=1) for path in paths])


def spectrogram(samples, bins, frames):
    """|STFT|² (F, N) in f32: Hann windows of 2(F-1) samples, the hop a quarter of them or, where that gives too few frames,
    smaller; then N of the frames, evenly spread over all recordings; peak 1e6, floor 1e-12 of it."""
    width = 2 * (bins - 1)
    if len(samples) < width + frames:
        raise SystemExit(f"the recordings have {len(samples)} samples: too few for {frames} frames of {width}")
    hop = min(width // 4, (len(samples) - width) // (frames - 1))
    starts = np.arange(0, len(samples) - width + 1, hop)
    starts = starts[np.linspace(0, len(starts) - 1, frames).astype(int)]
    window = np.hanning(width + 1)[:-1]
    v = np.stack([np.abs(np.fft.rfft(window * samples[at : at + width])) ** 2 for at in starts], axis=1)
    return np.maximum(PEAK / v.max() * v, FLOOR).astype(np.float32)


class Problem:
    """V (F, N), and W (F, K), H (K, N) to start from; V.npy and INIT.npz in `folder` hold the same for partwise."""

    options = []

    def __init__(self, v, w, h, divergence):
        self.v, self.w, self.h = (array.astype(np.float32) for array in (v, w, h))
        self.rank, self.divergence, self.beta = w.shape[-1], divergence, BETA[divergence]
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        np.save(self.folder / "V.npy", self.v)
        np.savez(self.folder / "INIT.npz", W=self.w, H=self.h)

    @classmethod
    def of(cls, samples, shape, divergence, w=None):
        """A spectrogram of so many bins and frames; W is random unless it is given."""
        bins, frames, rank = shape
        v = spectrogram(samples, bins, frames)
        random = np.random.default_rng(0)
        scale = np.sqrt(v.mean() / rank)
        start = [scale * random.uniform(0.1, 1.0, size) for size in ((bins, rank), (rank, frames))]
        return cls(v, start[0] if w is None else w, start[1], divergence)

    def model(self, w, h):
        return w @ h

    def objective(self, w, h):
        """Σ d(v|λ) in f64, with λ floored like v."""
        v = self.v.astype(np.float64)
        model = np.maximum(self.model(w.astype(np.float64), h.astype(np.float64)), FLOOR)
        if self.divergence == "is":
            return float((v / model - np.log(v / model) - 1).sum())
        if self.divergence == "kl":
            return float((v * np.log(v / model) - v + model).sum())
        return float(((v - model) ** 2).sum() / 2)


class Moving(Problem):
    """Patterns that move in time and pitch, W (T, F, K) and H (P, K, N), at the size of Schmidt & Mørup (2006).

    Those of torchnmf end where a shift would carry them over the edge: W has F-P+1 rows, and H N-T+1 columns. The same model
    starts with zeros beyond them, which multiplicative updates keep."""

    options = ["--method", "nmf2d"]
    bins, frames, components, times, pitches = 175, 63, 2, 7, 12

    @classmethod
    def of(cls, divergence):
        """Notes of two sources, harmonic and with odd harmonics alone, at 24 bins an octave; magnitudes, peak 1e6, over noise."""
        random = np.random.default_rng(0)
        v = np.zeros((cls.bins, cls.frames))
        harmonics = [np.arange(1, 9), np.arange(1, 9, 2)]
        for lowest, numbers, decay, every in zip((20, 45), harmonics, (2, 5), (5, 7)):
            rows = lowest + 24 * np.log2(numbers)
            peaks = np.exp(-0.5 * (np.arange(cls.bins)[:, None] - rows) ** 2)
            pattern = np.outer(peaks @ (1 / numbers), np.exp(-np.arange(cls.times) / decay))
            for frame in range(random.integers(every), cls.frames - cls.times + 1, every):
                pitch = random.integers(cls.pitches)
                note = random.uniform(0.5, 1.0) * pattern[: cls.bins - pitch]
                v[pitch:, frame : frame + cls.times] += note
        v += random.uniform(1e-4, 1e-3, v.shape)
        v *= PEAK / v.max()
        scale = np.sqrt(v.mean() / (cls.components * cls.times * cls.pitches))
        w = scale * random.uniform(0.1, 1.0, (cls.times, cls.bins, cls.components))
        h = scale * random.uniform(0.1, 1.0, (cls.pitches, cls.components, cls.frames))
        w[:, cls.bins - cls.pitches + 1 :] = 0
        h[:, :, cls.frames - cls.times + 1 :] = 0
        return cls(v, w, h, divergence)

    def model(self, w, h):
        model = np.zeros(self.v.shape)
        for (time, basis), (pitch, gains) in itertools.product(enumerate(w), enumerate(h)):
            model[pitch:, time:] += basis[: self.bins - pitch] @ gains[:, : self.frames - time]
        return model
