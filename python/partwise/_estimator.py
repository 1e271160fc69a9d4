"""What the estimators have in common: scikit-learn's protocol, and checks of data and parameters."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as cause:
    raise ImportError(f"the estimators need scikit-learn 1.6 or later ({cause}); install partwise[estimators]") from None

from ._options import aligned
from .errors import OptionError

_LOSSES = {"frobenius": "eu", "kullback-leibler": "kl", "itakura-saito": "is"}


class Factorization(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An estimator of nonnegative factors."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _data(self, X: Any, *, reset: bool) -> np.ndarray:
        """X (N, F) as floats. Arrays of floats are not copied, and the extension checks their entries."""
        return aligned(validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False, reset=reset))

    def _check_fitted(self) -> None:
        check_is_fitted(self)

    def _warn_unconverged(self) -> None:
        message = f"The {self.max_iter} iterations of max_iter ended before the tolerance was reached; use more."
        warnings.warn(message, ConvergenceWarning, stacklevel=4)

    def _whole(self, name: str, least: int) -> int:
        value = getattr(self, name)
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise OptionError(f"{name}: {value!r}: must be a whole number, at least {least}")
        return int(value)

    def _number(self, name: str) -> float:
        value = getattr(self, name)
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < np.inf:
            raise OptionError(f"{name}: {value!r}: must be a number, finite and not negative")
        return float(value)

    def _one_of(self, name: str, known: Any) -> Any:
        value = getattr(self, name)
        if not isinstance(value, str) or value not in known:
            raise OptionError(f"{name}: {value!r}: use {', '.join(map(repr, known))}")
        return value

    def _divergence(self) -> str:
        """The divergence as the library names it."""
        loss = self.beta_loss
        if isinstance(loss, Real) and not isinstance(loss, bool):
            return {2.0: "eu", 1.0: "kl", 0.0: "is"}.get(float(loss), f"beta:{float(loss)}")
        if isinstance(loss, str):
            return _LOSSES.get(loss, loss)
        raise OptionError(f"beta_loss: {loss!r}: use {', '.join(map(repr, _LOSSES))} or a number")

    def _seed(self) -> int:
        """A whole number is the seed itself, as for the command; otherwise it is drawn."""
        if isinstance(self.random_state, Integral) and not isinstance(self.random_state, bool):
            check_random_state(self.random_state)
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))
