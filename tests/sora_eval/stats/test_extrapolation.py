"""What the bias of a Fréchet distance allows, and why the rest is refused."""

import numpy as np
import pytest

from sora_eval.stats.distances import frechet_distance
from sora_eval.stats.extrapolation import LEAST_PER_DIMENSION, extrapolated_frechet
from sora_eval.util.errors import RefusedError

D = 12
TRUE = D * 0.2**2 + D * (1.3 - 1) ** 2


def pair(rng, n):
    a, b = rng.standard_normal((2, n, D))
    return a, 1.3 * b + 0.2


def test_a_bootstrap_interval_would_exclude_its_own_value(rng):
    a, b = pair(rng, 40)
    value = frechet_distance(a, b)
    values = [frechet_distance(a[rng.integers(0, 40, 40)], b[rng.integers(0, 40, 40)]) for _ in range(200)]
    assert np.quantile(values, 0.025) > value  # so there is none


def test_far_above_the_dimensions_the_bias_is_gone(rng):
    raw, limit = [], []
    for _ in range(40):
        a, b = pair(rng, LEAST_PER_DIMENSION * D)
        raw.append(frechet_distance(a, b) - TRUE)
        limit.append(extrapolated_frechet(a, b) - TRUE)
    error = np.std(limit) / np.sqrt(len(limit))
    assert np.mean(raw) > 10 * error
    assert abs(np.mean(limit)) < 3 * error


def test_near_the_dimensions_it_is_refused_since_it_would_be_wrong(rng, monkeypatch):
    with pytest.raises(RefusedError, match=f"{D} dimensions of the features: 24 generated and 24 reference clips, at least 60"):
        extrapolated_frechet(*pair(rng, 2 * D))
    monkeypatch.setattr("sora_eval.stats.extrapolation.LEAST_PER_DIMENSION", 0)
    wrong = [extrapolated_frechet(*pair(rng, D)) - TRUE for _ in range(20)]
    assert np.mean(wrong) > 3 * np.std(wrong) / np.sqrt(20)


def test_the_limit_does_not_depend_on_the_order_of_clips(rng):
    a, b = pair(rng, LEAST_PER_DIMENSION * D)
    shuffled = extrapolated_frechet(rng.permutation(a), rng.permutation(b))
    assert shuffled == pytest.approx(extrapolated_frechet(a, b), rel=1e-9)
