"""The open loop of a suite: its mix, its rates, and one rate that generators serve in turns."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sora_eval.generators.protocol import Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.speed.load import Outcome, serve
from sora_eval.speed.served import value_of
from sora_eval.speed.serving import mix_of, offers, rates_for, serve_rate, service_seconds
from sora_eval.speed.timed_generator import Call, GeneratorFacts
from sora_eval.suite import Suite
from sora_eval.util.errors import GeneratorError, SuiteError
from tests.sora_eval.speed.test_load import SimulatedClock


class Grey(Generator):
    """Grey clips of the seed's level that take `seconds` of the clock each."""

    name = "grey"

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def fingerprint(self):
        return "x"

    def generate(self, requests):
        (r,) = requests
        self.clock.spend(self.seconds)
        if self.seconds > 100:
            raise ValueError("it is down")
        return [Clip(np.full((r.num_frames, r.height, r.width, 3), r.seed % 251, np.uint8), r.fps)]


class Timed:
    """A generator on simulated time."""

    def __init__(self, name, seconds, log=None, at_once=1):
        self.facts = GeneratorFacts(name, name, "", "x", Capabilities(8, 1), (), {}, 0.0, "", at_once)
        self.clock, self.log = SimulatedClock(), [] if log is None else log
        self.generator = Grey(self.clock, seconds)

    def call(self, requests, packing):
        seconds = self.generator.seconds
        return Call(None, {}, 0, "it is down") if seconds > 100 else Call(seconds, {}, 0)

    def serve(self, load, folder):
        self.log.append((self.facts.name, load))
        return serve(self.generator, load, folder, self.clock)


def suite_of(prompt="p", shapes=("16x16x5", "8x8x1"), **serve):
    table = {"prompt": prompt, "shapes": list(shapes)}
    return Suite.model_validate({"suite": {"id": "s"}, "throughput": table, "serve": serve})


def served(suite, generators, rate=1.0, seconds=1.0, folder=None, judge=None):
    mix = mix_of(suite, generators[0])
    return serve_rate(generators, offers(suite, mix, rate, 0, seconds), suite.serve, folder, judge)


def test_generators_take_turns_and_get_the_same_requests_at_the_same_times():
    log = []
    generators = [Timed("A", 0.5, log), Timed("B", 0.2, log)]
    rows = served(suite_of(requests=10, repeats=3), generators)
    assert [name for name, _ in log] == ["A", "B"] * 3
    loads = [load for _, load in log]
    assert loads[::2] == loads[1::2]
    assert len({load.arrivals for load in loads}) == 3
    for of_generator in rows:
        assert Counter((r.repeat, r.stage) for r in of_generator) == {
            (i, s): n for i in range(3) for s, n in (("warmup", 2), ("whole", 10))
        }


def test_shapes_come_equally_often_and_no_request_twice():
    suite = suite_of(shapes=["8x8x1", "16x16x1", "24x8x1"], requests=31, repeats=4)
    loads = [offer.load for offer in offers(suite, mix_of(suite, Timed("A", 1.0)), 1.0, 0, 0.5)]
    for load in loads:
        counts = Counter((r.width, r.height) for r in load.requests).values()
        assert max(counts) - min(counts) <= 1
    seeds = [r.seed for load in loads for r in load.requests]
    assert len(set(seeds)) == len(seeds) == 4 * 32


def test_the_seed_decides_arrivals_and_order():
    def loads(seed):
        suite = suite_of(requests=20, repeats=2, seed=seed)
        return [offer.load for offer in offers(suite, mix_of(suite, Timed("A", 1.0)), 3.0, 1, 1.0)]

    assert loads(4) == loads(4)
    assert all(a.arrivals != b.arrivals for a, b in itertools.product(loads(4), loads(5)))


def test_rates_are_shares_of_what_the_slowest_generator_serves():
    one, other, service = Timed("A", 0.5), Timed("B", 2.0), Timed("C", 2.0, at_once=8)
    assert rates_for([one], [0.5]) == [1.0, 1.4, 1.8]
    assert rates_for([one, other], [0.5, 2.0]) == [0.25, 0.35, 0.45]
    assert rates_for([service], [2.0]) == [2.0, 2.8, 3.6]


