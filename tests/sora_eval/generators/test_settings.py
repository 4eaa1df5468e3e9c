"""What a suite asks beside shapes reaches the generator, or is refused at the plan: settings, and first frames."""

import json

import numpy as np
import pytest
from PIL import Image

from sora_eval.generators.asking import request_of
from sora_eval.generators.protocol import Generator
from sora_eval.generators.reference import world_frames
from sora_eval.pipeline.plan import plan
from sora_eval.records.capabilities import Capabilities
from sora_eval.records.clip import Clip
from sora_eval.suite import Suite, load_suite
from sora_eval.util.errors import SuiteError
from sora_eval.video.codec import write_clip

HEAD = (
    '[suite]\nid = "s"\n[prompts]\nfile = "p.jsonl"\n[axes]\nshapes = ["16x8"]\nframes = [9]\n[metrics.temporal_flickering]\n'
)
FACTS = next(p.facts for p in load_suite("quick").prompt_list if p.facts)
VIDEO = np.random.default_rng(0).integers(0, 256, (6, 8, 16, 3), np.uint8)


class Recording(Generator):
    name = "model"

    def __init__(self, **capabilities):
        self.capabilities = Capabilities(**capabilities)

    def fingerprint(self):
        return "1"

    def generate(self, requests):
        return [Clip(np.zeros((r.num_frames, r.height, r.width, 3), np.uint8), r.fps) for r in requests]


@pytest.fixture
def suite(tmp_path):
    def load(generate="", shape="16x8", **row):
        (tmp_path / "p.jsonl").write_text(json.dumps({"id": "a", "text": "a ball", **row}) + "\n")
        (tmp_path / "s.toml").write_text(f"{HEAD.replace('16x8', shape)}{generate}\n")
        return load_suite(tmp_path / "s.toml")

    write_clip(Clip(VIDEO, 8.0), tmp_path / "video.mkv")
    Image.fromarray(VIDEO[0]).resize((32, 32)).save(tmp_path / "image.png")
    return load


def problems(suite, **capabilities):
    with pytest.raises(SuiteError) as error:
        plan(suite, Recording(**capabilities))
    return str(error.value)


def test_any_key_of_generate_is_an_option_in_either_place(suite):
    flat = suite("[generate]\nguidance_scale = 5.0\nflow_shift = 3.0\nsigmas = [1.0, 0.5]")
    nested = suite("[generate]\nguidance_scale = 5.0\n[generate.options]\nflow_shift = 3.0\nsigmas = [1.0, 0.5]")
    assert flat.fingerprint == nested.fingerprint != suite("[generate]\nguidance_scale = 5.0").fingerprint
    request = request_of(flat.cases[0], flat)
    assert request.options == {"flow_shift": 3.0, "sigmas": [1.0, 0.5]}
    assert request.guidance_scale == 5.0
    request.options["sigmas"].clear()
    assert request_of(flat.cases[0], flat).options["sigmas"] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        ("[generate]\nshift = 1\n[generate.options]\nshift = 1", "shift is in [generate] and in [generate.options]"),
        ("[generate.options]\nguidance_scale = 1.0", "guidance_scale is a key of [generate] itself"),
        ("[generate]\noptions = 3", "[generate].options = 3; expected a valid dictionary"),
    ],
)
def test_options_are_given_once(suite, generate, message):
    with pytest.raises(SuiteError) as error:
        suite(generate)
    assert message in str(error.value)


def test_a_suite_without_new_keys_keeps_its_fingerprint(suite):
    assert suite("[generate]\nnum_inference_steps = 4").model_dump(mode="json")["generate"] == {
        "num_inference_steps": 4,
        "guidance_scale": None,
    }


@pytest.mark.parametrize(
    ("generate", "known", "message"),
    [
        ("num_inference_step = 4", ("num_inference_steps",), "did you mean 'num_inference_steps'?"),
        ("flow_shift = 3.0", ("guidance_scale",), "[generate].flow_shift is not read by model"),
        ("guidance_scale = 3.0", (), "known: none"),
        ('negative_prompt = "blurry"', ("guidance_scale",), "[generate].negative_prompt is not read"),
    ],
)
def test_a_setting_that_a_generator_does_not_read_is_refused_at_the_plan(suite, generate, known, message):
    asked = suite(f"[generate]\n{generate}")
    assert message in problems(asked, settings=known)
    plan(asked, Recording(settings=None))
    plan(asked, Recording(settings=(*asked.generate.given,)))


