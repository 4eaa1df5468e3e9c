"""Runs in trackers: TensorBoard, MLflow and Weights & Biases. Their packages are optional."""

from __future__ import annotations

import math
import os
import re
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from sora_eval.runs.head import RunHead
from sora_eval.util.errors import RunError, line_of
from sora_eval_reports.source import Source

PATIENCE = 10.0  # seconds for Weights & Biases to answer


def to_tensorboard(source: Source, folder: Path) -> int:
    """One log folder per training, one scalar per metric (`all` or its slice) at the training steps of each of its runs.

    Returns the number of scalars. Raises RunError without the package.
    """
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise RunError("--tensorboard needs the package tensorboard: pip install 'sora_eval[tensorboard]'") from error
    written = 0
    for training, runs in trainings(source).items():
        writer = Writer(str(folder / training))
        for step, run in sorted(runs.items()):
            for tag, value in values(source, run).items():
                writer.add_scalar(tag, value, step)
                written += 1
        writer.close()
    return written


def trainings(source: Source) -> dict[str, dict[int, str]]:
    """The runs of each training by their training steps: runs of one suite and generator, whose checkpoints differ by the
    step in their name if at all.

    Runs without recorded steps stand at 0, 1, ... in the order given. A second run at a step is one of the next training,
    NAME-2: a curve has one point per step.
    """
    found: dict[str, dict[int, str]] = {}
    for run in source.runs:
        head, steps = run.head, run.head.generator.training_steps
        stem, number, rest = head.generator.checkpoint.rpartition(str(steps))
        of = _safe("-".join([head.suite.id, head.generator.name, *([(stem + rest).strip("-_/.")] if number else [])]))
        name = "".join("_" if c in "/: " else c for c in (of if steps is not None else f"{of}-in-order"))
        place = steps if steps is not None else len(found.get(name, {}))
        names = (name if i == 1 else f"{name}-{i}" for i in count(1))
        free = next(n for n in names if place not in found.get(n, {}))
        found.setdefault(free, {})[place] = run.name
    return found


def to_mlflow(source: Source, uri: str, experiment: str | None = None) -> list[str]:
    """An MLflow run for each run: its metrics, its facts as parameters and tags; returns MLflow's run ids.

    `uri` is a database as `sqlite:///mlflow.db`, which `mlflow ui` of release 3 opens by itself in that folder, a tracking
    server, or a folder of the releases before. The experiment is the suite's name by default. Raises RunError without the
    package.
    """
    if "://" not in uri or uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 needs this setting as well
    try:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise RunError("--mlflow needs the package mlflow or mlflow-skinny: pip install 'sora_eval[mlflow]'") from error
    if re.match(r"(sqlite|mysql|postgresql|mssql)\b", uri) and not all(map(find_spec, ("sqlalchemy", "alembic"))):
        raise RunError(f"--mlflow {uri}: a database needs sqlalchemy and alembic: pip install 'sora_eval[mlflow]'")
    try:
        client, ids = MlflowClient(tracking_uri=uri), []
        for run in source.runs:
            head = run.head
            name = experiment or head.suite.id
            existing = client.get_experiment_by_name(name)
            record = client.create_run(
                existing.experiment_id if existing else client.create_experiment(name), run_name=run.name
            )
            steps = head.generator.training_steps or 0
            tags_to_values = values(source, run.name)
            metrics = [Metric(_safe(tag), value, record.info.start_time, steps) for tag, value in tags_to_values.items()]
            params = [Param(k, str(v)) for k, v in _facts(head).items()]
            tags = [RunTag("sora_eval.run", run.name), RunTag("sora_eval.partial", str(head.partial))]
            for start in range(0, len(metrics), 500):  # a server takes 1000 per call
                client.log_batch(record.info.run_id, metrics=metrics[start : start + 500])
            client.log_batch(record.info.run_id, params=params, tags=tags)
            client.set_terminated(record.info.run_id, "FINISHED" if head.status == "success" else "FAILED")
            ids.append(record.info.run_id)
    except (MlflowException, OSError) as error:
        raise RunError(
            f"--mlflow {uri}: {error}; expected sqlite:///FILE, the address of a tracking server, or file:FOLDER"
        ) from error
    return ids


def to_wandb(source: Source, project: str) -> list[str]:
    """A run of Weights & Biases for each run: its metrics over `training_steps`, its facts as configuration.

    `project` is PROJECT or ENTITY/PROJECT. Key, server and mode are those of `wandb login` and of the environment; nothing
    about the machine that logs is collected. Returns the address of each, or its folder where WANDB_MODE is offline. Runs
    without recorded steps stand at 0, 1, ... in the order given. Raises RunError without the package, key or server, and
    where WANDB_MODE is disabled.
    """
    entity, _, name = project.rpartition("/")
    if not name or "/" in entity or project.startswith("/"):
        raise RunError(f"--wandb {project!r}: expected PROJECT or ENTITY/PROJECT")
    try:
        import wandb
    except ImportError as error:
        raise RunError("--wandb needs the package wandb: pip install 'sora_eval[wandb]'") from error
    places = []
    try:
        for place, run in enumerate(source.runs):
            record = wandb.init(
                entity=entity or None,
                project=name,
                group=run.head.suite.id,
                name=run.name,
                job_type="evaluation",
                tags=["partial"] if run.head.partial else [],
                config=_groups(run.head),
                reinit="create_new",
                settings=wandb.Settings(
                    host="",
                    silent=True,
                    console="off",
                    init_timeout=PATIENCE,
                    disable_git=True,
                    disable_code=True,
                    x_disable_meta=True,
                    x_disable_machine_info=True,
                    x_disable_stats=True,
                    x_save_requirements=False,
                ),
            )
            if record.disabled:
                raise RunError(f"--wandb {project}: WANDB_MODE is disabled, so nothing is logged; unset it, or choose offline")
            steps = run.head.generator.training_steps
            record.define_metric("*", step_metric="training_steps")
            record.log({"training_steps": steps if steps is not None else place, **values(source, run.name)})
            record.finish(exit_code=0 if run.head.status == "success" else 1)
            places.append(str(record.settings.sync_dir if record.offline else record.url))
    except (wandb.Error, OSError) as error:
        raise RunError(f"--wandb {project}: {line_of(error)}; use 'wandb login', or WANDB_MODE=offline") from error
    return places


def values(source: Source, run: str) -> dict[str, float]:
    """Finite values by tag: `family/metric` of the whole suite, `family/metric/slice` of a slice."""
    rows = source.frames.metrics[source.frames.metrics["run"].eq(run)]
    return {
        "/".join([r["family"], r["metric"], *([] if r["slice"] == "all" else [r["slice"]])]): float(r["value"])
        for r in rows.to_dict("records")
        if r["status"] == "ok" and math.isfinite(r["value"])
    }


def _groups(head: RunHead) -> dict[str, dict[str, Any]]:
    groups = head.model_dump(mode="json", include={"suite", "generator", "git", "hardware", "software"})
    return {group: {k: v for k, v in facts.items() if v is not None} for group, facts in groups.items()}


def _facts(head: RunHead) -> dict[str, Any]:
    return {f"{group}.{k}": v for group, facts in _groups(head).items() for k, v in facts.items()}


def _safe(tag: str) -> str:
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in tag)
