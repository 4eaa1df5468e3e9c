"""Any text that Python can hold, as a prompt in a file: read as it was written, or one message that names file and line."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sora_eval.suite import Suite, load_suite
from sora_eval.util.errors import SuiteError

AXES = '[axes]\nshapes = ["32x32"]\nframes = [9]\n'
SUITE = f'[suite]\nid = "s"\n[prompts]\nfile = "p.jsonl"\n{AXES}[metrics.temporal_flickering]\n'
MARKS = ["a\u2028b", "a\x85b", "a\x0cb", "a\nb", "a\r\nb", "\ufeffa", "a\0", "😀", "\\ud83d", "null", "NaN", "0001", '"', " a "]
TEXTS = st.one_of(st.text(), st.sampled_from(MARKS), st.text(st.characters(categories=["Cs", "L"]), max_size=3))
IDS = st.sampled_from(["0", "0001", "1e5", "False", "null", "NaN", "кот", "日本", "हिन्दी", "é", "è"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner | st.text(max_size=3), max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def loaded(data: bytes) -> Suite:
    with TemporaryDirectory() as folder:
        Path(folder, "p.jsonl").write_bytes(data)
        Path(folder, "s.toml").write_text(SUITE)
        return load_suite(Path(folder, "s.toml"))


def is_text(text: str) -> bool:
    """Whether a prompt has words, all of them characters: half of a surrogate pair is none."""
    return bool(text.strip()) and not any("\ud800" <= c <= "\udfff" for c in text)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(IDS, TEXTS, min_size=1, max_size=5), st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]))
@example({"a": "a red circle \ud83d"}, True, "\n")
def test_a_prompt_is_read_as_it_was_written_and_kept_by_the_run(prompts, ascii_only, end):
    lines = [json.dumps({"id": i, "text": t}, ensure_ascii=ascii_only) for i, t in prompts.items()]
    data = "".join(line + end for line in lines).encode(errors="surrogatepass")
    if all(map(is_text, prompts.values())):
        suite = loaded(data)
        assert {p.id: p.text for p in suite.prompt_list} == prompts
        again = Suite.from_json(json.loads(json.dumps(suite.to_json())), suite.path)
        assert (again.prompt_list, again.fingerprint) == (suite.prompt_list, suite.fingerprint)
        return
    with pytest.raises(SuiteError, match=r"p\.jsonl:") as error:
        loaded(data)
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).isprintable()


@settings(max_examples=60, deadline=None)
@given(JSON, st.sampled_from(["id", "text"]))
@example(None, "text")
@example(["a", "b"], "text")
@example(0, "id")
def test_what_is_no_text_is_one_message_with_its_line(value, key):
    row = {"id": "a", "text": "a cat", key: value}
    with pytest.raises(SuiteError, match=rf"p\.jsonl:2: {key} = .*; expected a valid string") as error:
        loaded(b'{"id": "z", "text": "a dog"}\n' + json.dumps(row).encode())
    assert len(str(error.value).splitlines()) == 1


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="latin-1"), min_size=1), st.sampled_from(["latin-1", "utf-16", "utf-32"]))
def test_a_file_in_another_encoding_is_refused_or_is_utf8_too(text, encoding):
    data = json.dumps({"id": "a", "text": f"x{text}"}, ensure_ascii=False).encode(encoding)
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        with pytest.raises(SuiteError, match=r"p\.jsonl: byte \d+ is 0x..; expected text in UTF-8"):
            loaded(data)
    else:
        assert loaded(data).prompt_list[0].text == json.loads(expected)["text"]


@pytest.mark.parametrize("key", ["Prompt", " text", "Text", "caption", "ID"])
def test_an_unknown_column_is_named(key):
    with pytest.raises(SuiteError, match=rf"p\.jsonl:1: ('{key}'|{key}) is not known; (did you mean|known)"):
        loaded(json.dumps({"id": "a", "text": "a cat", key: "a dog"}).encode())
