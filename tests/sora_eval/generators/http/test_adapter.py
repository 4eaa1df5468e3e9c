"""A service by its URL: what it is asked, what becomes of its answers, and which of its faults pass."""

import base64
import io
import json
import os
import signal
import threading
import time

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

from tenacity import wait_none

from sora_eval.generators.asking import Misfit, answers
from sora_eval.generators.http import exchange
from sora_eval.generators.opening import open_generator
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import GeneratorError
from tests.sora_eval.generators.http.stub import Stub, answer, cut, video


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(exchange, "_back_off", wait_none())
    with Stub() as service:
        yield service


def request(seed=7, **more):
    return Request("a grey wall", 16, 8, 5, 8.0, seed, **more)


def reason(generator):
    (found,) = answers(generator, [request()])
    assert isinstance(found, str), found
    return found


@pytest.mark.parametrize("options", ["", "?route=sync", "?body=json", "/sync?route=plain"])
def test_every_route_and_body_gives_the_clip_that_was_asked_for(stub, options):
    stub.polls = 2
    (clip,) = open_generator(f"{stub.url}{options}").generate([request()])
    assert clip.frames.shape == (5, 8, 16, 3)
    assert clip.fps == 8
    assert (clip.frames == 7).all()
    assert clip.seconds["wait"] > 0
    assert clip.seconds["read"] > 0


def test_all_of_a_request_is_sent_and_nothing_that_it_leaves_open(stub):
    full = request(
        num_inference_steps=30,
        guidance_scale=4.5,
        negative_prompt="blurry",
        options={"flow_shift": 3.0, "extra_params": {"a": [1]}, "generate_sound": False},
    )
    open_generator(f"{stub.url}?model=grey-1&guidance_scale_2=2.5").generate([full])
    open_generator(f"{stub.url}?body=json").generate([full])
    open_generator(stub.url).generate([request()])
    form, plain, least = stub.bodies()
    assert form == {
        "prompt": "a grey wall",
        "negative_prompt": "blurry",
        "size": "16x8",
        "width": "16",
        "height": "8",
        "num_frames": "5",
        "fps": "8",
        "seed": "7",
        "num_inference_steps": "30",
        "guidance_scale": "4.5",
        "flow_shift": "3.0",
        "extra_params": '{"a": [1]}',
        "generate_sound": "false",
        "guidance_scale_2": "2.5",
        "model": "grey-1",
    }
    assert (plain["num_frames"], plain["extra_params"], plain["generate_sound"]) == (5, {"a": [1]}, False)
    assert set(least) == {"prompt", "size", "width", "height", "num_frames", "fps", "seed"}


