"""Sessions of one checkpoint on one machine among many runs, and the noise between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import TimingRow
from sora_eval.speed.summary import repeats_of
from sora_eval.stats.sessions import LEAST_SESSIONS, SessionNoise, session_noise


def noise_between(runs: Iterable[tuple[RunHead, Sequence[TimingRow]]], metric: str) -> SessionNoise | None:
    """Noise of a speed metric over the sessions of the checkpoint and machine that have most of them; None without two.

    Runs that one job of `sora-eval bench` timed in turns are one session; a point counts that every one of the sessions timed.
    """
    groups: dict[tuple[str, str, str], dict[str, dict[str, list[float]]]] = {}
    for i, (head, timings) in enumerate(runs):
        bench = head.bench or {}
        key = (head.suite.fingerprint, head.generator.fingerprint, str(head.hardware))
        session = groups.setdefault(key, {}).setdefault(str(bench.get("session", i)), {})
        for point in dict.fromkeys(row.id for row in timings):
            repeats = repeats_of([row for row in timings if row.id == point], metric, bench.get("matrix_peak_flops"))
            session.setdefault(point, []).extend(repeats)
    timed = [[session for session in group.values() if any(session.values())] for group in groups.values()]
    sessions = max(timed, key=len, default=[])
    common = [point for point in (sessions[0] if sessions else ()) if all(session.get(point) for session in sessions)]
    return session_noise({point: [session[point] for session in sessions] for point in common})


def note_of(noise: SessionNoise) -> str:
    """The components in words, with what a gate of two sessions needs of them.

    >>> note_of(SessionNoise(2.0, 3.0, 3.21, 5, 20)).rpartition("; ")[2]
    'in the gate: sessions = { runs = 5, percent = 3.2 }'
    """
    if noise.sessions < LEAST_SESSIONS:
        return f"{noise.words()}; a gate of two sessions needs {LEAST_SESSIONS} or more"
    return f"{noise.words()}; in the gate: sessions = {{ runs = {noise.sessions}, percent = {noise.median:.2g} }}"
