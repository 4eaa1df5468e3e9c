"""Imports `module:object`: of this project directly, of a user with every failure as one message."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from functools import reduce
from importlib import import_module
from typing import Any

from sora_eval.util.errors import RegistryError, text_of
from sora_eval.util.user_code import UserCodeError, user_code


def load_target(target: str) -> Any:
    """The object that `module:object` names, a target of this project: an exception here is a bug.

    >>> load_target("math:isqrt")(17)
    4
    """
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def load_user_target(target: str, *, installed: bool = False) -> Any:
    """The object that a user's `module:object` names; unless `installed`, the working folder is added to `sys.path`.

    Raises RegistryError for another syntax, for a module whose import fails for any reason, and for an object it lacks.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise RegistryError(f"{target!r} is not MODULE:NAME, for example 'my_module:my_name'")
    if not installed and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        with user_code():
            module = import_module(module_name)
    except UserCodeError as error:
        if not isinstance(error.__cause__, ImportError):
            raise RegistryError(f"module {module_name!r} fails while it is imported: {error}; fix the module") from error
        fix = "reinstall its package" if installed else "it must lie in the working folder or on PYTHONPATH"
        raise RegistryError(f"module {module_name!r} cannot be imported ({text_of(error.__cause__)}); {fix}") from error
    try:
        with user_code():
            return reduce(getattr, attribute.split("."), module)
    except UserCodeError as error:
        if not isinstance(error.__cause__, AttributeError):
            raise RegistryError(f"{target} cannot be read: {error}") from error
        raise RegistryError(f"{module_name} has no {attribute!r}{_hint(attribute, module)}") from None


def _hint(attribute: str, module: Any) -> str:
    """The closest public name that the module defines, or the first ten."""
    names = [n for n, v in vars(module).items() if not n.startswith("_") and getattr(v, "__module__", "") == module.__name__]
    close = get_close_matches(attribute, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; it has: {', '.join(names[:10]) or 'nothing'}"
