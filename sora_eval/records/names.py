"""Names that are safe as parts of file names: ids of suites and prompts, profiles, outputs of metrics."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

MOST = 200  # bytes in UTF-8: a clip's file name adds shape and seed, and 255 bytes is the limit of file systems
RULE = f"1 to {MOST} letters, digits, '.', '_' and '-', not starting with '.'"


def check_name(text: str) -> str:
    """The text, if it is a name: letters, marks and digits of any script, '.', '_' and '-'. Raises ValueError with the rule.

    >>> check_name("quick-2"), check_name("मैं")
    ('quick-2', 'मैं')
    >>> check_name("../escaped")
    Traceback (most recent call last):
    ValueError: expected 1 to 200 letters, digits, '.', '_' and '-', not starting with '.'
    """
    if not text or text.startswith(".") or not all(map(_is_safe, text)):
        raise ValueError(f"expected {RULE}")
    if len(text.encode()) > MOST:
        raise ValueError(f"expected {RULE}; found {len(text)} characters of {len(text.encode())} bytes in UTF-8")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("expected composed characters (Unicode's NFC): file systems do not tell them from others")
    return text


def safe_name(text: str) -> str:
    """A name for any text. Other characters become '_', and where the name is not the text, a digest of it is its end, so that
    different texts have different names; texts that differ in NFC only are the same.

    >>> safe_name("cat-1"), safe_name("кот"), safe_name("a cat, 1"), safe_name("..")
    ('cat-1', 'кот', 'a_cat__1-f4a0ae3a850f', '_.-5ec1f7e700f3')
    """
    text = unicodedata.normalize("NFC", text)
    name = replaced(text) or "_"
    if name.startswith("."):
        name = f"_{name[1:]}"
    if name == text and len(name.encode()) <= MOST:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{name.encode()[: MOST - len(digest) - 1].decode(errors='ignore')}-{digest}"


def replaced(text: str) -> str:
    """The text with '_' for every character that no name has.

    >>> replaced("p1/40x24x17/0")
    'p1_40x24x17_0'
    """
    return "".join(c if _is_safe(c) else "_" for c in text)


def _is_safe(character: str) -> bool:
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


Name = Annotated[str, AfterValidator(check_name)]
