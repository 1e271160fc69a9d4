"""Trained models."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from . import _partwise
from ._options import described, rate, signal
from ._progress import following
from ._types import AnyPath, Samples, Share, Stem


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
        if not isinstance(model, _partwise.Model):
            raise TypeError("a model comes from partwise.train or partwise.Model.load")
        self._model = model

    @classmethod
    def load(cls, path: AnyPath) -> Model:
        """Read a model's file, as ``partwise train`` and :meth:`save` write it.

        Parameters
        ----------
        path : str or os.PathLike
            The file. Where there is none, the name of a model that comes with partwise, such as ``"speech+noise"``.

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

    def save(self, path: AnyPath) -> None:
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
        progress: Share = None,
        **options: Any,
    ) -> dict[str, Stem]:
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
        return stems(samples, sr, self._model, engine, progress, options)

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
        return _from_bytes, (self._model.to_bytes(), self._model.hash)


def _from_bytes(data: bytes, file_hash: str | None = None) -> Model:
    return Model(_partwise.Model.from_bytes(data, file_hash))


def loaded(model: Model | AnyPath | None) -> _partwise.Model | None:
    """A model, or that of a file, as the extension takes it."""
    if isinstance(model, (str, os.PathLike)):
        model = Model.load(model)
    if model is not None and not isinstance(model, Model):
        raise TypeError(f"model: is a {type(model).__name__}; use a partwise.Model or the path of its file")
    return None if model is None else model._model


def stems(
    samples: Samples, sr: int, model: _partwise.Model | None, engine: str, progress: Share, options: dict[str, Any]
) -> dict[str, Stem]:
    """The samples of each source by its name, in the shape of the given ones."""
    channels = signal(samples)
    with following(progress, "separating") as watch:
        found = _partwise.separate(channels, rate(sr), model, described(options), engine, watch)
    return {name: stem.reshape(np.shape(samples)) for name, stem in found}
