"""What a speed sweep asks for and what it leaves behind."""

from contextlib import closing
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.pages.speed import Ratio, paired_ratio
from sora_eval.generators.opening import open_generator, with_device
from sora_eval.generators.protocol import AS_A_BATCH, ONE_BY_ONE, Generator
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.runs.rows import MetricRow, TimingRow
from sora_eval.speed.scaling import cost_of, lead_of_attention
from sora_eval.speed.session import bench
from sora_eval.speed.summary import summarise
from sora_eval.speed.sweep import Point, groups_of, nearest_shape, request_for, shapes_of, size_of
from sora_eval.speed.timed_generator import Call, GeneratorFacts, IsolatedGenerator, time_call
from sora_eval.speed.timing import largest_batch, plan, time_group
from sora_eval.suite import Suite, load_suite
from sora_eval.util.errors import GeneratorError, SuiteError, Undefined
from sora_eval.util.processes import how_it_ended

PROMPT = "a red circle falls on a black background"
REQUEST = Request(PROMPT, 16, 16, 5, 8.0, 0)


def groups(**changes):
    return groups_of(suite_of(**changes), Capabilities(8, 4), ("single",))[0]


def test_steps_and_guidance_of_a_generator_take_the_place_of_the_suites():
    request = Request(PROMPT, 16, 16, 5, 8.0, 3, 2, 1.0)
    direct = open_generator("reference").generate([Request(PROMPT, 16, 16, 5, 8.0, 3, 1, 2.0)])[0]
    changed = open_generator("reference?steps=1&guidance=2")
    assert np.array_equal(changed.generate([request])[0].frames, direct.frames)
    assert changed.fingerprint() != open_generator("reference").fingerprint()


@pytest.mark.parametrize("options", ["steps=0", "steps=two", "guidance=nan", "guidance=high"])
def test_steps_and_guidance_that_are_no_numbers_are_refused(options):
    with pytest.raises(GeneratorError, match=options):
        open_generator(f"reference?{options}")


class Stub:
    """A generator whose seconds are known: `cost(requests)` seconds, or a reason."""

    def __init__(self, name, log, cost=lambda requests: 0.01 * len(requests), packings=("single", "batch")):
        self.name, self.log, self.cost = name, log, cost
        self.facts = GeneratorFacts(name, name, "", "x", Capabilities(8, 4), packings, {}, 0.0)

    def call(self, requests, packing="batch"):
        self.log.append(self.name)
        found = self.cost(requests)
        return Call(None, {}, 1, found) if isinstance(found, str) else Call(found, {"denoise": found / 2}, 1)

    def tokens(self, requests):
        return len(requests)

    def flops(self, requests, packing="batch"):
        return {"whole": 100}


def suite_of(**changes):
    table = {"prompt": "p", "shapes": ["16x16x5"], "repeats": 3, "warmup": 1} | changes
    return Suite.model_validate({"suite": {"id": "s"}, "throughput": table})


@given(
    area=st.integers(64, 40000),
    aspect=st.sampled_from(["1:1", "4:3", "3:4", "16:9", "9:16"]),
    frames=st.integers(1, 60),
    side=st.sampled_from([1, 8, 16]),
    stride=st.sampled_from([1, 4]),
)
def test_a_snapped_shape_can_be_made_and_turning_the_ratio_turns_the_shape(area, aspect, frames, side, stride):
    width, height, length = nearest_shape(area, aspect, frames, Capabilities(side, stride))
    assert (width % side, height % side, (length - 1) % stride) == (0, 0, 0)
    assert abs(length - frames) <= stride
    turned = ":".join(reversed(aspect.split(":")))
    w, h, _ = nearest_shape(area, turned, frames, Capabilities(side, stride))
    assert w * h == width * height


