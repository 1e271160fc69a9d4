"""Training on recordings of each source alone, and separating recordings of all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Union

import numpy as np

from . import _partwise
from ._options import described, path, rate, signal
from ._progress import following
from ._types import AnyPath, Samples, Share, Stem
from .errors import InputError
from .model import Model, loaded, stems

Recording = Union[AnyPath, Samples]


def train(
    sources: Mapping[str, Recording | Iterable[Recording]],
    *,
    sr: int | None = None,
    engine: str = "auto",
    progress: Share = None,
    **options: Any,
) -> Model:
    """Learn a model from recordings of each source alone.

    The model is the one that ``partwise train`` writes from files with the same samples, the same seed and engine.

    Parameters
    ----------
    sources : dict of str to list
        The recordings of each source by its name. A recording is a path (a file, folder, glob or ``@list``), or an array of
        samples, (N,) or (C, N), in floats, nominally in [-1, 1]. A single one needs no list.
    sr : int, optional
        The sample rate of the arrays in Hz. Needed with arrays alone; files have their own.
    engine : str, default "auto"
        ``"auto"``, ``"cpu"``, ``"cpu:THREADS"``, ``"gpu"``, ``"gpu:INDEX"``, ``"gpu:NAME"`` or ``"reference"``.
    progress : bool or callable, optional
        True shows a bar (tqdm). A callable gets the share of the work that is done, from 0 to 1; an exception of it ends the
        training.
    **options
        The options of ``partwise train``, with ``_`` for ``-``: ``method``, ``rank``, ``divergence``, ``iterations``,
        ``quality``, ``seed`` and all others. ``partwise train --print-config`` prints them. What is None has its default.

    Returns
    -------
    Model

    Raises
    ------
    OptionError
        An option is unknown, belongs to another method, or is out of range.
    InputError
        A source has no usable recording.
    AudioError
        Samples are not finite.
    EngineError
        The engine cannot start, or stopped.

    Notes
    -----
    A file that cannot be used is left out, with an error in the log. Recordings are brought to one sample rate.

    Examples
    --------
    >>> import numpy as np, partwise
    >>> time = np.arange(16000) / 16000
    >>> tones = {"low": np.sin(2 * np.pi * 220 * time), "high": np.sin(2 * np.pi * 3000 * time)}
    >>> model = partwise.train(tones, sr=16000, rank=2, iterations=20, engine="cpu")
    >>> model.sources
    ['low', 'high']
    >>> stems = model.separate(tones["low"] + tones["high"], 16000, engine="cpu")
    >>> round(partwise.evaluate(tones, stems, 16000)["targets"][0]["metrics"]["SI-SDR"]) > 40
    True

    An unknown option is refused with the nearest known one:

    >>> partwise.train(tones, sr=16000, itertions=20)
    Traceback (most recent call last):
        ...
    partwise.errors.OptionError: itertions: is not an option of a training; the nearest is iterations
    """
    if not isinstance(sources, Mapping):
        raise TypeError(f"sources: is a {type(sources).__name__}; use a dict of recordings by the name of their source")
    given = [(name, [_recording(name, one, sr) for one in _listed(recordings)]) for name, recordings in sources.items()]
    with following(progress, "training") as watch:
        return Model(_partwise.train(given, described(options), engine, watch))


def _listed(recordings: Recording | Iterable[Recording]) -> list[Recording]:
    if isinstance(recordings, (str, os.PathLike, np.ndarray)):
        return [recordings]
    return list(recordings)


def _recording(name: str, one: Recording, sr: int | None) -> str | tuple[Stem, int]:
    if isinstance(one, (str, os.PathLike)):
        return path(one)
    if sr is None:
        raise InputError(f"source '{name}': has an array; give its sample rate as sr")
    return signal(one, f"source '{name}': samples"), rate(sr)


def separate(
    samples: Samples,
    sr: int,
    model: Model | AnyPath | None = None,
    *,
    engine: str = "auto",
    progress: Share = None,
    **options: Any,
) -> dict[str, Stem]:
    """Separate samples into those of each source, with a model or by a method that needs none.

    Parameters
    ----------
    samples : ndarray of shape (N,) or (C, N)
        The recording, in floats, nominally in [-1, 1].
    sr : int
        Its sample rate in Hz.
    model : Model, str or os.PathLike, optional
        The model, or its file. Without one, ``method`` must be one that needs none: ``"nmf2d"`` or ``"denoise"``.
    engine, progress, **options
        As for :meth:`Model.separate`.

    Returns
    -------
    dict of str to ndarray
        The samples of each source by its name, float32, in the shape of ``samples``.

    Raises
    ------
    OptionError, AudioError, EngineError
        As for :meth:`Model.separate`.
    InputError
        There is neither a model nor a method that needs none.

    Examples
    --------
    >>> import numpy as np, partwise
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    >>> stems = partwise.separate(noise, 8000, method="nmf2d", sources=2, iterations=2, engine="cpu")
    >>> [(name, stem.shape) for name, stem in stems.items()]
    [('source1', (8000,)), ('source2', (8000,))]
    """
    return stems(samples, sr, loaded(model), engine, progress, options)
