"""Every layout is found, and five seeds of one prompt in it are five seeds of one prompt."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sora_eval.formats.layouts import NAMES
from sora_eval.generators.folder import FolderGenerator
from sora_eval.generators.opening import open_generator
from sora_eval.records.clusters import clusters_of
from sora_eval.util.errors import GeneratorError
from sora_eval.video.codec import VIDEO_SUFFIXES
from tests.sora_eval.formats.folders import BOTH, LAYOUTS, PROMPTS, frames, steps, table, video


def opened(spec: str) -> FolderGenerator:
    generator = open_generator(f"folder:{spec}")
    assert isinstance(generator, FolderGenerator)
    return generator


@pytest.mark.parametrize("name", LAYOUTS)
def test_five_seeds_of_a_prompt_are_one_prompt(name: str, tmp_path: Path) -> None:
    make, layout, options = LAYOUTS[name]
    make(tmp_path / "clips")
    generator = opened(f"{tmp_path / 'clips'}{options}")
    cases = generator.cases()
    assert generator.layout == layout
    assert len(cases) == len(BOTH)
    clusters = Counter(clusters_of((c.id, c.prompt.id, c.prompt.text) for c in cases).values())
    assert list(clusters.values()) == [5, 5]
    assert sorted((c.prompt.id, c.seed) for c in cases) == sorted(
        (p, s) for p in {c.prompt.id for c in cases} for s in range(5)
    )
    assert {c.prompt.text for c in cases} == ({""} if name == "plain" else set(PROMPTS))
    read = {generator.read(case).frames.tobytes() for case in cases}
    if name != "gif":  # 256 colours
        assert read == {frames(i, s).tobytes() for i, s in BOTH}
    assert {round(generator.read(case).fps, 1) for case in cases} == ({8.3} if name == "gif" else {8.0})  # it has hundredths
    for case in cases:  # each clip has the prompt and the seed that it was made for
        i = PROMPTS.index(case.prompt.text) if case.prompt.text else int("dog" in case.prompt.id)
        assert name == "gif" or generator.read(case).frames.tobytes() == frames(i, case.seed).tobytes()


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_layout_is_taken_for_another_one_that_is_asked_for(name: str, tmp_path: Path) -> None:
    make, layout, options = LAYOUTS[name]
    make(tmp_path / "clips")
    spec = f"{tmp_path / 'clips'}{options or '?clips='}"
    assert len(opened(f"{spec}&layout={layout}").cases()) == 10
    tables = {"openvid", "webvid", "vidprom", "panda", "videofolder", "manifest"}
    for other in tables - {layout}:
        with pytest.raises(GeneratorError, match=f"layout={other}: (expected|found none of) "):
            opened(f"{spec}&layout={other}")
    with pytest.raises(GeneratorError, match="layout=vbenhc is not known; did you mean 'vbench'"):
        opened(f"{spec}&layout=vbenhc")


def test_a_table_of_a_data_set_is_a_spec_too(tmp_path: Path) -> None:
    for name, file in (("openvid", "OpenVid-1M.csv"), ("webvid", "results_2M_val.csv"), ("panda", "panda70m_testing.csv")):
        LAYOUTS[name][0](tmp_path / name)
        by_table, by_folder = opened(f"{tmp_path / name / file}"), opened(f"{tmp_path / name}")
        assert by_table.layout == name
        assert [c.id for c in by_table.cases()] == [c.id for c in by_folder.cases()]


def test_a_folder_without_clips_says_what_it_holds_and_what_was_tried(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for file in ("a.txt", "inner/b.txt", "c.tar", "noise"):
        (tmp_path / file).touch()
    np.save(tmp_path / "features.npy", np.zeros((5, 768)))
    with pytest.raises(GeneratorError) as error:
        opened(str(tmp_path))
    message = str(error.value)
    assert "holds no video" in message
    assert "; it holds 2 .txt, 1 " in message
    assert all(name in message for name in ("1 .tar", "1 without suffix", "1 .npy", "layouts tried: ", *NAMES, *VIDEO_SUFFIXES))
    assert len(message.splitlines()) == 1


def test_what_is_no_clip_is_no_failed_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video(tmp_path / "deep" / "er" / "a.mkv", 0, 0)
    video(tmp_path / "b.mkv", 0, 1)
    for file in ("Thumbs.db", "notes", "b.jpg", "deep/a.npy", "deep/er/log.out"):
        (tmp_path / file).touch()
    (tmp_path / "thumbs").mkdir()
    for number in range(3):
        (tmp_path / "thumbs" / f"{number}.png").touch()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    generator = opened(str(tmp_path))
    assert [c.prompt.id for c in generator.cases()] == ["b", "a"]
    note = capsys.readouterr().err
    assert "entries are no clips and left out: Thumbs.db, b.jpg, deep/a.npy and " in note


def test_training_outputs_are_one_generator_per_step(tmp_path: Path) -> None:
    steps(tmp_path / "out")
    with pytest.raises(GeneratorError, match=r"2 training steps \(500, 1000\).*name it: folder:.*/out\?step=500"):
        opened(str(tmp_path / "out"))
    with pytest.raises(GeneratorError, match=r"step=7: found the steps 500, 1000"):
        opened(f"{tmp_path / 'out'}?step=7")
    early, late, direct = (opened(f"{tmp_path / 'out'}{end}") for end in ("?step=500", "?step=1000", "/step_1000"))
    assert [g.training_steps for g in (early, late, direct)] == [500, 1000, 1000]
    assert [g.checkpoint for g in (early, late, direct)] == ["out/step_500", "out/step_1000", "step_1000"]
    ids = [[c.id for c in g.cases()] for g in (early, late, direct)]
    assert ids[0] == ids[1] == ids[2]
    assert late.fingerprint() == direct.fingerprint()


def test_a_prompt_of_several_dimensions_is_one_prompt(tmp_path: Path) -> None:
    for seed, dimension in enumerate(("color", "scene")):
        video(tmp_path / dimension / "a red ball-0.mkv", 0, seed)
    cases = opened(str(tmp_path)).cases()
    assert len({c.id for c in cases}) == 2
    assert len(set(clusters_of((c.id, c.prompt.id, c.prompt.text) for c in cases).values())) == 1


@pytest.mark.parametrize(
    ("numbers", "lines", "message"),
    [
        ((0, 1, 2), 2, "prompts.txt has 2 lines, and the clips have the numbers 0 to 2"),
        ((1, 2), 3, "whether they count from 0 or from 1 is open"),
    ],
)
def test_numbers_that_do_not_tell_their_prompt_are_refused(
    tmp_path: Path, numbers: tuple[int, ...], lines: int, message: str
) -> None:
    for number in numbers:
        video(tmp_path / f"{number}.mkv", 0, number)
    (tmp_path / "prompts.txt").write_text("".join(f"prompt {n}\n" for n in range(lines)))
    with pytest.raises(GeneratorError, match=message):
        opened(str(tmp_path))
    assert {c.prompt.text for c in opened(f"{tmp_path}?layout=plain").cases()} == {""}


def test_numbers_from_one_are_lines_from_one(tmp_path: Path) -> None:
    for number in (1, 2):
        video(tmp_path / f"video_{number}.mkv", 0, number)
    (tmp_path / "prompts.txt").write_text("one\ntwo\n")
    assert {c.prompt.id: c.prompt.text for c in opened(str(tmp_path)).cases()} == {"video_1": "one", "video_2": "two"}


def test_equal_lines_of_prompts_with_seeds_of_their_own_lose_no_clip(tmp_path: Path) -> None:
    for number in (0, 1):
        for seed in (0, 1):
            video(tmp_path / f"{number}-{seed}.mkv", number, seed)
    (tmp_path / "prompts.txt").write_text("the same\nthe same\n")
    cases = opened(str(tmp_path)).cases()
    assert {c.id for c in cases} == {f"{n}/native/{s}" for n in (0, 1) for s in (0, 1)}
    assert len(set(clusters_of((c.id, c.prompt.id, c.prompt.text) for c in cases).values())) == 1


def test_parts_of_panda_that_count_from_one_are_refused(tmp_path: Path) -> None:
    for part in (1, 2):
        video(tmp_path / f"v_{part}.mkv", 0, part)
    table(tmp_path / "panda.csv", {"videoID": "v", "timestamp": "[[1, 2], [2, 3]]", "caption": "['one', 'two']"})
    with pytest.raises(
        GeneratorError, match=r"has no part 2 of the video v, and v_2.mkv is one; expected parts that count from 0"
    ):
        opened(str(tmp_path))


def test_a_data_set_without_its_clips_is_one_message(tmp_path: Path) -> None:
    video(tmp_path / "other.mkv", 0, 0)
    table(tmp_path / "data.csv", {"video": "x.mp4", "caption": "a cat"})
    with pytest.raises(GeneratorError, match=r"is a table of openvid, and no row is of a clip below .*, for example other.mkv"):
        opened(str(tmp_path))


def test_rows_of_metadata_without_a_file_are_clips_that_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video(tmp_path / "a.mkv", 0, 0)
    video(tmp_path / "extra.mkv", 0, 1)
    table(tmp_path / "metadata.csv", {"file_name": "a.mkv", "caption": "a"}, {"file_name": "gone.mkv", "caption": "b"})
    assert [c.prompt.id for c in opened(str(tmp_path)).cases()] == ["a", "gone"]
    assert "1 clips have no row in metadata.csv and are left out: extra.mkv" in capsys.readouterr().err


def test_options_that_are_none_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    for option, message in (
        ("clips=films", "clips=films is not known"),
        ("step=x", "expected a whole number"),
        ("fps=0", "expected a"),
    ):
        with pytest.raises(GeneratorError, match=message):
            opened(f"{tmp_path / 'none'}?{option}")
