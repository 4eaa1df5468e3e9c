"""VBench's names: `PROMPT-INDEX.mp4`, in one folder or in one per dimension."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.tree import Tree
from sora_eval.records.names import safe_id

_NAME = re.compile(r"(.*\S)-(0|[1-9][0-9]{0,14})", re.DOTALL)


def names_of(stems: Iterable[str], *, asked: bool = False) -> dict[str, tuple[str, int]]:
    """Prompt and seed of the stems `PROMPT-SEED`; empty unless a prompt of them has several words, or VBench is asked for.

    >>> names_of(["a red ball-0", "alley-4"]), names_of(["take-1", "take-2"])
    ({'a red ball-0': ('a red ball', 0), 'alley-4': ('alley', 4)}, {})
    """
    matches = {stem: match for stem in stems if (match := _NAME.fullmatch(stem))}
    if not asked and not any(len(match[1].split()) > 1 for match in matches.values()):
        return {}
    return {stem: (match[1], int(match[2])) for stem, match in matches.items()}


def read(tree: Tree, asked: bool) -> Reading | None:
    """Prompt and seed by name; a clip of another name has no prompt."""
    names = names_of((entry.stem for entry in tree.clips), asked=asked)
    if not names:
        return None
    clips = []
    for entry in tree.clips:
        if entry.stem in names:
            prompt, seed = names[entry.stem]
            clips.append(Captioned(entry.path, entry.key, prompt, seed, safe_id(prompt)))
        else:
            clips.append(Captioned.of(entry))
    return Reading(clips)


VBENCH = Layout("vbench", "PROMPT-INDEX.mp4, in one folder or one per dimension", read)
