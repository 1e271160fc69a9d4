"""Types of arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Union

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.floating[Any]]
"""Samples, (N,) or (C, N)."""
Stem = npt.NDArray[np.float32]
"""Samples of one source, in the shape of those that were separated."""
AnyPath = Union[str, "os.PathLike[str]"]
Share = Union[bool, Callable[[float], object], None]
"""A bar, or what hears the share of the work that is done."""
