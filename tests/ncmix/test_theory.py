"""The closed-form optimum under mixup: `theory.optimum(classes, m, lambda_h, lam)` gives probabilities and features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import lambertw

from ncmix import theory


def simplex(classes, m):
    """A simplex ETF with ‖w_k‖² = m, in `classes` dimensions."""
    return np.sqrt(m * classes / (classes - 1)) * (np.eye(classes) - 1 / classes)


def feature(o, w_KD):
    return o.along_i * w_KD[0] + o.along_j * w_KD[1]


def gradient(h_D, w_KD, lambda_h, lam):
    """Value and gradient of CE(softmax(Wh), λe_0 + (1−λ)e_1) + (λ_H/2)‖h‖²."""
    target = np.zeros(len(w_KD))
    target[0] += lam
    target[1] += 1 - lam
    z = w_KD @ h_D
    total = z.max() + np.log(np.exp(z - z.max()).sum())
    slope = w_KD.T @ (np.exp(z - total) - target) + lambda_h * h_D
    return total - target @ z + lambda_h / 2 * h_D @ h_D, slope


def test_published_numbers():
    """K = 10, m = 1, λ_H = 1e-3."""
    same = theory.same_class(10, 1, 1e-3)
    assert same.norm == pytest.approx(6.5873, abs=5e-5)
    assert same.q == pytest.approx(6.59e-4, abs=5e-7)
    mixed = theory.optimum(10, 1, 1e-3, [0.5, 0.7, 0.9])
    np.testing.assert_allclose(mixed.p_i, [0.49560, 0.69527, 0.89492], atol=5e-6)
    np.testing.assert_allclose(mixed.p_j, [0.49560, 0.29604, 0.09692], atol=5e-6)
    np.testing.assert_allclose(mixed.norm, [7.333, 7.264, 6.960], atol=5e-4)
    assert mixed.q[0] == pytest.approx(1.10e-3, abs=5e-6)


@pytest.mark.parametrize("classes", [2, 3, 10, 40])
@pytest.mark.parametrize("lambda_h", [2.0, 0.1, 1e-3])
@pytest.mark.parametrize("lam", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_equals_a_numerical_minimiser(classes, lambda_h, lam):
    for m in (0.5, 4.0):
        w_KD = simplex(classes, m)
        options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-12}
        arguments = (w_KD, lambda_h, lam)
        found = minimize(gradient, np.zeros(classes), arguments, "L-BFGS-B", jac=True, options=options)
        optimum = theory.optimum(classes, m, lambda_h, lam)
        np.testing.assert_allclose(feature(optimum, w_KD), found.x, atol=1e-6)
        assert optimum.norm == pytest.approx(np.linalg.norm(found.x), abs=1e-6)


@given(
    st.integers(2, 1000),
    st.floats(-3, 3).map(lambda e: 10**e),
    st.floats(-8, 3).map(lambda e: 10**e),
    st.floats(0, 1),
)
def test_is_stationary_everywhere(classes, m, lambda_h, lam):
    """Probabilities sum to one, and z = κ(y − p) holds for the logits of the feature."""
    o = theory.optimum(classes, m, lambda_h, lam)
    assert o.p_i + o.p_j + (classes - 2) * o.q == pytest.approx(1, abs=1e-11)
    kappa = m * classes / ((classes - 1) * lambda_h)
    z_i, z_j = m * (o.along_i - o.along_j / (classes - 1)), m * (o.along_j - o.along_i / (classes - 1))
    assert z_i == pytest.approx(kappa * (lam - o.p_i), rel=1e-6, abs=1e-6 * (1 + kappa * 1e-9))
    assert o.gap == pytest.approx(z_i - z_j, rel=1e-9, abs=1e-9)


def test_same_class_is_parallel_to_its_classifier_and_solves_its_own_equation():
    """ln((1 − (K−1)q)/q) = κKq, and h = (Kq/λ_H) w_i."""
    for classes, m, lambda_h in [(2, 1, 0.1), (10, 3, 1e-4), (1000, 0.2, 1e-6)]:
        o = theory.same_class(classes, m, lambda_h)
        kappa = m * classes / ((classes - 1) * lambda_h)
        assert np.log((1 - (classes - 1) * o.q) / o.q) == pytest.approx(kappa * classes * o.q, rel=1e-9)
        assert o.along_i == pytest.approx(classes * o.q / lambda_h, rel=1e-9)
        assert o.along_j == pytest.approx(0, abs=1e-9)


def test_swapping_the_classes_is_swapping_lambda():
    lam = np.linspace(0, 1, 11)
    one, other = theory.optimum(7, 1, 1e-2, lam), theory.optimum(7, 1, 1e-2, 1 - lam)
    np.testing.assert_allclose(one.p_i, other.p_j, rtol=1e-12)
    np.testing.assert_allclose(one.along_i, other.along_j, rtol=1e-12, atol=1e-14)


def test_without_decay_the_logits_tell_lambda_and_the_channel_grows():
    """As λ_H → 0: z_i − z_j → logit λ, and the component along w_i + w_j has no bound."""
    lam = np.array([0.1, 0.3, 0.5, 0.8])
    o = theory.optimum(10, 1, np.array([1e-2, 1e-4, 1e-8, 1e-12])[:, None], lam)
    error = np.abs(o.gap - np.log(lam / (1 - lam))).max(1)
    assert (np.diff(error) < 0).all()
    assert error[-1] < 1e-9
    assert (np.diff(o.along_i + o.along_j, axis=0) > 1).all()


def test_with_strong_decay_features_are_a_convex_combination():
    """λ_H → ∞ gives h → (λw_i + (1−λ)w_j)/λ_H: what mean squared error gives at any decay."""
    o = theory.optimum(10, 1, 1e9, [0.0, 0.25, 0.5])
    np.testing.assert_allclose(o.along_i * 1e9, [0, 0.25, 0.5], atol=1e-8)
    np.testing.assert_allclose(o.along_j * 1e9, [1, 0.75, 0.5], atol=1e-8)


def test_lambert_agrees_with_scipy_and_does_not_overflow():
    log_x = np.linspace(-30, 500, 1061)
    np.testing.assert_allclose(np.exp(theory.log_lambert_w(log_x)), lambertw(np.exp(log_x)).real, rtol=2e-15)
    for large in (-1e6, 1e4, 1e12, 1e300):
        log_w = theory.log_lambert_w(large)
        assert np.exp(log_w) + log_w == pytest.approx(large, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((1, 1, 1, 0.5), "2 classes"),
        ((3, 0, 1, 0.5), "m must be positive"),
        ((3, 1, -1, 0.5), "lambda_h must be positive"),
        ((3, 1, float("nan"), 0.5), "lambda_h must be positive"),
        ((3, 1, float("inf"), 0.5), "lambda_h must be positive"),
        ((3, 1, 1, 1.5), "lam must lie in 0 to 1"),
    ],
)
def test_impossible_parameters_are_refused_in_a_sentence(arguments, word):
    with pytest.raises(theory.TheoryError, match=word):
        theory.optimum(*arguments)
