"""A package that is a function too: `sora_eval.compare(base, new)` beside `sora_eval.compare.difference`.

Python binds an imported sub-package to its name in the parent, over whatever the parent offers under that name: a function
`sora_eval.compare` would be there or not by the order of imports. One object that is both is there always.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def make_callable(package: str, target: str) -> None:
    """Let a package that is being imported be called as the function `target` (`module:function`), loaded at the first call."""
    module, _, function = target.partition(":")

    class CallablePackage(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return getattr(import_module(module), function)(*arguments, **options)

    sys.modules[package].__class__ = CallablePackage
