"""Manifests of a folder of videos: exact values, and every fault as one message that names the file and the row."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sora_eval.generators.opening import open_generator
from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError, GeneratorError
from sora_eval.video.codec import write_clip


@pytest.fixture
def folder(tmp_path):
    write_clip(Clip(np.zeros((2, 16, 16, 3), np.uint8), 8.0), tmp_path / "a.mkv")
    (tmp_path / "inner").mkdir()
    return tmp_path


def manifest(folder, suffix, *rows):
    path = folder / f"manifest.{suffix}"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == "csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_values_stay_as_they_are_in_the_file(folder, suffix):
    whole = {"path": "a.mkv", "prompt": "007", "prompt_id": "2024-01-01", "seed": 2**53 - 1}
    if suffix == "csv":
        (folder / "manifest.csv").write_text(f"path,prompt,prompt_id,seed\na.mkv,007,2024-01-01,{2**53 - 1}\nlost.mkv,NA,,\n")
    else:
        manifest(folder, suffix, whole, {"path": "lost.mkv", "prompt": "NA"})
    first, second = open_generator(f"folder:{folder}").cases()
    assert (first.prompt.text, first.prompt.id, first.seed) == ("007", "2024-01-01", 2**53 - 1)
    assert (second.prompt.text, second.prompt.id, second.seed) == ("NA", "lost", 0)


FAULTS = [
    ({"seed": 1.5}, r"seed = .?1.5.?; expected a valid integer"),
    ({"seed": "one"}, r"seed = 'one'; expected a valid integer"),
    ({"seed": 1e300}, r"seed = .?1e\+300.?; expected a valid integer"),
    ({"prompt_id": "../escaped"}, r"prompt_id = '../escaped'; expected 1 to 200 letters"),
    ({"prompt_id": "a\x1b[2J"}, r"prompt_id = 'a\\x1b\[2J'; expected 1 to 200 letters"),
    ({"path": ""}, r"path = ''; expected the path of a clip"),
    ({"path": "a\0b"}, r"path = 'a\\x00b'; expected the path of a clip"),
    ({"path": "inner"}, r"path = 'inner' is a folder; expected a video file"),
    ({"path": "x" * 5000}, r"File name too long"),
]
TYPES = [
    ({"path": None}, r"path = None; expected a valid string"),
    ({"prompt": ["a", "cat"]}, r"prompt = .*; expected a valid string"),
    ({"seed": True}, r"seed = True; expected a valid integer"),
]


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        *((s, change, message) for s in ("jsonl", "csv") for change, message in FAULTS),
        *(("jsonl", change, m) for change, m in TYPES),
        ("parquet", {"prompt": ["a", "cat"]}, r"prompt = .*; expected a valid string"),
        ("parquet", {"seed": 1e300}, r"seed = 1e\+300; expected a valid integer"),
        ("parquet", {"path": None}, r"path = None; expected a valid string"),
    ],
)
def test_a_wrong_value_names_file_and_row(folder, suffix, change, message):
    rows = [{"path": "a.mkv", "prompt": "a cat"}, {"path": "b.mkv", "prompt": "a dog", **change}]
    path = manifest(folder, suffix, *(rows if not isinstance(change.get("prompt"), list) else [{**rows[0], **change}] * 2))
    with pytest.raises(GeneratorError, match=message) as error:
        open_generator(f"folder:{path}")
    assert str(error.value).startswith(f"{path}, row ")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"path,prompt,path\na.mkv,x,b.mkv\n", "has two columns 'path'"),
        ("m.csv", b"path\na.mkv,x,b.mkv\n", "cannot be read as a csv table"),
        ("m.csv", b"\x89\xff\x00garbage", "cannot be read as a csv table: byte 0 is 0x89; expected text in UTF-8"),
        ("m.csv", b"", "cannot be read as a csv table"),
        ("m.jsonl", b"\x89\xff\x00garbage", "cannot be read as a jsonl table: byte 0"),
        (
            "m.jsonl",
            b'{"path": "a.mkv"}\n[]\n',
            r"table: line 2: expected a JSON object, found '\[\]'",
        ),
        ("m.jsonl", b'{"path": "a", "path": "b"}', "cannot be read as a jsonl table: line 1: the key 'path' occurs twice"),
        ("m.jsonl", b'{"path": "a.mkv", "seed": NaN}', "line 1: NaN is no number of JSON"),
        ("m.jsonl", b"[" * 50_000, "cannot be read as a jsonl table: line 1: nested too deeply"),
        ("m.parquet", b"\x89\xff\x00garbage", "cannot be read as a parquet table"),
        ("m.csv", b"prompt\nx\n", "has the columns prompt; expected 'path'"),
        ("m.csv", b"path,prompt\n", "lists no clips"),
        ("m.csv", b"path,seed\na.mkv,\na.mkv,0\n", "two clips have the id 'a/native/0'"),
    ],
)
def test_a_file_that_is_no_manifest_is_one_message(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(GeneratorError, match=message) as error:
        open_generator(f"folder:{folder / name}")
    assert len(str(error.value).splitlines()) == 1


def test_names_of_files_become_ids_that_are_safe(folder):
    for name in ("a b.mkv", "a_b.mkv", "x" * 240 + ".mkv", "caf\u00e9.mkv", "caf\u00e8.mkv"):
        (folder / name).touch()
    ids = [c.prompt.id for c in open_generator(f"folder:{folder}").cases()]
    assert ids[:3] == ["a_b-c8687a08aa5d", "a", "a_b"]
    assert {"caf\u00e9", "caf\u00e8"} < set(ids)
    assert max(map(len, ids)) == 200
    (folder / "caf\udce9.mkv").touch()
    with pytest.raises(GeneratorError, match=r"file name 'caf\\udce9.mkv' is not UTF-8; rename the file"):
        open_generator(f"folder:{folder}")


def test_ids_that_are_numbers_are_the_text_of_the_number_or_refused(folder):
    large = [2**53, 2**53 + 1]
    rows = [{"path": "a.mkv", "prompt_id": i} for i in (0, *large, None)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "m.parquet")
    manifest(folder, "jsonl", *rows).rename(folder / "m.jsonl")
    for name in ("m.parquet", "m.jsonl"):
        ids = [c.prompt.id for c in open_generator(f"folder:{folder / name}").cases()]
        assert ids == ["0", *map(str, large), "a"]
    (folder / "m.jsonl").write_text('{"path": "a.mkv", "prompt_id": 100000}\n{"path": "a.mkv", "prompt_id": 1e5, "seed": 1}\n')
    with pytest.raises(GeneratorError, match=r"line 2: prompt_id is the number 100000.0; expected text, in quotes"):
        open_generator(f"folder:{folder / 'm.jsonl'}")


def test_captions_folders_and_dead_links_are_named_and_change_no_id(folder, capsys):
    for name in ("a.txt", "a.json", "b.mkv"):
        (folder / name).touch()
    (folder / "gone.mkv").symlink_to(folder / "nothing.mkv")
    generator = open_generator(f"folder:{folder}")
    assert [c.prompt.id for c in generator.cases()] == ["a", "b", "gone"]
    note = capsys.readouterr().err
    assert f"note: folder:{folder}: 3 entries are no clips and left out: a.json, a.txt, inner/" in note
    with pytest.raises(ClipError, match=r"gone.mkv does not exist"):
        generator.read(generator.cases()[2])


def test_names_of_vbench_are_prompt_and_seed(folder):
    (folder / "a.mkv").unlink()
    for name in ("a red ball, falling-0.mp4", "a red ball, falling-1.mp4", "a red ball falling-0.mp4", "alley-0.mp4", "x.mp4"):
        (folder / name).touch()
    cases = open_generator(f"folder:{folder}").cases()
    assert sorted((c.prompt.text, c.seed) for c in cases) == [
        ("", 0),
        ("a red ball falling", 0),
        ("a red ball, falling", 0),
        ("a red ball, falling", 1),
        ("alley", 0),
    ]
    assert len({c.prompt.id for c in cases}) == 4


def test_clips_of_equal_names_in_several_folders_have_ids_of_their_own(folder):
    path = manifest(folder, "csv", *({"path": f"{take}/0.mkv", "prompt": take} for take in ("x", "y")))
    ids = [c.prompt.id for c in open_generator(f"folder:{path}").cases()]
    assert len(set(ids)) == 2
    assert all(i.startswith("0-") for i in ids)
    (folder / "swapped.csv").write_text("path,prompt\ny/0.mkv,y\nx/0.mkv,x\n")
    assert [c.prompt.id for c in open_generator(f"folder:{folder / 'swapped.csv'}").cases()] == ids[::-1]


@pytest.mark.parametrize(
    ("column", "near"),
    [("Prompt", "prompt"), (" prompt", "prompt"), ("prompts", "prompt"), ("Seed", "seed"), ("Prompt ID", "prompt_id")],
)
def test_a_column_that_is_nearly_one_is_named(folder, column, near):
    path = manifest(folder, "csv", {"path": "a.mkv", "model": "ours", column: "1"})
    with pytest.raises(GeneratorError, match=f"the column '{column}' is not known; did you mean '{near}'"):
        open_generator(f"folder:{path}")
    assert len(open_generator(f"folder:{manifest(folder, 'csv', {'path': 'a.mkv', 'model': 'x', 'duration': 2})}").cases()) == 1
