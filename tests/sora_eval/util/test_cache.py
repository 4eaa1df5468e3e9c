"""Files of a shared cache. This module stays light: every worker imports it anew."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sora_eval.util import cache
from sora_eval.util.cache import cached_file, derived_file


def write(log, path):
    """Write a file slowly, half by half."""
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    with path.open("wb") as file:
        for _ in range(2):
            file.write(os.urandom(1 << 20))
            file.flush()


def content(folder, _number):
    path = derived_file(folder / "cache" / "a.onnx", partial(write, folder / "log"))
    return path.read_bytes()


def test_five_processes_share_what_one_of_them_writes(tmp_path):
    with ProcessPoolExecutor(5, multiprocessing.get_context("spawn")) as pool:
        contents = set(pool.map(partial(content, tmp_path), range(10)))
    assert [len(c) for c in contents] == [2 << 20]
    assert len((tmp_path / "log").read_text().splitlines()) == 1


@pytest.mark.parametrize("make", [cached_file, derived_file])
def test_without_a_folder_to_write_into_a_process_makes_its_own_and_says_so_once(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache, "_said", set())
    (tmp_path / "file").write_text("no folder")
    for _ in range(2):
        path = make(tmp_path / "file" / "a.onnx", lambda p: p.write_text("a graph"))
        assert path.read_text() == "a graph"
        assert tmp_path not in path.parents
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: the cache {tmp_path / 'file'} is not used: ")


def test_what_fails_leaves_nothing(tmp_path):
    def fails(path: Path):
        path.write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        derived_file(tmp_path / "a.onnx", fails)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
