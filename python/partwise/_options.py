"""Options of jobs as the JSON of ``--config`` files, and sample rates and samples as the extension takes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import AudioError, InputError


def described(options: Mapping[str, Any]) -> str:
    """The options as JSON. What is None is left to the library."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return json.dumps(given, default=_plain, allow_nan=False)
    except ValueError:
        raise InputError("options: has a number that is not finite; leave the option out for its default") from None


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return path(value)
    raise TypeError(f"options: {value!r} of type {type(value).__name__} cannot stand in a description; use numbers and text")


def path(value: str | os.PathLike[str]) -> str:
    """A path as text."""
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError(f"{value!r}: is a path of bytes; use text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!r}: is not Unicode; rename it, or name its folder") from None
    return text


def rate(sr: object) -> int:
    """A sample rate in whole Hz."""
    try:
        whole = int(sr)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"sr {sr!r}: must be a sample rate in Hz, such as 44100") from None
    if whole != sr or not 0 < whole < 2**32:
        raise InputError(f"sr {sr!r}: must be a whole sample rate in Hz, such as 44100")
    return whole


def signal(samples: object, name: str = "samples", dtype: type = np.float32) -> np.ndarray:
    """Samples (N,) or (C, N) as an array (C, N) of floats. It is a view where it can be."""
    array = np.asarray(samples)
    if array.dtype.kind != "f":
        advice = "divide integers by the largest that their type holds, such as 32768.0" if array.dtype.kind in "iu" else "use floats"
        raise InputError(f"{name}: are {array.dtype}; they must be floats, nominally in [-1, 1]: {advice}")
    if array.ndim not in (1, 2):
        raise InputError(f"{name}: have the shape {array.shape}; it must be (N,) or (C, N)")
    if array.ndim == 2 and array.shape[0] > 256 >= array.shape[1]:
        raise AudioError(f"{name}: have the shape {array.shape}; it must be (C, N): transpose what has channels last")
    return aligned(np.atleast_2d(array).astype(dtype, copy=False))


def aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy if its numbers lie across the machine's words, as fields of packed records do."""
    return np.require(array, requirements="A")
