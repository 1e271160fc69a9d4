"""Data for all programs alike: power spectrograms of recordings, the factors to start from, and the judge of results."""

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

    def __init__(self, samples, shape, divergence, w=None):
        bins, frames, self.rank = shape
        self.divergence, self.beta = divergence, BETA[divergence]
        self.v = spectrogram(samples, bins, frames)
        random = np.random.default_rng(0)
        scale = np.sqrt(self.v.mean() / self.rank)
        start = [scale * random.uniform(0.1, 1.0, size) for size in ((bins, self.rank), (self.rank, frames))]
        self.w, self.h = (factor.astype(np.float32) for factor in start)
        if w is not None:
            self.w = w
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        np.save(self.folder / "V.npy", self.v)
        np.savez(self.folder / "INIT.npz", W=self.w, H=self.h)

    def objective(self, w, h):
        """Σ d(v|wh) in f64, with wh floored like v."""
        v = self.v.astype(np.float64)
        model = np.maximum(w.astype(np.float64) @ h.astype(np.float64), FLOOR)
        if self.divergence == "is":
            return float((v / model - np.log(v / model) - 1).sum())
        if self.divergence == "kl":
            return float((v * np.log(v / model) - v + model).sum())
        return float(((v - model) ** 2).sum() / 2)
