"""A verdict: from differences to PASS or REGRESSED. Pure. The package is callable: `judge.gate`."""

from sora_eval.util.callable_package import make_callable

make_callable(__name__, "sora_eval.gate.judge:gate")
