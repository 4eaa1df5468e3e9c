"""The families of the metrics of this project."""

from __future__ import annotations

from typing import Literal

Family = Literal["distribution", "text", "temporal", "physics", "picture"]
