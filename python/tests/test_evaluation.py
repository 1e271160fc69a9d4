"""Scores in the shape of museval's."""

import json
import math

import numpy as np
import pytest

import partwise

RANDOM = np.random.default_rng(0)
TRUTH = {"speech": RANDOM.normal(size=(2, 8000)), "piano": RANDOM.normal(size=(2, 8000))}
GUESS = {"speech": TRUTH["speech"] + 0.1 * TRUTH["piano"], "piano": TRUTH["piano"] + 0.3 * TRUTH["speech"]}


def test_scores_have_names_frames_and_measures():
    scores = partwise.evaluate(TRUTH, GUESS, 4000, window=0.5, hop=0.25)
    assert [target["name"] for target in scores["targets"]] == ["speech", "piano"]
    speech = scores["targets"][0]
    assert [frame["time"] for frame in speech["frames"]] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    assert {frame["duration"] for frame in speech["frames"]} == {0.5}
    for metrics in [speech["metrics"], *(frame["metrics"] for frame in speech["frames"])]:
        assert list(metrics) == ["SDR", "SIR", "SAR", "SI-SDR", "SNR"]
        assert abs(metrics["SNR"] - 20) < 0.5 and abs(metrics["SI-SDR"] - 20) < 0.5
    json.dumps(scores)


def test_a_frame_scores_as_it_does_alone():
    frames = partwise.evaluate(TRUTH, GUESS, 4000)["targets"][1]["frames"]
    cut = [{name: samples[:, 4000:] for name, samples in signals.items()} for signals in (TRUTH, GUESS)]
    alone = partwise.evaluate(*cut, 4000, window=None)["targets"][1]
    assert len(frames) == 2 and frames[1]["metrics"] == alone["metrics"] and alone["frames"] == []


def test_the_improvement_over_a_mixture_and_the_best_order_are_told():
    swapped = [GUESS["piano"], GUESS["speech"]]
    mixture = TRUTH["speech"] + TRUTH["piano"]
    scores = partwise.evaluate(list(TRUTH.values()), swapped, 4000, mixture=mixture, permute=True)
    assert [(target["name"], target["estimate"]) for target in scores["targets"]] == [("1", "2"), ("2", "1")]
    assert abs(scores["targets"][0]["improvement"]["SNR"] - 20) < 0.1
    assert abs(scores["targets"][0]["frames"][0]["metrics"]["SNR"] - 20) < 0.5


def test_silence_has_no_score_and_a_perfect_estimate_has_an_infinite_one():
    silent = [np.zeros(4000), RANDOM.normal(size=4000)]
    scores = partwise.evaluate(silent, silent, 4000)["targets"]
    assert math.isnan(scores[0]["metrics"]["SDR"]) and scores[1]["metrics"]["SNR"] == math.inf


@pytest.mark.parametrize(
    ("references", "estimates", "options", "reason"),
    [
        ([], [], {}, "there are none"),
        (TRUTH, [GUESS["speech"]], {}, "1 for 2 references"),
        (TRUTH, {"speech": GUESS["speech"], "drums": GUESS["piano"]}, {}, "speech, drums"),
        (TRUTH, [GUESS["speech"], GUESS["piano"][:, 1:]], {}, "cut or pad"),
        ([np.ones(9)], [np.ones(8)], {}, "cut or pad"),
        ([np.ones(9)], [np.full(9, np.nan)], {}, "finite"),
        (TRUTH, GUESS, {"window": 0}, "window 0"),
        (TRUTH, GUESS, {"hop": -1}, "hop -1"),
        (TRUTH, GUESS, {"mixture": np.ones(3)}, "mixture"),
    ],
)
def test_signals_that_do_not_go_together_are_refused(references, estimates, options, reason):
    with pytest.raises(partwise.InputError, match=reason):
        partwise.evaluate(references, estimates, 4000, **options)
