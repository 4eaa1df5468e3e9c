"""The page: safe, small, and built from whatever is there."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval_reports.answer.of_runs import of_source
from sora_eval_reports.page import gallery
from sora_eval_reports.page import page as html
from sora_eval_reports.page.rows import rows_of
from sora_eval_reports.source import Source, open_source
from tests.runs import HOSTILE, drawn_run, edit

CLIP = re.compile(r"data:image/webp;base64,[A-Za-z0-9+/=]+")


def visible(page: str) -> str:
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def section_of(page: str, name: str) -> str:
    """A section as a reader sees it: without the places where a long name may break."""
    return page[page.index(f'<section id="{name}">') :].replace("<wbr>", "")


def missing_of(page: str) -> str:
    return section_of(page, "missing")


@pytest.fixture(scope="module")
def page(pair):
    return html.render(open_source(pair), clips=30)


def test_it_is_one_file_of_at_most_3_mb_without_clips(page):
    assert len(CLIP.sub("", page).encode()) < 3e6
    assert CLIP.search(page)
    # Nothing is fetched: no source, link or import leads out of the file.
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", visible(page))
    assert "@import" not in page
    assert "<script src" not in page


def test_it_shows_no_folder_of_this_machine(pair, tmp_path):
    """Whatever a run says of files: clips, its spec, the reference set, files of networks, the machine."""
    secret = "/home/jane/secret project"
    run = RunFolder(shutil.copytree(pair[0], tmp_path / "run"))
    broken, outside = (r.id for r in run.rows(SampleRow)[:2])
    fault = {"status": "error", "error": f"{secret}/a.mkv is damaged or cut", "clip": f"{secret}/a.mkv"}
    changes = {broken: fault, outside: {"clip": f"{secret}/b.mkv", "notes": [f"read from {secret}/b.mkv"]}}
    edit(run, SampleRow, lambda r: {**r, **changes.get(r["id"], {})})
    facts = {"reason": f"2 clips left out ('{secret}/c.mkv' cannot be decoded)", "signature": "fvd|network:/home/jane/net.onnx"}
    edit(run, MetricRow, lambda r: {**r, **({} if r["family"] == "speed" else facts)})
    spec = run.head.generator.model_copy(update={"spec": "folder:/home/jane/clips", "checkpoint": "/home/jane/w.safetensors"})
    run.update_head(
        generator=spec, status="error", error=f"{run.path}/x", hardware={"cpu": "abacus", "weights": "/home/jane/w"}
    )
    for runs in ([run.path], [pair[1], run.path]):
        page = html.render(open_source(runs), clips=30)
        assert "secret" not in CLIP.sub("", page).replace("<wbr>", "")
        assert "jane" not in CLIP.sub("", page).replace("<wbr>", "")
        assert str(tmp_path) not in page
        assert "a.mkv is damaged or cut" in page
        assert HOSTILE in data_of(page)["cases"]["prompts"]


def test_prompts_are_inert(page):
    assert HOSTILE not in page
    assert "<img" not in visible(page)
    assert page.count("<script") == page.count("</script>") == 3
    assert HOSTILE in data_of(page)["cases"]["prompts"]
    assert "{{ 7*7 }}" in visible(page)  # a template in a prompt is text too


def test_numbers_are_json_and_nan_is_null():
    text = html.to_script({"a": float("nan"), "b": [np.inf, 1.5], "c": "</script><!-- \u2028"})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": "</script><!-- \u2028"}
    assert not set("<>&\u2028") & set(text)


def test_the_first_line_is_the_answer(page):
    first = re.search(r'<p id="verdict" class="verdict open" role="status"><strong>(.*?)</strong><span>(.*?)</span>', page)
    assert first[1] == "cannot tell"
    assert first[2].startswith("made:late against made:early: nothing differs beyond noise")


def test_the_first_line_is_the_gates_verdict_and_its_rows_win(pair, tmp_path, gate):
    run = drawn_run(tmp_path, "gated", checkpoint="late", shift=0.5, seed=1)
    (run.path / "verdicts.json").write_text(json.dumps(gate.to_json()))
    source = open_source([pair[0], run.path])
    rows = {(r.metric, r.slice): r for r in rows_of(source)}
    assert rows["clip_score", "all"].verdict == "REGRESSED"
    assert rows["clip_score", "all"].percent == -12
    assert rows["fvd", "all"].verdict == "MISSING"  # a gate without a number is shown, not lost
    assert next(iter(rows.values())).tone == "bad"  # worst first
    page = visible(html.render(source, clips=0))
    assert re.search(r'class="verdict bad".*?REGRESSED.*?worse in clip_score 10 to 8.8 \(-12 %\)', page, re.DOTALL)
    alone = visible(html.render(open_source([run.path]), clips=0))
    assert "clip_score fell by 12 %" in alone


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_verdict_is_said(pair, tmp_path, content):
    run = drawn_run(tmp_path, "gated", seed=1)
    (run.path / "verdicts.json").write_text(content)
    page = visible(html.render(open_source([run.path]), clips=0))
    assert "<strong>values alone</strong>" in page
    assert "verdicts.json is damaged" in missing_of(page)


def test_the_forest_points_right_where_it_is_better(pair):
    rows = {r.metric: r for r in rows_of(open_source(pair)) if r.kind == "all"}
    for metric in ("clip_score", "warping_error"):  # higher is better, lower is better; both got better
        drawn = rows[metric].forest()
        assert drawn["change"] > 0
        assert drawn["low"] <= drawn["change"] <= drawn["high"]


def test_slices_are_rows_and_marked_as_not_gated(pair):
    rows = rows_of(open_source(pair))
    assert {r.kind for r in rows} == {"all", "shape", "tag"}  # one length and one count of objects split nothing
    assert {r.slice for r in rows if r.kind == "tag"} == {"even", "odd"}
    assert all("not corrected" in r.why for r in rows if r.kind == "tag")


def test_lengths_are_rows_where_they_differ(pair, tmp_path):
    longer = [RunFolder(shutil.copytree(path, tmp_path / path.name)) for path in pair]
    for run in longer:
        edit(run, SampleRow, lambda row: row | {"frames": 17 if row["width"] == 40 else 9})
    rows = rows_of(open_source([run.path for run in longer]))
    assert {r.kind for r in rows} == {"all", "shape", "length", "tag"}
    assert {r.slice for r in rows if r.kind == "length"} == {"9 frames", "17 frames"}
    assert all("not corrected" in r.why for r in rows if r.kind == "length")


def test_no_timings_one_repeat_no_clips_a_deleted_clip_another_schema_are_said_in_place(pair, tmp_path):
    silent = drawn_run(tmp_path, "silent", timings=0)
    once = drawn_run(tmp_path, "once", timings=1, clips=False)
    gone = drawn_run(tmp_path, "gone")
    first = gone.rows(SampleRow)[0]
    (gone.path / first.clip).unlink()
    old = drawn_run(tmp_path, "old")
    old.update_head(schema_version=99)
    broken = drawn_run(tmp_path, "broken")
    (broken.path / "scores.jsonl").write_text("{\n")
    page = html.render(open_source([r.path for r in (silent, once, gone, old, broken)]), clips=30)
    text = missing_of(visible(page))
    assert "no timings" in text
    assert "one repeat only of 2 timed shapes" in text
    assert "no clips: their files are not there" in text
    assert f"1 clips were deleted, for example that of {first.id}" in text
    assert "schema version 99, but this sora_eval reads 1" in text
    assert "scores.jsonl:1 is damaged" in text
    assert "No timings" in visible(html.render(open_source([silent.path]), clips=0))
    errors = {p["error"] for c in data_of(page)["cards"] for p in c["players"] if p["error"]}
    assert errors
    assert all("does not exist" in e for e in errors)
    assert str(tmp_path) not in page  # no folder of this machine


def test_a_report_of_nothing_but_problems_is_still_built(tmp_path):
    old = drawn_run(tmp_path, "old", clips=False)
    old.update_head(schema_version=99)
    done = CliRunner().invoke(app, ["report", str(old.path), "--html", "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert "schema version 99" in missing_of((tmp_path / "page.html").read_text())


def test_unlike_environments_and_protocols_are_named(pair, tmp_path):
    other = drawn_run(tmp_path, "other", seed=1)
    other.update_head(hardware={"cpu": "slide rule", "cores": 1})
    edit(other, MetricRow, lambda r: r | {"signature": "clip_score|other"} if r["metric"] == "clip_score" else r)
    page = visible(html.render(open_source([pair[0], other.path]), clips=0))
    section = section_of(page, "environment")
    assert re.search(r'class="differs"><th scope="row">hardware.cpu</th><td>abacus</td><td>slide rule</td>', section)
    assert re.search(r'class="differs"><th scope="row">clip_score</th>', section)
    assert "not comparable" in page


def test_many_checkpoints_are_curves_over_their_steps(tmp_path):
    runs = [
        drawn_run(tmp_path, f"r{i}", checkpoint=f"c{i}", steps=s, seed=i, clips=False) for i, s in enumerate((500, 5000, 2000))
    ]
    curves = data_of(html.render(open_source([r.path for r in runs]), clips=0))["curves"]
    assert curves["x"] == "training steps"
    assert [p["x"] for p in curves["metrics"][0]["rows"]] == [500, 2000, 5000]
    unnamed = runs[1].head.generator.model_copy(update={"training_steps": None, "checkpoint": "unnamed"})
    runs[1].update_head(generator=unnamed)
    curves = data_of(html.render(open_source([r.path for r in runs]), clips=0))["curves"]
    assert curves["x"] == "run, in the order given"


def test_a_selfcheck_is_a_heat_map(pair, tmp_path):
    row = {"metric": "fvd", "family": "distribution", "corruption": "blur", "rank_correlation": 0.2, "effect_sd": 0.1}
    (tmp_path / "selfcheck.json").write_text(
        json.dumps(
            {
                "rows": [{"metric": "fvd", "higher_is_better": False}],
                "summary": [
                    {**row, "direction": "unclear", "claimed": "worse", "ok": False},
                    {**row, "direction": "worse", "claimed": "worse", "ok": True, "effect_sd": 2.5},
                    {**row, "direction": "unknown", "claimed": "worse", "ok": None, "effect_sd": None},
                    {**row, "direction": "blind", "claimed": "", "ok": None},
                ],
            }
        )
    )
    page = html.render(open_source(pair), clips=0, selfcheck=tmp_path / "selfcheck.json")
    cells = data_of(page)["selfcheck"]
    assert [c["mark"] for c in cells] == ["!", "+", "?", ""]
    assert [c["value"] for c in cells] == [-0.1, -2.5, None, -0.1]  # of fvd, more is worse
    assert '<section id="selfcheck">' in page
    (tmp_path / "selfcheck.json").write_text("{}")
    assert "no selfcheck" in missing_of(html.render(open_source(pair), clips=0, selfcheck=tmp_path / "selfcheck.json"))


def test_sprites_keep_every_pixel_of_small_clips_and_tracks_lie_on_the_objects(pair):
    import base64
    import io

    from PIL import Image

    source = open_source(pair)
    sample = source.runs[0].rows(SampleRow)[0]
    made = gallery.sprite(source.runs[0], sample, tracked=True, asked=sample.prompt)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))).convert("RGB"))
    assert (made.columns, made.numbers) == (3, list(range(9)))
    frame = picture[32:64, 32:64]  # the fifth of nine, in a grid of three
    assert frame[8, 2 + 4].tolist() == [250, 10, 10]
    assert frame[8, 1 + 4].tolist() == [60, 60, 60]
    x, y = made.tracks["red"][4]
    assert abs(x - (6 + 4)) < 0.2
    assert abs(y - 12) < 0.2


def test_long_and_large_clips_are_made_small():
    from sora_eval.records.clip import Clip

    made = gallery.encode(Clip(np.zeros((120, 48, 448, 3), np.uint8), 24.0), tracked=False)
    assert (made.width, made.height, len(made.numbers), made.clip_width) == (224, 24, 48, 448)
    assert (made.numbers[0], made.numbers[-1]) == (0, 119)


def test_the_gallery_takes_the_extremes_of_every_metric(pair):
    from sora_eval_reports.source import paired_scores

    source = open_source(pair)
    pairs = paired_scores(source.frames, "base-run", "new-run")
    chosen = gallery.choose(pairs, {"clip_score": True, "warping_error": False}, 100)
    own = pairs[pairs["metric"].eq("warping_error")].set_index("id")
    change = own["new"] - own["base"]
    assert "most worsened: warping_error" in chosen[change.idxmax()]
    assert "most improved: warping_error" in chosen[change.idxmin()]
    assert "best of new: warping_error" in chosen[own["new"].idxmin()]
    assert len(gallery.choose(pairs, {}, 3)) == 3


def large(root) -> Source:
    metrics = {f"metric_{i}": ("1", True) for i in range(10)}
    runs = [
        drawn_run(root, f"large-{i}", checkpoint=f"c{i}", prompts=500, metrics=metrics, clips=False, seed=i, shift=0.1 * i)
        for i in range(2)
    ]
    return open_source([r.path for r in runs])


def test_a_report_of_1000_cases_and_10_metrics_stays_under_10_mb(tmp_path):
    """How long it takes: tests/benchmarks/test_reports.py."""
    source = large(tmp_path)
    assert len(source.frames.scores) == 2 * 1000 * 10
    assert len(CLIP.sub("", html.render(source)).encode()) < 10e6


def test_the_verb_writes_what_is_asked_for(pair, tmp_path):
    run = CliRunner()
    done = run.invoke(app, ["report", *map(str, pair), "--out", str(tmp_path / "all"), "--clips", "2"])
    assert done.exit_code == 0, done.output
    names = {p.name for p in (tmp_path / "all").iterdir()}
    assert names == {"report.html", "report.md", "clips.png"} | {
        f"{t}.{e}" for t in ("runs", "samples", "scores", "metrics", "timings", "attribution") for e in ("csv", "parquet")
    }
    done = run.invoke(app, ["report", *map(str, pair), "--latex"])
    assert r"\toprule" in done.output
    assert not (RunFolder(pair[1]).path / "report").exists()


def test_costly_clips_are_in_the_gallery_and_its_orders(pair):
    source = open_source(pair)
    data = data_of(html.render(source, clips=6))
    shares = source.frames.attribution
    last = shares[shares["run"].eq(source.runs[-1].path.name)]
    costly = last.sort_values("rank")["id"].iloc[0]
    assert data["better"]["share of fvd"] is False
    assert data["cases"]["ids"][data["cards"][0]["case"]] in set(last["id"])
    assert costly in {data["cases"]["ids"][c["case"]] for c in data["cards"]}
    place = data["cases"]["ids"].index(costly)
    shown = data["cases"]["metrics"]["share of fvd"]["new"]
    assert shown[place] == max(shown) == pytest.approx(last["value"].max(), rel=1e-4)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (
            {"kind": "baseline", "path": "/home/me/baselines/gate.json", "label": "made:early", "run": "r"},
            "made:early (baseline gate.json)",
        ),
        ({"kind": "run", "path": "/home/me/runs/r1", "label": "made:early"}, "made:early (run r1)"),
        ({}, "no baseline"),
        (None, "no baseline"),
    ],
)
def test_the_verdict_names_its_baseline_in_words(pair, gate, baseline, said, tmp_path):
    run = tmp_path / "new-run"
    shutil.copytree(pair[1], run)
    (run / "verdicts.json").write_text(json.dumps(replace(gate, baseline=baseline).to_json()))
    source = open_source([run])
    text = of_source(source).text
    assert f"against {said}:" in text
    assert "/home" not in text
