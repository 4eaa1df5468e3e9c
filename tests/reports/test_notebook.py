"""docs/reports.ipynb runs as it stands, and has no outputs of anybody's machine in it."""

import nbclient
import nbformat

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "reports.ipynb"


def test_the_notebook_runs_on_made_runs(pair, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_RUNS", str(pair[0].parent))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    nbclient.NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT / "docs")}}
    ).execute()
    outputs = [o for cell in book.cells for o in cell.get("outputs", [])]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    tables = [o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    assert len(tables) >= 8
    assert "warping_error" in tables[2]
