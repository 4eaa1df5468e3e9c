"""Rates and frames from times: what a player shows at any moment is what the clip holds there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.util.errors import ClipError
from sora_eval.video.timeline import MOST_REPEATS, timeline

RATES = st.sampled_from([1.0, 8.0, 10.0, 12.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0])
TICKS = st.sampled_from([1e-3, 1 / 90000, 1 / 12288])


def shown(times, at):
    """The stored frame that a player shows at a time."""
    return int(np.searchsorted(times, at, side="right")) - 1


@given(RATES, TICKS, st.integers(2, 400), st.floats(0, 100))
def test_times_at_the_rate_of_the_header_are_it_whatever_they_are_rounded_to(fps, tick, n, start):
    times = [round((start + i / fps) / tick) * tick for i in range(n)]
    found = timeline(times, 1 / fps, tick, fps)
    assert found.fps == fps
    assert found.index is None
    assert not found.note


@given(RATES, st.integers(2, 200))
def test_a_wrong_header_is_not_believed(fps, n):
    found = timeline([i / fps for i in range(n)], 1 / fps, 1e-5, 1000.0)
    assert found.fps == pytest.approx(fps)
    assert found.index is None


@given(st.integers(2, 20), st.lists(st.integers(1, 9), min_size=2, max_size=30))
def test_frames_that_a_gif_stores_once_are_shown_for_as_long(unit, counts):
    counts = [1, *counts]
    delays = np.array(counts) * unit / 100
    times = np.concatenate([[0], np.cumsum(delays)[:-1]])
    found = timeline(times.tolist(), float(delays[-1]), 0.01, 0.0, stored_once=True)
    index = np.arange(len(counts)) if found.index is None else found.index
    step = 1 / found.fps
    assert len(index) * step == pytest.approx(delays.sum(), abs=0.011 * len(counts))
    assert [shown(times, (k + 0.5) * step) for k in range(len(index))] == index.tolist()


@given(st.lists(st.floats(0.01, 0.5), min_size=2, max_size=60), st.booleans())
def test_any_times_are_sampled_by_time_or_within_half_a_frame(steps, stored_once):
    times = np.concatenate([[0], np.cumsum(steps)])
    found = timeline(times.tolist(), steps[-1], 1e-4, 0.0, stored_once=stored_once)
    assert 1 / found.fps * 0.999 <= max(steps)
    if found.index is None:
        assert np.abs(times - np.arange(len(times)) / found.fps).max() <= 0.5 / found.fps + 0.0101
        return
    assert found.note
    assert len(found.index) <= MOST_REPEATS * len(times)
    assert (np.diff(found.index) >= 0).all()
    if len(found.index) == len(times):
        assert [shown(times, (k + 0.5) / found.fps) for k in range(len(times))] == found.index.tolist()


def test_the_rate_that_varies_is_the_mean_one():
    times = [i / 30 for i in range(30)] + [1 + i / 10 for i in range(20)] + [3 + i / 30 for i in range(30)]
    found = timeline(times, 1 / 30, 1e-3, 30.0)
    assert found.fps == pytest.approx(20, abs=0.2)
    assert "its rate varies (10 to 30 fps); resampled by time to its mean rate of 19.9" in found.note


def test_a_long_pause_does_not_fill_the_memory():
    found = timeline([0.0, 0.01, 600.0], 0.01, 0.01, 0.0, stored_once=True)
    assert found.index is not None
    assert len(found.index) == 3


@pytest.mark.parametrize("times", [[0.0, 0.1, 0.1], [0.0, 0.2, 0.1]])
def test_times_that_do_not_increase_are_an_error(times):
    with pytest.raises(ClipError, match="do not increase"):
        timeline(times, 0.1, 0.01, 10.0)


def test_without_times_the_header_counts_and_without_both_nothing_does():
    assert timeline([None, None], 0.0, 0.0, 25.0).fps == 25
    assert "no times" in timeline([None, None], 0.0, 0.0, 25.0).note
    assert timeline([0.0], 0.1, 0.01, 0.0).fps == 10
    for times in ([None, None], [0.0]):
        with pytest.raises(ClipError, match="no times and its header no rate"):
            timeline(times, 0.0, 0.0, 0.0)
