"""Suites: strict TOML files of what a generator is asked and how its answers are measured; and their cases."""

from sora_eval.records.case import Case, Prompt
from sora_eval.records.speed_metrics import SPEED_METRICS
from sora_eval.suite.loading import gates_of, load_suite, shipped
from sora_eval.suite.serve import QualityLimit, Serve
from sora_eval.suite.suite import Suite
from sora_eval.suite.tables import Axes, Canonical, Gate, Generate, Oracles, Prompts, Reference, SuiteHead, Throughput, Tradeoff

__all__ = [
    "SPEED_METRICS",
    "Axes",
    "Canonical",
    "Case",
    "Gate",
    "Generate",
    "Oracles",
    "Prompt",
    "Prompts",
    "QualityLimit",
    "Reference",
    "Serve",
    "Suite",
    "SuiteHead",
    "Throughput",
    "Tradeoff",
    "gates_of",
    "load_suite",
    "shipped",
]
