"""The prompts of the suite for real models say what their tags and facts say, and the suite runs on a pipeline of diffusers."""

import re
from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import pytest
import tomlkit

from docs.pages.ltx_peer import save_ltx
from sora_eval.gate.judge import gate
from sora_eval.pipeline.plan import plan
from sora_eval.pipeline.run import run
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.verdict import Verdict
from sora_eval.registry.metrics import outputs_of
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import SuiteError
from tests.tiny_clip import save_clip, save_vit

SUITE = load_suite("text2video")
PROMPTS = SUITE.prompt_list
TAGS = {"people", "animals", "objects", "attributes", "spatial", "camera", "actions", "physics", "styles", "dense"}
NUMBERS = dict(zip(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), range(1, 11), strict=True))
COLOURS = "red orange yellow green blue purple pink brown black white gray"
IRREGULAR = {"knife": "knives", "domino": "dominoes"}
CAMERA = {
    "pan right": r"pans .*from left to right",
    "pan left": r"pans left",
    "tilt up": r"tilts up",
    "tilt down": r"tilts down",
    "zoom in": r"zoom in on",
    "zoom out": r"zooms out",
    "dolly in": r"dolly .*forward",
    "dolly out": r"dollies back",
    "orbit": r"orbits around",
    "static": r"static shot",
    "tracking": r"tracking shot follows",
    "rise": r"rises straight up",
}


def of_tag(tag):
    return [p for p in PROMPTS if tag in p.tags]


def described(text, words, names):
    """(word, noun) for every one of `words` that stands at most two words before one of `names`, in the plural or not."""
    forms = {form: name for name in names for form in (name, IRREGULAR.get(name, f"{name}s"))}
    nouns = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
    found = re.findall(rf"\b({'|'.join(words)})\b(?: [\w-]+){{0,2}}? ({nouns})\b", text, re.IGNORECASE)
    return Counter((word.lower(), forms[noun]) for word, noun in found)