def test_first_frames_are_uploaded(stub):
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 256, (3, 2, 4, 3), np.uint8), 4, 1), 4, 2)
    open_generator(f"{stub.url}?body=json").generate([request(first_frames=frames[:1]), request(first_frames=frames)])
    uploads = {body["input_reference"][1]: body["input_reference"][2] for body in stub.bodies()}
    picture = cv2.imdecode(np.frombuffer(uploads["image/png"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (picture == frames[0]).all()
    with av.open(io.BytesIO(uploads["video/mp4"])) as container:
        assert container.streams.video[0].average_rate == 8
        decoded = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).max() <= 4  # the colour space is another one


def test_a_template_is_the_body_and_its_answer_holds_the_video(stub, tmp_path):
    (tmp_path / "t.json").write_text(
        json.dumps({"input": {"text": "{prompt}", "not": "{negative_prompt}", "size": "{width}*{height}", "image": "{image}"},
                    "n": "{num_frames}", "seed": "{seed}", "s": "{seconds}", "style": "{style}"})
    )  # fmt: skip
    generator = open_generator(f"{stub.url}?route=plain&template={tmp_path}/t.json&answer=data.0.b64&style=oil")
    assert set(generator.capabilities.settings) == {"negative_prompt", "style"}
    made = base64.b64encode(video(16, 8, 5, 8, 7)).decode()
    stub.faults["POST /v1/videos"] = [
        answer({"data": [{"b64": made}]}),
        answer({"data": [{"b64": f"data:video/x-matroska;base64,{made}"}]}),
    ]
    frames = np.full((1, 8, 16, 3), 9, np.uint8)
    one, other = answers(generator, [request()]) + answers(generator, [request(first_frames=frames)])
    assert one.sha256 == other.sha256
    first, second = stub.bodies()
    assert first == {"input": {"text": "a grey wall", "size": "16*8"}, "n": 5, "seed": 7, "s": 0.625, "style": "oil"}
    assert second["input"]["image"].startswith("data:image/png;base64,")


def test_a_video_that_an_answer_names_is_fetched_without_the_key_where_it_lies_elsewhere(stub, monkeypatch):
    monkeypatch.setenv("MY_KEY", "abc-123-xyz")
    with Stub() as elsewhere:
        elsewhere.faults["GET /f.mkv"] = [answer(video(16, 8, 5, 8, 3))]
        stub.faults["POST /v1/videos/sync"] = [
            answer({"url": elsewhere.url.replace("/v1/videos", "/f.mkv")}),
            answer({"url": "/f.mkv"}),
        ]
        stub.faults["GET /f.mkv"] = [answer(video(16, 8, 5, 8, 4))]
        generator = open_generator(f"{stub.url}?route=sync&answer=url&key_env=MY_KEY")
        levels = [answers(generator, [request()])[0].frames.max() for _ in range(2)]
        assert levels == [3, 4]
        assert "Authorization" not in elsewhere.asked[0][2]
    assert {headers["Authorization"] for _, _, headers, _ in stub.asked} == {"Bearer abc-123-xyz"}


def test_requests_of_a_batch_are_under_way_at_once_and_fail_alone(stub):
    stub.faults["GET /v1/videos/ID/content"] = [answer({"error": {"message": "gone"}}, 404)]
    generator = open_generator(f"{stub.url}?batch=4")
    found = answers(generator, [request(seed) for seed in (1, 2, 3, 4)])
    assert generator.batch == 4
    assert stub.most_at_once > 1
    assert len(stub.bodies()) == 4  # none was asked for twice
    clips = [clip for clip in found if isinstance(clip, Clip)]
    assert len(clips) == 3
    assert all((clip.frames == seed).all() for seed, clip in zip((1, 2, 3, 4), found, strict=True) if isinstance(clip, Clip))
    assert next(f for f in found if isinstance(f, str)).endswith("404 Not Found: gone")


PASSING = [
    answer({"error": {"message": "slow down"}}, 429, Retry_After="0"),
    answer("<html>bad gateway</html>", 502),
    answer("", 503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
]


@pytest.mark.parametrize("place", ["POST /v1/videos", "GET /v1/videos/ID", "GET /v1/videos/ID/content"])
def test_faults_that_pass_are_tried_again_and_make_no_second_job(stub, place):
    stub.faults[place] = [*PASSING, cut]
    (clip,) = answers(open_generator(stub.url), [request()])
    assert isinstance(clip, Clip), clip
    assert len(stub.jobs) == 1


def test_a_pause_that_is_asked_for_is_kept(stub, monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(exchange.anyio, "sleep", sleep)
    stub.faults["POST /v1/videos/sync"] = [answer("", 429, Retry_After="17"), answer("", 503)]
    assert isinstance(answers(open_generator(f"{stub.url}?route=sync"), [request()])[0], Clip)
    assert pauses == [17, 0]


def test_retries_end_and_a_pause_longer_than_a_try_is_not_waited_for(stub):
    stub.faults["POST /v1/videos"] = [answer({"detail": "overloaded"}, 503)] * 3
    assert reason(open_generator(f"{stub.url}?retries=2")).endswith("503 Service Unavailable: overloaded")
    assert len(stub.bodies()) == 3
    stub.faults["POST /v1/videos"] = [answer("", 429, Retry_After="3600")]
    assert "asks for a pause of 3600 s, longer than timeout=9" in reason(open_generator(f"{stub.url}?timeout=9"))


GARBAGE = {
    "bad request": (
        "POST /v1/videos",
        answer({"error": {"message": "size is not one of 1280x720"}}, 400),
        "size is not one of",
    ),
    "a page for a job": ("POST /v1/videos", answer("<!doctype html><title>Welcome</title>"), "found text/html: <!doctype"),
    "no id": ("POST /v1/videos", answer({"created": 1}), 'found no id in {"created": 1}'),
    "a list": ("POST /v1/videos", answer([1]), "expected the JSON record of a job"),
    "failed": (
        "GET /v1/videos/ID",
        answer({"status": "failed", "error": {"message": "out of memory"}}),
        "failed: out of memory",
    ),
    "no status": ("GET /v1/videos/ID", answer({"state": 1}), "found status None"),
    "a page for a video": ("GET /v1/videos/ID/content", answer("<html>login</html>"), "'<html>login</html>'; expected a video"),
    "nothing": ("GET /v1/videos/ID/content", answer(b""), "0 bytes"),
    "half a video": ("GET /v1/videos/ID/content", answer(video(16, 8, 5, 8, 1)[:600]), "the video of http"),
    "noise": ("GET /v1/videos/ID/content", answer(bytes(range(256)) * 9), "cannot be decoded as a video"),
    "a circle": ("GET /v1/videos/ID/content", answer("", 302, Location="/v1/videos/0/content"), ""),
}


@pytest.mark.parametrize(("place", "fault", "message"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_reason_that_shows_it(stub, place, fault, message):
    stub.faults[place] = [fault]
    stub.faults["GET /v1/videos/0/content"] = [fault] * 30
    found = reason(open_generator(stub.url))
    assert not isinstance(found, Misfit)
    assert message in found
    assert "/tmp" not in found


def test_a_clip_of_another_shape_is_a_misfit(stub):
    stub.faults["GET /v1/videos/ID/content"] = [answer(video(8, 8, 5, 8, 1))]
    (found,) = answers(open_generator(stub.url), [request()])
    assert isinstance(found, Misfit)


def test_a_service_that_hangs_is_given_up_and_its_job_deleted(stub):
    stub.polls = 10**6
    started = time.monotonic()
    assert "is still in_progress after 0.2 s" in reason(open_generator(f"{stub.url}?timeout=0.2"))
    assert not stub.jobs
    stub.faults["POST /v1/videos/sync"] = [stub.hang, stub.hang]
    assert "no answer within 0.2 s" in reason(open_generator(f"{stub.url}?route=sync&timeout=0.2&retries=1"))
    assert len([body for body in stub.bodies() if body]) == 3
    assert time.monotonic() - started < 15


def test_ctrl_c_ends_the_wait_and_deletes_the_jobs(stub):
    stub.polls = 10**6
    generator = open_generator(f"{stub.url}?batch=3")

    def interrupt():
        while len(stub.jobs) < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        generator.generate([request(seed) for seed in (1, 2, 3)])
    assert not stub.jobs


def test_the_fingerprint_is_the_named_model_with_what_changes_a_clip(stub):
    def of(options=""):
        return open_generator(f"{stub.url}?{options}")

    first = of()
    assert (first.name, first.checkpoint) == ("http", "grey-1")
    assert "behind the name 'grey-1'" in first.not_covered
    assert first.fingerprint() == of("batch=4&timeout=9&retries=1&model=grey-1").fingerprint()
    assert first.fingerprint() != of("flow_shift=3").fingerprint()
    with Stub() as elsewhere:
        assert first.fingerprint() == open_generator(elsewhere.url).fingerprint()
        elsewhere.models = [{"id": "grey-1", "root": "org/grey-2"}]
        assert first.fingerprint() != open_generator(elsewhere.url).fingerprint()
    stub.faults["GET /v1/models"] = [answer("", 404)]
    unnamed = of()
    assert stub.url in unnamed.not_covered
    assert unnamed.fingerprint() != first.fingerprint()


OPENING = {
    "a page": (answer("<html>hello</html>"), "", "expected the JSON list of its models"),
    "no key": (
        answer({"error": {"message": "no key"}}, 401),
        "",
        "401 Unauthorized: no key; name the variable of its key: key_env=NAME",
    ),
    "another model": (None, "model=gray-1", "has no model 'gray-1'; did you mean 'grey-1'?"),
    "down": (answer("", 503), "", "503 Service Unavailable"),
}


@pytest.mark.parametrize(("fault", "options", "message"), OPENING.values(), ids=OPENING)
def test_what_is_no_service_is_one_message_at_the_opening(stub, fault, options, message):
    stub.faults["GET /v1/models"] = [fault] if fault else []
    with pytest.raises(GeneratorError, match=r"(?s).*") as raised:
        open_generator(f"{stub.url}?{options}")
    assert message in str(raised.value)


def test_a_choice_of_models_has_to_be_made(stub):
    stub.models = [{"id": "a"}, {"id": "b"}]
    with pytest.raises(GeneratorError, match="has 2 models; choose one: model=a"):
        open_generator(stub.url)
    assert open_generator(f"{stub.url}?model=b").checkpoint == "b"


@pytest.mark.parametrize("route", ["async", "plain"])
def test_where_nothing_listens_is_one_message(route):
    with pytest.raises(GeneratorError, match="is the service running there"):
        open_generator(f"http://127.0.0.1:9/v1/videos?route={route}")


def test_the_queue_ends_when_a_service_says_that_it_began_and_is_unknown_where_it_never_does(stub):
    stub.polls = 1
    (clip,) = open_generator(stub.url).generate([request()])
    assert 0 < clip.seconds["queue"] <= clip.seconds["wait"]
    stub.polls = 0
    (clip,) = open_generator(stub.url).generate([request()])
    assert "wait" in clip.seconds
    assert "queue" not in clip.seconds
