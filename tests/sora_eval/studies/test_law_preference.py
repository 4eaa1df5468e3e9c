"""Law preference: twins of one scene, equal noise, and a count of errors that an ideal and a blind denoiser must get."""

import numpy as np
import pytest

from sora_eval.generators.opening import open_generator
from sora_eval.generators.protocol import Generator
from sora_eval.studies import law_preference as study
from sora_eval.studies.law_preference import LAWS, Preference, all_laws, law_preference, laws, p_equal
from sora_eval.suite import load_suite
from sora_eval.util.errors import RefusedError
from sora_eval_reports.text.laws import laws_table


class Judge(Generator):
    """A denoiser whose loss is a function of the clip."""

    name = "judge"

    def __init__(self, loss):
        self.loss = loss
        self.asked = []

    def fingerprint(self):
        return "1"

    def generate(self, requests):
        raise AssertionError("nothing is generated")

    def denoising_losses(self, clips, prompts, times, seed):
        self.asked.append((clips, prompts))
        return np.array([[self.loss(clip.frames)] * len(times) for clip in clips], float)


@pytest.fixture
def ask(monkeypatch):
    def preferences(**losses):
        judges = {name: Judge(loss) for name, loss in losses.items()}
        monkeypatch.setattr(study, "open_generator", lambda spec: judges.get(spec) or open_generator(spec))
        return law_preference(load_suite("world"), list(judges), limit=12), judges

    return preferences


def steps(frames):
    """The largest change of a clip from frame to frame: what jumps has a larger one."""
    return np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3)).max()


def test_a_judge_of_jumps_is_right_about_jumps_and_one_of_nothing_about_nothing(ask):
    asked, judges = ask(jumps=steps, nothing=lambda frames: 1.0)
    rates = {(p.spec, p.law): p.rate for p in asked}
    assert rates["jumps", "continuity"] == 0
    assert all(rates["nothing", law.name] == 1 for law in LAWS)  # a tie is no preference
    prompts = [prompts for _, prompts in judges["jumps"].asked]
    assert all(len(set(p)) == 1 for p in prompts)
    assert [p[0] for p in prompts].count("") == 12  # permanence is asked for without a prompt


def test_both_sides_of_permanence_show_as_much_of_the_object(ask):
    asked, judges = ask(content=lambda frames: float((frames != np.median(frames, (0, 1, 2))).any(-1).sum()))
    pairs = [clips for clips, _ in judges["content"].asked if len(clips) == 4]
    assert len(pairs) == 12
    for whole, absent, vanishes, appears in pairs:
        last = round(0.25 * whole.num_frames)
        assert np.array_equal(vanishes.frames[:-last], whole.frames[:-last])
        assert np.array_equal(vanishes.frames[-last:], absent.frames[-last:])
        assert np.array_equal(appears.frames[-last:], whole.frames[-last:])
        assert np.array_equal(appears.frames[:-last], absent.frames[:-last])
    assert [len(p.margins) for p in asked][:2] == [12, 12]


def test_the_reference_model_prefers_lawful_clips_and_says_so_twice():
    suite = load_suite("world")
    first, again = (law_preference(suite, ["reference:base"], limit=6) for _ in range(2))
    assert first == again
    (pooled,) = all_laws(first)
    assert pooled.rate < 0.2


def test_the_loss_of_a_clip_depends_on_no_other_clip_of_its_batch():
    generator = open_generator("reference:early")
    rng = np.random.default_rng(0)
    from sora_eval.records.clip import Clip

    clips = [Clip(rng.integers(0, 256, (9, 32, 32 + 8 * i, 3), np.uint8), 8.0) for i in range(3)]
    prompts = ["a red circle falls", "", "a blue square"]
    together = generator.denoising_losses(clips, prompts, (0.5, 0.9), 1)
    alone = np.concatenate([generator.denoising_losses([c], [p], (0.5, 0.9), 1) for c, p in zip(clips, prompts, strict=True)])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_rates_intervals_and_p():
    right = Preference("a", "x", {str(i): 1.0 for i in range(8)})
    wrong = Preference("b", "x", {str(i): -1.0 for i in range(8)})
    assert p_equal(right, wrong) == pytest.approx(2 / 2**8)
    assert right.interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 8)))  # exact, of 0 in 8
    assert wrong.rate == 1
    table = laws_table([right, wrong])
    assert table["errors %"].tolist() == ["0.0", "100.0", "0.0", "100.0"]
    assert table["p"].tolist() == ["", "0.0078", "", "0.0078"]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(RefusedError, match="world has no denoiser"):
        law_preference(load_suite("world"), ["world"], limit=1)
    with pytest.raises(RefusedError, match="has no prompts with facts"):
        law_preference(load_suite("throughput"), ["reference"], limit=1)


def test_a_smaller_share_breaks_each_law_less_and_a_jump_stays_one():
    for law, weaker in zip(laws(), laws(0.25), strict=True):
        assert law.lawful == weaker.lawful
        for (name, strength), (other, less) in zip(law.unlawful, weaker.unlawful, strict=True):
            assert name == other
            assert less == {"teleport": strength, "object_appear": 1 - (1 - strength) / 4}.get(name, strength / 4)


def test_a_margin_depends_on_no_other_scene_and_no_other_generator():
    suite = load_suite("world")
    alone = law_preference(suite, ["reference:early"], limit=1)
    beside = law_preference(suite, ["reference:middle", "reference:early"], limit=2)
    for one, other in zip(alone, (p for p in beside if p.spec == "reference:early"), strict=True):
        assert one.margins == pytest.approx({case: other.margins[case] for case in one.margins}, abs=1e-6)
