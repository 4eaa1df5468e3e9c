"""A suite with every built-in metric has one set of rows and vectors, whatever carries it and whichever workers are killed."""

import sys
import time

import numpy as np
import pytest

from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.runs.rows import MetricRow
from sora_eval.util.weights import cache_folder
from tests.campaigns.engines import (
    HEAD,
    Kills,
    actors_of,
    content_of,
    engine_run,
    killing,
    local_workers,
    merged_run,
    whole_run,
    write_material,
)
from tests.equal_rows import assert_equal, largest_difference
from tests.ray_cluster import two_nodes
from tests.sora_eval.conftest import write_network

LONG = 10  # kills of the workers of each engine
RETRIES = 3  # one more than by default, so that as many kills as a run has never fail one case
SPECS = {"everything.toml": "python:damaged:clip", "model.toml": "reference"}
SLOW = "python:damaged:slow"  # the clips of the first one
NUMBERS = (1, 2, 4)


class Place:
    """The current folder with the material, and a cache of its own that the nodes of Ray have too."""

    def __init__(self, folder, patch, *, i3d):
        network = "" if i3d else str(write_network(folder / "means.onnx"))
        weights = cache_folder() / "weights"
        (folder / "cache").mkdir()
        if i3d:
            weights.mkdir(parents=True, exist_ok=True)
            (folder / "cache" / "weights").symlink_to(weights)
        patch.setenv("SORA_EVAL_CACHE", str(folder / "cache"))
        patch.setenv("PYTHONPATH", f"{folder}:{':'.join(p for p in sys.path if p)}")
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        write_material(folder, 3, network)
        self._whole = {}

    def whole(self, suite):
        """What a run of one process holds, and its seconds."""
        if suite not in self._whole:
            begun = time.monotonic()
            run = whole_run(suite, SPECS[suite])
            families = {row.family for row in run.rows(MetricRow) if row.status == "ok"}
            assert families >= {"distribution", "text", "temporal", "physics"}
            self._whole[suite] = content_of(run), time.monotonic() - begun
        return self._whole[suite]


def _place(tmp_path_factory, name, *, i3d):
    with pytest.MonkeyPatch.context() as patch:
        yield Place(tmp_path_factory.mktemp(name), patch, i3d=i3d)
    sys.modules.pop("damaged", None)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    yield from _place(tmp_path_factory, "small", i3d=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    yield from _place(tmp_path_factory, "engines", i3d=True)


@pytest.fixture(scope="module")
def cluster(place):
    pytest.importorskip("ray")
    with two_nodes() as made:
        yield made


def test_processes_make_the_rows_of_one(small):
    made = engine_run("everything.toml", SPECS["everything.toml"], EngineOptions("local", generators=1, scorers=2))
    assert_equal(content_of(made), small.whole("everything.toml")[0])


def test_merged_shards_are_the_rows_of_one_run(small):
    assert_equal(content_of(merged_run("everything.toml", SPECS["everything.toml"], 3)), small.whole("everything.toml")[0])


def test_two_nodes_of_ray_make_the_rows_of_one_process(small):
    pytest.importorskip("ray")
    with two_nodes() as cluster:
        options = EngineOptions("ray", address=cluster.address, scorers=2)
        made = engine_run("everything.toml", SPECS["everything.toml"], options)
    assert_equal(content_of(made), small.whole("everything.toml")[0])


def _ways(cluster):
    ways = {f"local, {n} + {n} processes": EngineOptions("local", generators=n, scorers=n) for n in NUMBERS}
    return {**ways, "ray, two nodes, 2 + 2 actors": EngineOptions("ray", address=cluster.address, generators=2, scorers=2)}


@pytest.mark.campaign
@pytest.mark.i3d
@pytest.mark.parametrize("suite", SPECS)
@pytest.mark.parametrize("way", [*(f"local, {n} + {n} processes" for n in NUMBERS), "ray, two nodes, 2 + 2 actors", "shards"])
def test_every_way_has_the_rows_of_one_process(place, cluster, suite, way, record_property):
    if way == "shards":
        way, made = "shards 1/3, 2/3, 3/3, merged", merged_run(suite, SPECS[suite], 3)
    else:
        made = engine_run(suite, SPECS[suite], _ways(cluster)[way])
    content, whole = content_of(made), place.whole(suite)[0]
    numbers = sum(len(rows) for table, rows in content.items() if table != "vectors")
    row = [way, SPECS[suite], numbers, f"{largest_difference(content, whole):.1g}"]
    record_property("campaign", [["carried by", "generator", "rows", "largest difference of a number"], row])
    assert_equal(content, whole)


@pytest.mark.campaign
@pytest.mark.i3d
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_many_killed_workers_change_no_row(place, cluster, engine, record_property):
    suite, rng, kills = "everything.toml", np.random.default_rng([3, len(engine)]), Kills(engine)
    address = cluster.address if engine == "ray" else None
    options = EngineOptions(engine, generators=2, scorers=2, address=address, retries=RETRIES)
    workers = actors_of(cluster) if engine == "ray" else local_workers
    begun = time.monotonic()
    engine_run(suite, SLOW, options)
    seconds = time.monotonic() - begun
    while kills.number < LONG:
        open_first = kills.runs % 2 == 1  # most of a short run is the start of its workers
        moments = rng.uniform(0, seconds / (1 + open_first), rng.integers(1, 3)).tolist()
        kills.runs += 1
        try:
            with killing(workers, moments, rng, kills, open_first=open_first):
                made = engine_run(suite, SLOW, options)
            assert_equal(content_of(made), place.whole(suite)[0])
            kills.equal += 1
        except Exception as error:
            kills.failures.append(f"run {kills.runs}, after kills at {moments}: {type(error).__name__}: {error}")
    record_property("campaign", [HEAD, kills.row()])
    assert kills.equal == kills.runs, "\n".join(kills.failures)
