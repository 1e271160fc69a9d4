"""Engines by their names."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose

import partwise
from conftest import RATE

X = np.random.default_rng(0).gamma(0.5, size=(60, 33))


@pytest.fixture(scope="module")
def gpu():
    """The name of a GPU; the test is skipped where there is none, unless PARTWISE_REQUIRE_GPU=1."""
    try:
        partwise.NMF(2, max_iter=1, engine="gpu").fit(X)
    except partwise.EngineError as cause:
        assert os.environ.get("PARTWISE_REQUIRE_GPU") != "1", cause
        pytest.skip(str(cause))
    return "gpu"


@pytest.mark.parametrize("solver", ["mu", "extrapolated", "joint"])
def test_all_engines_find_the_same_factors(gpu, solver):
    def fit(engine):
        nmf = partwise.NMF(3, beta_loss="kullback-leibler", solver=solver, random_state=0, max_iter=10, tol=0, engine=engine)
        return nmf.fit_transform(X) @ nmf.components_, nmf.transform(X) @ nmf.components_

    expected = fit("reference")
    for engine in ("cpu", "cpu:1", gpu, "auto"):
        for found, wanted in zip(fit(engine), expected):
            assert_allclose(found, wanted, rtol=1e-3, atol=1e-3, err_msg=engine)


def test_a_gpu_separates_as_the_reference(gpu, model, tones):
    mix = tones["low"] + tones["high"]
    expected, found = (model.separate(mix, RATE, engine=engine) for engine in ("reference", gpu))
    assert_allclose(found["low"], expected["low"], atol=1e-3)


def test_a_gpu_that_is_not_there_is_an_engine_error():
    with pytest.raises(partwise.EngineError, match="no usable gpu") as caught:
        partwise.NMF(2, engine="gpu:no such device").fit(X)
    assert isinstance(caught.value, RuntimeError)
