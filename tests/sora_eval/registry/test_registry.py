"""One registry: built-in entries, entry points of packages, `module:object` names; nothing loaded before it is used."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sora_eval.generators.folder import FolderGenerator
from sora_eval.generators.opening import open_generator, read_spec
from sora_eval.metrics.create import create
from sora_eval.registry.formats import FORMATS
from sora_eval.registry.generators import GENERATORS
from sora_eval.registry.metrics import METRICS, check_options, check_outputs, metric_info, outputs_of
from sora_eval.registry.registry import Registry
from sora_eval.registry.targets import load_target
from sora_eval.suite import load_suite
from sora_eval.util.errors import GeneratorError, RegistryError, SuiteError
from tests.commands import sora_eval
from tests.packages import install

GROUP = "tests.tools"


@dataclass(frozen=True)
class Tool:
    target: str
    about: str = ""


def described(name, target, loaded):
    if not callable(loaded):
        raise ValueError(f"expected a function, found {type(loaded).__name__}")
    return Tool(target, f"{name}: {loaded.__doc__}")


@pytest.fixture
def tools():
    return Registry("tool", GROUP, {"hammer": Tool("json:dumps"), "saw": Tool("gone:gone")}, described, takes_targets=True)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder on `sys.path`, and the current one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(folder, name, text, monkeypatch):
    monkeypatch.delitem(sys.modules, name, raising=False)
    (folder / f"{name}.py").write_text(text)


def test_a_built_in_entry_is_loaded_when_it_is_used(tools):
    assert tools.info("saw") == Tool("gone:gone")
    assert "saw" in tools
    assert tools.load("hammer")([1]) == "[1]"
    with pytest.raises(ModuleNotFoundError, match="gone"):  # of this project: a bug, not a message
        tools.load("saw")


def test_an_entry_point_is_a_name_until_it_is_used(tools, path, monkeypatch):
    module(path, "drills", '"""Not to be imported early."""\ndef drill():\n    "makes holes"\n', monkeypatch)
    install(path, "drill-works-1.2", {GROUP: {"drill": "drills:drill", "broken": "nowhere:drill"}})
    assert tools.third_party() == {
        "broken": "drill-works 1.2 (nowhere:drill)",
        "drill": "drill-works 1.2 (drills:drill)",
    }
    assert "drill" in tools
    assert "drills" not in sys.modules
    assert tools.info("drill") == Tool("drills:drill", "drill: makes holes")
    assert tools.load("drill").__name__ == "drill"
    with pytest.raises(
        RegistryError, match=r"tool 'broken' of drill-works 1.2 \(nowhere:drill\): module 'nowhere' cannot be imp"
    ):
        tools.load("broken")


def test_a_name_given_twice_is_an_error_that_names_both_where_it_is_used_or_listed(tools, path):
    install(path, "one-1.0", {GROUP: {"drill": "json:dumps", "chisel": "json:loads"}})
    install(path, "two-2.0", {GROUP: {"drill": "json:loads"}})
    twice = r"two entries call themselves the tool 'drill': (one 1.0 .*two 2.0|two 2.0 .*one 1.0) .*; uninstall one"
    for use in (tools.info, tools.load, lambda _: tools.third_party()):
        with pytest.raises(RegistryError, match=twice):
            use("drill")
    assert tools.load("chisel")("[1]") == [1]  # the others are not harmed
    assert tools.load("hammer")([1]) == "[1]"


def test_an_entry_point_does_not_shadow_a_built_in_entry(tools, path):
    install(path, "one-1.0", {GROUP: {"hammer": "json:loads"}})
    for use in (tools.info, tools.load, lambda _: tools.third_party()):
        with pytest.raises(RegistryError, match=r"'hammer': sora_eval \(built in\) and one 1.0 \(json:loads\)"):
            use("hammer")


def test_an_unknown_name_has_the_nearest_one(tools, path):
    install(path, "one-1.0", {GROUP: {"chisel": "json:loads"}})
    for word, nearest in (("hamer", "hammer"), ("chisle", "chisel")):
        with pytest.raises(RegistryError, match=f"tool '{word}' is not known; did you mean '{nearest}'"):
            tools.info(word)
    with pytest.raises(RegistryError, match="known: hammer, saw, chisel"):
        tools.info("xyz")


USERS = [
    ("mine:draw", "def drew():\n    pass\n", r"mine has no 'draw'; did you mean 'drew'"),
    ("mine:xyz", "import json\ndef drew():\n    pass\n", r"mine has no 'xyz'; it has: drew$"),
    ("mine:value", "value = 3\n", r"mine:value is not a tool: expected a function, found int"),
    (
        "mine:draw",
        "import gone_too\n",
        r"module 'mine' cannot be imported \(No module named 'gone_too'\); it must lie in the working",
    ),
    ("mine:draw", "1 / 0\n", r"module 'mine' fails while it is imported: ZeroDivisionError: division by zero; fix the module"),
    ("mine:draw", "import sys\nsys.exit(3)\n", r"module 'mine' fails while it is imported: SystemExit: 3"),
    ("mine:draw", "def draw(:\n", r"module 'mine' fails while it is imported: SyntaxError"),
    ("not_there:draw", "", r"module 'not_there' cannot be imported"),
    ("mine:", "", r"'mine:' is not MODULE:NAME"),
    (":draw", "", r"':draw' is not MODULE:NAME"),
]


@pytest.mark.parametrize(("name", "text", "message"), USERS)
def test_what_is_wrong_with_a_users_object_is_one_message(tools, path, monkeypatch, name, text, message):
    module(path, "mine", text, monkeypatch)
    with pytest.raises(RegistryError, match=message):
        tools.info(name)


def test_a_users_object_is_found_in_the_working_folder(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.chdir(tmp_path)
    module(tmp_path, "mine", "class Kit:\n    def draw():\n        'by hand'\n", monkeypatch)
    assert tools.info("mine:Kit.draw") == Tool("mine:Kit.draw", "mine:Kit.draw: by hand")


@pytest.mark.parametrize("registry", [METRICS, GENERATORS, FORMATS], ids=lambda r: r.noun)
def test_every_built_in_entry_can_be_loaded(registry):
    for name, info in registry.built_in.items():
        assert callable(load_target(info.target)), name


def test_the_registry_loads_nothing_heavy():
    code = """
