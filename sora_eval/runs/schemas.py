"""JSON schemas of what people write and programs read: suites, prompts, run.json, verdicts.json and every table of a run.

They come from the classes that check these files. What no schema says (that shapes are WIDTHxHEIGHT, that prompts exist) is
checked by `sora-eval validate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from sora_eval.records.verdict import SCHEMA_VERSION as VERDICTS_VERSION
from sora_eval.records.verdict import GateResult, Verdict
from sora_eval.registry.metric_info import MetricInfo
from sora_eval.registry.metrics import METRICS
from sora_eval.runs.head import RunHead
from sora_eval.runs.rows import TABLES
from sora_eval.runs.trust import SIGNATURE
from sora_eval.suite.prompts import PromptRow
from sora_eval.suite.suite import Suite
from sora_eval.util.sealed import DIGEST

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
Schema = dict[str, Any]
TEXT = {"type": "string"}


def suite_schema() -> Schema:
    """Of a suite's TOML file, in today's words. It knows the options of built-in metrics, and leaves those of others open."""
    schema = Suite.model_json_schema()
    properties = schema["properties"]
    tradeoff = {"$ref": "#/$defs/Tradeoff"}
    del properties["tradeoff"]  # a gate in the file
    properties["gates"] = {
        "type": "object",
        "description": "Allowed changes between a baseline and a new run, by metric.",
        "properties": {"tradeoff": tradeoff},
        "additionalProperties": {"$ref": "#/$defs/Gate"},
    }
    properties["metrics"] = {
        "type": "object",
        "description": "What is measured: a table of options per metric.",
        "properties": {name: _options(info) for name, info in METRICS.built_in.items()},
        "additionalProperties": {"type": "object"},  # of packages, and MODULE:CLASS
    }
    return schema


def _options(info: MetricInfo) -> Schema:
    """The options of a metric: types and defaults, and the values to choose from."""
    properties: dict[str, Schema] = {}
    for name, default in info.options.items():
        kind = TYPES.get(type(default))
        properties[name] = {**({"type": kind} if kind else {}), "default": default}
        if name in info.choices:
            properties[name]["enum"] = list(info.choices[name])
    return {"type": "object", "description": info.about, "properties": properties, "additionalProperties": False}


def verdicts_schema() -> Schema:
    """Of verdicts.json: the result of a gate, what follows from it, and a digest."""
    schema = TypeAdapter(GateResult).json_schema()
    schema["properties"] |= {
        "schema_version": {"const": VERDICTS_VERSION},
        "verdict": {"enum": [str(verdict) for verdict in Verdict], "description": "That of the worst row."},
        "exit_code": {"enum": [0, 10, 11, 12]},
        "headline": TEXT,
        "situation": TEXT,
        DIGEST: TEXT,
    }
    for table in (schema, schema["$defs"]["GateRow"]):
        table |= {"required": sorted(table["properties"]), "additionalProperties": False}
    return schema


def run_schema() -> Schema:
    """Of run.json: its head, with its digest and the signature of the user who made it."""
    schema = RunHead.model_json_schema()
    del schema["properties"]["run"]  # set where the head is stored elsewhere
    schema["properties"] |= {DIGEST: TEXT, SIGNATURE: TEXT}
    return schema


SCHEMAS: dict[str, tuple[str, Callable[[], Schema]]] = {
    "suite": ("a suite, SUITE.toml", suite_schema),
    "prompts": ("a line of a suite's prompts", PromptRow.model_json_schema),
    "run": ("run.json", run_schema),
    "verdicts": ("verdicts.json", verdicts_schema),
    **{row.table: (f"a line of {row.table}.jsonl", row.model_json_schema) for row in TABLES},
}


def schema_of(name: str) -> Schema:
    """The JSON schema of one of SCHEMAS.

    >>> schema_of("scores")["title"], sorted(schema_of("scores")["required"])
    ('sora_eval: a line of scores.jsonl', ['id', 'metric', 'value'])
    """
    about, build = SCHEMAS[name]
    return {"$schema": DIALECT, **build(), "title": f"sora_eval: {about}"}
