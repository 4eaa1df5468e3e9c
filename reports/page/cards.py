"""The cases of the page with their scores, and the cards of its gallery."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sora_eval.records.clusters import clusters_of
from sora_eval.runs.rows import MetricRow, SampleRow, ScoreRow
from sora_eval_reports.page import gallery, videos
from sora_eval_reports.page.rows import directions
from sora_eval_reports.source import LoadedRun, Source, paired_scores, share_of, with_shares

MOST_RUNS = 4  # side by side in the gallery
TRACKED = "physics_laws"  # its laws are of tracked objects, so their broken frames can be drawn on the tracks


def better_of(source: Source) -> dict[str, bool | None]:
    """Whether higher is better, of all that orders the gallery; a large share in a distance is a bad clip."""
    return directions(source) | dict.fromkeys(map(share_of, source.frames.attribution["metric"].unique()), False)


def _short(values: pd.Series[float]) -> list[float | None]:
    return [None if pd.isna(v) else float(f"{v:.5g}") for v in values]


def last_compared(source: Source) -> str | None:
    """The name of the last run that is compared with the first; None without one."""
    return source.compared[-1][0].name if source.compared else None


def cases_of(source: Source) -> dict[str, Any]:
    """Scores by case, in columns: the base (where there is one) and the last run."""
    if not source.runs:
        return {"ids": [], "metrics": {}}
    base, new = source.runs[0].name, last_compared(source)
    data = with_shares(source.frames)
    facts = data.samples.drop_duplicates("id").set_index("id")
    scores = data.scores.rename(columns={"value": "new"}) if new is None else paired_scores(data, base, new)
    columns = [c for c in ("base", "new") if c in scores]
    wide = {c: scores.pivot_table(index="id", columns="metric", values=c, sort=False, dropna=False) for c in columns}
    ids = [i for i in facts.index if i in wide["new"].index]
    cases = facts.loc[ids]
    clusters = clusters_of(zip(cases.index, cases["prompt_id"], cases["prompt"], strict=True))
    texts = dict(zip(reversed(clusters.values()), reversed(cases["prompt"].tolist()), strict=True))  # the first of each
    prompts = list(dict.fromkeys(clusters.values()))
    places = {p: i for i, p in enumerate(prompts)}
    metrics = list(dict.fromkeys(scores["metric"]))
    return {
        "ids": ids,
        "prompt": [places[p] for p in clusters.values()],
        "prompts": [texts[p] for p in prompts],
        "shape": cases["shape"].tolist(),
        "length": cases["frames"].astype(str).tolist(),
        "tags": [list(t or ()) for t in cases["tags"]],
        "metrics": {
            m: {c: _short(wide[c][m].reindex(ids)) if m in wide[c] else [None] * len(ids) for c in columns} for m in metrics
        },
        "labels": [source.labels[n] for n in (base, new or base)],
    }


def cards_of(source: Source, cases: dict[str, Any], count: int, beside: Path | None) -> list[dict[str, Any]]:
    """The gallery's cards: the template's variables of a case, and under `data` those of its players."""
    base, new = source.runs[0].name, last_compared(source)
    data = with_shares(source.frames)
    pairs = paired_scores(data, base, new) if new else data.scores.rename(columns={"value": "new"})
    choice = gallery.choose(pairs, better_of(source), count)
    places = np.unique(np.linspace(0, len(source.runs) - 1, min(MOST_RUNS, len(source.runs))).round().astype(int))
    runs = [source.runs[i] for i in places]
    samples = [{r.id: r for r in run.rows(SampleRow)} for run in runs]
    laws = [_broken_frames(run) for run in runs]
    index = {case: i for i, case in enumerate(cases["ids"])}
    cards = []
    for case, why in choice.items():
        place = index[case]
        asked = next((rows[case].prompt for rows in samples if case in rows), "")
        clips = [rows.get(case) for rows in samples]
        sprites = [
            gallery.sprite(run, clip, bool(law.get(case)), asked) for run, clip, law in zip(runs, clips, laws, strict=True)
        ]
        whole = [
            videos.write(run, clip, beside) if beside and clip and not isinstance(s, str) and videos.reduced(clip) else ""
            for run, clip, s in zip(runs, clips, sprites, strict=True)
        ]
        cards.append(
            {
                "id": case,
                "prompt": cases["prompts"][cases["prompt"][place]] or case,
                "why": why,
                "tags": cases["tags"][place],
                "scores": [
                    (m, v.get("base", [None] * (place + 1))[place], v["new"][place])
                    for m, v in cases["metrics"].items()
                    if v["new"][place] is not None or v.get("base", [None] * (place + 1))[place] is not None
                ],
                "data": {
                    "case": place,
                    "players": [
                        {
                            "label": source.labels[run.name],
                            "sprite": None if isinstance(s, str) else asdict(s),
                            "error": source.plain(s) if isinstance(s, str) else "",
                            "broken": law.get(case, {}),
                            **({"video": video} if video else {}),
                        }
                        for run, s, law, video in zip(runs, sprites, laws, whole, strict=True)
                    ],
                },
            }
        )
    return cards


def _broken_frames(run: LoadedRun) -> dict[str, dict[str, list[int]]]:
    """Case to law to the frames that break it, of the cases whose objects are tracked."""
    out: dict[str, dict[str, list[int]]] = {}
    tracked = {r.metric for r in run.rows(MetricRow) if r.declared == TRACKED}
    for r in run.rows(ScoreRow):
        if r.metric in tracked and "broken_frames" in r.detail:
            out.setdefault(r.id, {})[r.metric.partition(".")[2]] = r.detail["broken_frames"]
    return out
