"""Evaluate, compare and gate text-to-video generators. Importing this package imports no torch, numpy or pandas.

The names below are loaded when they are first used. `compare` and `gate` are packages too, and stay so: the package is what is
called, and its modules are imported by their dotted names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sora_eval.compare.comparison import compare
    from sora_eval.gate.judge import gate
    from sora_eval.generators.opening import open_generator
    from sora_eval.metrics.create import create_any as create_metric
    from sora_eval.pipeline.run import run
    from sora_eval.suite.loading import load_suite

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "create_metric", "gate", "load_suite", "open_generator", "run"]

_TARGETS = {
    "compare": "sora_eval.compare",
    "create_metric": "sora_eval.metrics.create:create_any",
    "gate": "sora_eval.gate",
    "load_suite": "sora_eval.suite.loading:load_suite",
    "open_generator": "sora_eval.generators.opening:open_generator",
    "run": "sora_eval.pipeline.run:run",
}

if not TYPE_CHECKING:  # a checker would take any name for granted

    def __getattr__(name: str) -> Any:
        if name not in _TARGETS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, attribute = _TARGETS[name].partition(":")
        return getattr(import_module(module), attribute) if attribute else import_module(module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
