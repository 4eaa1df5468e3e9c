"""Clips whose file names are ids: `NAME.mp4`, or `NAME_seed3.mp4` and `seed_3/NAME.mp4` for several seeds of one prompt."""

from __future__ import annotations

from sora_eval.formats.layout import Captioned, Layout, Reading
from sora_eval.formats.tree import Tree


def read(tree: Tree, asked: bool) -> Reading:
    """Every clip, without a prompt."""
    return Reading([Captioned.of(entry) for entry in tree.clips])


PLAIN = Layout("plain", "NAME.mp4 or NAME_seed3.mp4", read)
