"""Scores of estimates against the true sources."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from . import _partwise
from ._options import rate, signal
from ._types import Samples
from .errors import InputError

_Signals = Union[Mapping[str, Samples], Sequence[Samples]]
_NAMES = {"sdr": "SDR", "sir": "SIR", "sar": "SAR", "si_sdr": "SI-SDR", "snr": "SNR"}


def evaluate(
    references: _Signals,
    estimates: _Signals,
    sr: int,
    *,
    mixture: Samples | None = None,
    window: float | None = 1.0,
    hop: float | None = None,
    permute: bool = False,
) -> dict[str, Any]:
    """Score estimates by SDR, SIR and SAR (BSS Eval v3), SI-SDR and SNR, in dB, in the shape of museval's JSON.

    Parameters
    ----------
    references : dict of str to ndarray, or list of ndarray
        The true sources, each (N,) or (C, N), all of one shape. A list names them ``"1"``, ``"2"`` and so on.
    estimates : dict of str to ndarray, or list of ndarray
        Their estimates: a dict of the same names, or a list in the same order.
    sr : int
        The sample rate in Hz.
    mixture : ndarray of shape (N,) or (C, N), optional
        The recording itself, to report by how much the estimates improve on it.
    window : float or None, default 1.0
        The length of a frame in seconds. None: no frames.
    hop : float, optional
        From one frame to the next, in seconds; a window if it is missing. Samples after the last whole frame are in none.
    permute : bool, default False
        Find the order of the estimates with the best mean SIR.

    Returns
    -------
    dict
        ``targets`` is a list of one dict a source:

        ``name``
            Its name.
        ``estimate``
            The name of the estimate that was taken for it.
        ``metrics``
            The measures over the whole length, as ``partwise evaluate`` has them.
        ``improvement``
            By how much they exceed those of the mixture, if it was given.
        ``frames``
            A list of ``{"time": s, "duration": s, "metrics": {"SDR": dB, "SIR": dB, "SAR": dB, "SI-SDR": dB, "SNR": dB}}``.
            Where a reference or an estimate is silent, a measure is NaN.

    Raises
    ------
    InputError
        Shapes, lengths or names differ, or a sample is not finite.

    Notes
    -----
    A frame has filters of its own (512 taps), as in ``mode="v3"`` of museval and ``bss_eval_sources_framewise`` of mir_eval. A
    ratio is one of energies over all channels. ISR is of images in space, which a sources' score has not.

    Examples
    --------
    >>> import numpy as np, partwise
    >>> random = np.random.default_rng(0)
    >>> speech, piano = random.normal(size=(2, 16000))
    >>> estimates = {"speech": speech + 0.1 * piano, "piano": piano + 0.1 * speech}
    >>> scores = partwise.evaluate({"speech": speech, "piano": piano}, estimates, 8000)
    >>> first = scores["targets"][0]
    >>> first["name"], len(first["frames"]), round(first["metrics"]["SI-SDR"])
    ('speech', 2, 20)
    """
    names, truth = _named(references, "references", None)
    of_estimates, guesses = _named(estimates, "estimates", names)
    sr = rate(sr)
    length = truth.shape[-1]
    windows = _windows(length, sr, window, hop)
    mix = None if mixture is None else signal(mixture, "mixture", np.float64)[np.newaxis]
    whole, frames = json.loads(_partwise.evaluate(truth, guesses, mix, permute, windows))
    targets = []
    for index, (name, scores) in enumerate(zip(names, whole)):
        target = {"name": name, "estimate": of_estimates[scores["estimate"]], "metrics": _measures(scores)}
        if scores["improvement"] is not None:
            target["improvement"] = _measures(scores["improvement"])
        target["frames"] = [
            {"time": start / sr, "duration": (end - start) / sr, "metrics": _measures(of_frame[index])}
            for (start, end), of_frame in zip(windows, frames)
        ]
        targets.append(target)
    return {"targets": targets}


def _named(signals: _Signals, what: str, names: list[str] | None) -> tuple[list[str], np.ndarray]:
    """The names of signals, and all of them (J, C, N)."""
    if isinstance(signals, Mapping):
        if names is not None and set(signals) != set(names):
            raise InputError(f"{what}: are of {', '.join(signals)}; the references are of {', '.join(names)}")
        names = list(signals) if names is None else names
        signals = [signals[name] for name in names]
    listed = list(signals)
    if not listed:
        raise InputError(f"{what}: there are none")
    if names is not None and len(listed) != len(names):
        raise InputError(f"{what}: are {len(listed)} for {len(names)} references; give one for each")
    names = [str(number) for number in range(1, len(listed) + 1)] if names is None else names
    arrays = [signal(one, f"{what}: samples of {name}", np.float64) for name, one in zip(names, listed)]
    other = next((array for array in arrays if array.shape != arrays[0].shape), None)
    if other is not None:
        raise InputError(f"{what}: have the shapes {arrays[0].shape} and {other.shape} (C, N); cut or pad them to one")
    return names, np.stack(arrays)


def _windows(length: int, sr: int, window: float | None, hop: float | None) -> list[tuple[int, int]]:
    if window is None:
        return []
    hop = window if hop is None else hop
    for name, seconds in (("window", window), ("hop", hop)):
        if not (seconds > 0 and round(seconds * sr) >= 1):
            raise InputError(f"{name} {seconds}: must be at least a sample, in seconds")
    of_window, of_hop = (min(round(seconds * sr), length + 1) for seconds in (window, hop))
    return [(start, start + of_window) for start in range(0, length - of_window + 1, of_hop)]


def _measures(scores: Mapping[str, Any]) -> dict[str, float]:
    # JSON has neither infinities nor NaN: they come as "inf", "-inf" and null.
    return {shown: float("nan" if scores[name] is None else scores[name]) for name, shown in _NAMES.items()}
