"""What one clip does to a distance equals the distance computed without it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.stats.attribution import attribution
from sora_eval.stats.distances import frechet_distance, kernel_distance
from sora_eval.stats.set_statistic import SetStatistic

FVD, KVD = SetStatistic(kind="frechet"), SetStatistic(kind="mmd-cubic")


@settings(max_examples=60)
@given(
    n=st.integers(4, 14),
    m=st.integers(3, 14),
    d=st.integers(1, 20),
    ddof=st.integers(0, 1),
    seed=st.integers(0, 999),
    scale=st.floats(1e-3, 1e3),
)
def test_frechet_without_a_clip_is_the_frechet_distance_of_the_rest(n, m, d, ddof, seed, scale):
    rng = np.random.default_rng(seed)
    a, b = scale * rng.standard_normal((n, d)) + scale, scale * rng.standard_normal((m, d))
    whole = frechet_distance(a, b, ddof)
    expected = [whole - frechet_distance(np.delete(a, i, 0), b, ddof) for i in range(n)]
    size = np.square(a).sum() + np.square(b).sum()
    assert attribution(SetStatistic(kind="frechet", ddof=ddof), a, b) == pytest.approx(expected, abs=1e-8 * size)


def test_a_ridge_and_the_kernel_distance_likewise(rng):
    a, b = rng.standard_normal((9, 5)), rng.standard_normal((12, 5)) + 1
    ridge = [frechet_distance(a, b, 1, 0.5) - frechet_distance(np.delete(a, i, 0), b, 1, 0.5) for i in range(9)]
    assert attribution(SetStatistic(kind="frechet", ridge=0.5), a, b) == pytest.approx(ridge, rel=1e-7, abs=1e-9)
    kernel = [kernel_distance(a, b) - kernel_distance(np.delete(a, i, 0), b) for i in range(9)]
    assert attribution(KVD, a, b) == pytest.approx(kernel, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("chosen", [FVD, KVD], ids=str)
def test_the_clip_that_is_far_off_comes_first(chosen, rng):
    real, made = rng.standard_normal((2, 30, 50)) + 2
    made[7] *= -1
    values = attribution(chosen, made, real)
    assert values.argmax() == 7
    assert values[7] > 0


def test_equal_clips_and_too_few_clips(rng):
    real = rng.standard_normal((8, 4))
    assert np.isfinite(attribution(FVD, np.ones((6, 4)), real)).all()
    with pytest.raises(ValueError, match="at least 3 generated clips, found 2"):
        attribution(FVD, real[:2], real)
