"""Words: read back what was told, write one word after the other, and never change what a prompt says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.pages.reference_figures import fresh_clips
from reference_model.errors import ReferenceModelError
from reference_model.networks.captioner import prepare
from reference_model.networks.refiner import EndpointRefiner, keeps_facts, refine
from reference_model.networks.text import VOCABULARY, PromptError, write
from reference_model.packing.patchify import MAX_RUN
from reference_model.sampling.pipeline import Pipeline, Request
from reference_model.world import describe, parse, sample_facts
from reference_model.world.captions import LEVELS

PROMPTS = ["a red circle falls", "a blue square moves slowly left and a green triangle floats still", "a cyan circle"]


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline.load("base")


class Answers:
    """A refiner whose drafts are given."""

    def __init__(self, *drafts):
        self.drafts = list(drafts)

    def draft(self, prompts, seeds):
        return self.drafts


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), level=st.sampled_from(LEVELS), still=st.booleans())
def test_what_is_told_can_be_read_back_and_less_is_told_at_shorter_levels(seed, level, still):
    told = describe(sample_facts(np.random.default_rng(seed)))
    short = told.at(level, still=still)
    assert parse(short.text()) == short
    assert short.slots() <= told.slots()


def test_a_draft_that_loses_a_fact_or_cannot_be_read_is_not_used():
    good = "a red circle at the top left falls on a black background"
    for draft, used in (
        (good, True),
        ("a red square at the top left falls on a black background", False),
        ("a red circle floats still", False),
        (f"{good} beautifully", False),
        ("", False),
    ):
        assert refine(Answers(draft), ["a red circle falls"], [0]) == [draft if used else "a red circle falls"]
    assert not keeps_facts("a red circle and a blue square", "a red circle at the top left")
    # Words that are not in the grammar's own form count as they stand.
    assert keeps_facts("the red circle moves right", "a red circle at the top left moves slowly right on a gray background")
    assert not keeps_facts("the red circle moves right", "a red circle at the top left falls on a gray background")
    assert not keeps_facts("a red circle rests", "a red circle at the top left falls on a gray background")


def test_the_refiner_on_board_keeps_facts_adds_some_and_depends_on_the_seed_alone(pipeline):
    together = refine(pipeline.refiner, PROMPTS, [1, 2, 3])
    assert together == [refine(pipeline.refiner, [p], [s])[0] for p, s in zip(PROMPTS, (1, 2, 3), strict=True)]
    for prompt, refined in zip(PROMPTS, together, strict=True):
        assert parse(prompt).slots() <= parse(refined).slots()
    assert sum(len(parse(r).slots()) for r in together) > sum(len(parse(p).slots()) for p in PROMPTS)
    drawn = {refine(pipeline.refiner, ["a red circle"], [seed])[0] for seed in range(12)}
    assert len(drawn) > 3  # what is open is drawn, not always the same


def test_captions_do_not_depend_on_neighbours_and_name_what_is_seen(pipeline):
    clips = [c.frames for c in fresh_clips(12, (17, 9))]
    together = pipeline.caption(clips)
    assert together == [pipeline.caption([c])[0] for c in clips]
    true = [describe(c.scene.facts, c.scene, c.trajectory.events).slots() for c in fresh_clips(12, (17, 9))]
    shared = sum(len(t & parse(text).slots()) for t, text in zip(true, together, strict=True))
    assert shared / sum(map(len, true)) > 0.85  # the measured figure is in docs/reference_model.md


def test_the_recaptioners_input_is_thinned_and_holds_every_tubelet_once():
    clips = [c.frames for c in fresh_clips(4)]
    tokens, position, run, extent = prepare(clips, 8.0)
    assert tokens.shape[:2] == position.shape[:2] == run.shape
    for i in range(len(clips)):
        assert run[i].sum() == extent[i].prod()  # the runs cover the grid
        assert 0 < (run[i] > 0).sum() < extent[i].prod()
        assert run.max() <= MAX_RUN


def test_writing_takes_the_likeliest_word_or_draws_by_seed():
    words = len(VOCABULARY)

    def logits(ids, rows):
        out = np.zeros((len(rows), ids.shape[1], words), np.float32)
        out[:, :, 5] = 3.0
        out[:, -1, words - 1] = 9.0 if ids.shape[1] == 3 else 0.0  # ends after two words
        return out

    assert write(logits, [None]) == [" ".join([VOCABULARY[5]] * 2)]
    assert write(logits, [4, 4])[0] == write(logits, [7, 4])[1]
    assert len(set(write(logits, list(range(8))))) > 1


class FakeEndpoint(BaseHTTPRequestHandler):
    """OpenAI's chat completions, with an answer that keeps the facts, loses them, or is no answer."""

    answer = ""
    seen: ClassVar[dict] = {}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        FakeEndpoint.seen = {"path": self.path, "key": self.headers.get("Authorization"), **body}
        data = json.dumps({"choices": [{"message": {"content": self.answer}}]} if self.answer else {"error": "no"}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def endpoint():
    server = HTTPServer(("127.0.0.1", 0), FakeEndpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_an_openai_compatible_endpoint_can_refine(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    refiner = EndpointRefiner(endpoint, "some-model")
    FakeEndpoint.answer = "a red circle at the top center falls on a gray background"
    assert refine(refiner, ["a red circle falls"], [3]) == [FakeEndpoint.answer]
    assert FakeEndpoint.seen["path"] == "/v1/chat/completions"
    assert FakeEndpoint.seen["model"] == "some-model"
    assert FakeEndpoint.seen["key"] == "Bearer secret"
    assert FakeEndpoint.seen["messages"][-1] == {"role": "user", "content": "a red circle falls"}
    FakeEndpoint.answer = "A lovely blue circle!"
    assert refine(refiner, ["a red circle falls"], [3]) == ["a red circle falls"]
    FakeEndpoint.answer = ""
    with pytest.raises(ReferenceModelError, match=r"answered without choices\[0\]"):
        refine(refiner, ["a red circle falls"], [3])


def test_an_endpoint_that_is_not_there_is_named():
    with pytest.raises(ReferenceModelError, match=r"http://127\.0\.0\.1:9/v1/chat/completions did not answer"):
        refine(EndpointRefiner("http://127.0.0.1:9/v1", "m", timeout=2), ["a red circle falls"], [0])


def test_generation_with_refine_says_what_it_was_made_from(pipeline):
    plain, refined = pipeline.generate(
        [Request("a red circle falls", seed=5, num_inference_steps=2, refine=r) for r in (False, True)]
    )
    assert plain.prompt == "a red circle falls"
    assert parse(plain.prompt).slots() < parse(refined.prompt).slots()
    with pytest.raises(PromptError, match="does not know the word 'circel'"):
        pipeline.generate([Request("a red circel", refine=True)])
