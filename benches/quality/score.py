"""Scores of estimates in dB: SI-SDR, and the SDR of BSS Eval v3 (512 taps) as mir_eval computes it, as gains over the mixture."""

import itertools
import warnings

import mir_eval
import numpy as np

from peers.denoising import si_sdr


def bss_sdr(sources, estimates):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the module is deprecated, its figures are the usual ones
        return mir_eval.separation.bss_eval_sources(np.stack(sources), np.stack(estimates), compute_permutation=False)[0]


class Judge:
    """Scores estimates of a task; what the mixture itself scores is computed once."""

    def __init__(self, task):
        self.names, self.sources = list(task.sources), list(task.sources.values())
        self.mixture = self.scores([task.mixed] * len(self.sources))

    def scores(self, estimates):
        """SI-SDR and SDR of each source."""
        with np.errstate(divide="ignore"):
            scale_invariant = [float(si_sdr(*pair)) for pair in zip(self.sources, estimates)]
        return {"si_sdr": scale_invariant, "sdr": [float(value) for value in bss_sdr(self.sources, estimates)]}

    def gains(self, estimates, ordered=True):
        """What each source gains over the mixture. Where the estimates have no order, the one with the highest mean SI-SDR."""
        if not ordered:
            orders = itertools.permutations(estimates)
            estimates = max(orders, key=lambda order: np.mean([si_sdr(*pair) for pair in zip(self.sources, order)]))
        scores = self.scores(estimates)
        return {key: [own - mixed for own, mixed in zip(scores[key], self.mixture[key])] for key in scores}
