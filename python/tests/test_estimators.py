"""NMF, NMFD and NMF2D with scikit-learn's protocol."""

import pickle
import signal
import threading
import time

import librosa
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import NMF as Peer
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

import partwise

# scikit-learn's own solver "mu" fails these three alike.
UNCONVERGED = "the W of a fit by plain updates has not converged when the tolerance ends it, and that of a transform has"
MOVING = "frames are in order, and patterns reach over several of them: a frame's activations depend on its neighbours"
OF_PLAIN = {name: UNCONVERGED for name in ("check_transformer_general", "check_transformer_data_not_an_array")}
OF_MOVING = OF_PLAIN | {name: MOVING for name in ("check_methods_sample_order_invariance", "check_methods_subset_invariance")}

RANDOM = np.random.default_rng(0)
# Of rank 4, with noise.
X = RANDOM.gamma(0.5, size=(60, 4)) @ RANDOM.gamma(0.5, size=(4, 33)) + 0.01 * RANDOM.uniform(size=(60, 33))
LOSSES = ["frobenius", "kullback-leibler", "itakura-saito", 0.5, 1.5, 3]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "failing"),
    [
        (partwise.NMF(2, random_state=0, solver="extrapolated", engine="cpu:1"), {}),
        (partwise.NMF(2, random_state=0, engine="cpu:1"), OF_PLAIN),
        (partwise.NMF(2, random_state=0, solver="joint", engine="cpu:1"), OF_PLAIN),
        (partwise.NMFD(2, random_state=0, engine="cpu:1"), OF_MOVING),
        (partwise.NMF2D(2, time_lags=2, pitch_lags=2, random_state=0, engine="cpu:1"), OF_MOVING),
    ],
)
def test_scikit_learn_s_checks_pass_but_for_those_that_cannot(estimator, failing):
    results = check_estimator(estimator, expected_failed_checks=failing, on_fail="raise")
    statuses = {result["check_name"]: result["status"] for result in results}
    assert {name for name, status in statuses.items() if status == "xfail"} == set(failing)
    # It is of arrays that are not numpy's, and needs a setting of scipy.
    assert {name for name, status in statuses.items() if status == "skipped"} <= {"check_array_api_input"}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_solver_mu_makes_scikit_learn_s_iterations(loss):
    data = X.astype(np.float32)
    w, h = RANDOM.uniform(0.1, 1, (60, 4)).astype(np.float32), RANDOM.uniform(0.1, 1, (4, 33)).astype(np.float32)
    options = {"init": "custom", "solver": "mu", "beta_loss": loss, "max_iter": 50, "tol": 0}
    peer = Peer(4, **options)
    expected_w = peer.fit_transform(data, W=w.copy(), H=h.copy())
    ours = partwise.NMF(4, **options, engine="cpu:1")
    found_w = ours.fit_transform(data, W=w, H=h)
    assert ours.n_iter_ == 50
    assert abs(ours.reconstruction_err_ / peer.reconstruction_err_ - 1) < 1e-3
    assert_allclose(found_w @ ours.components_, expected_w @ peer.components_, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["mu", "extrapolated", "joint"])
def test_the_reconstruction_error_is_scikit_learn_s_of_the_same_factors(loss, solver):
    nmf = partwise.NMF(4, beta_loss=loss, solver=solver, random_state=0, max_iter=30, tol=0, engine="cpu:1")
    w = nmf.fit_transform(X)
    with pytest.warns(ConvergenceWarning):
        # One iteration of scikit-learn with H fixed hardly changes W.
        judge = Peer(4, init="custom", solver="mu", beta_loss=loss, max_iter=1, tol=1e-9)
        judge.fit(X, W=w.astype(X.dtype), H=nmf.components_.astype(X.dtype))
    assert judge.reconstruction_err_ <= nmf.reconstruction_err_ * 1.01
    assert judge.reconstruction_err_ > 0.7 * nmf.reconstruction_err_


