"""What a user would write with scikit-learn or torchnmf, as a program: peer.py LIBRARY RANK train|separate TASK.json FOLDER

NMF under KL by multiplicative updates, on magnitudes, with the library's own number of iterations (200 at most), tolerance
and random start (seed 0). Hann windows of 2048 samples, librosa's default, and of 1024 below 16 kHz; the hop is a quarter.

train           bases of each source, from its recordings
separate        by kind of task: mixture and drums: gains of all bases; trumpet-piano: two components of the mixture, a source
                each, or torchnmf's NMF2D on 24 bands an octave; denoising: what 30 components explain, with the phases of the
                recording. Sources share a cell in proportion to the squares of their models.

Prints the seconds of the imports.
"""

import json
import sys
import time
from pathlib import Path

started = time.perf_counter()

import numpy as np
import soundfile
from scipy.signal import ShortTimeFFT


def transform(rate):
    window = 2048 if rate >= 16000 else 1024
    return ShortTimeFFT.from_window("hann", rate, window, window // 4 * 3)


class ScikitLearn:
    options = {"init": "random", "solver": "mu", "beta_loss": "kullback-leibler", "random_state": 0}

    def __init__(self):
        from sklearn.decomposition import NMF, non_negative_factorization

        self.model, self.factorization = NMF, non_negative_factorization

    def learn(self, v, rank):
        """W (F, K) and H (K, N) of V (F, N)."""
        model = self.model(rank, **self.options)
        gains = model.fit_transform(v.T)
        return model.components_.T, gains.T

    def gains(self, v, w):
        options = {**self.options, "init": None, "n_components": w.shape[1]}
        return self.factorization(v.T, H=np.ascontiguousarray(w.T), update_H=False, **options)[0].T

    def instruments(self, v, spectrum):
        w, h = self.learn(v, 2)
        return [np.outer(w[:, k], h[k]) for k in range(2)]


class TorchNmf:
    def __init__(self):
        import torch
        import torchnmf.nmf

        self.torch, self.models = torch, torchnmf.nmf
        torch.manual_seed(0)

    def fit(self, model, v):
        model.fit(v, beta=1)
        return model.W.detach(), model.H.detach()

    def learn(self, v, rank):
        v = self.torch.from_numpy(v.T.copy())
        w, h = self.fit(self.models.NMF(v.shape, rank=rank), v)
        return w.numpy(), h.numpy().T

    def gains(self, v, w):
        model = self.models.NMF(W=self.torch.from_numpy(w), H=(v.shape[1], w.shape[1]), trainable_W=False)
        return self.fit(model, self.torch.from_numpy(v.T.copy()))[1].numpy().T

    def instruments(self, v, spectrum, times=7, pitches=18):
        """Two patterns that move, on 24 bands an octave from 50 Hz to 8 kHz; the models at the bins."""
        bands = 50 * 2 ** (np.arange(176) / 24)
        v = np.stack([np.interp(bands, spectrum.f, column) for column in v.T], axis=1).astype(np.float32)
        v = self.torch.from_numpy(v)[None, None]
        model = self.models.NMF2D(v.shape, rank=2, kernel_size=(len(bands) - pitches + 1, times))
        w, h = self.fit(model, v)
        parts = [model.reconstruct(h[:, k : k + 1], w[:, k : k + 1])[0, 0].numpy() for k in range(2)]
        return [np.stack([np.interp(spectrum.f, bands, column) for column in part.T], axis=1) for part in parts]


LIBRARIES = {"scikit-learn": ScikitLearn, "torchnmf": TorchNmf}


def magnitudes(spectrum, samples):
    complex_values = spectrum.stft(samples)
    return complex_values, np.abs(complex_values).astype(np.float32)


def train(library, rank, task, folder):
    bases = {}
    for name, paths in task["training"].items():
        recordings = np.concatenate([soundfile.read(path)[0] for path in paths])
        bases[name] = library.learn(magnitudes(transform(task["rate"]), recordings)[1], rank)[0]
    np.savez(folder / "model.npz", **bases)


def separate(library, task, folder):
    mixture, rate = soundfile.read(task["mixture"])
    spectrum = transform(rate)
    x, v = magnitudes(spectrum, mixture)
    if task["kind"] == "denoising":
        w, h = library.learn(v, 30)
        estimates = {"denoised": w @ h * np.exp(1j * np.angle(x))}
    else:
        if task["kind"] == "trumpet-piano":
            parts = dict(zip(["source1", "source2"], library.instruments(v, spectrum)))
        else:
            bases = dict(np.load(folder / "model.npz"))
            h = library.gains(v, np.concatenate(list(bases.values()), axis=1))
            ends = np.cumsum([w.shape[1] for w in bases.values()])[:-1]
            parts = {name: w @ own for (name, w), own in zip(bases.items(), np.split(h, ends))}
        total = sum(part**2 for part in parts.values()) + 1e-12
        estimates = {name: part**2 / total * x for name, part in parts.items()}
    for name, values in estimates.items():
        soundfile.write(folder / f"mix.{name}.wav", spectrum.istft(values, k1=len(mixture)), rate, subtype="FLOAT")


def main(name, rank, action, task, folder):
    library = LIBRARIES[name]()
    print(json.dumps({"imports": time.perf_counter() - started}))
    task = json.loads(Path(task).read_text())
    if action == "train":
        train(library, int(rank), task, Path(folder))
    else:
        separate(library, task, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
