"""Factors to start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.extmath import randomized_svd

STARTS = ("random", "nndsvd", "nndsvda", "nndsvdar", "custom")


def nndsvd(X: np.ndarray, components: int, init: str, random_state: Any) -> tuple[np.ndarray, np.ndarray]:
    """W (N, K) and H (K, F) of the nonnegative double singular value decomposition (Boutsidis & Gallopoulos, 2008).

    ``init`` says what becomes of zeros, which multiplicative updates keep: nothing (``"nndsvd"``), the mean of X
    (``"nndsvda"``), or small random numbers (``"nndsvdar"``).
    """
    random = check_random_state(random_state)
    left, values, right = randomized_svd(X, components, random_state=random)
    w, h = np.zeros((X.shape[0], components)), np.zeros((components, X.shape[1]))
    for k in range(components):
        # Of the two pairs of signs of a singular vector, the heavier one.
        pairs = [(np.maximum(sign * left[:, k], 0), np.maximum(sign * right[k], 0)) for sign in (1, -1)]
        norms = [np.linalg.norm(one) * np.linalg.norm(other) for one, other in pairs]
        norm = max(norms)
        if norm == 0:
            continue
        one, other = pairs[norms.index(norm)]
        level = np.sqrt(values[k] * norm)
        w[:, k] = level * one / np.linalg.norm(one)
        h[k] = level * other / np.linalg.norm(other)
    for factor in (w, h):
        factor[factor < 1e-6] = 0
        zeros = factor == 0
        if init == "nndsvda":
            factor[zeros] = X.mean()
        elif init == "nndsvdar":
            factor[zeros] = np.abs(X.mean() / 100 * random.standard_normal(np.count_nonzero(zeros)))
    return w, h