def test_the_error_falls_with_iterations_and_extrapolation_is_ahead():
    def error(solver, iterations):
        nmf = partwise.NMF(4, beta_loss="kullback-leibler", solver=solver, random_state=0, max_iter=iterations, tol=0, engine="cpu:1")
        return nmf.fit(X).reconstruction_err_

    assert error("mu", 40) < error("mu", 10)
    assert error("extrapolated", 40) < error("mu", 40)


@pytest.mark.parametrize("init", [None, "random", "nndsvd", "nndsvda", "nndsvdar"])
def test_every_start_leads_to_a_fit(init):
    nmf = partwise.NMF(4, init=init, random_state=3, solver="extrapolated", max_iter=500, engine="cpu:1")
    w = nmf.fit_transform(X)
    # The zeros of nndsvd stay.
    assert np.linalg.norm(X - w @ nmf.components_) < (0.2 if init == "nndsvd" else 0.1) * np.linalg.norm(X)
    assert_array_equal(w, clone(nmf).fit_transform(X))


def test_the_singular_start_is_scikit_learn_s():
    peer = Peer(4, init="nndsvda", solver="mu", random_state=0, max_iter=3, tol=0).fit(X)
    ours = partwise.NMF(4, init="nndsvda", random_state=0, max_iter=3, tol=0, engine="cpu:1").fit(X)
    assert abs(ours.reconstruction_err_ / peer.reconstruction_err_ - 1) < 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "negative strides", "read-only", "other bytes", "unaligned"])
def test_any_layout_and_type_gives_the_same_factors(dtype, layout):
    data = np.round(4 * X).astype(dtype)
    options = {"random_state": 1, "max_iter": 5, "tol": 0, "engine": "cpu:1"}
    expected = partwise.NMF(3, **options).fit_transform(data.astype(np.float64))
    if layout == "F":
        data = np.asfortranarray(data)
    elif layout == "strided":
        data = np.repeat(data, 2, axis=0)[::2]
    elif layout == "negative strides":
        data = np.ascontiguousarray(data[::-1, ::-1])[::-1, ::-1]
    elif layout == "read-only":
        data.flags.writeable = False
    elif layout == "other bytes":
        data = data.astype(data.dtype.newbyteorder())
    elif layout == "unaligned":
        records = np.zeros(data.shape, np.dtype([("pad", "i1"), ("x", data.dtype)]))
        records["x"] = data
        data = records["x"]
    nmf = partwise.NMF(3, **options)
    w = nmf.fit_transform(data)
    # scikit-learn takes f32 with the bytes of another machine for a type of its own, and makes f64 of it.
    kept = dtype is np.float32 and layout != "other bytes"
    assert w.dtype == nmf.components_.dtype == (np.float32 if kept else np.float64)
    assert w.flags.c_contiguous and nmf.components_.flags.c_contiguous
    assert_array_equal(w, expected.astype(w.dtype))
    assert_array_equal(nmf.transform(data), nmf.transform(np.array(data)))


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e9, 1e30])
def test_the_level_of_the_data_does_not_matter(scale):
    options = {"random_state": 1, "max_iter": 20, "tol": 0, "engine": "cpu:1", "beta_loss": "kullback-leibler"}
    plain = partwise.NMF(3, **options)
    scaled = clone(plain)
    expected, w = plain.fit_transform(X), scaled.fit_transform(scale * X)
    assert_allclose(w @ scaled.components_, scale * (expected @ plain.components_), rtol=1e-3, atol=1e-6 * scale)
    assert_allclose(scaled.transform(scale * X) @ scaled.components_, scale * (plain.transform(X) @ plain.components_), rtol=1e-2, atol=1e-3 * scale)
    assert abs(scaled.reconstruction_err_**2 / scale / plain.reconstruction_err_**2 - 1) < 1e-3


def test_a_sample_s_transform_does_not_depend_on_others():
    nmf = partwise.NMF(4, random_state=0, engine="cpu:1").fit(X)
    whole = nmf.transform(X)
    assert_array_equal(np.vstack([nmf.transform(X[row : row + 1]) for row in range(len(X))]), whole)


