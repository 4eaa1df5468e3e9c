"""One training loop for every network: progress, checkpoints, exact resume."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from reference_model.errors import ReferenceModelError

StepFunction = Callable[[int, np.random.Generator], tuple[Tensor, Mapping[str, float]]]
WARMUP = 200


class Ema:
    """Exponential moving average of weights; young averages forget faster, so early checkpoints are not the start."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in module.state_dict().items():
            self.state[key].lerp_(value, 1 - decay) if value.is_floating_point() else self.state[key].copy_(value)


def save_atomic(data: object, path: Path) -> None:
    """Write a torch file so that a kill leaves the old one or the new one."""
    partial = path.with_suffix(".part")
    torch.save(data, partial)
    os.replace(partial, path)


def load_tensors(path: Path) -> dict:
    """Read a file of tensors and plain values; nothing else is unpickled."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ReferenceModelError(
            f"{path} cannot be read as a training checkpoint ({error}); delete it to start this stage again"
        ) from error


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then cosine to zero."""
    warmup = min(WARMUP, steps // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def fit(
    name: str,
    module: nn.Module,
    step_function: StepFunction,
    *,
    steps: int,
    lr: float,
    folder: Path,
    seed: int,
    save_every: int,
    ema_decay: float = 0.999,
    keep_at: int | None = None,
    stop_at: int | None = None,
    weight_decay: float = 0.01,
) -> None:
    """Train `module` in place; it ends with its averaged weights.

    All randomness of step s comes from (seed, s), so 10 steps, a kill and 10 more equal 20 steps bit for bit.
    State: `folder/<name>.train.pt`; result: `<name>.pt`; `keep_at` keeps the average of that step as
    `<name>-early.pt`; `stop_at` ends before `steps` (for tests of resume). Losses go to `<name>.jsonl`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, state_file = folder / f"{name}.pt", folder / f"{name}.train.pt"
    if done.exists():
        module.load_state_dict(load_tensors(done))
        return
    matrices = [p for p in module.parameters() if p.ndim >= 2]
    others = [p for p in module.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=lr,
        betas=(0.9, 0.95),
    )
    ema, first = Ema(module, ema_decay), 0
    if state_file.exists():
        state = load_tensors(state_file)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        ema.state, first = state["ema"], state["step"]

    console = Console(stderr=True)
    columns = (
        TextColumn(name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    log = (folder / f"{name}.jsonl").open("a")
    module.train()
    with log, Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=steps, completed=first, note="")
        started = time.perf_counter()
        window: dict[str, list[float]] = {}
        for step in range(first, steps if stop_at is None else stop_at):
            rate = learning_rate(step, steps, lr)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(seed * 1_000_003 + step)
            loss, values = step_function(step, np.random.default_rng([seed, step]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            ema.update(module, step)
            for key, value in values.items():
                window.setdefault(key, []).append(value)
            now = step + 1
            if now == keep_at:
                save_atomic(ema.state, folder / f"{name}-early.pt")
            if now % 50 == 0 or now == steps:
                row = {k: round(float(np.nanmean(v)), 5) for k, v in window.items()}
                row = {"step": now, **row, "seconds": round(time.perf_counter() - started, 1)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                note = " ".join(f"{k} {v}" for k, v in row.items() if k not in ("step", "seconds"))
                progress.update(task, note=note)
                if not console.is_terminal and (now % 250 == 0 or now == steps):
                    left = (steps - now) * (time.perf_counter() - started) / (now - first)
                    console.print(f"{name} {now}/{steps} {note} ({left:.0f} s left)", highlight=False)
                window = {}
            progress.update(task, completed=now)
            if now % save_every == 0 or now == stop_at:
                save_atomic(
                    {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "ema": ema.state, "step": now},
                    state_file,
                )
    if stop_at is None:
        module.load_state_dict(ema.state)
        save_atomic(ema.state, done)
        state_file.unlink(missing_ok=True)
