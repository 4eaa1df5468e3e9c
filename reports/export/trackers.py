"""Runs in trackers: TensorBoard, MLflow and Weights & Biases. Their packages are optional."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from sora_eval.runs.head import RunHead
from sora_eval.util.errors import RunError, line_of
from sora_eval_reports.source import Source

PATIENCE = 10.0  # seconds for Weights & Biases to answer


def to_tensorboard(source: Source, folder: Path) -> int:
    """One log folder per run, one scalar per metric (`all` or its slice) at its training steps; returns the number.

    Runs without recorded steps stand at 0, 1, ... in the order given. Raises RunError without the package.
    """
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise RunError("--tensorboard needs the package tensorboard: pip install 'sora_eval[tensorboard]'") from error
    count = 0
    for place, run in enumerate(source.runs):
        steps = run.head.generator.training_steps
        writer = Writer(str(folder / run.name))
        for tag, value in values(source, run.name).items():
            writer.add_scalar(tag, value, steps if steps is not None else place)
            count += 1
        writer.close()
    return count


def to_mlflow(source: Source, uri: str, experiment: str | None = None) -> list[str]:
    """An MLflow run for each run: its metrics, its facts as parameters and tags; returns MLflow's run ids.

    `uri` is a tracking server, a database (with the whole package mlflow) or a folder. The experiment is the suite's name
    by default. Raises RunError without the package.
    """
    if "://" not in uri or uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 needs this setting as well
    try:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise RunError("--mlflow needs the package mlflow or mlflow-skinny: pip install 'sora_eval[mlflow]'") from error
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
            f"--mlflow {uri}: {error}; expected file:FOLDER, the address of a tracking server, or a database"
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
