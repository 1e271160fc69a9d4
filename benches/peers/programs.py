"""The programs, each behind the same few lines: `run` does iterations of its own routine and says how long it took.

All are brought to partwise's order, gains H before bases W. torchnmf and scikit-learn update the factor they call W first:
torchnmf's model of V is H Wᵀ, so its W is our Hᵀ; scikit-learn is given Vᵀ ≈ Hᵀ Wᵀ, frames by bins, as its users give it.
"""

import json
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np


def majorizing(beta):
    """The γ of the peers, with which an update is a majorise-minimise step."""
    return 1 / (2 - beta) if beta < 1 else 1.0


@dataclass
class Fit:
    """Seconds of the iterations (and of what set-up lies between them), W, H, and the objective where partwise looked."""

    seconds: float
    w: np.ndarray
    h: np.ndarray
    trace: np.ndarray | None = None


class Partwise:
    """The binary, a process a run; the seconds are those it gives, without reading and writing of files."""

    def __init__(self, binary, updates, engine, threads):
        self.name, self.device = f"partwise {updates}", engine
        options = ["--updates", updates, "--engine", engine, "--threads", threads, "--json", "--quiet"]
        self.binary, self.options = binary, [str(option) for option in options]
        self.version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def exponent(self, beta):
        return 1.0

    def run(self, problem, iterations, fix_w=False, trace_every=0):
        output = problem.folder / "OUT.npz"
        command = [self.binary, "factorize", problem.folder / "V.npy", "--rank", problem.rank, "-o", output]
        command += ["--init", problem.folder / "INIT.npz", "--divergence", problem.divergence]
        command += ["--iterations", iterations, "--trace-every", trace_every, *self.options]
        command += ["--fix", "w"] if fix_w else []
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"exit status {done.returncode}")
        with np.load(output) as factors:
            return Fit(json.loads(done.stdout)["seconds"], factors["W"], factors["H"], factors["objective"])


class Numpy:
    """The update as papers print it, in numpy expressions; with partwise's exponent γ unless told otherwise."""

    name, device = "numpy", "cpu"

    def __init__(self, gamma=1.0):
        self.gamma, self.version = gamma, f"numpy {np.__version__}"

    def exponent(self, beta):
        return self.gamma

    def run(self, problem, iterations):
        v, w, h, beta = problem.v, problem.w, problem.h, problem.beta
        started = time.perf_counter()
        for _ in range(iterations):
            h = h * self.ratio(v, w, h, beta)
            w = w * self.ratio(v.T, h.T, w.T, beta).T
        return Fit(time.perf_counter() - started, w, h)

    def ratio(self, v, w, h, beta):
        """What H is multiplied by, ((Wᵀ V Λ^(β-2)) / (Wᵀ Λ^(β-1)))^γ."""
        if beta == 2:
            ratio = (w.T @ v) / (w.T @ w @ h)
        elif beta == 1:
            ratio = (w.T @ (v / (w @ h))) / w.sum(axis=0)[:, None]
        else:
            model = w @ h
            ratio = (w.T @ (v / model**2)) / (w.T @ (1 / model))
        return ratio if self.gamma == 1 else ratio**self.gamma


class ScikitLearn:
    name, device, exponent = "scikit-learn", "cpu", staticmethod(majorizing)

    def __init__(self):
        from sklearn.decomposition import non_negative_factorization

        self.factorize, self.version = non_negative_factorization, f"scikit-learn {version('scikit-learn')}"

    def run(self, problem, iterations):
        v, w, h = (np.array(factor.T, order="C") for factor in (problem.v, problem.h, problem.w))
        options = {"init": "custom", "solver": "mu", "beta_loss": problem.beta, "tol": 0, "max_iter": iterations}
        started = time.perf_counter()
        w, h, _ = self.factorize(v, w, h, problem.rank, **options)
        return Fit(time.perf_counter() - started, h.T, w.T)


class TorchNmf:
    """Looks at the objective every ten iterations, which cannot be turned off; it counts as part of its time."""

    name, exponent = "torchnmf", staticmethod(majorizing)

    def __init__(self, engine, threads):
        import torch
        from torchnmf.nmf import NMF

        self.torch, self.model = torch, NMF
        torch.set_num_threads(threads)
        if engine == "gpu" and not torch.cuda.is_available():
            raise RuntimeError("torch sees no CUDA device")
        self.device = "cuda" if engine == "gpu" else "cpu"
        self.version = f"torchnmf {version('torchnmf')}, torch {torch.__version__}"

    def synchronize(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def run(self, problem, iterations):
        tensor = self.torch.from_numpy
        model = self.model(W=tensor(problem.h.T.copy()), H=tensor(problem.w)).to(self.device)
        v = tensor(problem.v).to(self.device)
        self.synchronize()
        started = time.perf_counter()
        model.fit(v, beta=problem.beta, tol=-np.inf, max_iter=iterations)
        self.synchronize()
        seconds = time.perf_counter() - started
        h, w = (factor.detach().cpu().numpy() for factor in (model.W, model.H))
        return Fit(seconds, w, h.T)
