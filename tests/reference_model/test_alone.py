"""The reference model stands alone: it is measured by the harness, and knows nothing of it."""

import ast
from pathlib import Path

import reference_model

OTHERS = {"sora_eval", "sora_eval_reports", "docs"}


def test_it_imports_nothing_of_the_harness_and_starts_none_of_its_commands():
    files = sorted(Path(reference_model.__file__).parent.rglob("*.py"))
    assert len(files) > 20
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not OTHERS & {name.split(".")[0] for name in names}, file
            assert not (isinstance(node, ast.Constant) and node.value == "sora-eval"), file
