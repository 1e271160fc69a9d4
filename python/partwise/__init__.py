"""Separation of recordings into their sources, and nonnegative factorization, on any GPU or CPU.

====================================  =============================================================
:func:`train`                         recordings of each source alone → a :class:`Model`
:meth:`Model.separate`                samples → samples of each source
:func:`separate`                      the same, also without a model
:func:`separate_files`                many files → files of each source, with a manifest
:func:`evaluate`                      SDR, SIR, SAR and SI-SDR of estimates
:class:`NMF`                          a matrix → factors, with scikit-learn's protocol
:class:`NMFD`, :class:`NMF2D`         a matrix → patterns that move in time, and in pitch
====================================  =============================================================

Axis letters are the same everywhere: C channel, J source, F frequency bin (or feature), K component, N frame, sample of a
signal, or sample of a data set.

What partwise warns of goes to the logger ``partwise`` of :mod:`logging`. Ctrl-C ends every call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._partwise import __version__
from .errors import (
    AudioError,
    DivergedError,
    EngineError,
    Error,
    FileError,
    InputError,
    MissingFileError,
    ModelError,
    OptionError,
)
from .evaluation import evaluate
from .files import Progress, Summary, separate_files
from .model import Model
from .separation import separate, train

if TYPE_CHECKING:
    from .nmf import NMF
    from .nmf2d import NMF2D
    from .nmfd import NMFD

__all__ = [
    "NMF",
    "NMF2D",
    "NMFD",
    "AudioError",
    "DivergedError",
    "EngineError",
    "Error",
    "FileError",
    "InputError",
    "MissingFileError",
    "Model",
    "ModelError",
    "OptionError",
    "Progress",
    "Summary",
    "__version__",
    "evaluate",
    "separate",
    "separate_files",
    "train",
]

# Names that need scikit-learn, which takes a second to import, and the modules that have them.
_LAZY = {"NMF": "nmf", "NMFD": "nmfd", "NMF2D": "nmf2d"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'partwise' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"partwise.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
