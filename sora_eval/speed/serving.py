"""The open loop of a suite: its mix of requests, its rates, and one rate served by generators in turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path

import numpy as np

from sora_eval.generators.asking import request_of
from sora_eval.generators.protocol import AS_A_BATCH
from sora_eval.generators.shapes import check_suite, shape_problems
from sora_eval.records.case import Case
from sora_eval.runs.rows import Served, TimingRow
from sora_eval.speed.load import Load, Outcome, scheduled, warm_up
from sora_eval.speed.served import SERVE, point_of
from sora_eval.speed.summary import WHOLE
from sora_eval.speed.sweep import prompt_of, shapes_of, size_of
from sora_eval.speed.timed_generator import TimedGenerator
from sora_eval.suite import Serve, Suite
from sora_eval.util.errors import GeneratorError, SuiteError

SHARES = (0.5, 0.7, 0.9)  # of the measured service rate: waiting grows as 1 / (1 - share)
Judge = Callable[[Case, Path, float], dict[str, float | None]]  # scores of a clip's frames in a file, and its rate


def mix_of(suite: Suite, generator: TimedGenerator) -> list[Case]:
    """The cases that are asked for, equally often: those of the suite, or without [axes] its sweep's prompt at the shapes of
    `mixed`, or of the sweep.

    Raises SuiteError for a suite without either, and for what the generator cannot make of it.
    """
    capabilities, spec = generator.facts.capabilities, generator.facts.spec
    if suite.axes is not None:
        check_suite(suite, capabilities, spec)
        return suite.cases
    sweep = suite.throughput
    if sweep is None:
        raise SuiteError(f"{suite.path} has neither [axes] nor [throughput]: there is nothing to ask for; see docs/suites.md")
    shapes = sweep.mixed or shapes_of(sweep, capabilities)[0]
    if problems := list(shape_problems([size_of(s) for s in shapes], capabilities)):
        raise SuiteError(f"{suite.path}: [throughput] asks {spec} for what it cannot make: {'; '.join(problems)}")
    prompt = prompt_of(suite)
    return [Case(prompt, *size_of(shape), sweep.fps) for shape in dict.fromkeys(shapes)]


def service_seconds(suite: Suite, generator: TimedGenerator, mix: Sequence[Case]) -> float:
    """Mean seconds of a request of the mix that waits for no other; each shape is asked for twice, since the first call of one
    may compile or allocate. Raises GeneratorError where no shape is answered."""
    counts = Counter(case.shape for case in mix)
    seconds, weights, reason = [], [], ""
    for shape, count in counts.items():
        request = request_of(next(case for case in mix if case.shape == shape), suite)
        generator.call([request], AS_A_BATCH)
        call = generator.call([request], AS_A_BATCH)
        if call.seconds is None:
            reason = reason or call.reason
            continue
        seconds.append(call.seconds)
        weights.append(count)
    if not seconds:
        raise GeneratorError(f"{generator.facts.spec} answers no request, even without load: {reason}")
    return float(np.average(seconds, weights=weights))


def rates_for(generators: Sequence[TimedGenerator], seconds: Sequence[float]) -> list[float]:
    """Rates that all generators can serve, requests per second: SHARES of the slowest one's service rate, to two digits, so
    that sessions share their names where they can.

    Raises GeneratorError for a service time of 0.
    """
    if min(seconds) <= 0:
        raise GeneratorError("the service time is too short to be measured; give --rate")
    slowest = min(g.facts.at_once / s for g, s in zip(generators, seconds, strict=True))
    return list(dict.fromkeys(_two_digits(share * slowest) for share in SHARES))


def _two_digits(value: float) -> float:
    """
    >>> _two_digits(0.12345), _two_digits(1234.0)
    (0.12, 1200.0)
    """
    return round(value, 1 - floor(log10(value)))


@dataclass(frozen=True)
class Offer:
    """One repeat at one rate: the load, and the case of each of its requests. Every generator is offered the same."""

    rate: float
    repeat: int
    load: Load
    cases: tuple[Case, ...]


def offers(suite: Suite, mix: Sequence[Case], rate: float, place: int, seconds: float) -> Iterator[Offer]:
    """The repeats of the rate at `place` among the suite's.

    Cases come in random order, equally often, and each request has a seed of its own: a service that keeps its answers would
    otherwise be asked for what it has. `seconds` is the service time, which the warm-up depends on.
    """
    asked = suite.serve or Serve()
    before = warm_up(rate, seconds)
    number = before + asked.requests
    for repeat in range(asked.repeats):
        rng = np.random.default_rng([asked.seed, place, repeat])
        rounds = -(-number // len(mix))
        order = np.concatenate([rng.permutation(len(mix)) for _ in range(rounds)])[:number]
        cases = tuple(mix[i] for i in order)
        first = (place * asked.repeats + repeat) * number
        requests = tuple(request_of(case, suite, first + i) for i, case in enumerate(cases))
        yield Offer(rate, repeat, Load(scheduled(rate, asked.requests, before, rng), requests), cases)


def serve_rate(
    generators: Sequence[TimedGenerator], repeats: Iterator[Offer], asked: Serve, folder: Path | None, judge: Judge | None
) -> list[list[TimingRow]]:
    """The rows of each generator at one rate. Repeats alternate over the generators, A B A B, and clips are judged when no
    request is under way.

    A generator that answers none of the requests of a repeat, or whose process dies, has one failed row instead: it gets no
    further ones. `folder` is for clips that wait to be judged, and empty afterwards.
    """
    out: list[list[TimingRow]] = [[] for _ in generators]
    failed: dict[int, TimingRow] = {}
    for offer in repeats:
        if len(failed) == len(generators):
            break
        results = []
        for i, generator in enumerate(generators):
            if i in failed:
                continue
            place = None if folder is None else folder / str(i)
            if place is not None:
                place.mkdir(exist_ok=True)
            try:
                results.append((i, place, generator.serve(offer.load, place)))
            except GeneratorError as error:
                failed[i] = failed_row(offer, str(error))
        for i, place, outcomes in results:
            if all(outcome.reason for outcome in outcomes):
                failed[i] = failed_row(offer, f"all {len(outcomes)} requests failed, the first: {outcomes[0].reason}")
                continue
            out[i] += rows_of(offer, outcomes, asked, place, judge)
    return [[failed[i]] if i in failed else rows for i, rows in enumerate(out)]


def failed_row(offer: Offer, reason: str) -> TimingRow:
    """The one row of a rate that a generator did not serve."""
    return TimingRow(id=point_of(offer.rate), scenario=SERVE, stage="failed", repeat=0, seconds=None, reason=reason)


def rows_of(
    offer: Offer, outcomes: Sequence[Outcome], asked: Serve, folder: Path | None, judge: Judge | None
) -> list[TimingRow]:
    """One row per request. Clips that came on time are judged from `folder/PLACE.npy`; all files are deleted."""
    rows = []
    for place, (case, arrival, outcome) in enumerate(zip(offer.cases, offer.load.arrivals, outcomes, strict=True)):
        latency = None if outcome.reason else outcome.ended - arrival
        on_time = None if asked.objective is None else latency is not None and latency <= asked.objective
        scores: dict[str, float | None] = {}
        file = None if folder is None else folder / f"{place}.npy"
        if file is not None and judge is not None and on_time and outcome.fps is not None:
            scores = judge(case, file, outcome.fps)
        if file is not None:
            file.unlink(missing_ok=True)
        good = on_time and all(limit.holds(scores.get(limit.metric)) for limit in asked.limits)
        rows.append(
            TimingRow(
                id=point_of(offer.rate),
                scenario=SERVE,
                frames=case.num_frames,
                stage=WHOLE if arrival >= 0 else "warmup",
                repeat=offer.repeat,
                round=offer.repeat,
                seconds=latency,
                reason=outcome.reason,
                served=Served(
                    rate=offer.rate,
                    arrival=arrival,
                    queue=None if outcome.begun is None else max(outcome.begun - arrival, 0.0),
                    on_time=on_time,
                    good=good,
                    scores=scores,
                ),
            )
        )
    return rows