def test_the_service_time_is_that_of_the_mix():
    suite, generator = suite_of(), Timed("A", 0.5)
    assert service_seconds(suite, generator, mix_of(suite, generator)) == 0.5
    down = Timed("A", 1000.0)
    with pytest.raises(GeneratorError, match="A answers no request, even without load: it is down"):
        service_seconds(suite, down, mix_of(suite, down))


def test_who_answers_nothing_is_one_row_with_the_reason_and_is_asked_no_more():
    log = []
    rows = served(suite_of(requests=5, repeats=3), [Timed("A", 0.1, log), Timed("B", 1000.0, log)])
    assert [name for name, _ in log] == ["A", "B", "A", "A"]
    assert len(rows[0]) == 3 * 7
    (failed,) = rows[1]
    assert (failed.id, failed.stage, failed.seconds) == ("serve:1/s", "failed", None)
    assert failed.reason == "all 7 requests failed, the first: ValueError: it is down"


def test_a_process_that_dies_fails_its_rate_alone():
    class Dies(Timed):
        def serve(self, load, folder):
            raise GeneratorError("the process of B was ended by SIGKILL")

    rows = served(suite_of(requests=5, repeats=2), [Timed("A", 0.1), Dies("B", 0.1)])
    assert len(rows[0]) == 2 * 7
    assert [r.reason for r in rows[1]] == ["the process of B was ended by SIGKILL"]


def test_good_is_what_is_on_time_and_judged_good_and_only_that_is_judged(tmp_path):
    judged = []

    def judge(case, frames, fps):
        judged.append((case.shape, np.load(frames).shape, fps))
        return {"m": float(len(judged) % 2)}

    suite = suite_of(requests=20, repeats=1, objective=1.5, quality=["m>=1"])
    (rows,) = served(suite, [Timed("A", 1.0)], rate=1.0, folder=tmp_path, judge=judge)
    on_time = [r for r in rows if r.served.on_time]
    assert 0 < len(on_time) < len(rows)
    assert len(judged) == len(on_time)
    assert {(shape, "x".join(map(str, (size[2], size[1], size[0]))), fps) for shape, size, fps in judged} == {
        ("16x16x5", "16x16x5", 8.0), ("8x8x1", "8x8x1", 8.0)
    }  # fmt: skip
    assert [r.served.good for r in on_time] == [i % 2 == 0 for i in range(len(on_time))]
    assert not any(r.served.good or r.served.scores for r in rows if not r.served.on_time)
    assert value_of(rows, "goodput") < value_of(rows, "clips_per_second")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_clip_without_a_score_is_not_good(tmp_path):
    suite = suite_of(requests=4, repeats=1, objective=100.0, quality=["m>=1"])
    (rows,) = served(suite, [Timed("A", 0.1)], folder=tmp_path, judge=lambda *_: {"m": None})
    assert [r.served.on_time for r in rows] == [True] * len(rows)
    assert [r.served.good for r in rows] == [False] * len(rows)


def test_latency_counts_from_the_arrival_though_the_clock_began_elsewhere():
    class Late(Timed):
        def serve(self, load, folder):
            return [Outcome(a + 0.25, a + 1.0, 8.0) for a in load.arrivals]

    (rows,) = served(suite_of(requests=4, repeats=1), [Late("A", 1.0)])
    assert [r.seconds for r in rows] == pytest.approx([1.0] * len(rows))
    assert [r.served.queue for r in rows] == pytest.approx([0.25] * len(rows))


def test_a_suite_that_asks_for_nothing_or_for_the_impossible_is_refused():
    generator = Timed("A", 1.0)
    nothing = Suite.model_validate({"suite": {"id": "s"}, "serve": {}})
    with pytest.raises(SuiteError, match=r"neither \[axes\] nor \[throughput\]: there is nothing to ask for"):
        mix_of(nothing, generator)
    with pytest.raises(SuiteError, match="width = 17 is not a multiple of 8"):
        mix_of(suite_of(shapes=["17x16x5"]), generator)
    long = Timed("A", 1.0)
    long.facts = replace(long.facts, capabilities=Capabilities(8, 1, most_frames=2))
    with pytest.raises(SuiteError, match="frames"):
        mix_of(suite_of(shapes=["16x16x5"]), long)