def test_the_shipped_sweep_covers_four_resolutions_five_ratios_and_three_lengths():
    shapes, notes = shapes_of(load_suite("throughput").throughput, Capabilities(8, 4))
    sizes = [size_of(s) for s in shapes]
    assert len(sizes) == 60
    assert len({t for _, _, t in sizes}) == 3
    for frames in {t for _, _, t in sizes}:
        assert len({(w, h) for w, h, t in sizes if t == frames}) == 20
    assert any("nearest 48x32x5" in n for n in notes)


@given(st.floats(0, 1), st.floats(0.01, 1), st.floats(1e-5, 1e-2))
def test_the_fit_of_cost_finds_the_curve_that_made_the_numbers(a, b, c):
    tokens = [10, 40, 90, 200, 500, 1000]
    cost = cost_of(tokens, [a + b * n + c * n * n for n in tokens])
    assert cost.error_percent < 0.1
    assert lead_of_attention(cost) == pytest.approx(b / c, rel=0.05)


@pytest.mark.parametrize("most", [0, 1, 2, 5, 8, 31, 64, 200])
def test_the_largest_batch_fits_and_no_much_larger_one_does(most):
    stub = Stub("A", [], lambda requests: 0.1 if len(requests) <= most else "out of memory")
    found, call = largest_batch(stub, REQUEST, 1.0)
    assert found <= most
    assert found >= min(most, 64) * 8 // 9
    assert call.reason == ("" if most >= 64 else "out of memory")


def test_the_largest_batch_stays_within_the_memory_too():
    class Hungry(Stub):
        def call(self, requests, packing="batch"):
            return Call(0.01, {}, 100 * len(requests))

    assert largest_batch(Hungry("A", []), REQUEST, 1.0, memory=700)[0] == 7
    found, call = largest_batch(Hungry("A", []), REQUEST, 1.0, memory=99)
    assert (found, call.bytes) == (0, 100)


def test_two_generators_take_turns_and_repeats_go_on_until_both_minima_are_met():
    log = []
    rows = time_group(suite_of(min_seconds=0.05), [Stub("A", log), Stub("B", log)], groups()[0])
    rounds = log[4:]  # after a first call and a warm-up each
    assert rounds == ["A", "B"] * 5  # three repeats are 0.03 s, five are 0.05 s
    for own in rows:
        assert [r.stage for r in own].count("first") == 1
        assert [(r.repeat, r.round) for r in own if r.stage == "whole"] == [(i, i) for i in range(5)]
        assert {r.flops for r in own if r.stage == "whole"} == {100}


def test_what_fails_or_cannot_be_made_is_one_row_with_its_reason():
    group = [p for g in groups(shapes=["17x16x5", "16x16x5"]) for p in g]
    rows = time_group(suite_of(), [Stub("A", [], lambda requests: "no memory")], group)[0]
    assert [(r.stage, r.seconds) for r in rows] == [("failed", None)] * 2
    assert "width = 17 is not a multiple of 8; nearest valid: 16, 24" in rows[0].reason
    assert rows[1].reason == "no memory"
    assert {r.status for r in summarise(rows, "s")} == {"error"}


def test_a_mixed_list_is_served_in_every_way_that_all_generators_know():
    suite = suite_of(scenarios=["mixed"], mixed=["16x16x5", "24x16x1"])
    (group,), _ = plan(suite, [Stub("A", [], packings=("packed", "single")), Stub("B", [], packings=("single", "packed"))])
    assert [p.id for p in group] == ["mixed:packed", "mixed:single"]
    metrics = {r.metric: r for r in summarise(time_group(suite, [Stub("A", [])], group[:1])[0], "s", peak_flops=1e6)}
    assert metrics["clips_per_second"].value == pytest.approx(2 / 0.02)
    assert metrics["frames_per_second"].value == pytest.approx(6 / 0.02)
    assert metrics["share_of_peak"].value == pytest.approx(100 * 100 / 0.02 / 1e6)
    assert "scenario:mixed|batch:2" in metrics["latency"].signature


