"""Files that carry their digest: what was written is read, and nothing else."""

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sora_eval.util import files
from sora_eval.util.sealed import parse_json, read_json, sealed, unsealed
from tests.campaigns.mutations import structure

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3))
TABLES = st.dictionaries(st.text(max_size=5).filter(lambda k: k != "digest"), VALUES, max_size=4)


@given(TABLES)
def test_a_sealed_table_is_read_whatever_its_layout(data):
    for indent in (None, 2):
        assert unsealed(parse_json(json.dumps(sealed(data), indent=indent))) == data


@given(TABLES, st.integers(0, 2**32 - 1))
def test_a_sealed_table_with_a_fault_is_refused(data, seed):
    text = json.dumps(sealed(data))
    changed = structure(json.loads(text), np.random.default_rng(seed))
    assume(json.dumps(changed, sort_keys=True) != json.dumps(json.loads(text), sort_keys=True))
    assume(isinstance(changed, dict))
    with pytest.raises(ValueError, match="digest"):
        unsealed(changed)


@given(st.floats())
def test_every_float_keeps_its_bits(value):
    read = unsealed(parse_json(json.dumps(sealed({"value": value}))))["value"]
    assert read == value or (math.isnan(read) and math.isnan(value))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 50_000, "nested too deeply"),
        ('{"a":' * 50_000, "nested too deeply"),
        (r'["\ud800"]', "half of a surrogate pair"),
        ("", "Expecting value"),
        ("1" * 5000, "digits"),
    ],
)
def test_what_is_no_json_is_a_value_error(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse_json(text)


def test_a_whole_surrogate_pair_is_text():
    assert parse_json(r'"\ud83d\ude00"') == "\U0001f600"


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:  # sparse: it takes no space
        file.truncate(files.MOST_BYTES + 1)
    for read in (read_json, files.read_bounded):
        with pytest.raises(ValueError, match="268435457 bytes; expected at most 268435456"):
            read(path)
    with pytest.raises(ValueError, match="expected at most 3"):
        files.read_bounded(path, 3)
