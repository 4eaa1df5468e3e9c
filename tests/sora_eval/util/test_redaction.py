"""Which texts are secrets, and which only look like some."""

import json

import pytest

from sora_eval.util import redaction
from sora_eval.util.errors import GeneratorError
from sora_eval.util.redaction import given_again, redact, redacted, redacted_command, redacted_lines, remember


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(redaction, "_known", set())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("noise:x?api_key=abc&steps=3", "noise:x?api_key=REDACTED&steps=3"),
        ("noise:x?steps=3&authToken=abc", "noise:x?steps=3&authToken=REDACTED"),
        (
            "reference?refine=https://h/v1?token=abc&refine_model=m",
            "reference?refine=https://h/v1?token=REDACTED&refine_model=m",
        ),
        ("http:https://me:pass@host/v1", "http:https://REDACTED@host/v1"),
        ("https://h/clip.mp4?X-Amz-Credential=a&X-Amz-Signature=9f&part=1", None),
        ("the key sk-abcdefgh1234 is not valid", "the key REDACTED is not valid"),
        ("hf_abcdefghijklmnopqrst", "REDACTED"),
        ("ghp_0123456789abcdef", "REDACTED"),
        ("AKIAIOSFODNN7EXAMPLE", "REDACTED"),
        ("Authorization: Bearer abc.def", "Authorization: REDACTED"),
        ("{'x-api-key': 'abc'}", "{'x-api-key': 'REDACTED'}"),
        ("401: Bearer 0123456789abcdef", "401: Bearer REDACTED"),
        ("password=hunter2hunter2, user=me", "password=REDACTED, user=me"),
    ],
)
def test_secrets_by_name_and_by_shape(text, clean):
    assert redact(text) == (clean or "https://h/clip.mp4?X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED&part=1")
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "generator 'reference?steps': 'steps' is not key=value",
        "reference:base?steps=10&guidance=2",
        "noise:x?max_tokens=48&key_frame=3",
        "clip_score|open_clip:world|weights:0a1b2c3d|frames:8-even|canonical:fps=8.0,area=1024",
        "KeyError: 'id'",
        "the bearer understands that a basic understanding is a token of respect",
        "python:hf_transformers:generate",
        "folder:me@host/clips",
        "0a1b" * 16,
        "a risk-averse sk-boat",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_values_of_specs_and_of_the_environment_are_known_wherever_they_occur(monkeypatch):
    remember({"api_key": "plain words", "steps": "another value", "token": "short"})
    monkeypatch.setenv("JUDGE_API_KEY", 'odd"quoted\\key')
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Jane Doe")
    assert redact("it said plain words, another value, short, Jane Doe") == "it said REDACTED, another value, short, Jane Doe"
    line = json.dumps({"reason": 'odd"quoted\\key', "prompt": "plain words"}) + "\n"
    assert json.loads(redacted_lines(line, unchanged=("prompt",))) == {"reason": "REDACTED", "prompt": "plain words"}
    assert redact("explain wordsmith") == "explain wordsmith"


def test_the_working_folder_is_no_secret_although_shells_call_it_pwd(monkeypatch):
    monkeypatch.setenv("PWD", "/home/me/project")
    assert redact("/home/me/project/my.toml: valid") == "/home/me/project/my.toml: valid"


def test_tables_are_redacted_by_key_and_lines_without_secrets_stay_byte_for_byte():
    assert redacted({"m": {"api_key": "a", "model": "b", "n": 3, "l": ["sk-abcdefgh1234"]}}) == {
        "m": {"api_key": "REDACTED", "model": "b", "n": 3, "l": ["REDACTED"]}
    }
    line = '{"id": "a",  "signature":"x|weights:0a", "value":NaN}\n'
    assert redacted_lines(line) == line
    assert json.loads(redacted_lines('{"detail":{"api_key":"a"}}\n')) == {"detail": {"api_key": "REDACTED"}}


def test_a_command_has_no_value_of_a_secret_option():
    command = ["sora-eval", "run", "--hub-token", "abc", "--key=abc", "-g", "noise?api_key=abc", "--seed", "3"]
    assert redacted_command(command) == ("sora-eval run --hub-token REDACTED --key=REDACTED -g noise?api_key=REDACTED --seed 3")


def test_what_is_left_out_comes_from_the_environment(monkeypatch):
    options = {"api_key": "REDACTED", "url": "https://REDACTED@host", "steps": "3"}
    with pytest.raises(GeneratorError) as caught:
        given_again(options, "noise:x", GeneratorError)
    assert str(caught.value) == (
        "noise:x: secrets are not recorded; give them again by the environment: set SORA_EVAL_API_KEY (its api_key) and "
        "SORA_EVAL_URL (its url)"
    )
    monkeypatch.setenv("SORA_EVAL_API_KEY", "abcdefgh")
    monkeypatch.setenv("SORA_EVAL_URL", "https://me:pass@host")
    assert given_again(options, "noise:x", GeneratorError) == {
        "api_key": "abcdefgh",
        "url": "https://me:pass@host",
        "steps": "3",
    }
