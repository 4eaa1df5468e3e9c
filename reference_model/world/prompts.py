"""Prompt lists from the grammar, with their facts, for suites of the world."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_model.world import Facts, FactsError, caption, make_clip, sample_facts
from reference_model.world.unseen import sample_unseen

SMALLEST = ((32, 32), (24, 40), (40, 24))  # a listed prompt fits every one of these (height x width)


def sample_prompts(count: int, seed: int, fold: str = "train") -> list[dict[str, Any]]:
    """`count` prompts as rows (id, text, tags, facts), all different in a single frame.

    Retrieval cannot distinguish prompts that differ in motion only; those of the fold "unseen" may. Raises FactsError where the
    grammar has too few.
    """
    if fold == "unseen":
        return sample_unseen(count, seed)
    rng = np.random.default_rng([seed, 0x9807])
    rows: list[dict[str, Any]] = []
    seen: set[tuple[tuple[tuple[str, str], ...], str]] = set()
    for _ in range(100 * count):
        if len(rows) == count:
            return rows
        facts = sample_facts(rng, fold)
        looks = (tuple(sorted((o.colour, o.shape) for o in facts.objects)), facts.background)
        if facts.occluder or looks in seen or not _fits(facts, seed):
            continue
        seen.add(looks)
        tags = [
            f"objects:{len(facts.objects)}",
            "gravity" if facts.gravity else "floating",
            *sorted({f"motion:{o.motion}" for o in facts.objects}),
        ]
        rows.append(
            {"id": f"{fold[0]}{len(rows):03d}", "text": caption(facts, "medium"), "tags": tags, "facts": facts.to_json()}
        )
    raise FactsError(f"the grammar holds fewer than {count} prompts that differ in a single frame; ask for fewer")


def _fits(facts: Facts, seed: int) -> bool:
    try:
        for height, width in SMALLEST:
            make_clip(facts, height, width, 1, np.random.default_rng(seed))
    except FactsError:
        return False
    return True
