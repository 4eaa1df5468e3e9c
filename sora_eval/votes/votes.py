"""Votes as the page saves them: one JSON line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sora_eval.util.errors import VoteError, line_of
from sora_eval.util.files import read_bounded
from sora_eval.util.sealed import parse_json

MOST_BYTES = 1 << 28  # of a file of votes


class Vote(BaseModel):
    """One vote on one pair. It names clips, by the hash of their frames, and no run: the file is as blind as the page."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)
    version: Literal[1]
    """Of this schema."""
    ballot: str = Field(pattern="^[0-9a-f]{12}$")
    """Which two runs: a hash of their clips."""
    case: str
    """Id of the case."""
    left: str
    """sha256 of the frames on the left."""
    right: str
    """sha256 of the frames on the right."""
    choice: Literal["left", "right", "tie"]
    """The better clip."""
    voter: str = Field(min_length=1, max_length=200)
    """Who voted, as they called themselves."""
    seconds: float = Field(ge=0)
    """From the first view of the pair to the vote."""
    at: str
    """Time of the vote, ISO 8601, UTC."""


def read_votes(files: Sequence[Path]) -> list[Vote]:
    """The votes of files, of one voter on one pair the last only. Raises VoteError for a file that cannot be read or a line
    that is no vote."""
    votes: dict[tuple[str, str, str], Vote] = {}
    for file in files:
        try:
            lines = read_bounded(file, MOST_BYTES).split("\n")
        except (OSError, ValueError) as error:
            raise VoteError(f"{file} cannot be read: {line_of(error)}; expected JSON lines that the page saved") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                parse_json(line, strict=True)
                vote = Vote.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise VoteError(f"{file}:{number} is no vote: {place}: {first['msg']}; save the votes anew") from error
            except ValueError as error:
                raise VoteError(f"{file}:{number} is no vote: {line_of(error)}; expected a JSON object") from error
            key = (vote.voter, vote.ballot, vote.case)
            if key not in votes or votes[key].at <= vote.at:
                votes[key] = vote
    if not votes:
        raise VoteError(f"{', '.join(map(str, files))}: no vote; save some from the page of 'sora-eval vote'")
    return list(votes.values())
