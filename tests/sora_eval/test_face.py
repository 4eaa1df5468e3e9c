"""What `import sora_eval` offers: every name, loaded late, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import sora_eval
from sora_eval.compare.comparison import compare as comparison
from sora_eval.gate.judge import gate as judge
from sora_eval.suite import Gate
from tests.runs import make_run

CHECK = """
import sora_eval
from sora_eval import compare, create_metric, gate, load_suite, open_generator, run
assert compare is sora_eval.compare and gate is sora_eval.gate
assert all(map(callable, (compare, create_metric, gate, load_suite, open_generator, run)))
assert load_suite("quick").suite.id == "quick"
assert open_generator("world").fingerprint() and create_metric("temporal_flickering").signature
import sora_eval.compare.difference as by_name
assert by_name is sora_eval.compare.difference and callable(by_name.difference)
"""


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "before",
    ["", "import sora_eval.compare.comparison, sora_eval.gate.judge, sora_eval.pipeline.run", "from sora_eval import compare"],
)
def test_every_name_is_there_in_every_order_of_imports(before):
    fresh(before + CHECK)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sora_eval, sys; from sora_eval import compare, gate, load_suite; load_suite('quick'); print(*sys.modules)"
    loaded = set(fresh(code).split())
    assert not loaded & {"torch", "numpy", "pandas", "scipy"}


def test_a_package_called_is_its_function(tmp_path):
    base, new = (make_run(tmp_path / name, {"warping_error": np.arange(24.0) + shift}) for name, shift in (("a", 0), ("b", 1)))
    assert sora_eval.compare(base, new) == comparison(base, new)
    gates = {"warping_error": Gate(max_increase=5.0)}
    assert sora_eval.gate(new, base, gates=gates, strict=True) == judge(new, base, gates, strict=True)


def test_other_names_are_errors():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sora_eval.nothing  # noqa: B018
    assert set(sora_eval.__all__) <= set(dir(sora_eval))
