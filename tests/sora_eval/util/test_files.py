"""Rows are appended whole or not at all, and a file takes the place of another whole or not at all."""

import resource
from contextlib import contextmanager

import pytest

from sora_eval.util.files import append_lines, write_atomic


@contextmanager
def largest_file(size):
    """Inside, no file of this process can grow beyond `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_that_do_not_fit_leave_the_table_as_it_was(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_lines(path, '{"id": 1}\n')
    with largest_file(1000), pytest.raises(OSError, match="File too large"):
        append_lines(path, '{"id": 2}\n' * 1000)
    assert path.read_text() == '{"id": 1}\n'
    append_lines(path, '{"id": "ü"}\n')
    assert path.read_text(encoding="utf-8") == '{"id": 1}\n{"id": "ü"}\n'


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_beside_it(tmp_path):
    path = tmp_path / "run.json"
    write_atomic(path, "old")
    with largest_file(1000), pytest.raises(OSError, match="File too large"):
        write_atomic(path, "new" * 1000)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"run.json": "old"}
