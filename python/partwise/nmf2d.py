"""Patterns that move in time and in pitch, with scikit-learn's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _partwise
from ._estimator import Factorization
from .errors import InputError


class NMF2D(Factorization):
    """Patterns that move in time and in pitch: nonnegative matrix factor 2-D deconvolution (Schmidt & Mørup, 2006).

    Samples are frames, in order: X (N, F), with features that are bins of logarithmic frequency. The model is
    X[n, f] ≈ Σ_k Σ_t Σ_p activations[n - t, p, k] patterns[k, t, f - p].

    Parameters
    ----------
    n_components : int, default 2
        K, the number of patterns.
    time_lags : int, default 7
        T, the length of a pattern in frames.
    pitch_lags : int, default 18
        P, the number of bins that a pattern moves over.
    beta_loss : float or str, default "kullback-leibler"
        As for :class:`NMF`.
    max_iter : int, default 200
        The iterations, of the fit and of a transform.
    n_starts : int, default 1
        Random starts. The one with the lowest objective is kept.
    random_state : int, RandomState or None, default None
        A whole number is the seed of the first start; every further one adds 1.
    alpha_W : float, default 0
        The weight of an L1 penalty on the activations, times the number of features. The patterns then keep the L2 norm 1.
    engine : str, default "auto"
        As for :class:`NMF`.

    Attributes
    ----------
    patterns_ : ndarray of shape (K, T, F)
        The patterns.
    activations_ : ndarray of shape (N, P, K)
        When, and how many bins higher, each pattern sounds.
    n_components_ : int
        K.
    reconstruction_err_ : float
        The root of twice the divergence of X from the model.
    n_iter_ : int
        The iterations done.
    n_features_in_ : int
        F.

    Raises
    ------
    InputError
        X has an entry that is negative or not finite. It is a :class:`ValueError`.
    OptionError
        A parameter is out of range. It is a :class:`ValueError` too.

    Examples
    --------
    A pattern of two frames, which sounds twice, the second time two bins higher:

    >>> import numpy as np, partwise
    >>> X = np.zeros((8, 10))
    >>> X[1, 2], X[2, 3], X[5, 4], X[6, 5] = 1, 2, 1, 2
    >>> nmf2d = partwise.NMF2D(1, time_lags=2, pitch_lags=3, n_starts=8, random_state=0, engine="cpu")
    >>> W = nmf2d.fit_transform(X)
    >>> W.shape, nmf2d.patterns_.shape, nmf2d.activations_.shape
    ((8, 3), (1, 2, 10), (8, 3, 1))
    >>> bool(np.abs(nmf2d.inverse_transform(W) - X).max() < 0.01)
    True
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        time_lags: int = 7,
        pitch_lags: int = 18,
        beta_loss: float | str = "kullback-leibler",
        max_iter: int = 200,
        n_starts: int = 1,
        random_state: Any = None,
        alpha_W: float = 0.0,
        engine: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.time_lags = time_lags
        self.pitch_lags = pitch_lags
        self.beta_loss = beta_loss
        self.max_iter = max_iter
        self.n_starts = n_starts
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.engine = engine

    def fit(self, X: Any, y: Any = None) -> NMF2D:
        """Learn the patterns of X.

        Parameters
        ----------
        X : array-like of shape (N, F)
            Frames in order, finite and not negative.
        y : ignored

        Returns
        -------
        NMF2D
            The estimator itself.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Learn the patterns of X, and return its activations.

        Parameters
        ----------
        X : array-like of shape (N, F)
            Frames in order, finite and not negative.
        y : ignored

        Returns
        -------
        ndarray of shape (N, P K)
            The activations; column p K + k is of pattern k, p bins higher.
        """
        X = self._data(X, reset=True)
        settings = self._settings(X)
        patterns, activations, cost = _partwise.factorize_patterns(X, None, settings)
        self.patterns_ = np.ascontiguousarray(patterns.transpose(2, 0, 1), dtype=X.dtype)
        self.activations_ = _frames_first(activations, X.dtype)
        self.n_components_, self.n_iter_ = settings["components"], settings["iterations"]
        self.reconstruction_err_ = float(np.sqrt(2 * max(cost, 0.0)))
        return self.activations_.reshape(len(X), -1)

    def transform(self, X: Any) -> np.ndarray:
        """The activations of new frames under the patterns.

        Parameters
        ----------
        X : array-like of shape (N, F)
            Frames in order, finite and not negative.

        Returns
        -------
        ndarray of shape (N, P K)
            The activations, as of :meth:`fit_transform`.
        """
        self._check_fitted()
        X = self._data(X, reset=False)
        patterns = np.ascontiguousarray(self.patterns_.transpose(1, 2, 0), dtype=np.float64)
        _, activations, _ = _partwise.factorize_patterns(X, patterns, self._settings(X))
        return _frames_first(activations, X.dtype).reshape(len(X), -1)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The data that activations stand for.

        Parameters
        ----------
        X : array-like of shape (N, P K)
            Activations.

        Returns
        -------
        ndarray of shape (N, F)
            The model.
        """
        self._check_fitted()
        components, times, features = self.patterns_.shape
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self._n_features_out:
            raise InputError(f"activations have the shape {X.shape}; it must be (N, {self._n_features_out})")
        activations = X.reshape(len(X), -1, components)
        model = np.zeros((len(X), features), np.result_type(X, self.patterns_))
        for time in range(min(times, len(X))):
            for pitch in range(min(activations.shape[1], features)):
                moved = activations[: len(X) - time, pitch] @ self.patterns_[:, time, : features - pitch]
                model[time:, pitch:] += moved
        return model

    @property
    def _n_features_out(self) -> int:
        return self.activations_.shape[1] * self.n_components_

    def _settings(self, X: np.ndarray) -> dict[str, Any]:
        return {
            "divergence": self._divergence(),
            "components": self._whole("n_components", 1),
            "time_lags": self._whole("time_lags", 1),
            "pitch_lags": self._whole("pitch_lags", 1),
            "starts": self._whole("n_starts", 1),
            "iterations": self._whole("max_iter", 1),
            "sparsity": self._number("alpha_W") * X.shape[1],
            "seed": self._seed(),
            "engine": self.engine,
        }


def _frames_first(activations: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Activations (P, K, N) as (N, P, K)."""
    return np.ascontiguousarray(activations.transpose(2, 0, 1), dtype=dtype)