def test_a_prompts_own_negative_prompt_replaces_the_suites(suite):
    both = suite('[generate]\nnegative_prompt = "blurry"', negative_prompt="dark")
    assert request_of(both.cases[0], both).negative_prompt == "dark"
    own = suite(negative_prompt="dark")
    assert "negative_prompt is not read" in problems(own)
    assert own.fingerprint != suite().fingerprint
    assert request_of(suite('[generate]\nnegative_prompt = "blurry"').cases[0], both).negative_prompt == "blurry"


def test_a_video_gives_its_first_frames_and_an_image_one_cut_to_the_shape(suite):
    whole = suite(video="video.mkv")
    assert np.array_equal(request_of(whole.cases[0], whole).first_frames, VIDEO)
    some = suite("[generate]\nfirst_frames = 2", video="video.mkv")
    assert np.array_equal(request_of(some.cases[0], some).first_frames, VIDEO[:2])
    image = suite("[generate]\nfirst_frames = 2", image="image.png")
    frames = request_of(image.cases[0], image).first_frames
    assert frames.shape == (1, 8, 16, 3)
    upper = np.asarray(Image.open(image.folder / "image.png"))[8:24]  # the middle of 32x32, two to one
    assert abs(frames.astype(int).mean() - upper.astype(int).mean()) < 1


def test_the_world_renders_its_own_first_frames(suite):
    asked = suite("[generate]\nfirst_frames = 5", facts=FACTS, shape="48x32")
    request = request_of(asked.cases[0], asked)
    assert np.array_equal(request.first_frames, world_frames(request)[:5])


@pytest.mark.parametrize(
    ("row", "generate", "capabilities", "message"),
    [
        ({"image": "image.png"}, "", {}, "the prompt 'a' has first frames, and model begins from none"),
        ({}, "", {"first_frames": (1, 1)}, "the prompt 'a' has no image or video, and model begins from one frame"),
        ({"video": "video.mkv"}, "", {"first_frames": (1, 1)}, "gives 6 first frames; at most 1 can be given"),
        (
            {"video": "video.mkv"},
            "",
            {"first_frames": (0, 99), "stride": 4},
            "gives 6 first frames; expected 1 + a multiple of 4",
        ),
        ({"video": "video.mkv"}, "first_frames = 7", {"first_frames": (0, 9)}, "has 6 frames; [generate].first_frames = 7"),
        ({}, "first_frames = 3", {"first_frames": (0, 9)}, "the prompt 'a' has no image, video or facts"),
        ({"image": "p.jsonl"}, "", {"first_frames": (0, 9)}, "cannot be decoded as a picture"),
    ],
)
def test_first_frames_that_cannot_be_used_are_refused_at_the_plan(suite, row, generate, capabilities, message):
    asked = suite(f"[generate]\n{generate}" if generate else "", **row)
    assert message in problems(asked, **capabilities)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "none.png"}, "p.jsonl:1: 'none.png' cannot be read: No such file or directory"),
        ({"image": "image.png", "video": "video.mkv"}, "an image and a video are two beginnings"),
        ({"image": "image.png", "sha256": "0" * 64}, "and not the one of the row, 000000000000"),
        ({"sha256": "0" * 64}, "sha256 is that of an image or a video"),
    ],
)
def test_a_row_names_one_file_that_is_there(suite, row, message):
    with pytest.raises(SuiteError) as error:
        suite(**row)
    assert message in str(error.value)


def test_a_run_records_the_files_and_notices_when_they_change(suite):
    asked = suite(image="image.png")
    again = Suite.from_json(json.loads(json.dumps(asked.to_json())), asked.path)
    assert again.fingerprint == asked.fingerprint
    assert again.prompt_list == asked.prompt_list
    Image.new("RGB", (16, 8)).save(asked.folder / "image.png")
    assert suite(image="image.png").fingerprint != asked.fingerprint
    assert "has changed since the suite was loaded" in problems(again, first_frames=(0, 1))
