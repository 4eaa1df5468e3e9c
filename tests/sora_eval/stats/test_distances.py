"""Distances equal their definitions, whatever form computes them."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.stats.distances import (
    frechet_distance,
    frechet_from_gram,
    gram,
    kernel_distance,
    precision_recall,
    set_statistic,
)
from sora_eval.stats.set_statistic import SetStatistic


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


@settings(max_examples=60)
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
        (np.ones((1, 3)), np.ones((4, 3)), "at least 2 vectors per set, found 1 and 4"),
        (np.full((3, 3), np.nan), np.ones((4, 3)), "NaN or infinite"),
        (np.ones((3, 2)), np.ones((4, 3)), "sets differ in width|could not be"),
        (np.ones(3), np.ones((4, 3)), r"shape \(n, D\)"),
    ],
)
def test_sets_that_have_no_distance_say_why(a, b, words):
    with pytest.raises(ValueError, match=words):
        frechet_distance(a, b) if a.shape[-1:] == b.shape[-1:] or a.ndim == 1 else kernel_distance(a, b)


def test_a_ridge_is_added_to_both_covariances(rng):
    a, b = rng.standard_normal((30, 12)), rng.standard_normal((25, 12)) + 1
    sa, sb = (np.cov(x, rowvar=False) + 0.5 * np.eye(12) for x in (a, b))
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sa + sb - 2 * scipy.linalg.sqrtm(sa @ sb).real)
    assert frechet_distance(a, b, ridge=0.5) == pytest.approx(expected, rel=1e-9)


def test_a_record_chooses_the_statistic_and_renders_as_signatures_have_it(rng):
    a, b = rng.standard_normal((9, 5)), rng.standard_normal((12, 5)) + 0.5
    for chosen, text, expected in (
        (SetStatistic(kind="frechet"), "frechet|ddof:1", frechet_distance(a, b)),
        (SetStatistic(kind="frechet", ddof=0), "frechet|ddof:0", frechet_distance(a, b, 0)),
        (SetStatistic(kind="frechet", ridge=0.5), "frechet|ddof:1|ridge:0.5", frechet_distance(a, b, 1, 0.5)),
        (SetStatistic(kind="mmd-cubic"), "mmd-cubic-unbiased", kernel_distance(a, b)),
        (SetStatistic(kind="precision"), "precision-knn:3", precision_recall(a, b)[0]),
        (SetStatistic(kind="recall"), "recall-knn:3", precision_recall(a, b)[1]),
    ):
        assert str(chosen) == text
        statistic, rows = set_statistic(chosen, a, b)
        assert statistic(*rows) == pytest.approx(expected, rel=1e-9)
        subsets = np.stack([rng.permutation(rows[0])[:6] for _ in range(5)])
        alone = [statistic(subset, rows[1]) for subset in subsets]
        np.testing.assert_allclose(statistic.many(subsets, rows[1]), alone, rtol=1e-9)
    with pytest.raises(ValueError, match="kind"):
        SetStatistic(kind="clip_score")
    # In more dimensions than vectors the ridge acts on all of them; a basis of the vectors' space gives the same.
    wide, other = rng.standard_normal((9, 50)), rng.standard_normal((14, 50)) + 1
    statistic, rows = set_statistic(SetStatistic(kind="frechet", ridge=1e-6), wide, other)
    assert statistic(*rows) == pytest.approx(frechet_distance(wide, other, 1, 1e-6), rel=1e-6)


def test_precision_and_recall_by_their_definition(rng):
    real = rng.standard_normal((40, 4))
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real + 100, real) == (0.0, 0.0)
    collapsed = np.repeat(real[:1], 20, 0) + 1e-3 * rng.standard_normal((20, 4))
    precision, recall = precision_recall(collapsed, real)
    assert precision == 1.0
    assert recall < 0.2
    # By hand, on a line, k = 1: radii of 0, 1, 3 are 1, 1, 2; of 0.5, 9, 10 are 8.5, 1, 1.
    line = precision_recall(np.array([[0.5], [9.0], [10.0]]), np.array([[0.0], [1.0], [3.0]]), k=1)
    assert line == (pytest.approx(1 / 3), 1.0)
    with pytest.raises(ValueError, match="more than k = 3"):
        precision_recall(real[:3], real)
