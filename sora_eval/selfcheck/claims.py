"""What every metric claims to see, and what it is known not to see. The selfcheck holds the metrics to this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# worse, better, up, down, blind: what happens at full strength. "blind to little": nothing is noticed at the least one.
Expectation = Literal["worse", "better", "up", "down", "blind", "blind to little"]


@dataclass(frozen=True)
class Claim:
    """One expectation and its reason. Those that name a blind spot are held on the world only, whose clips are known."""

    expects: Expectation
    why: str

    @property
    def blind_spot(self) -> bool:
        return self.expects in ("better", "blind", "blind to little")


CLAIMS: dict[tuple[str, str], Claim] = {}
SET_CORRUPTIONS = (
    "blur",
    "noise",
    "local_warp",
    "freeze",
    "frame_shuffle",
    "reversal",
    "object_vanish",
    "caption_swap",
    "mode_collapse",
)
