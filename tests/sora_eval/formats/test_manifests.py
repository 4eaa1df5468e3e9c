"""Every kind of text table gives the same rows, whoever wrote it."""

import json
from pathlib import Path

import pytest

from sora_eval.generators.opening import open_generator
from sora_eval.registry.formats import FORMATS
from sora_eval.util.errors import GeneratorError

ROWS = [{"path": "a.mkv", "prompt": "a red ball, falling", "seed": "0"}, {"path": "b.mkv", "prompt": "ein Bär", "seed": "1"}]
TEXTS = {
    "csv": 'path,prompt,seed\na.mkv,"a red ball, falling",0\nb.mkv,ein Bär,1\n',
    "tsv": "path\tprompt\tseed\na.mkv\ta red ball, falling\t0\nb.mkv\tein Bär\t1\n",
    "json": json.dumps(ROWS, indent=1, ensure_ascii=False),
    "jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
}


@pytest.mark.parametrize("suffix", sorted(TEXTS))
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_byte_order_marks_and_ends_of_lines_change_nothing(tmp_path: Path, suffix: str, mark: str, end: str) -> None:
    file = tmp_path / f"manifest.{suffix}"
    file.write_bytes((mark + TEXTS[suffix].replace("\n", end)).encode())
    table = FORMATS.load(suffix)(file)
    assert table.to_dict("records") == ROWS
    cases = open_generator(f"folder:{tmp_path}").cases()
    assert [(c.prompt.text, c.seed) for c in cases] == [("a red ball, falling", 0), ("ein Bär", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": "a.mkv"}', "expected a list of JSON objects, found "),
        ('[{"path": "a.mkv"}, 3]', "object 2: expected a JSON object, found '3'"),
        ('[{"path": "a.mkv", "prompt_id": 1e5}]', "object 1: prompt_id is the number 100000.0; expected text"),
    ],
)
def test_json_that_is_no_list_of_objects_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(GeneratorError, match=message):
        open_generator(f"folder:{tmp_path / 'm.json'}")
