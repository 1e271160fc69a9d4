"""Models: trained on recordings of each source alone, and separating recordings of all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _partwise
from ._options import described, path, rate, signal
from ._progress import following
from .errors import InputError

Samples = npt.NDArray[np.floating]
Recording = Union[str, "os.PathLike[str]", Samples]
Progress = Union[bool, Callable[[float], object], None]


def train(
    sources: Mapping[str, Recording | Iterable[Recording]],
    *,
    sr: int | None = None,
    engine: str = "auto",
    progress: Progress = None,
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


def _recording(name: str, one: Recording, sr: int | None) -> str | tuple[np.ndarray, int]:
    if isinstance(one, (str, os.PathLike)):
        return path(one)
    if sr is None:
        raise InputError(f"source '{name}': has an array; give its sample rate as sr")
    return signal(one, f"source '{name}': samples"), rate(sr)


class Model:
    """A trained model: what it knows of each source.

    It comes from :func:`train` or :meth:`load`. It can be pickled.

    Examples
    --------
    >>> import numpy as np, partwise, pickle
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    >>> model = partwise.train({"noise": noise, "hum": np.sin(np.arange(16000) / 20)}, sr=16000, rank=2, engine="cpu")
    >>> model
    <partwise.Model 'nmf' of noise, hum at 16000 Hz>
    >>> pickle.loads(pickle.dumps(model)).sources
    ['noise', 'hum']
    """

    def __init__(self, model: _partwise.Model) -> None:
        self._model = model

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read a model's file, as ``partwise train`` and :meth:`save` write it.

        Parameters
        ----------
        path : str or os.PathLike
            The file.

        Returns
        -------
        Model

        Raises
        ------
        FileError
            It cannot be read.
        ModelError
            It is no model, is damaged, or takes a later version of partwise.
        """
        return cls(_partwise.Model.load(os.fspath(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model's file. The same model gives the same bytes. The file is complete or absent.

        Parameters
        ----------
        path : str or os.PathLike
            The file, usually ``NAME.safetensors``. One that is there is replaced.

        Raises
        ------
        FileError
            It cannot be written.
        """
        self._model.save(os.fspath(path))

    def separate(
        self,
        samples: Samples,
        sr: int,
        *,
        engine: str = "auto",
        progress: Progress = None,
        **options: Any,
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Separate samples into those of each source.

        The result has the bits that ``partwise separate --format wav-f32`` writes.

        Parameters
        ----------
        samples : ndarray of shape (N,) or (C, N)
            The recording, in floats, nominally in [-1, 1].
        sr : int
            Its sample rate in Hz. It may differ from the model's.
        engine : str, default "auto"
            As for :func:`train`.
        progress : bool or callable, optional
            As for :func:`train`.
        **options
            The options of ``partwise separate``, with ``_`` for ``-``: ``mask``, ``iterations``, ``tolerance``, ``quality``,
            ``only`` and all others.

        Returns
        -------
        dict of str to ndarray
            The samples of each source by its name, float32, in the shape of ``samples``. They sum to ``samples`` within 1e-5 of
            its peak.

        Raises
        ------
        OptionError
            An option is unknown or out of range, or does not go with the model.
        AudioError
            There are no samples, or some are not finite.
        EngineError
            The engine cannot start, or stopped.

        Examples
        --------
        >>> import numpy as np, partwise
        >>> time = np.arange(16000) / 16000
        >>> low, high = np.sin(2 * np.pi * 220 * time), np.sin(2 * np.pi * 3000 * time)
        >>> model = partwise.train({"low": low, "high": high}, sr=16000, rank=2, iterations=20, engine="cpu")
        >>> stems = model.separate(np.stack([low, high]), 16000, engine="cpu")
        >>> {name: stem.shape for name, stem in stems.items()}
        {'low': (2, 16000), 'high': (2, 16000)}
        """
        return separate(samples, sr, self, engine=engine, progress=progress, **options)

    @property
    def sources(self) -> list[str]:
        """The names of the sources, in the order of the training."""
        return self._model.sources

    @property
    def sample_rate(self) -> int:
        """The sample rate that it separates at, in Hz."""
        return self._model.sample_rate

    @property
    def method(self) -> str:
        """The name of its method."""
        return self._model.method

    @property
    def training(self) -> dict[str, Any]:
        """How the training went: ``seed``, ``engine``, ``version``, and ``sources``, a list of what was learned of each."""
        return json.loads(self._model.training)

    @property
    def options(self) -> dict[str, Any] | None:
        """The options of the training, as ``--config`` takes them; None for a model of an early version."""
        return json.loads(self._model.options)

    @property
    def expected(self) -> dict[str, dict[float, float]]:
        """The gain to expect of each source in dB of SI-SDR, by its level in the mixture in dB; empty where it is not known."""
        of_source = {source["name"]: source.get("expected", []) for source in self.training["sources"]}
        return {name: {gain["level_db"]: gain["gain_db"] for gain in gains} for name, gains in of_source.items()}

    def __repr__(self) -> str:
        return f"<partwise.Model '{self.method}' of {', '.join(self.sources)} at {self.sample_rate} Hz>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_bytes, (self._model.to_bytes(),)


def _from_bytes(data: bytes) -> Model:
    return Model(_partwise.Model.from_bytes(data))


def separate(
    samples: Samples,
    sr: int,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    engine: str = "auto",
    progress: Progress = None,
    **options: Any,
) -> dict[str, npt.NDArray[np.float32]]:
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
    channels = signal(samples)
    with following(progress, "separating") as watch:
        stems = _partwise.separate(channels, rate(sr), loaded(model), described(options), engine, watch)
    return {name: stem.reshape(np.shape(samples)) for name, stem in stems}


def loaded(model: Model | str | os.PathLike[str] | None) -> _partwise.Model | None:
    """A model, or that of a file, as the extension takes it."""
    if model is None:
        return None
    if isinstance(model, (str, os.PathLike)):
        model = Model.load(model)
    if not isinstance(model, Model):
        raise TypeError(f"model: is a {type(model).__name__}; use a partwise.Model or the path of its file")
    return model._model