import sys
from sora_eval.registry.formats import FORMATS
from sora_eval.registry.generators import GENERATORS
from sora_eval.registry.metrics import METRICS, metric_info
metric_info("fvd"), GENERATORS.info("world"), FORMATS.info("csv")
[registry.third_party() for registry in (METRICS, GENERATORS, FORMATS)]
print({"torch", "numpy", "pandas", "torchmetrics"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Metrics

HEAD = "from sora_eval.metrics.base import ClipMetric, Output, Score, SetMetric\n"
CLASS = """
class Mine(ClipMetric):
    '''The first line.

    The rest.
    '''
    outputs = (Output("mine", "1", True, "real"),)
    signature = "mine"
    def score(self, view):
        return {"mine": Score(1.0)}
"""
NO_METRIC = [
    ("class Mine:\n    pass\n", "expected a class that derives from ClipMetric or SetMetric"),
    ("Mine = 3\n", "expected a class that derives from"),
    ("class Mine(ClipMetric):\n    pass\n", "it does not implement score"),
    (CLASS.replace("outputs =", "inputs ="), "it declares no outputs; expected a tuple of Output"),
    (CLASS.replace('(Output("mine", "1", True, "real"),)', '[Output("mine", "1", True, "real")]'), "it declares no outputs"),
    (CLASS.replace('Output("mine"', 'Output("mi ne"'), "its output 'mi ne'; expected 1 to 200 letters, digits"),
    (CLASS.replace('Output("mine"', 'Output("latency"'), "its output 'latency' is a name of the throughput sweep"),
    (CLASS + "    family = 'speed'\n", "family = 'speed'; expected a word"),
    (CLASS + "    invariant_to = {'resolutoin'}\n", "invariant_to names 'resolutoin'; expected some of: resolution, aspect"),
    (CLASS + "    invariant_to = None\n", "'NoneType' object is not iterable"),
    (CLASS + "    def __init__(self, gain):\n        pass\n", "'gain' of its __init__ has no default"),
]


@pytest.mark.parametrize(("text", "message"), NO_METRIC)
def test_a_class_that_is_no_metric_says_why(path, monkeypatch, text, message):
    module(path, "mine", HEAD + text, monkeypatch)
    with pytest.raises(RegistryError, match=f"mine:Mine is not a metric: {message}"):
        metric_info("mine:Mine")


def test_a_users_class_says_what_a_line_of_the_table_does(path, monkeypatch):
    more = "    family = 'picture'\n    invariant_to = {'fps'}\n    pixels = True\n"
    init = "    def __init__(self, gain: float = 1.0, *, word='a', **more):\n        super().__init__()\n"
    module(path, "mine", HEAD + CLASS + "class Other(Mine):\n" + more + init, monkeypatch)
    plain, info = metric_info("mine:Mine"), metric_info("mine:Other")
    assert (plain.family, plain.kind, plain.about, plain.options) == ("custom", "per-clip", "The first line.", {})
    assert plain.sensitive_to == ("resolution", "aspect", "fps", "length")
    assert (info.family, info.options, info.pixels) == ("picture", {"gain": 1.0, "word": "a"}, True)
    assert info.sensitive_to == ("resolution", "aspect", "length")
    assert outputs_of("mine:Other") == ("mine",)
    check_options("mine:Other", {"gain": 2.0})
    for options, message in (
        ({"gian": 1.0}, "gian is not an option; did you mean 'gain'"),
        ({"gain": 1}, "is int; expected float"),
    ):
        with pytest.raises(SuiteError, match=rf'\[metrics."mine:Other"\].*{message}'):
            check_options("mine:Other", options)
    with pytest.raises(SuiteError, match=r'\[metrics."mine:Mine"\] and \[metrics."mine:Other"\] both give \'mine\''):
        check_outputs(["mine:Mine", "fvd", "mine:Other"])


def test_a_metric_of_this_project_has_its_short_name_only():
    with pytest.raises(RegistryError, match="is built in; name it 'temporal_flickering'"):
        metric_info("sora_eval.metrics.temporal:TemporalFlickering")


def test_a_package_gives_metrics_generators_and_formats(path, monkeypatch, workspace):
    text = """
def magic(argument, options):
    if options:
        raise KeyError("strength")
    return argument
magic.options = ("strength",)
"""
    module(path, "mine", HEAD + CLASS + text, monkeypatch)
    points = {"metrics": {"shiny": "mine:Mine"}, "generators": {"magic": "mine:magic"}, "formats": {"yaml": "mine:HEAD"}}
    install(path, "magic-3", {f"sora_eval.{group}": names for group, names in points.items()})
    listed = sora_eval("list", "metrics").stdout + sora_eval("list", "generators").stdout + sora_eval("list", "formats").stdout
    assert "mine" not in sys.modules
    listed = " ".join(listed.split())  # in a table of 80 columns
    assert [f"of magic 3 (mine:{name})" in listed for name in ("Mine", "magic", "HEAD")] == [True] * 3
    suite = Path("small.toml")
    suite.write_text(suite.read_text() + "[metrics.shiny]\n[gates.mine]\nmax_decrease = 1\n")
    assert "shiny" in load_suite(suite).metrics
    assert create("shiny").signature == "mine"
    assert read_spec("magic:x").argument == "x"
    for spec, message in (
        ("magic:x", "its opener returned a str, expected a Generator"),
        ("magic:x?strength=3", "cannot be opened: KeyError: 'strength'"),
        ("magic:x?weakness=3", "option 'weakness' is not known; known: strength"),
        ("magik:x", "expected one of: .*; magic; did you mean 'magic'"),
    ):
        with pytest.raises(GeneratorError, match=message):
            open_generator(spec)
    Path("clips.yaml").write_text("")
    with pytest.raises(GeneratorError, match=r"format 'yaml' of magic 3 .*: mine has no 'HEAD'"):
        FolderGenerator(Path("clips.yaml"))


def test_a_collision_is_one_message_of_every_verb_that_meets_it(path, workspace):
    install(path, "one-1.0", {"sora_eval.metrics": {"clip_score": "mine:Mine"}})
    for command in (("list", "metrics"), ("validate", "small.toml"), ("selfcheck", "--metrics", "clip_score")):
        done = sora_eval(*command)
        assert done.returncode == 2
        assert "'clip_score': sora_eval (built in) and one 1.0 (mine:Mine); uninstall one" in done.stderr
