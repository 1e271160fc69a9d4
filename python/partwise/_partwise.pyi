"""The extension module. What users call is in :mod:`partwise`."""

import os
from collections.abc import Callable
from typing import Any, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "Batches",
    "Model",
    "__version__",
    "evaluate",
    "factorize",
    "factorize_patterns",
    "list_files",
    "plan_files",
    "read_recording",
    "separate",
    "separate_files",
    "train",
    "update_gains",
    "write_recording",
]

__version__: str

@final
class Model:
    @staticmethod
    def load(path: str | os.PathLike[str]) -> Model: ...
    @staticmethod
    def from_bytes(bytes: bytes, hash: str | None = None) -> Model: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    def to_bytes(self) -> bytes: ...
    @property
    def hash(self) -> str: ...
    @property
    def sources(self) -> list[str]: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def training(self) -> str: ...
    @property
    def options(self) -> str: ...

def train(
    sources: list[tuple[str, list[str | tuple[npt.NDArray[np.float32], int]]]],
    described: str,
    engine: str,
    progress: Callable[[float], object] | None,
) -> Model: ...
def separate(
    given: npt.NDArray[np.float32],
    sample_rate: int,
    model: Model | None,
    described: str,
    engine: str,
    progress: Callable[[float], object] | None,
) -> list[tuple[str, npt.NDArray[np.float32]]]: ...
def separate_files(
    way: dict[str, Any],
    model: Model | None,
    described: str,
    progress: Callable[[int, int, int, int], object] | None,
) -> str: ...
@final
class Batches:
    def __new__(cls, way: dict[str, Any], model: Model | None, described: str) -> Batches: ...
    @property
    def engine(self) -> str: ...
    @property
    def sources(self) -> list[str]: ...
    def separate(self, files: list[tuple[str, str | None, list[str]]]) -> str: ...

def list_files(inputs: list[str], output: str | None) -> list[tuple[str, str, str | None]]: ...
def plan_files(
    inputs: list[tuple[str, str, str | None]],
    way: dict[str, Any],
    model: Model | None,
    described: str,
) -> list[tuple[str, str | None, list[str]]]: ...
def read_recording(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], int]: ...
def write_recording(path: str | os.PathLike[str], given: npt.NDArray[np.float32], sample_rate: int) -> None: ...
def evaluate(
    references: npt.NDArray[np.float64],
    estimates: npt.NDArray[np.float64],
    mixture: npt.NDArray[np.float64] | None,
    best_order: bool,
    windows: list[tuple[int, int]],
) -> str: ...
def factorize(
    x: npt.NDArray[np.floating],
    start: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]] | None,
    settings: dict[str, Any],
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], float, int, bool]: ...
def update_gains(
    x: npt.NDArray[np.floating],
    h: npt.NDArray[np.floating],
    settings: dict[str, Any],
) -> npt.NDArray[np.floating]: ...
def factorize_patterns(
    x: npt.NDArray[np.floating],
    patterns: npt.NDArray[np.float64] | None,
    settings: dict[str, Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]: ...
