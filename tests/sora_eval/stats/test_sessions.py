"""Components of timings: what was put in comes out, and stalls and units do not matter."""

import numpy as np
import pytest

from sora_eval.stats.sessions import session_noise


def sessions(rng, within, between, count=400, repeats=20, level=1.0):
    """Repeats of `count` sessions, whose medians differ by a factor of about 1 + `between`."""
    return [level * np.exp(between * rng.standard_normal() + within * rng.standard_normal(repeats)) for _ in range(count)]


def test_the_components_are_those_of_the_data():
    noise = session_noise({"32x32x9": sessions(np.random.default_rng(0), 0.02, 0.05)})
    assert noise.within == pytest.approx(2.0, rel=0.1)
    assert noise.between == pytest.approx(5.0, rel=0.1)
    assert noise.median == pytest.approx(100 * (0.05**2 + np.pi / 2 * 0.02**2 / 20) ** 0.5, rel=0.1)
    assert (noise.sessions, noise.repeats) == (400, 20)


def test_repeats_of_one_population_have_nearly_no_noise_between_sessions():
    noise = session_noise({"32x32x9": sessions(np.random.default_rng(1), 0.02, 0.0)})
    assert noise.between < 0.25
    assert noise.median == pytest.approx(2.0 * (np.pi / 2 / 20) ** 0.5, rel=0.15)


def test_stalls_are_no_noise_of_the_repeats_and_units_do_not_matter():
    points = sessions(np.random.default_rng(2), 0.02, 0.05, count=8)
    stalled = [np.append(x[:-1], 30 * x[-1]) for x in points]
    plain, with_stalls = session_noise({"a": points}), session_noise({"a": stalled})
    assert with_stalls.within == pytest.approx(plain.within, rel=0.2)
    assert with_stalls.median == pytest.approx(plain.median, rel=0.2)
    in_ms = session_noise({"a": [1000 * x for x in points]})
    assert in_ms.median == pytest.approx(plain.median)


def test_points_are_pooled_and_give_no_further_sessions():
    rng = np.random.default_rng(3)
    points = {name: sessions(rng, 0.01, between, count=200) for name, between in (("a", 0.03), ("b", 0.04))}
    noise = session_noise(points)
    assert noise.sessions == 200
    assert noise.between == pytest.approx(100 * ((0.03**2 + 0.04**2) / 2) ** 0.5, rel=0.1)


def test_one_session_or_one_repeat_has_no_components():
    assert session_noise({}) is None
    assert session_noise({"a": [[1.0, 1.1, 1.2]]}) is None
    assert session_noise({"a": [[1.0], [2.0]]}) is None
    assert session_noise({"a": [[0.0, 0.0], [1.0, 2.0]]}) is None
