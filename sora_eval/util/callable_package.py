"""A package that is also a function: `sora_eval.compare(base, new)` beside `sora_eval.compare.difference`.

Python binds an imported sub-package to its name in the parent and replaces a function of that name, so whether
`sora_eval.compare` were the function would depend on the order of imports. One object that is both avoids that.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def make_callable(package: str, target: str) -> None:
    """Make a package callable as the function `target` (`module:function`), which is imported at the first call."""
    module, _, function = target.partition(":")

    class CallablePackage(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return getattr(import_module(module), function)(*arguments, **options)

    sys.modules[package].__class__ = CallablePackage