def test_a_device_is_synchronised_around_the_call_and_never_inside():
    log = []

    class Device(Generator):
        name = "fake"

        def fingerprint(self):
            return "x"

        def synchronise(self):
            log.append("synchronise")

        def generate(self, requests):
            log.append("generate")
            return [Clip(np.zeros((r.num_frames, r.height, r.width, 3), np.uint8), r.fps) for r in requests]

    call = time_call(Device(), [REQUEST])
    assert log == ["synchronise", "generate", "synchronise"]
    assert call.seconds > 0


class Plain(Generator):
    """Only what an adapter must have; logs how many requests each call got."""

    name = "plain"

    def __init__(self):
        self.calls = []

    def fingerprint(self):
        return "x"

    def generate(self, requests):
        self.calls.append(len(requests))
        return [Clip(np.zeros((r.num_frames, r.height, r.width, 3), np.uint8), r.fps) for r in requests]


def test_what_an_adapter_leaves_out_has_a_default():
    plain = Plain()
    assert (plain.training_steps, plain.where, plain.tokens(REQUEST), plain.flops([REQUEST], AS_A_BATCH)) == (
        None,
        {},
        None,
        None,
    )
    assert (plain.checkpoint, plain.batch, plain.capabilities, plain.packings) == (
        "",
        1,
        Capabilities(stated=False),
        ("single", "batch"),
    )
    with pytest.raises(Undefined, match="plain does not know the truth"):
        plain.damaged(REQUEST, "vanish", 1.0, np.random.default_rng(0))


def test_the_default_packings_batch_and_split_and_no_other_is_guessed():
    plain = Plain()
    for packing in (AS_A_BATCH, ONE_BY_ONE):
        assert len(plain.serve([REQUEST] * 3, packing)) == 3
    assert plain.calls == [3, 1, 1, 1]
    with pytest.raises(GeneratorError, match="knows no packing 'packed'; known: single, batch"):
        plain.serve([REQUEST], "packed")


def test_an_adapter_without_generate_cannot_be_made():
    class Half(Generator):
        def fingerprint(self):
            return "x"

    with pytest.raises(TypeError, match="generate"):
        Half()


def test_asked_for_a_device_that_is_absent_there_is_an_error():
    for backend in ("onnx", "torch"):
        with pytest.raises(GeneratorError, match="device 'cuda' was asked for, but"):
            open_generator(with_device(f"reference?backend={backend}", "cuda"))


def test_a_bound_network_gives_what_a_call_gives(rng):
    pipeline = open_generator("reference")._pipeline
    latent = rng.standard_normal((2, 8, 2, 4, 4)).astype(np.float32)
    other = rng.standard_normal(latent.shape).astype(np.float32)
    step = pipeline.backend.bind("vae_decoder", (latent,), moving=(0,))
    found = [step(latent), step(other), step(latent)]
    for value, expected in zip(found, (latent, other, latent), strict=True):
        assert np.array_equal(value, pipeline.backend.run("vae_decoder", expected)[0])


def test_flops_of_steps_add_up_and_grow_with_their_number():
    generator = open_generator("reference")
    one, three = (generator.flops([Request(PROMPT, 16, 16, 5, 8.0, 0, steps)], "batch") for steps in (1, 3))
    assert 3 * one["denoise"] >= three["denoise"] > one["denoise"] > 0  # guidance may not act in every step
    assert three["denoise_step"] == three["denoise"] // 3
    assert three["whole"] == three["text"] + three["denoise"] + three["decode"]


@pytest.mark.parametrize(
    ("ratios", "target", "verdict"),
    [([2.0] * 11, 1.3, "met"), ([1.0] * 11, 1.3, "**missed**"), ([1.0] * 4 + [2.0] * 7, 1.3, "undecided")],
)
def test_a_target_is_met_only_by_the_whole_interval(ratios, target, verdict):
    value, low, high = paired_ratio(ratios, [1.0] * 11)
    assert Ratio("w", "a", "b", value, low, high, 11, target).verdict.startswith(verdict)


