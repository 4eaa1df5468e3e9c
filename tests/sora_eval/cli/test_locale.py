"""Files are UTF-8 whatever the locale says: as on a machine whose files are in another encoding by default."""

import json
import os
import subprocess
import sys

PROMPT = "un café à Zürich, 日本\u2028😀"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
CODE = """
import locale, sys
assert locale.getpreferredencoding() not in ("UTF-8", "utf-8")
from sora_eval.cli import app
for line in ("run s.toml -g python:own:generate", "report latest --html -o page.html"):
    app(line.split(), standalone_mode=False)
"""


def test_prompts_stay_what_they_are_in_a_locale_that_knows_ascii_only(workspace):
    (workspace / "own.py").write_text("import numpy as np\n\ndef generate(r):\n    return np.zeros((9, 32, 32, 3), np.uint8)\n")
    (workspace / "p.jsonl").write_bytes(json.dumps({"id": "кот", "text": PROMPT}, ensure_ascii=False).encode())
    (workspace / "s.toml").write_bytes(
        '[suite]\nid = "s"\ndescription = "Zürich"\n[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["32x32"]\nframes = [9]\n'
        "[metrics.temporal_flickering]\n".encode()
    )
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=workspace,
        env={**os.environ, **ASCII},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (workspace / "runs").iterdir()
    (row,) = [json.loads(line) for line in (run / "samples.jsonl").read_bytes().decode().split("\n")[:-1]]
    assert (row["id"], row["prompt"], row["status"]) == ("кот/32x32x9/0", PROMPT, "ok")
    assert "café à Zürich, 日本" in (workspace / "page.html").read_bytes().decode()
