"""Whatever a manifest or a folder holds is read back as it was written: any text, id, quoting, encoding and layout."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sora_eval.generators.opening import open_generator
from sora_eval.records.names import MOST, check_id, safe_id

LIKE_NUMBERS = ["0", "00", "0001", "1e5", "100000", "1_0", "-1", "inf", "2024-01-01"]
LIKE_OTHER_TYPES = [*LIKE_NUMBERS, "False", "True", "nan", "NaN", "NA", "null", "None"]
SCRIPTS = ["ж", "й", "日本", "हिन्दी", "ไทย", "مرحبا", "²", "ß"]
IDS = st.one_of(
    st.sampled_from([*LIKE_OTHER_TYPES, *SCRIPTS]),
    st.text(st.characters(categories=["L", "M", "N"], include_characters="._-"), min_size=1, max_size=20).map(safe_id),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MARKS = [" a ", '"a', "a\u2028b", "a\x85b", "a\nb", "a\r\nb", "a\rb", "a,b", "\ufeffa", "#a", "a\0b"]
PROMPTS = st.one_of(TEXT, st.sampled_from([*LIKE_OTHER_TYPES, *MARKS]))
SEEDS = st.integers(-(2**53), 2**53)
ROWS = st.lists(
    st.fixed_dictionaries({"prompt": PROMPTS}, optional={"prompt_id": IDS, "seed": SEEDS}),
    min_size=1,
    max_size=6,
    unique_by=lambda row: (row.get("prompt_id"), row.get("seed", 0)) if "prompt_id" in row else object(),
)
LAYOUTS = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["path", "videopath", "video_path", "file"]),
        "prompt": st.sampled_from(["prompt", "caption", "text"]),
        "order": st.randoms(use_true_random=False),
        "extra": st.booleans(),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "end": st.sampled_from(["\n", "\r\n"]),
        "ascii": st.booleans(),
        "mark": st.booleans(),
    }
)
COLUMNS = ("path", "prompt", "prompt_id", "seed")


def written(path, rows, layout):
    """Rows as a manifest of that layout; an absent value is an empty cell, or in JSON no key."""
    names = {c: layout.get(c, c) for c in COLUMNS} | ({"extra": "model"} if layout["extra"] else {})
    columns = list(names)
    layout["order"].shuffle(columns)
    rows = [{**row, "extra": "x"} for row in rows]
    if path.suffix == ".csv":
        text = io.StringIO(newline="")
        bare = any("\r" in row["prompt"] for row in rows)  # which csv quotes only where lines end in it
        table = csv.writer(text, quoting=csv.QUOTE_ALL if bare else layout["quoting"], lineterminator=layout["end"])
        table.writerows([[names[c] for c in columns], *([row.get(c, "") for c in columns] for row in rows)])
        path.write_bytes(text.getvalue().encode("utf-8-sig" if layout["mark"] else "utf-8"))
    elif path.suffix == ".jsonl":
        lines = [json.dumps({names[c]: row[c] for c in columns if c in row}, ensure_ascii=layout["ascii"]) for row in rows]
        path.write_bytes("".join(line + layout["end"] for line in lines).encode())
    else:
        pd.DataFrame([{names[c]: row.get(c) for c in columns} for row in rows]).to_parquet(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, layout=LAYOUTS)
def test_every_prompt_id_and_seed_is_read_as_it_was_written(tmp_path, suffix, rows, layout):
    rows = [{"path": f"clip{i}.mkv", **row} for i, row in enumerate(rows)]
    path = tmp_path / f"m.{suffix}"
    written(path, rows, layout)
    cases = open_generator(f"folder:{path}").cases()
    assert [(c.prompt.text, c.prompt.id, c.seed) for c in cases] == [
        (row["prompt"], row.get("prompt_id", f"clip{i}"), row.get("seed", 0)) for i, row in enumerate(rows)
    ]


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: not name.startswith(".") and len(name.encode()) < 200
)


@settings(max_examples=60, deadline=None)
@given(stems=st.lists(NAMES, min_size=1, max_size=6, unique=True), captions=st.booleans())
@example(stems=["a b", "a_b", "a,b"], captions=True)
@example(stems=["é", "è", "日", "本"], captions=True)
def test_every_file_is_one_case_whatever_its_name_and_its_neighbours(stems, captions):
    with TemporaryDirectory() as folder:
        for stem in stems:
            Path(folder, f"{stem}.mkv").touch()
            Path(folder, f"{stem}.txt").touch(exist_ok=True) if captions else None
        cases = open_generator(f"folder:{folder}").cases()
        alone = []
        for stem in stems:
            with TemporaryDirectory() as other:
                Path(other, f"{stem}.mkv").touch()
                alone += [c.prompt.id for c in open_generator(f"folder:{other}").cases()]
    assert len(cases) == len({c.id for c in cases}) == len(stems)
    assert {check_id(c.prompt.id) for c in cases} == set(alone)


@given(st.lists(st.text(max_size=300), min_size=2, max_size=2, unique=True))
@example(["x" * 300, "x" * 301])
@example(["\ud83d", "\ud83e"])
def test_ids_of_different_texts_differ_and_are_ids(texts):
    ids = [check_id(safe_id(text)) for text in texts]
    assert ids[0] != ids[1]
    assert all(len(name.encode()) <= MOST for name in ids)
    assert [safe_id(name) for name in ids] == ids
