"""Patterns that move in time, with scikit-learn's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from .nmf2d import NMF2D


class NMFD(NMF2D):
    """Patterns that move in time: nonnegative matrix factor deconvolution (Smaragdis, 2004).

    Samples are frames, in order: X (N, F). The model is X[n, f] ≈ Σ_k Σ_t activations[n - t, k] patterns[k, t, f].

    Parameters
    ----------
    n_components : int, default 2
        K, the number of patterns.
    time_lags : int, default 7
        T, the length of a pattern in frames.
    beta_loss, max_iter, n_starts, random_state, alpha_W, engine
        As for :class:`NMF2D`.

    Attributes
    ----------
    patterns_ : ndarray of shape (K, T, F)
        The patterns.
    activations_ : ndarray of shape (N, K)
        When each pattern sounds.
    n_components_, reconstruction_err_, n_iter_, n_features_in_
        As for :class:`NMF2D`.

    Raises
    ------
    InputError, OptionError
        As for :class:`NMF2D`.

    Examples
    --------
    >>> import numpy as np, partwise
    >>> X = np.zeros((9, 4))
    >>> X[1, 0], X[2, 3], X[6, 0], X[7, 3] = 1, 2, 1, 2
    >>> nmfd = partwise.NMFD(1, time_lags=2, random_state=0, engine="cpu")
    >>> activations = nmfd.fit_transform(X)[:, 0]
    >>> [int(frame) for frame in np.flatnonzero(activations > 0.1 * activations.max())]
    [1, 6]
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        time_lags: int = 7,
        beta_loss: float | str = "kullback-leibler",
        max_iter: int = 200,
        n_starts: int = 1,
        random_state: Any = None,
        alpha_W: float = 0.0,
        engine: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.time_lags = time_lags
        self.beta_loss = beta_loss
        self.max_iter = max_iter
        self.n_starts = n_starts
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.engine = engine

    pitch_lags = 1

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Learn the patterns of X, and return its activations.

        Parameters
        ----------
        X : array-like of shape (N, F)
            Frames in order, finite and not negative.
        y : ignored

        Returns
        -------
        ndarray of shape (N, K)
            The activations.
        """
        self.activations_ = super().fit_transform(X)
        return self.activations_

    @property
    def _n_features_out(self) -> int:
        return self.n_components_