def test_every_tag_has_twelve_prompts_and_any_first_tens_hold_all_tags_equally():
    assert len(PROMPTS) == 120
    for end in range(10, 121, 10):
        assert Counter(p.tags[0] for p in PROMPTS[:end]) == dict.fromkeys(TAGS, end // 10)
    kinds = Counter(tag for p in of_tag("physics") for tag in p.tags[1:])
    assert kinds == dict.fromkeys(("physics:falls", "physics:collisions", "physics:liquids", "physics:reflections"), 3)
    assert all(len(p.text.split()) >= 90 for p in of_tag("dense"))
    assert all(5 <= len(p.text.split()) <= 25 for p in PROMPTS if "dense" not in p.tags)


def test_no_two_prompts_are_alike_and_none_names_anybody():
    words = {p.id: set(re.findall(r"[a-z]{4,}", p.text.lower())) for p in PROMPTS}
    for a, b in combinations(words, 2):
        assert len(words[a] & words[b]) < 0.5 * len(words[a] | words[b]), (a, b)
    for p in PROMPTS:
        inside = re.findall(r"(?<![.!?] )(?<!^)\b[A-Z]\w*", p.text)  # a name of a person, place or brand has a capital
        assert not inside, (p.id, inside)
        assert re.fullmatch(r"[\x20-\x7e]+\.", p.text)
        assert not re.search(r"  |\b(\w+) \1\b", p.text), p.id


@pytest.mark.parametrize("prompt", [p for p in PROMPTS if p.facts and "objects" in p.facts], ids=lambda p: p.id)
def test_counts_colours_and_attributes_of_the_facts_are_those_of_the_text(prompt):
    objects = prompt.facts["objects"]
    names = {o["name"] for o in objects}
    assert set().union(*objects) <= {"name", "count", "colour", "attributes"}
    numbers = {value: word for word, value in NUMBERS.items()}
    facts = {
        tuple(NUMBERS): Counter((numbers[o["count"]], o["name"]) for o in objects if "count" in o),
        tuple(COLOURS.split()): Counter((o["colour"], o["name"]) for o in objects if "colour" in o),
    }
    for words, expected in facts.items():
        assert described(prompt.text, words, names) == expected
        assert len(re.findall(rf"\b(?:{'|'.join(words)})\b", prompt.text, re.IGNORECASE)) == expected.total()
    for o in objects:
        assert re.search(rf"\b{IRREGULAR.get(o['name'], o['name'])}", prompt.text, re.IGNORECASE)
        for attribute in o.get("attributes", []):
            assert described(prompt.text, [attribute], names)[attribute, o["name"]]


def test_what_a_tag_is_of_has_its_facts():
    assert all("count" in o for p in of_tag("objects") for o in p.facts["objects"])
    assert all(sum(o["count"] for o in p.facts["objects"]) > 1 for p in of_tag("objects"))
    assert all(o.keys() & {"colour", "attributes"} for p in of_tag("attributes") for o in p.facts["objects"])
    assert all(p.facts["relations"] for p in of_tag("spatial"))
    assert {p.facts["camera"] for p in of_tag("camera")} == CAMERA.keys()
    assert all(p.facts is None for p in PROMPTS if p.tags[0] not in ("objects", "attributes", "spatial", "camera"))


@pytest.mark.parametrize("prompt", of_tag("spatial"), ids=lambda p: p.id)
def test_relations_of_the_facts_are_those_of_the_text(prompt):
    names = {o["name"] for o in prompt.facts["objects"]}
    for r in prompt.facts["relations"]:
        assert {r["subject"], r["object"]} <= names
        assert re.search(rf"{r['subject']}.* {r['relation']}\b.* {r['object']}", prompt.text)


@pytest.mark.parametrize("prompt", of_tag("camera"), ids=lambda p: p.id)
def test_the_movement_of_the_camera_is_that_of_the_text(prompt):
    assert [name for name, words in CAMERA.items() if re.search(words, prompt.text)] == [prompt.facts["camera"]]


def test_shapes_are_480p_and_720p_in_three_aspects_and_legal_for_most_models():
    sizes = [tuple(map(int, s.split("x"))) for s in SUITE.axes.shapes]
    wanted = [(area, ratio) for area in (854 * 480, 1280 * 720) for ratio in (16 / 9, 9 / 16, 1)]
    for (width, height), (area, ratio) in zip(sizes, wanted, strict=True):
        assert width * height == pytest.approx(area, rel=0.03)
        assert width / height == pytest.approx(ratio, rel=0.03)
    for side, stride in ((16, 4), (32, 4), (32, 8), (16, 6), (8, 12)):
        assert plan(SUITE, SimpleNamespace(name="a model", capabilities=Capabilities(side, stride))) == SUITE.cases
    with pytest.raises(SuiteError, match="nearest valid"):
        plan(SUITE, SimpleNamespace(name="a model", capabilities=Capabilities(64, 4)))
    assert len({c.id for c in SUITE.cases}) == len(SUITE.cases) == 720


def test_gates_are_of_metrics_that_need_neither_our_world_nor_a_reference_set():
    assert SUITE.reference is None
    assert not {"physics_laws", "object_facts", "caption_facts", "fvd", "kvd", "mmd"} & set(SUITE.metrics)
    assert all("world" not in str(options) for options in SUITE.metrics.values())
    limits = [g.tags for g in SUITE.gates.values() if g.tags]
    assert limits
    assert all(len(of_tag(tag)) >= limit.least for limit in limits for tag in TAGS)
    assert all(limit.least > 3 for limit in limits)  # not of the kinds of physics, which have three each


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The suite as a user cuts it: its first ten prompts at one shape, with networks from files; and a pipeline."""
    folder = tmp_path_factory.mktemp("text2video")
    shipped = SUITE.path.parent
    changed = tomlkit.parse((shipped / "text2video.toml").read_text())
    changed["prompts"]["file"], changed["prompts"]["limit"] = str(shipped / "prompts/text2video.jsonl"), 10
    changed["axes"]["shapes"], changed["axes"]["frames"] = ["64x32"], [9]
    changed["generate"] = {"num_inference_steps": 1}
    for metric in ("clip_score", "clip_retrieval"):
        changed["metrics"][metric]["model"] = str(folder / "clip")
    save_clip(folder / "clip")
    changed["metrics"]["subject_consistency"]["model"] = save_vit(folder / "vit.pth")
    (folder / "small.toml").write_text(tomlkit.dumps(changed))
    save_ltx(folder / "ltx", width=16, depth=1, heads=2)
    return folder


def test_it_runs_on_a_pipeline_of_diffusers(small):
    suite = load_suite(small / "small.toml")
    done = run(suite, f"diffusers:{small / 'ltx'}", small / "runs")
    assert (done.head.status, done.head.failed_cases, done.head.failed_metrics) == ("success", 0, 0)
    assert {row.tags[0] for row in done.rows(SampleRow)} == TAGS
    rows = {row.metric: row for row in done.rows(MetricRow) if row.slice == "all"}
    assert rows.keys() == {output for name in suite.metrics for output in outputs_of(name)}
    assert all((row.status, row.n_scored, row.n_expected) == ("ok", 10, 10) for row in rows.values())
    assert "1 x the prompt is longer than the model's context of 77 tokens and cut" in rows["clip_score"].reason
    assert gate(done, done, suite.gates).verdict is Verdict.PASS
