"""Distances equal their definitions, whatever form computes them."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.distances import frechet_distance, frechet_from_gram, gram, kernel_distance


def by_covariance(a, b, ddof=1):
    """TF-GAN's and the original's formula, with SciPy's matrix square root."""
    sa, sb = np.cov(a, rowvar=False, ddof=ddof), np.cov(b, rowvar=False, ddof=ddof)
    root = scipy.linalg.sqrtm(sa @ sb).real
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sa + sb - 2 * root)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 8), (40, 300, 20), (64, 64, 64)])
def test_frechet_equals_the_covariance_formula(n, m, d, ddof, rng):
    mix = rng.standard_normal((d, d))
    a, b = rng.standard_normal((n + d, d)) @ mix + 3, rng.standard_normal((m + d, d)) * 1.5 + 2
    expected = by_covariance(a, b, ddof)
    assert frechet_distance(a, b, ddof) == pytest.approx(expected, rel=1e-9)
    k, (x, y) = gram(a, b)  # the form for few vectors gives the same
    assert frechet_from_gram(k, x, y, ddof) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 12),
    m=st.integers(2, 12),
    d=st.integers(1, 15),
    seed=st.integers(0, 999),
    scale=st.floats(1e-3, 1e3),
)
def test_frechet_is_zero_on_itself_never_negative_and_symmetric(n, m, d, seed, scale):
    rng = np.random.default_rng(seed)
    a, b = scale * rng.standard_normal((n, d)) + 5, scale * rng.standard_normal((m, d))
    size = np.square(a).sum()
    assert 0 <= frechet_distance(a, a) <= 1e-9 * size
    assert frechet_distance(a, b) >= 0
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6, abs=1e-9 * size)
    assert frechet_distance(a[rng.permutation(n)], b) == pytest.approx(frechet_distance(a, b), rel=1e-6, abs=1e-9 * size)


def test_frechet_of_few_vectors_has_the_known_bias(rng):
    """i.i.d. noise in 400 dimensions has a true distance of 0; the value is far above it, and more so for fewer vectors."""
    values = [frechet_distance(*rng.standard_normal((2, n, 400))) for n in (32, 128)]
    assert values[0] > 1.2 * values[1] > 0


def test_kernel_distance_equals_its_double_sum_and_is_unbiased(rng):
    a, b = rng.standard_normal((2, 12, 6))

    def k(x, y):
        return (x @ y / 6 + 1) ** 3

    pairs = [(i, j) for i in range(12) for j in range(12) if i != j]
    expected = (
        np.mean([k(a[i], a[j]) for i, j in pairs])
        + np.mean([k(b[i], b[j]) for i, j in pairs])
        - 2 * np.mean([[k(x, y) for y in b] for x in a])
    )
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-10)
    null = [kernel_distance(*rng.standard_normal((2, 20, 10))) for _ in range(300)]
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(300)
    assert min(null) < 0


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.ones((1, 3)), np.ones((4, 3)), "at least 2 vectors a set, found 1 and 4"),
        (np.full((3, 3), np.nan), np.ones((4, 3)), "NaN or infinite"),
        (np.ones((3, 2)), np.ones((4, 3)), "sets differ in width|could not be"),
        (np.ones(3), np.ones((4, 3)), r"shape \(n, D\)"),
    ],
)
def test_sets_that_have_no_distance_say_why(a, b, words):
    with pytest.raises(ValueError, match=words):
        frechet_distance(a, b) if a.shape[-1:] == b.shape[-1:] or a.ndim == 1 else kernel_distance(a, b)
