"""An open loop: when requests come, and what a server makes of them. Time is simulated; nothing here waits."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sora_eval.generators.protocol import QUEUE, READ, Generator
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.speed.load import Load, at_once, in_turn, poisson_arrivals, scheduled, serve, warm_up

REQUEST = Request("a ball", 8, 8, 1, 8.0, 0)
CLIP = Clip(np.zeros((1, 8, 8, 3), np.uint8), 8.0)


class SimulatedClock:
    """Time that passes only by waiting and by `spend`."""

    def __init__(self, time=100.0):
        self.time = time

    def now(self):
        return self.time

    def wait_until(self, when):
        self.time = max(self.time, when)

    def spend(self, seconds):
        self.time += seconds


def load_of(arrivals):
    return Load(tuple(arrivals), (REQUEST,) * len(arrivals))


def served(arrivals, seconds):
    """The outcomes of requests of known service times at one server."""
    clock, left = SimulatedClock(), iter(seconds)

    def ask(request):
        clock.spend(next(left))
        return CLIP

    return in_turn(load_of(arrivals), ask, clock, lambda place, clip: None)


@given(rate=st.floats(1e-3, 1e4), count=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_arrivals_keep_their_rate_and_are_those_of_their_seed(rate, count, seed):
    times = poisson_arrivals(rate, count, np.random.default_rng(seed))
    assert len(times) == count
    assert np.all(np.diff(times) >= 0)
    assert 0 <= times[0] <= times[-1] <= count / rate * (1 + 1e-12)
    assert np.array_equal(times, poisson_arrivals(rate, count, np.random.default_rng(seed)))
    assert not np.array_equal(times, poisson_arrivals(rate, count, np.random.default_rng(seed + 1)))


def test_gaps_are_exponential_and_counts_of_short_windows_are_poisson(rng):
    times = poisson_arrivals(4.0, 20_000, rng)
    assert stats.kstest(np.diff(times), stats.expon(scale=0.25).cdf).pvalue > 0.01
    counts = np.bincount(times.astype(int), minlength=5000)
    assert counts.mean() == pytest.approx(4.0)
    assert counts.var() == pytest.approx(4.0, rel=0.1)


def test_the_warm_up_comes_before_the_count_and_lasts_two_service_times(rng):
    before = warm_up(2.0, 3.0)
    times = np.array(scheduled(2.0, 50, before, rng))
    assert (before, (times < 0).sum(), (times >= 0).sum()) == (12, 12, 50)
    assert times[0] >= -6.0
    assert times[-1] <= 25.0


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_the_mean_wait_is_that_of_an_m_d_1_queue(rho):
    """Pollaczek-Khinchine with a service time that does not vary: rho / (2 (1 - rho)) service times."""
    service, waits = 3.0, []
    for seed in range(4):
        arrivals = scheduled(rho / service, 20_000, 500, np.random.default_rng(seed))
        outcomes = served(arrivals, [service] * len(arrivals))
        waits += [o.begun - a for a, o in zip(arrivals, outcomes, strict=True) if a >= 0]
    assert np.mean(waits) == pytest.approx(rho / (2 * (1 - rho)) * service, rel=0.08)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=40))
def test_one_server_follows_lindleys_recursion_from_the_scheduled_arrivals(pairs):
    arrivals = sorted(a for a, _ in pairs)
    outcomes = served(arrivals, [s for _, s in pairs])
    end = -np.inf
    for (_, seconds), arrival, outcome in zip(pairs, arrivals, outcomes, strict=True):
        assert outcome.begun == pytest.approx(max(arrival, end), abs=1e-9)
        end = max(arrival, end) + seconds
        assert outcome.ended == pytest.approx(end, abs=1e-9)


@given(stall=st.floats(5.0, 50.0), place=st.integers(0, 50))
def test_a_stall_is_in_the_latency_of_all_that_came_in_it(stall, place):
    """Coordinated omission: what sends after an answer would see the stall once; here one request comes per second."""
    outcomes = served(range(100), [stall if i == place else 0.0 for i in range(100)])
    latencies = [o.ended - arrival for arrival, o in enumerate(outcomes)]
    for i, latency in enumerate(latencies):
        expected = place + stall - i if place <= i < place + stall else 0.0
        assert latency == pytest.approx(expected, abs=1e-9)


def test_a_service_gets_each_request_when_it_is_due_though_none_is_answered():
    """Every request but the last waits for the last: what waits for answers would never send it."""
    last, lock, asked = threading.Event(), threading.Lock(), []

    def ask(request):
        with lock:
            asked.append(request)
            if len(asked) == 10:
                last.set()
        return CLIP if last.wait(60) else "the last request was never sent"

    outcomes = at_once(load_of(range(10)), ask, SimulatedClock(), lambda place, clip: None)
    assert [o.reason for o in outcomes] == [""] * 10


def test_the_queue_of_a_service_is_what_it_says_and_reading_is_not_its_time():
    clock = SimulatedClock()

    def ask(request):
        clock.spend(9.0)
        return Clip(CLIP.frames, 8.0, {QUEUE: 2.0, "wait": 6.0, READ: 1.0})

    (outcome,) = at_once(load_of([0.0]), ask, clock, lambda place, clip: None)
    assert (outcome.begun, outcome.ended) == (2.0, 8.0)
    (silent,) = at_once(load_of([0.0]), lambda request: CLIP, clock, lambda place, clip: None)
    assert silent.begun is None


class Odd(Generator):
    """Fails every third request, and answers every fourth with another shape."""

    name = "odd"

    def __init__(self):
        self.asked = 0

    def fingerprint(self):
        return "x"

    def generate(self, requests):
        self.asked += 1
        if self.asked % 3 == 0:
            raise ValueError("no memory")
        size = 16 if self.asked % 4 == 0 else 8
        return [Clip(np.full((1, size, 8, 3), self.asked, np.uint8), 8.0)]


def test_a_failed_request_has_its_reason_and_the_clips_of_the_others_are_kept(tmp_path):
    outcomes = serve(Odd(), load_of([-1.0, 0.0, 1.0, 2.0]), tmp_path, SimulatedClock())
    assert [o.reason.partition(":")[0] for o in outcomes] == [
        "",
        "",
        "ValueError",
        "found frames (1, 16, 8, 3), expected (1, 8, 8, 3)",
    ]
    assert [o.fps for o in outcomes] == [8.0, 8.0, None, None]
    assert {p.name: int(np.load(p).max()) for p in tmp_path.iterdir()} == {"0.npy": 1, "1.npy": 2}
