"""Nonnegative factorization with scikit-learn's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _partwise
from ._estimator import Factorization
from ._starts import STARTS, nndsvd
from .errors import InputError, OptionError

_SOLVERS = {"mu": "alternating", "extrapolated": "extrapolated", "joint": "joint"}


class NMF(Factorization):
    """X ≈ W H with nonnegative factors, by multiplicative updates, on any GPU or CPU.

    The interface is that of :class:`sklearn.decomposition.NMF`. Samples are rows: X (N, F), W (N, K) is what :meth:`transform`
    returns, and H (K, F) is :attr:`components_`.

    Parameters
    ----------
    n_components : int or "auto", default "auto"
        K, from 1 to 4096. ``"auto"``: the number of features, or that of a custom start.
    beta_loss : float or str, default "frobenius"
        What is minimized: ``"frobenius"`` (or 2), ``"kullback-leibler"`` (or 1), ``"itakura-saito"`` (or 0), another β, or a
        divergence of partwise, such as ``"t:0.73"``.
    solver : {"mu", "extrapolated", "joint"}, default "mu"
        ``"mu"``: plain updates of W, then H: those of scikit-learn's solver of this name. ``"extrapolated"``: each update starts
        further along the last step, which takes fewer iterations. ``"joint"``: both factors in one pass over X.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default None
        The start. None is ``"random"``. ``"nndsvd"`` has zeros, which these updates keep. ``"custom"``: W and H are given to
        :meth:`fit_transform`.
    max_iter : int, default 200
        The most iterations.
    tol : float, default 1e-4
        The fit ends when ten iterations lower the objective by less than this share of it. (scikit-learn's measure is the share
        of its first value, and of its root.) The transform of a sample ends when five updates lower its objective by no more
        than this share of its first value. 0: never.
    random_state : int, RandomState or None, default None
        A whole number is the seed of the random start: the same seed gives the same bytes on the same machine.
    alpha_W : float, default 0
        The weight of an L1 penalty on W, times the number of features as in scikit-learn. The components then keep the L2 norm 1,
        without which a penalty would have no effect.
    alpha_H : float, default 0
        There is no penalty on H: another value than 0 is refused.
    engine : str, default "auto"
        ``"auto"``, ``"cpu"``, ``"cpu:THREADS"``, ``"gpu"``, ``"gpu:INDEX"``, ``"gpu:NAME"`` or ``"reference"``.

    Attributes
    ----------
    components_ : ndarray of shape (K, F)
        H.
    n_components_ : int
        K.
    reconstruction_err_ : float
        The root of twice the divergence of X from W H; with ``"frobenius"``, the Frobenius norm of the difference.
    n_iter_ : int
        The iterations done.
    n_features_in_ : int
        F.
    feature_names_in_ : ndarray of shape (F,)
        The names of the features, where X has any.

    Raises
    ------
    InputError
        X, W or H has an entry that is negative or not finite, or shapes do not fit. It is a :class:`ValueError`.
    OptionError
        A parameter is out of range. It is a :class:`ValueError` too.

    Notes
    -----
    Engines compute in f32. X in f32 or f64, in any layout, is read in place; the results have its type. A sample of
    :meth:`transform` does not depend on the others.

    Examples
    --------
    >>> import numpy as np, partwise
    >>> random = np.random.default_rng(0)
    >>> X = random.uniform(size=(30, 3)) @ random.uniform(size=(3, 20))
    >>> nmf = partwise.NMF(3, beta_loss="kullback-leibler", solver="extrapolated", random_state=0, tol=1e-6, engine="cpu")
    >>> W = nmf.fit_transform(X)
    >>> W.shape, nmf.components_.shape
    ((30, 3), (3, 20))
    >>> bool(np.abs(X - nmf.inverse_transform(W)).max() < 0.05)
    True

    Spectrograms have their frames in columns, as librosa's decomposition expects:

    >>> import librosa
    >>> S = X.T
    >>> components, activations = librosa.decompose.decompose(S, transformer=partwise.NMF(3, random_state=0, engine="cpu"))
    >>> components.shape, activations.shape
    ((20, 3), (3, 30))
    """

    def __init__(
        self,
        n_components: int | str | None = "auto",
        *,
        beta_loss: float | str = "frobenius",
        solver: str = "mu",
        init: str | None = None,
        max_iter: int = 200,
        tol: float = 1e-4,
        random_state: Any = None,
        alpha_W: float = 0.0,
        alpha_H: float = 0.0,
        engine: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.beta_loss = beta_loss
        self.solver = solver
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.engine = engine

    def fit(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> NMF:
        """Learn the components of X.

        Parameters
        ----------
        X : array-like of shape (N, F)
            The data, finite and not negative.
        y : ignored
        W, H : array-like of shapes (N, K) and (K, F), optional
            The start, with ``init="custom"``.

        Returns
        -------
        NMF
            The estimator itself.
        """
        self.fit_transform(X, W=W, H=H)
        return self

    def fit_transform(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> np.ndarray:
        """Learn the components of X, and return its W.

        Parameters
        ----------
        X : array-like of shape (N, F)
            The data, finite and not negative.
        y : ignored
        W, H : array-like of shapes (N, K) and (K, F), optional
            The start, with ``init="custom"``.

        Returns
        -------
        ndarray of shape (N, K)
            W.
        """
        X = self._data(X, reset=True)
        begun = self._start(X, W, H)
        components = self._components(X.shape[1]) if begun is None else begun[1].shape[0]
        w, h, cost, iterations, converged = _partwise.factorize(X, begun, self._settings(X, components))
        self.components_, self.n_components_, self.n_iter_ = h, components, iterations
        self.reconstruction_err_ = float(np.sqrt(2 * max(cost, 0.0)))
        if self.tol > 0 and not converged and iterations == self.max_iter:
            self._warn_unconverged()
        return w

    def transform(self, X: Any) -> np.ndarray:
        """W of new data under the components.

        Parameters
        ----------
        X : array-like of shape (N, F)
            The data, finite and not negative.

        Returns
        -------
        ndarray of shape (N, K)
            W.
        """
        self._check_fitted()
        X = self._data(X, reset=False)
        # Of W alone the objective is convex, whatever the solver: the fastest updates find the same W.
        settings = self._settings(X, self.n_components_) | {"updates": "extrapolated"}
        return _partwise.update_gains(X, self.components_, settings)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The data that a W stands for, W H.

        Parameters
        ----------
        X : array-like of shape (N, K)
            W.

        Returns
        -------
        ndarray of shape (N, F)
            W H.
        """
        self._check_fitted()
        return np.asarray(X) @ self.components_

    def _components(self, features: int) -> int:
        """K: a number, or that of the features."""
        if self.n_components in ("auto", None):
            return features
        return self._whole("n_components", 1)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _start(self, X: np.ndarray, W: Any, H: Any) -> tuple[np.ndarray, np.ndarray] | None:
        """W and H to start from; None for random ones of the library."""
        init = "random" if self.init is None else self._one_of("init", STARTS)
        if init != "custom":
            if W is not None or H is not None:
                raise InputError(f"W and H are a start of one's own; use init='custom' and not {self.init!r}")
            if init == "random":
                return None
            components = self._components(X.shape[1])
            if components > min(X.shape):
                raise OptionError(f"init: {init!r}: needs n_components up to {min(X.shape)}, the least side of X; use 'random'")
            # The decomposition would fail on what the extension refuses with the place.
            checked = X if np.isfinite(X).all() else np.zeros_like(X)
            return nndsvd(checked, components, init, self.random_state)
        if W is None or H is None:
            raise InputError("init='custom' needs both W and H, given to fit or fit_transform")
        w, h = (np.asarray(factor, dtype=np.float64) for factor in (W, H))
        components = h.shape[0] if h.ndim == 2 and self.n_components in ("auto", None) else self._components(X.shape[1])
        wanted = [("W", w, (X.shape[0], components)), ("H", h, (components, X.shape[1]))]
        for name, factor, shape in wanted:
            if factor.shape != shape:
                raise InputError(f"{name} has the shape {factor.shape}; it must be {shape}")
            if not (np.isfinite(factor).all() and (factor >= 0).all()):
                raise InputError(f"Negative values in data, or values that are not finite: {name} of init='custom' has some")
        return w, h

    def _settings(self, X: np.ndarray, components: int) -> dict[str, Any]:
        if self._number("alpha_H") > 0:
            raise OptionError(f"alpha_H: {self.alpha_H}: there is no penalty on H; use alpha_W, or the transpose of X")
        return {
            "divergence": self._divergence(),
            "updates": _SOLVERS[self._one_of("solver", _SOLVERS)],
            "components": components,
            "iterations": self._whole("max_iter", 1),
            "tolerance": self._number("tol"),
            "sparsity": self._number("alpha_W") * X.shape[1],
            "seed": self._seed(),
            "engine": self.engine,
        }
