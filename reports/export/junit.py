"""A gate's result as JUnit XML: one test case per row, so that any CI system shows it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from sora_eval.records.verdict import GateResult, GateRow, Verdict

# Characters that XML 1.0 cannot hold, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(value: object) -> str:
    return _FORBIDDEN.sub("\ufffd", str(value))


def element(result: GateResult) -> ET.Element:
    """`<testsuites>` with one suite. REGRESSED rows are failures, rows without a number errors, undecided rows skipped or,
    under strict, failures."""
    suite = str(result.run["suite"]["id"])
    kinds = [_kind(row, result.strict) for row in result.rows]
    counts = {"tests": len(kinds), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    attributes = {"name": _text(suite), **{k: str(v) for k, v in {**counts, "skipped": kinds.count("skipped")}.items()}}
    root = ET.Element("testsuites", {k: v for k, v in attributes.items() if k != "skipped"})
    parent = ET.SubElement(root, "testsuite", attributes)
    properties = ET.SubElement(parent, "properties")
    for name, value in (("verdict", result.headline), ("run", result.run["run"]), ("baseline", result.baseline.get("path"))):
        ET.SubElement(properties, "property", {"name": name, "value": _text(value)})
    for row, kind in zip(result.rows, kinds, strict=True):
        case = ET.SubElement(parent, "testcase", {"classname": f"sora_eval.{_text(suite)}", "name": _text(_name(row))})
        facts = ET.SubElement(case, "properties")
        for key in ("verdict", "base", "new", "change_percent", "low", "high", "p", "p_adjusted", "n", "unit"):
            ET.SubElement(facts, "property", {"name": key, "value": _text(getattr(row, key))})
        if kind:
            message = _text(f"{row.verdict}: {row.reason}")
            ET.SubElement(case, kind, {"message": message} | ({} if kind == "skipped" else {"type": str(row.verdict)}))
    return root


def _name(row: GateRow) -> str:
    return f"{row.name} {row.limit}"


def _kind(row: GateRow, strict: bool) -> str:
    if row.verdict.green:
        return ""
    if row.verdict in (Verdict.ERROR, Verdict.MISSING):
        return "error"
    return "failure" if strict or row.verdict is Verdict.REGRESSED else "skipped"


def write(result: GateResult, path: Path) -> None:
    """Write the XML file, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = element(result)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
