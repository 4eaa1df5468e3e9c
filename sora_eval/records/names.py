"""Names that are safe as parts of file names: ids of suites and prompts, profiles, outputs of metrics."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator

MOST = 200  # characters: a clip's file name adds shape and seed, and 255 bytes is the limit of file systems
RULE = f"1 to {MOST} letters, digits, '.', '_' and '-', not starting with '.'"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def check_name(text: str) -> str:
    """The text, if it is a name. Raises ValueError with the rule.

    >>> check_name("quick-2")
    'quick-2'
    >>> check_name("../escaped")
    Traceback (most recent call last):
    ValueError: expected 1 to 200 letters, digits, '.', '_' and '-', not starting with '.'
    """
    if len(text) > MOST or not _NAME.fullmatch(text):
        raise ValueError(f"expected {RULE}")
    return text


def safe_name(text: str) -> str:
    """A name for any text: other characters become '_', and a hash takes the place of the end of a long one.

    >>> safe_name("a cat, 1"), safe_name(".."), safe_name("")
    ('a_cat__1', '_.', '_')
    """
    name = re.sub(r"^\.|[^A-Za-z0-9._-]", "_", text) or "_"
    if len(name) <= MOST:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
    return f"{name[: MOST - len(digest) - 1]}-{digest}"


Name = Annotated[str, AfterValidator(check_name)]
