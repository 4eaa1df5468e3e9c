"""Names of suites, profiles and outputs of metrics, which are parts of file names, and ids of prompts, which name files too."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

MOST = 200  # bytes in UTF-8: a clip's file name adds shape and seed, and 255 bytes is the limit of file systems
RULE = f"1 to {MOST} letters, digits, '.', '_' and '-', not starting with '.'"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def check_name(text: str) -> str:
    """The text, if it is a name, in ASCII. Raises ValueError with the rule.

    >>> check_name("quick-2")
    'quick-2'
    >>> check_name("../escaped")
    Traceback (most recent call last):
    ValueError: expected 1 to 200 letters, digits, '.', '_' and '-', not starting with '.'
    """
    if len(text) > MOST or not _NAME.fullmatch(text):
        raise ValueError(f"expected {RULE}")
    return text


def check_id(text: str) -> str:
    """The text, if it is the id of a prompt: as a name, with letters, marks and digits of any script. Raises ValueError.

    >>> check_id("मैं-2")
    'मैं-2'
    """
    if not text or text.startswith(".") or not all(map(_is_safe, text)):
        raise ValueError(f"expected {RULE}")
    if (size := len(text.encode())) > MOST:
        raise ValueError(f"expected {RULE}; found {size} bytes in UTF-8")
    return text


def safe_id(text: str) -> str:
    """An id for any text. Other characters become '_', and where the id is not the text, a digest of the text is its end, so
    that different texts have different ids.

    >>> safe_id("cat-1"), safe_id("кот"), safe_id("a cat, 1"), safe_id("..")
    ('cat-1', 'кот', 'a_cat__1-f4a0ae3a850f', '_.-5ec1f7e700f3')
    """
    name = re.sub(r"^\.", "_", "".join(c if _is_safe(c) else "_" for c in text)) or "_"
    if name == text and len(name.encode()) <= MOST:
        return name
    end = f"-{_digest(text)}"
    return name.encode()[: MOST - len(end)].decode(errors="ignore") + end


def file_name(case_id: str) -> str:
    """The name of a case's file, without suffix, in ASCII: some systems write no other, and some take two forms of a letter for
    one. Different ids have different names.

    >>> file_name("p1/40x24x17/0"), file_name("кот/40x24x17/0")
    ('p1_40x24x17_0', '____40x24x17_0-fde8d32f9ec4')
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", case_id)
    return name if case_id.isascii() else f"{name[:MOST]}-{_digest(case_id)}"


def _is_safe(character: str) -> bool:
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


Name = Annotated[str, AfterValidator(check_name)]
Id = Annotated[str, AfterValidator(check_id)]
