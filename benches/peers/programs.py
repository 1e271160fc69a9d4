"""The programs, each behind the same few lines: `run` does iterations of its own routine and says how long it took.

All are brought to partwise's order, gains H before bases W, but for patterns that move, W before H. torchnmf and scikit-learn update the factor they call W first:
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
        command += [*problem.options, "--divergence", problem.divergence, *self.start(problem)]
        command += ["--iterations", iterations, "--trace-every", trace_every, *self.options]
        command += ["--fix", "w"] if fix_w else []
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"exit status {done.returncode}")
        with np.load(output) as factors:
            return Fit(json.loads(done.stdout)["seconds"], factors["W"], factors["H"], factors["objective"])

    def start(self, problem):
        return ["--init", problem.folder / "INIT.npz"]


class PartwiseNmf:
    """The Python package, whose solver mu has the exponent of the peers; the seconds are those of the call, from arrays to arrays.

    `layout` brings X (N, F) to the layout that the call gets."""

    def __init__(self, solver, engine, threads, layout=np.ascontiguousarray):
        import partwise

        self.name, self.estimator, self.layout = f"partwise.NMF {solver}", partwise.NMF, layout
        self.device = engine
        self.options = {"solver": solver, "engine": f"cpu:{threads}" if engine == "cpu" else engine}
        self.version = f"partwise {partwise.__version__} for Python"

    def exponent(self, beta):
        return majorizing(beta)

    def run(self, problem, iterations):
        x, w, h = self.layout(problem.v.T), problem.h.T, problem.w.T
        nmf = self.estimator(problem.rank, init="custom", beta_loss=problem.beta, max_iter=iterations, tol=0, **self.options)
        started = time.perf_counter()
        w = nmf.fit_transform(x, W=w, H=h)
        return Fit(time.perf_counter() - started, nmf.components_.T, w.T)


class PartwiseStarts(Partwise):
    """Patterns that move, from several random starts side by side; the seconds are those of one."""

    def __init__(self, binary, engine, threads, starts=8):
        super().__init__(binary, "alternating", engine, threads)
        self.name, self.starts = f"partwise, {starts} starts", starts

    def run(self, problem, iterations):
        fit = super().run(problem, iterations)
        fit.seconds /= self.starts
        return fit

    def start(self, problem):
        return ["--starts", self.starts, "--time-lags", problem.times, "--pitch-lags", problem.pitches]


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
        import torchnmf.nmf

        self.torch, self.models = torch, torchnmf.nmf
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
        model = self.models.NMF(W=tensor(problem.h.T.copy()), H=tensor(problem.w))
        seconds = self.fit(model, tensor(problem.v), problem.beta, iterations)
        h, w = (factor.detach().cpu().numpy() for factor in (model.W, model.H))
        return Fit(seconds, w, h.T)

    def fit(self, model, v, beta, iterations):
        """Its seconds."""
        model, v = model.to(self.device), v.to(self.device)
        self.synchronize()
        started = time.perf_counter()
        model.fit(v, beta=beta, tol=-np.inf, max_iter=iterations)
        self.synchronize()
        return time.perf_counter() - started


class TorchNmf2d(TorchNmf):
    """Its W (1, K, F-P+1, T) and H (1, K, P, N-T+1) are ours in another order of axes, and it updates W first, as partwise does."""

    def run(self, problem, iterations):
        rows, columns = problem.bins - problem.pitches + 1, problem.frames - problem.times + 1
        w = np.ascontiguousarray(problem.w[:, :rows].transpose(2, 1, 0))
        h = np.ascontiguousarray(problem.h[:, :, :columns].transpose(1, 0, 2))
        w, h, v = (self.torch.from_numpy(array)[None] for array in (w, h, problem.v[None]))
        model = self.models.NMF2D(W=w, H=h)
        seconds = self.fit(model, v, problem.beta, iterations)
        of_w, of_h = (factor.detach().cpu().numpy()[0] for factor in (model.W, model.H))
        w, h = np.zeros_like(problem.w), np.zeros_like(problem.h)
        w[:, :rows], h[:, :, :columns] = of_w.transpose(2, 1, 0), of_h.transpose(1, 0, 2)
        return Fit(seconds, w, h)