def test_a_penalty_makes_w_sparser():
    def idle(alpha):
        nmf = partwise.NMF(4, beta_loss="kullback-leibler", alpha_W=alpha, random_state=0, max_iter=400, tol=0, engine="cpu:1")
        w = nmf.fit_transform(X)
        if alpha:
            assert_allclose(np.linalg.norm(nmf.components_, axis=1), 1, rtol=1e-5)
        return np.mean(w < 1e-3 * w.max())

    assert idle(0.05) > idle(0.0)


def test_it_is_copied_pickled_and_chained():
    nmf = partwise.NMF(4, random_state=0, engine="cpu:1").fit(X)
    copied = pickle.loads(pickle.dumps(nmf))
    assert copied.get_params() == nmf.get_params() == clone(nmf).get_params()
    assert_array_equal(copied.transform(X), nmf.transform(X))
    chain = make_pipeline(MinMaxScaler(), partwise.NMF(4, random_state=0, engine="cpu:1"))
    assert chain.fit_transform(X).shape == (60, 4)
    assert list(nmf.get_feature_names_out()) == ["nmf0", "nmf1", "nmf2", "nmf3"]
    assert_allclose(nmf.inverse_transform(nmf.transform(X)), nmf.transform(X) @ nmf.components_)
    with pytest.raises(NotFittedError):
        clone(nmf).transform(X)


def test_librosa_decomposes_by_it():
    spectrogram = np.ascontiguousarray(X.T)
    nmf = partwise.NMF(4, solver="extrapolated", random_state=0, engine="cpu:1")
    components, activations = librosa.decompose.decompose(spectrogram, transformer=nmf)
    assert np.linalg.norm(spectrogram - components @ activations) < 0.1 * np.linalg.norm(spectrogram)
    _, again = librosa.decompose.decompose(spectrogram, transformer=nmf, fit=False)
    assert_array_equal(again, nmf.transform(spectrogram.T).T)


@pytest.mark.parametrize("estimator", [partwise.NMF(2), partwise.NMFD(2), partwise.NMF2D(2)])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.array([[1.0, 2.0], [3.0, -4.0]]), r"Negative values in data: X has -4 in row 1, column 1"),
        (np.array([[1.0, np.nan]]), "X has NaN in row 0, column 1"),
        (np.array([[1.0, np.inf]]), "X has inf in row 0, column 1"),
        (np.array([["a", "b"]]), "could not convert"),
        (np.array([[1j]]), "[Cc]omplex"),
        (np.ones(3), "2D array"),
        (np.ones((2, 2, 2)), "dim"),
        (np.ones((0, 3)), "0 sample"),
        (np.ones((3, 0)), "0 feature"),
    ],
)
def test_unusable_data_are_the_value_errors_of_scikit_learn(estimator, data, reason):
    with pytest.raises(ValueError, match=reason):
        clone(estimator).set_params(engine="cpu:1").fit(data)


def test_unusable_parameters_are_refused_by_name():
    def refused(option, reason, estimator=partwise.NMF, data=X, **parameters):
        with pytest.raises(partwise.OptionError, match=reason) as caught:
            estimator(**({"n_components": 2, "engine": "cpu:1"} | parameters)).fit(data)
        assert isinstance(caught.value, ValueError) and str(caught.value).startswith(option)

    refused("n_components", "at least 1", n_components=0)
    refused("n_components", "use 1 to 4096", n_components=5000)
    refused("n_components", "whole number", n_components=2.5)
    refused("solver", "'mu', 'extrapolated', 'joint'", solver="cd")
    refused("init", "'nndsvd'", init="ones")
    refused("init", "use 'random'", init="nndsvd", n_components=40)
    refused("max_iter", "at least 1", max_iter=0)
    refused("tol", "not negative", tol=-1)
    refused("alpha_W", "finite", alpha_W=np.inf)
    refused("alpha_H", "no penalty on H", alpha_H=0.1)
    refused("engine", "use auto", engine="tpu")
    refused("pitch_lags", "at least 1", partwise.NMF2D, pitch_lags=0)
    refused("time_lags", "use 1 to 4096", partwise.NMFD, time_lags=5000)
    refused("n_starts", "at least 1", partwise.NMF2D, n_starts=0)
    with pytest.raises(ValueError, match="'dance'"):
        partwise.NMF(2, beta_loss="dance", engine="cpu:1").fit(X)
    with pytest.raises(ValueError, match="must be between"):
        partwise.NMF(2, beta_loss=17, engine="cpu:1").fit(X)


