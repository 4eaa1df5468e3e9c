"""From differences to verdicts. Pure.

REGRESSED needs limit, least change and test. PASS is a test of non-inferiority: the one-sided bound of the harmful change lies
inside the limit. A whole gate passes where every row does, an intersection-union test that needs no further correction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scipy import stats

from sora_eval.compare.cases import Unpaired
from sora_eval.compare.difference import difference
from sora_eval.compare.fidelity import drift_of
from sora_eval.compare.record import Difference
from sora_eval.compare.run_data import RunData, data_of, restricted
from sora_eval.gate.asked import Asked, asked
from sora_eval.gate.duplicates import duplicates_row
from sora_eval.gate.sessions import across_sessions
from sora_eval.gate.tradeoff import tradeoff_row
from sora_eval.records.speed_metrics import is_speed
from sora_eval.records.verdict import GateResult, GateRow, Verdict
from sora_eval.runs.folder import RunFolder
from sora_eval.stats.cluster_means import least_swap_p
from sora_eval.stats.power import ALPHA, detectable, holm, permutations_for, units_needed
from sora_eval.suite import Gate, Tradeoff
from sora_eval.util.errors import SuiteError

SWAP_PERMUTATIONS = 9999  # of per-clip metrics, where they are cheap
SIGNIFICANT_LOSS = 0.01  # of second tests of the same cases, which every row may have


def gate(
    run: RunFolder | RunData,
    baseline: RunFolder | RunData | None,
    gates: Mapping[str, Gate],
    *,
    strict: bool = False,
    profile: str | None = None,
    alpha: float | None = None,
    tradeoff: Tradeoff | None = None,
) -> GateResult:
    """Judge a run against a baseline by the gates of its suite; clips that are equal bit by bit have a row of their own.

    `strict` refuses set metrics whose clips are unlike those of the reference set. `alpha` is the chance of a false REGRESSED
    in the whole gate, and of a PASS at a true change of a limit in any row. A run of `--until-decided` is compared on its own
    prompts, at the level of its last look. Raises SuiteError for no gates, since an empty gate would be green, and RunError
    for a damaged run folder.
    """
    new, base = data_of(run), None if baseline is None else data_of(baseline)
    if not gates:
        raise SuiteError(f"suite {new.head.suite.id!r} has no [gates.*]: there is nothing to judge; add one or more")
    sized = new.head.sequential
    level = alpha if alpha is not None else sized.alpha if sized else ALPHA
    if sized and base is not None:
        base = restricted(base, set(sized.prompts))
    tests = [t for metric, spec in gates.items() for t in asked(metric, spec, base, new)]
    judged = _differences(tests, base, new, profile, level)
    if strict:  # what says nothing of the generator cannot be decided by it
        judged = [_refused(d) if d.status is None and d.unlike_reference else d for d in judged]
    p = [_p_of(t, d, permutations_for(len(tests), level)) for t, d in zip(tests, judged, strict=True)]
    tested = [i for i, value in enumerate(p) if value is not None]
    adjusted = dict(zip(tested, holm([p[i] or 0.0 for i in tested]), strict=True))
    rows = [
        _row(test, d, p[i], adjusted.get(i), max(len(tested), 1), level)
        for i, (test, d) in enumerate(zip(tests, judged, strict=True))
    ]
    if (twins := duplicates_row(new, base)) is not None and not new.incomplete():
        rows.append(twins)
    if tradeoff is not None:
        rows.append(tradeoff_row(rows, tradeoff))
    return GateResult(
        tuple(rows),
        strict,
        profile,
        _about(new),
        _about(base),
        new.incomplete(),
        level,
        sized.words() if sized else "",
        drift=drift_of(new, base),
    )


def _differences(tests: list[Asked], base: RunData | None, new: RunData, profile: str | None, alpha: float) -> list[Difference]:
    """The difference behind every test, each computed once."""
    differences: dict[tuple[str, str], Difference] = {}
    for test in tests:
        key = (test.metric, test.slice)
        if key in differences:
            continue
        if why := new.incomplete():
            differences[key] = Difference(*key, status=Verdict.ERROR, reason=why)
        elif base is None:
            differences[key] = Difference(*key, status=Verdict.NO_BASELINE, reason="no baseline was given")
        elif why := base.incomplete():
            differences[key] = Difference(*key, status=Verdict.NOT_COMPARABLE, reason=f"baseline: {why}")
        elif test.slice != "all" and not is_speed(test.metric) and not base.cases(test.slice) | new.cases(test.slice):
            known = ", ".join(part.label for part in new.slices)
            differences[key] = Difference(*key, status=Verdict.MISSING, reason=f"no case is in this slice; slices: {known}")
        elif test.spec.profile is not None and test.spec.profile != profile:
            reason = f"profile: this gate is of {test.spec.profile!r}, --profile is {profile!r}"
            differences[key] = Difference(*key, status=Verdict.NOT_COMPARABLE, reason=reason)
        else:
            differences[key] = difference(
                base,
                new,
                *key,
                permutations=max(SWAP_PERMUTATIONS, permutations_for(len(tests), alpha)),
                set_permutations=permutations_for(len(tests), alpha),
                profile=test.spec.profile,
                alpha=alpha,
            )
            differences[key] = across_sessions(differences[key], base, new, test.spec.sessions, alpha)
    return [differences[(t.metric, t.slice)] for t in tests]


def _refused(d: Difference) -> Difference:
    return replace(d, status=Verdict.NOT_COMPARABLE, reason=f"{d.unlike_reference}; give a reference set of such clips")


def within(value: float | None, bound: float, scale: float) -> bool:
    """Whether `value` is at most `bound`: equality passes, rounding of numbers as large as `scale` too, NaN and None do not.

    >>> within(0.1 + 0.2, 0.3, scale=1.0), within(0.31, 0.3, scale=1.0), within(None, 0.3, scale=1.0)
    (True, False, False)
    """
    return value is not None and value <= bound + 1e-12 * abs(scale)


def allowed_change(limit_percent: float | None, min_change: float, base: float) -> float:
    """The largest change in one direction that is no regression, in the metric's unit: max(limit, `min_change`), at least 0.

    A percentage of a baseline of 0 or less has no meaning: there `min_change` alone holds. No limit allows every change.

    >>> allowed_change(5.0, 0.1, base=10.0), allowed_change(5.0, 0.1, base=-10.0), allowed_change(None, 0.1, base=10.0)
    (0.5, 0.1, inf)
    """
    if limit_percent is None:
        return math.inf
    return max(limit_percent / 100 * base if base > 0 else 0.0, min_change)


def _past(spec: Gate, base: float, change: float) -> bool:
    """Whether a change goes past the limit and `min_change` in a direction that the gate forbids; true for a NaN."""
    up, down = (allowed_change(limit, spec.min_change, base) for limit in (spec.max_increase, spec.max_decrease))
    scale = max(abs(base), abs(base + change))
    return not (within(change, up, scale) and within(-change, down, scale))


def _p_of(test: Asked, d: Difference, permutations: int) -> float | None:
    """The p of a test: of no change, or of a value inside the window; None where there is none."""
    if d.status is not None:
        return None
    if not test.window:
        return d.p
    outside = _outside(test, d)
    if outside is None or d.new_error is None or d.units < 2:
        return None
    if outside <= 0:
        return 1.0
    p = float(stats.t.sf(outside / d.new_error, d.units - 1)) if d.new_error > 0 else 0.0
    return max(p, least_swap_p(d.units, max(SWAP_PERMUTATIONS, permutations)))


def _outside(test: Asked, d: Difference) -> float | None:
    """How far the new value lies outside the window; 0 or less inside."""
    if d.new is None or test.spec.window is None:
        return None
    low, high = test.spec.window
    return max(low - d.new, d.new - high)


def _row(test: Asked, d: Difference, p: float | None, adjusted: float | None, tests: int, alpha: float) -> GateRow:
    row = GateRow(
        metric=test.metric,
        slice=test.slice,
        verdict=d.status or Verdict.INCONCLUSIVE,
        reason=d.reason,
        limit=test.limit,
        window=test.window,
        min_change=test.spec.min_change,
        base=d.base,
        new=d.new,
        change=d.change,
        change_percent=d.change_percent,
        low=d.interval.low,
        high=d.interval.high,
        bound_low=d.bounds.low,
        bound_high=d.bounds.high,
        p=p,
        p_adjusted=adjusted,
        n=d.n,
        unit=d.unit,
        higher_is_better=d.higher_is_better,
        method=d.interval.method,
        seeds=d.seeds,
    )
    if d.status is not None or d.base is None or d.new is None or d.change is None:
        return row
    supported = adjusted is not None and adjusted <= alpha
    if test.window:
        return _with_losses(_by_window(row, test, d, supported, alpha), d)
    return _with_losses(_by_limits(row, test.spec, d, supported, tests, alpha), d)


def _by_limits(row: GateRow, spec: Gate, d: Difference, supported: bool, tests: int, alpha: float) -> GateRow:
    assert d.base is not None and d.new is not None and d.change is not None  # noqa: PT018
    base, new, change = d.base, d.new, d.change
    up, down = (allowed_change(limit, spec.min_change, base) for limit in (spec.max_increase, spec.max_decrease))
    scale = max(abs(base), abs(new))
    low, high = d.bounds.low, d.bounds.high
    past, strictest = _past(spec, base, change), alpha / tests
    holm_text = f"p = {row.p_adjusted:.2g} after Holm over {tests} tests" if row.p_adjusted is not None else "no test"
    if past and supported:
        return replace(row, verdict=Verdict.REGRESSED, reason=f"past the limit of {_limit(row, base)}; {holm_text}")
    if supported and _past(spec, new, -change):
        back = f"going back would be past the limit; {holm_text}; consider promoting this run"
        return replace(row, verdict=Verdict.IMPROVED, reason=back)
    upward = (change >= 0 and math.isfinite(up)) or not math.isfinite(down)
    nearest, toward = (up, change) if upward else (down, -change)
    smallest = None if d.error is None or d.least_p > strictest else detectable(d.error, nearest, strictest)
    row = replace(row, detectable=smallest)
    if low is not None and high is not None and within(high, up, scale) and within(-low, down, scale):
        return replace(
            row, verdict=Verdict.PASS, reason=f"{_bounds(d, up, down, alpha)} inside the limit of {_limit(row, base)}"
        )
    needed = None if d.error is None else units_needed(d.units, d.error, toward, nearest, strictest, alpha)
    reason = _why_open(d, past, holm_text, strictest, tests)
    return replace(row, prompts_needed=needed, reason=f"{reason}{_remedy(d, smallest, needed, base)}")


def _bounds(d: Difference, up: float, down: float, alpha: float) -> str:
    """The bounds that a PASS rests on."""
    ends = [end for end, limit in ((d.bounds.low, down), (d.bounds.high, up)) if end is not None and math.isfinite(limit)]
    values = " and ".join(f"{end:.3g}{f' {d.unit}' if d.unit not in ('', '1') else ''}" for end in ends)
    confidence, both = f"{100 * (1 - alpha):.3g} %", len(ends) > 1
    return f"the {confidence} bound{'s' * both} of the change, {values}, {'are' if both else 'is'}"


def _limit(row: GateRow, base: float) -> str:
    words = [row.limit if base > 0 else "0 (a percentage of a baseline of 0 or less means nothing)"]
    return " and ".join(words + [f"the least change of {row.min_change:g}"] * (row.min_change > 0))


def _why_open(d: Difference, past: bool, holm_text: str, strictest: float, tests: int) -> str:
    if d.units < 2:
        return f"{d.units} {d.counted.removesuffix('s')} is no evidence: at least 2 are needed"
    if past and d.least_p > strictest:
        return (
            f"past the limit, but {d.units} {d.counted} give no p below {d.least_p:.2g}, and Holm over {tests} tests "
            f"asks for {strictest:.2g}"
        )
    if past:
        return f"past the limit, but {holm_text}"
    if d.bounds.low is None:
        return f"no bound: {d.bounds.method.removeprefix('none: ')}"
    return "the bound of the change crosses the limit"


def _remedy(d: Difference, smallest: float | None, needed: int | None, base: float) -> str:
    """The change that the gate can detect, and the number of units that settles it."""
    parts = []
    if smallest is not None and math.isfinite(smallest):
        share = f" ({100 * smallest / base:.2g} %)" if base > 0 else ""
        parts.append(f"{d.units} {d.counted} see a change of {smallest:.3g}{share} with 80 % power")
    if needed is not None:
        parts.append(f"about {needed} {d.counted} would settle it")
    elif d.error is not None:
        parts.append("the change lies at the limit, where no number settles it")
    return "".join(f"; {p}" for p in parts)


def _by_window(row: GateRow, test: Asked, d: Difference, supported: bool, alpha: float) -> GateRow:
    outside, window = _outside(test, d), test.spec.window
    assert outside is not None and window is not None and d.new is not None  # noqa: PT018
    if d.new_error is None or d.units < 2:
        return replace(row, low=None, high=None, reason="the new value has no interval: fewer than 2 prompts")
    reach = float(stats.t.ppf(1 - alpha / 2, d.units - 1)) * d.new_error
    low, high = d.new - reach, d.new + reach
    row = replace(row, low=low, high=high, method=f"Student's t of the new value, {d.units} {d.counted}")
    if outside > 0 and supported:
        return replace(row, verdict=Verdict.REGRESSED, reason=f"the new value is outside the window; p = {row.p_adjusted:.2g}")
    if within(high, window[1], high) and within(-low, -window[0], low):
        return replace(row, verdict=Verdict.PASS, reason="the interval of the new value is inside the window")
    return replace(row, reason="the interval of the new value crosses an end of the window")


def _with_losses(row: GateRow, d: Difference) -> GateRow:
    """Cases that failed, went missing or lost their score, or failed in the baseline already, never leave a row green; a note
    says of what a set was compared."""
    unpaired, words = d.unpaired, d.unpaired.words()
    row = replace(row, reason="; ".join(filter(None, [row.reason, d.unlike_reference])))
    reason = "; ".join(filter(None, [row.reason, words]))
    if row.verdict is Verdict.REGRESSED:
        return replace(row, reason=reason)
    if unpaired.failed:
        return replace(row, verdict=Verdict.ERROR, reason=f"{words}; without them: {row.reason}")
    if unpaired.missing:
        return replace(row, verdict=Verdict.MISSING, reason=f"{words}; without them: {row.reason}")
    if row.verdict.green and (doubt := _doubt(unpaired)):
        return replace(row, verdict=Verdict.INCONCLUSIVE, reason=f"{words}: {doubt}")
    return replace(row, reason=reason)


def _doubt(unpaired: Unpaired) -> str:
    """Why the cases that both runs scored do not speak for the others, or ''."""
    if unpaired.p <= SIGNIFICANT_LOSS:
        return f"more scores were lost than chance explains (p = {unpaired.p:.2g}), which the mean hides"
    if unpaired.p_traded <= SIGNIFICANT_LOSS:
        why = f"the scores that appeared are better than those that were lost (p = {unpaired.p_traded:.2g})"
        return f"{why}: hard cases may have been traded for easy ones"
    if unpaired.p_mended <= SIGNIFICANT_LOSS:
        why = f"more cases failed in the baseline than chance explains (p = {unpaired.p_mended:.2g})"
        return f"{why}, and the others do not speak for them; promote a run without failures"
    return ""


def _about(data: RunData | None) -> dict[str, Any]:
    """The entry of a run or baseline in verdicts.json."""
    if data is None:
        return {}
    head = data.head.model_dump(mode="json", include={"suite", "generator", "git", "hardware", "finished"})
    return {
        "kind": data.kind,
        "path": data.path,
        "run": data.run_id,
        "runs": list(data.runs),
        "label": data.label,
        **head,
        "profile": data.profile,
    }
