"""The scan over a series keeps its level whatever the runs share, and sees a decline that a single run does not show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.stats.scan import scan, windows_at

FLIPS, RUNS, CLUSTERS = 499, 12, 16
SPENT = [0.1 * (t + 1) / RUNS for t in range(RUNS)]


def first_alarm(changes):
    looks = scan(changes, SPENT, FLIPS)
    return next((t for t, look in enumerate(looks) if look.statistics.size and look.statistics.max() > look.boundary), None)


def noise(rng, rows=2, shared=1.0, anew=1.0):
    """Changes of runs with one baseline, whose noise is `shared` by all of them."""
    return shared * rng.standard_normal((rows, 1, CLUSTERS)) + anew * rng.standard_normal((rows, RUNS, CLUSTERS))


@pytest.mark.parametrize(("shared", "anew"), [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)])
def test_any_false_alarm_over_a_series_is_as_rare_as_declared_whatever_the_runs_share(shared, anew):
    draws = 250
    alarms = sum(first_alarm(noise(np.random.default_rng([i, 7]), shared=shared, anew=anew)) is not None for i in range(draws))
    # 0.1 is spent, 0.176 four standard errors above; a CUSUM that takes the runs for independent alarms in most.
    assert alarms / draws <= 0.176
    assert alarms > 0


def test_a_slow_decline_is_found_after_it_began_and_before_a_single_run_shows_it():
    delays = []
    for i in range(100):
        changes = noise(np.random.default_rng([i, 8]), shared=0.3)
        changes[0, 6:] += np.linspace(0.2, 1.2, 6)[:, None]  # the noise of a run's mean is 0.26
        delays.append(first_alarm(changes))
    found = [d for d in delays if d is not None]
    assert len(found) >= 90
    assert 6 <= np.median(found) <= 10


def test_the_boundary_does_not_depend_on_which_flip_is_observed():
    changes = noise(np.random.default_rng(3))
    signs = np.random.default_rng(4).choice([-1.0, 1.0], CLUSTERS)
    plain, flipped = (scan(c, SPENT, 2**15) for c in (changes, changes * signs))
    for a, b in zip(plain[1:], flipped[1:], strict=True):  # random flips are another sample of the same distribution
        assert a.boundary == pytest.approx(b.boundary, rel=0.1)


def test_a_look_depends_on_earlier_runs_alone():
    changes = noise(np.random.default_rng(5))
    whole, part = scan(changes, SPENT, FLIPS), scan(changes[:, :7], SPENT[:7], FLIPS)
    for a, b in zip(whole[:7], part, strict=True):
        assert a.boundary == b.boundary
        assert np.array_equal(a.statistics, b.statistics)


def test_means_and_statistics_are_those_of_the_last_runs_and_nan_is_no_value():
    changes = np.full((1, 3, 4), np.nan)
    changes[0, 1, :3], changes[0, 2, :3] = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    changes[0, 2, 2] = np.nan
    look = scan(changes, [0.05] * 3, 50)[-1]
    assert look.windows == (2, 3)
    per_prompt = np.array([2.0, 2.0, 3.0])
    assert look.means[0].tolist() == pytest.approx([per_prompt.mean()] * 2)
    # Student's t against 0 with the sum of squares about the mean
    t = per_prompt.mean() / (per_prompt.std(ddof=1) / 3**0.5)
    assert look.statistics[0].tolist() == pytest.approx([t] * 2)


def test_runs_without_a_difference_and_rows_without_values_never_alarm():
    nothing = np.stack([np.zeros((RUNS, CLUSTERS)), np.full((RUNS, CLUSTERS), np.nan)])
    assert first_alarm(nothing) is None


def test_few_prompts_cannot_alarm_beyond_what_their_flips_allow():
    falling = np.ones((1, RUNS, 3))  # 1 of 8 flips is as it is observed: no alarm at 10 %
    assert first_alarm(falling) is None
    assert first_alarm(np.random.default_rng(0).uniform(0.9, 1.1, (1, RUNS, 8))) is not None


@given(st.integers(2, 500))
def test_windows_are_powers_of_two_and_the_whole_series(run):
    windows = windows_at(run)
    assert windows[-1] == run
    assert list(windows) == sorted(set(windows))
    assert all(w & (w - 1) == 0 for w in windows[:-1])
    assert all(b <= 2 * a for a, b in zip(windows, windows[1:], strict=False))


def test_a_decline_that_was_found_stays_found_at_runs_that_add_nothing_to_the_budget():
    changes = noise(np.random.default_rng(11), shared=0.2, anew=0.2)
    changes[0] += 1.0
    looks = scan(changes, [0.05] * RUNS, FLIPS)  # all is spent at the second run
    assert all(look.statistics.max() > look.boundary for look in looks[1:])


def test_every_run_of_a_long_series_can_raise_an_alarm_for_the_first_time():
    spent = [0.025 * t / (t + 100) for t in range(1, 61)]
    for onset in (0, 20, 50):
        changes = 0.3 * np.random.default_rng([12, onset]).standard_normal((1, 60, 24))
        changes[:, onset:] += 3.0
        looks = scan(changes, spent)
        first = next(t for t, look in enumerate(looks) if look.statistics.size and look.statistics.max() > look.boundary)
        assert onset <= first <= onset + 2