def test_bench_of_two_generators_leaves_two_runs_of_one_session(workspace):
    text = (workspace / "small.toml").read_text()
    (workspace / "small.toml").write_text(text.replace("repeats = 2", 'repeats = 2\nscenarios = ["latency", "mixed"]'))
    suite = load_suite("small.toml")
    runs = bench(suite, ["python:my_generator:generate", "python:my_generator:slow"], workspace / "runs")
    heads = [r.head for r in runs]
    assert heads[0].bench["session"] == heads[1].bench["session"]
    assert heads[0].bench["matrix_peak_flops"] > 0
    assert [h.status for h in heads] == ["success"] * 2
    values = [{(m.metric, m.slice): m for m in r.rows(MetricRow)} for r in runs]
    key = ("latency", "32x32x5")
    assert values[0][key].value < values[1][key].value
    assert values[0][key].signature == values[1][key].signature
    assert {r.id for r in runs[0].rows(TimingRow)} == {"32x32x5", "mixed:single", "mixed:batch"}


def test_a_process_that_dies_in_a_call_or_a_count_is_a_row_with_the_reason_and_the_next_group_has_a_new_one(workspace):
    def kill_in(generator, name):
        """Kill its process as the method is called, once."""
        method = getattr(generator, name)

        def dying(*arguments):
            delattr(generator, name)
            (process,) = set(active_children()) - others
            process.kill()
            process.join()
            return method(*arguments)

        setattr(generator, name, dying)

    others = set(active_children())
    group = [Point("16x16x5", "latency", (request_for("16x16x5", load_suite("small.toml")),))]
    with closing(IsolatedGenerator("python:my_generator:generate")) as generator:
        for method in ("call", "tokens", "flops"):
            kill_in(generator, method)
            (rows,) = time_group(suite_of(repeats=1), [generator], group)
            assert [r.stage for r in rows] == ["failed"]
            assert rows[0].reason == "the process of python:my_generator:generate " + how_it_ended(-9)
            (rows,) = time_group(suite_of(repeats=1), [generator], group)
            assert [r.stage for r in rows] == ["first", "whole"]


def test_a_process_that_a_call_ends_says_with_which_code(workspace):
    with Path("my_generator.py").open("a") as file:
        file.write("\n\ndef leaves(request):\n    import os\n\n    os._exit(7)\n")
    with closing(IsolatedGenerator("python:my_generator:leaves")) as generator:
        call = generator.call([REQUEST])
    assert (call.seconds, call.reason) == (None, "the process of python:my_generator:leaves ended with exit code 7")


def test_what_cannot_be_opened_in_a_process_says_why_and_leaves_none(workspace):
    Path("dies.py").write_text("import os\n\nos._exit(3)\n")
    Path("odd.py").write_text("class Odd(Exception):\n    pass\n\n\nraise Odd('never read elsewhere')\n")
    before = active_children()
    for spec, reason in (
        ("python:dies:generate", "the process of python:dies:generate ended with exit code 3 before the generator was open"),
        ("python:odd:generate", "python:odd:generate: module 'odd' fails while it is imported: Odd: never read elsewhere"),
        ("python:my_generator:generat", "python:my_generator:generat: my_generator has no 'generat'; did you mean 'generate'"),
    ):
        with pytest.raises(GeneratorError, match=f"^{reason}"):
            IsolatedGenerator(spec)
    assert active_children() == before


def test_a_suite_without_a_sweep_or_with_an_unknown_scenario_is_refused(workspace):
    text = (workspace / "small.toml").read_text()
    (workspace / "none.toml").write_text(text.partition("[throughput]")[0])
    with pytest.raises(SuiteError, match=r"has no \[throughput\]: there is nothing to time"):
        bench(load_suite("none.toml"), ["world"], workspace / "runs")
    for line, found in (('scenarios = ["fast"]', "scenarios"), ("areas = [256]", "belong together")):
        (workspace / "bad.toml").write_text(f"{text}\n{line}\n")
        with pytest.raises(SuiteError, match=found):
            load_suite("bad.toml")
