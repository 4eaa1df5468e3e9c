"""Specs of services: what their options state, and what is refused before anything is asked."""

import pytest

from sora_eval.generators.http.options import read_options, url_of
from sora_eval.generators.opening import read_spec
from sora_eval.util.errors import GeneratorError
from sora_eval.util.redaction import redact


@pytest.mark.parametrize(
    ("scheme", "argument", "url"),
    [
        ("http", "//localhost:8000/v1/videos", "http://localhost:8000/v1/videos"),
        ("http", "localhost:8000/v1/videos/", "http://localhost:8000/v1/videos"),
        ("http", "https://host/v1/videos", "https://host/v1/videos"),
        ("https", "//host/v1/videos", "https://host/v1/videos"),
    ],
)
def test_the_spec_is_the_url(scheme, argument, url):
    assert url_of(scheme, argument) == url


REFUSED = {
    "http:": "is no URL of a service",
    "http://host:x/v1": "is no URL of a service",
    "http://me:hunter22@host/v1": "keys come from the environment: key_env=NAME_OF_VARIABLE",
    "http://host/v1/videos?api_key=sk-abcdefgh": "keys come from the environment: key_env=NAME_OF_VARIABLE",
    "http://host/v1/videos?key_env=NO_SUCH_KEY": "NO_SUCH_KEY, which key_env names, is not set",
    "http://host/v1/videos?route=fast": "route=fast; expected one of async, sync, plain",
    "http://host/v1/videos?batch=0": "batch=0; expected a whole number from 1 to 1024",
    "http://host/v1/videos?timeout=soon": "timeout=soon; expected a number from 0.1",
    "http://host/v1/videos?timout=5": "option 'timout' is not known; did you mean 'timeout'?",
    "http://host/v1/videos?seed=5": "seed is of the suite",
    "http://host/v1/videos?fields=prompt,length": "fields=prompt,length; expected names joined by commas, of prompt",
    "http://host/v1/videos?template=none.json": "template=none.json cannot be read as JSON",
    "http://host/v1/videos?device=cuda": "a service has its own device",
    "http://host/v1/videos?damaged=note": "--allow-damaged is of clips that exist",
    "http://host/v1/videos?answer=url": "of route=sync or plain",
}


@pytest.mark.parametrize(("spec", "message"), REFUSED.items())
def test_what_cannot_be_followed_is_refused_without_asking(spec, message):
    with pytest.raises(GeneratorError) as raised:
        read_spec(spec)
    assert message in str(raised.value)
    assert "hunter22" not in str(raised.value)
    assert "sk-abcdefgh" not in str(raised.value)


def test_shapes_are_stated_where_the_spec_states_them():
    assert not read_options("http", "h/v1", {}).capabilities.stated
    assert read_options("http", "h/v1", {}).capabilities.settings is None
    rate = read_options("http", "h/v1", {"fps": "16"}).capabilities
    assert (rate.fps, rate.stated) == (16, False)
    whole = read_options("http", "h/v1", {"side": "16", "stride": "4", "most_frames": "81"}).capabilities
    assert (whole.side, whole.stride, whole.most_frames, whole.stated) == (16, 4, 81, True)


def test_fields_are_all_that_is_sent_and_read():
    capabilities = read_options("http", "h/v1", {"fields": "prompt,size,seconds,negative_prompt"}).capabilities
    assert capabilities.settings == ("negative_prompt",)
    assert capabilities.first_frames == (0, 0)


@pytest.mark.parametrize("text", ['{"seed": "{seed}"}', "{", "[1]"])
def test_a_template_is_json_with_the_prompt_in_it(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(GeneratorError, match=r"cannot be read as JSON|has no \"\{prompt\}\""):
        read_options("http", "h/v1", {"template": str(tmp_path / "t.json")})


def test_a_template_reads_no_option_that_it_has_no_place_for(tmp_path):
    (tmp_path / "t.json").write_text('{"text": "{prompt}", "shift": "{flow_shift}"}')
    template = {"template": str(tmp_path / "t.json")}
    assert read_options("http", "h/v1", {**template, "flow_shift": "3"}).keywords == {"flow_shift": 3}
    with pytest.raises(GeneratorError, match=r"the template has no \{shift\}"):
        read_options("http", "h/v1", {**template, "shift": "3"})


def test_a_key_is_known_as_a_secret_whatever_its_variable_is_called(monkeypatch):
    monkeypatch.setenv("PLAIN_NAME", "Zq81-kkfp-open")
    assert read_options("http", "h/v1", {"key_env": "PLAIN_NAME"}).key == "Zq81-kkfp-open"
    assert "Zq81" not in redact("401: Zq81-kkfp-open is not valid")
    monkeypatch.setenv("PLAIN_NAME", "two lines\n")
    with pytest.raises(GeneratorError, match="is no key"):
        read_options("http", "h/v1", {"key_env": "PLAIN_NAME"})