def test_a_custom_start_is_used_or_refused():
    w, h = np.ones((60, 2)), np.ones((2, 33))

    def refused(reason, init="custom", **start):
        with pytest.raises(partwise.InputError, match=reason):
            partwise.NMF(2, init=init, engine="cpu:1").fit(X, **start)

    refused("needs both W and H", W=w)
    refused("must be \\(60, 2\\)", W=w[1:], H=h)
    refused("must be \\(2, 33\\)", W=w, H=h[:1])
    refused("H of init='custom'", W=w, H=-h)
    refused("use init='custom'", init="random", W=w, H=h)
    # All components alike stay alike.
    found = partwise.NMF(init="custom", engine="cpu:1").fit(X, W=w, H=h).components_
    assert_allclose(found[0], found[1])


def test_an_unreached_tolerance_is_told():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        partwise.NMF(4, max_iter=2, random_state=0, tol=1e-9, engine="cpu:1").fit(X)
    nmf = partwise.NMF(4, max_iter=10_000, random_state=0, tol=1e-2, engine="cpu:1").fit(X)
    assert nmf.n_iter_ < 10_000 and nmf.n_iter_ % 10 == 0


@pytest.mark.parametrize("estimator", [partwise.NMF(2, tol=0), partwise.NMF2D(2, time_lags=2, pitch_lags=2)])
def test_ctrl_c_ends_a_fit(estimator):
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        clone(estimator).set_params(max_iter=1_000_000, engine="cpu:1").fit(X)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_patterns_find_what_recurs(dtype):
    data = np.zeros((40, 20), dtype)
    for frame, pitch in [(2, 0), (9, 3), (17, 1), (30, 4)]:
        data[frame, 2 + pitch] += 1
        data[frame + 1, 5 + pitch] += 2
        data[frame + 2, 9 + pitch] += 1
    nmf2d = partwise.NMF2D(1, time_lags=3, pitch_lags=5, n_starts=16, random_state=0, max_iter=400, engine="cpu:1")
    activations = nmf2d.fit_transform(data)
    assert activations.shape == (40, 5) and nmf2d.activations_.shape == (40, 5, 1) and nmf2d.patterns_.shape == (1, 3, 20)
    assert activations.dtype == nmf2d.patterns_.dtype == dtype
    assert_allclose(nmf2d.inverse_transform(activations), data, atol=0.01)
    assert_allclose(nmf2d.inverse_transform(nmf2d.transform(data)), data, atol=0.05)
    strong = {(int(frame), int(pitch)) for frame, pitch in np.argwhere(activations > 0.5 * activations.max())}
    first = min(strong)
    assert {(frame - first[0], pitch - first[1]) for frame, pitch in strong} == {(0, 0), (7, 3), (15, 1), (28, 4)}
    assert nmf2d.reconstruction_err_ < 0.1 and nmf2d.n_iter_ == 400


def test_nmfd_with_one_lag_is_nmf():
    nmfd = partwise.NMFD(3, time_lags=1, random_state=0, max_iter=300, engine="cpu:1").fit(X)
    nmf = partwise.NMF(3, beta_loss="kullback-leibler", random_state=0, max_iter=300, tol=0, engine="cpu:1").fit(X)
    assert nmfd.activations_.shape == (60, 3) and nmfd.patterns_.shape == (3, 1, 33)
    assert abs(nmfd.reconstruction_err_ / nmf.reconstruction_err_ - 1) < 0.1


def test_fixed_factors_are_found_as_scikit_learn_finds_them():
    nmf = partwise.NMF(4, random_state=0, tol=0, max_iter=400, engine="cpu:1").fit(X)
    expected, _, _ = non_negative_factorization(X, H=nmf.components_.astype(X.dtype), update_H=False, n_components=4, init="custom", max_iter=5000, tol=0)
    assert_allclose(nmf.transform(X) @ nmf.components_, expected @ nmf.components_, atol=0.02)
