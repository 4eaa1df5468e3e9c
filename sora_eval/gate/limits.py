"""Whose limits a run is judged by: its own, unless they are wider than those that the baseline was promoted with. Pure.

A run brings the gates of its suite file. Were they taken as they are, a change could widen a limit, or delete a gate, and so
wave itself through: a wider limit holds when a baseline is promoted with it, or when it is asked for by name (`--suite`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sora_eval.suite import Gate


def agreed(own: Mapping[str, Gate], held: Mapping[str, Gate]) -> tuple[dict[str, Gate], dict[str, str]]:
    """The gates to judge a run by, and for each that is the baseline's and not its own, why.

    >>> own, held = {"fvd": Gate(max_increase=300.0)}, {"fvd": Gate(max_increase=10.0), "kvd": Gate(max_increase=5.0)}
    >>> gates, notes = agreed(own, held)
    >>> {m: g.max_increase for m, g in gates.items()}, notes["kvd"]
    ({'fvd': 10.0, 'kvd': 5.0}, "a gate of the baseline, which the run's suite lacks")
    """
    gates, notes = dict(own), {}
    for metric, gate in held.items():
        if metric not in own:
            notes[metric] = "a gate of the baseline, which the run's suite lacks"
        elif wider := _wider(own[metric], gate):
            notes[metric] = f"limits of the baseline: the run's suite has a wider {wider}"
        else:
            continue
        gates[metric] = gate
    return gates, notes


def _wider(own: Gate, held: Gate) -> str:
    """The first key in which a gate allows what the other does not, or ''."""
    for key in ("max_increase", "max_decrease"):
        mine, limit = getattr(own, key), getattr(held, key)
        if limit is not None and (mine is None or mine > limit):
            return key
    if own.min_change > held.min_change:
        return "min_change"
    if held.window is not None and (own.window is None or own.window[0] < held.window[0] or own.window[1] > held.window[1]):
        return "window"
    if held.tags is not None and (own.tags is None or own.tags.limit > held.tags.limit or own.tags.least > held.tags.least):
        return "tags"
    return next((key for key in ("slice", "profile", "sessions") if getattr(own, key) != getattr(held, key)), "")
