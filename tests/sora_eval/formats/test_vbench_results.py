"""VBench's result files are read as they are, and its totals are of all dimensions or have none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.formats.vbench_results import QUALITY, SEMANTIC, TOTALS, read_results, total
from sora_eval.runs.foreign import vbench_rows
from sora_eval.util.errors import RunError

EVERY = (*QUALITY, *SEMANTIC)
# The leaderboard's row of ModelScope, whose published scores are quality 78.05, semantic 66.54, total 75.75 (per cent).
MODELSCOPE = {
    "subject_consistency": 0.8987,
    "background_consistency": 0.9529,
    "temporal_flickering": 0.9828,
    "motion_smoothness": 0.9579,
    "dynamic_degree": 0.6639,
    "aesthetic_quality": 0.5206,
    "imaging_quality": 0.5857,
    "object_class": 0.8225,
    "multiple_objects": 0.3898,
    "human_action": 0.9240,
    "color": 0.8172,
    "spatial_relationship": 0.3368,
    "scene": 0.3926,
    "appearance_style": 0.2339,
    "temporal_style": 0.2537,
    "overall_consistency": 0.2567,
}


def test_totals_are_those_that_the_leaderboard_publishes():
    scores = {name: 100 * total(name, MODELSCOPE) for name in TOTALS}
    assert scores == pytest.approx({"quality": 78.05, "semantic": 66.54, "total": 75.75}, abs=0.01)


@given(st.lists(st.sampled_from(EVERY), unique=True, min_size=1))
def test_a_total_names_every_dimension_that_is_missing(missing):
    means = {name: value for name, value in MODELSCOPE.items() if name not in missing}
    for name, needed in TOTALS.items():
        if absent := set(missing) & set(needed):
            with pytest.raises(ValueError, match=f"needs {len(needed)} dimensions; missing: ") as caught:
                total(name, means)
            assert set(str(caught.value).partition("missing: ")[2].split(", ")) == absent


def written(folder, means, name="results_eval_results.json"):
    data = {key: [mean, [{"video_path": "a-0.mp4", "video_results": mean}] * 3] for key, mean in means.items()}
    (folder / name).write_text(json.dumps(data))
    return folder / name


def test_rows_are_vbenchs_and_say_so(tmp_path):
    written(tmp_path, dict(list(MODELSCOPE.items())[:7]), "quality_eval_results.json")
    rows = {row.metric: row for row in vbench_rows([tmp_path])}
    assert rows["vbench.dynamic_degree"].value == 0.6639
    assert (rows["vbench.dynamic_degree"].n_scored, rows["vbench.dynamic_degree"].low) == (3, None)
    assert rows["vbench.dynamic_degree"].signature.startswith("vbench-result-file|dynamic_degree|sha256:")
    assert rows["vbench.quality_score"].value == pytest.approx(total("quality", MODELSCOPE))
    assert rows["vbench.total_score"].value is None
    assert rows["vbench.total_score"].status == "undefined"
    assert rows["vbench.total_score"].reason == (
        "VBench's total score needs 16 dimensions; missing: object_class, multiple_objects, human_action, color, "
        "spatial_relationship, scene, appearance_style, temporal_style, overall_consistency"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected an object"),
        ("{}", "expected an object"),
        ('{"scene": 0.5}', "'scene' = 0.5; expected DIMENSION"),
        ('{"scene": []}', r"'scene' = \[\]; expected"),
        ('{"scene": [NaN, []]}', "finite mean"),
        ('{"scene": [true, []]}', "finite mean"),
        ('{"no name": [0.5, []]}', "expected DIMENSION"),
        ("{", "cannot be read as a result of VBench"),
    ],
)
def test_what_is_no_result_is_one_message(tmp_path, text, message):
    (tmp_path / "x_eval_results.json").write_text(text)
    with pytest.raises(RunError, match=message):
        read_results([tmp_path / "x_eval_results.json"])


def test_files_that_contradict_each_other_and_folders_without_any_are_refused(tmp_path):
    written(tmp_path, {"scene": 0.4}, "a_eval_results.json")
    written(tmp_path, {"scene": 0.5}, "b_eval_results.json")
    with pytest.raises(RunError, match=r"scene = 0\.5, and another file says 0\.4"):
        read_results([tmp_path])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no result of VBench"):
        read_results([tmp_path / "empty"])
