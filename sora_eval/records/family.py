"""The families that metrics belong to."""

from __future__ import annotations

from typing import Literal

Family = Literal["distribution", "text", "temporal", "physics"]
