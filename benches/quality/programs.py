"""The programs that compete. Each has a command that trains for a task and one that separates it; both leave files in a folder."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from data import DENOISING, DRUMS, INSTRUMENTS, JOBS, MIXTURE


class Partwise:
    """The binary with some options of `train`; without any it also does the jobs, with the defaults of each."""

    def __init__(self, binary, threads, options):
        self.name, self.binary, self.options = " ".join(["partwise", *options[:2]]), binary, options
        self.kinds = [MIXTURE] if options else [MIXTURE, *JOBS]
        self.common = ["--threads", threads, "--quiet"]
        self.version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def train(self, task, folder):
        if task.kind != MIXTURE:
            return None
        sources = [word for name, paths in task.training.items() for word in ("--source", f"{name}={paths[0]}", *paths[1:])]
        return [self.binary, "train", *sources, "-o", folder / "model.safetensors", *self.options, *self.common]

    def separate(self, task, folder):
        strokes = [f"{name}={path}" for name, paths in task.training.items() for path in paths]
        words = {
            MIXTURE: ["--model", folder / "model.safetensors"],
            DRUMS: ["--method", "nmf2d", "--init-bases", *strokes],
            INSTRUMENTS: ["--method", "nmf2d"],
            DENOISING: [],
        }[task.kind]
        command = "denoise" if task.kind == DENOISING else "separate"
        return [self.binary, command, task.mixture, "-o", folder, "--format", "wav-f32", *self.common, *words]


class Peer:
    """A library, by the program in peer.py. The jobs that know no sources have ranks of their own, and go with the first rank."""

    def __init__(self, library, rank):
        self.name, self.library, self.rank = f"{library}, rank {rank}", library, rank
        self.kinds = [MIXTURE, *JOBS] if rank == RANKS[0] else [MIXTURE, DRUMS]
        needs = {"scikit-learn": "numpy", "torchnmf": "torch"}[library]
        self.version = f"{library} {version(library)}, {needs} {version(needs)}"

    def train(self, task, folder):
        return self.command("train", task, folder) if task.training else None

    def separate(self, task, folder):
        return self.command("separate", task, folder)

    def command(self, action, task, folder):
        training = {name: [str(path) for path in paths] for name, paths in task.training.items()}
        text = {"kind": task.kind, "rate": task.rate, "mixture": str(task.mixture), "training": training}
        (folder / "task.json").write_text(json.dumps(text))
        program = Path(__file__).with_name("peer.py")
        return [sys.executable, "-B", program, self.library, self.rank, action, folder / "task.json", folder]


# Words of `train` by the name that --only takes. The last one trains for an hour or so.
WAYS = {
    "defaults": [],
    "fast": ["--quality", "fast"],
    "best": ["--quality", "best"],
    "exemplars": ["--method", "exemplars"],
    "rank-64": ["--rank", "64"],
    "rank-20": ["--rank", "20"],
    "gain-prior": ["--method", "gain-prior"],
    "sparse": ["--method", "sparse"],
    "averaged": ["--method", "averaged"],
    "discriminative": ["--method", "discriminative"],
    "deep": ["--method", "deep", "--task", "separate"],
}
LIBRARIES, RANKS = ("scikit-learn", "torchnmf"), (64, 20)
PEERS = {f"{library}-{rank}": (library, rank) for library in LIBRARIES for rank in RANKS}
NAMES = [*WAYS, *PEERS]


def make(name, binary, threads):
    """The program of one of NAMES."""
    if name in PEERS:
        return Peer(*PEERS[name])
    return Partwise(binary, threads, WAYS[name])
