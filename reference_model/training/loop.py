"""One training loop for every network: progress, checkpoints, exact resume."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reference_model.errors import ReferenceModelError

StepFunction = Callable[[int, np.random.Generator], tuple[Tensor, Mapping[str, float]]]
WARMUP = 200
MUON_SCALE = 2.0


class Threads:
    """The number of threads of each step on a shared machine: 1 or `most`, whichever is faster at present.

    Threads wait for each other at every product, so with one of two cores in use two threads are slower than one. Every
    `PROBE` steps the other number runs for `TRIES` steps, and the faster one stays. The two may differ in the last bits of
    sums.
    """

    PROBE, TRIES = 24, 2

    def __init__(self, most: int) -> None:
        self.counts, self.best, self.now, self.step = (1, most), most, most, 0
        self.rates: dict[int, list[float]] = {1: [], most: []}

    def before(self) -> None:
        """Set the number of threads of the next step and start its clock."""
        trying = self.step % self.PROBE < self.TRIES
        self.now = self.counts[self.best == self.counts[0]] if trying else self.best
        torch.set_num_threads(self.now)
        self.started = time.perf_counter()

    def after(self, work: float) -> None:
        """Record the rate of the step, `work` per second, and choose a number once both have rates."""
        self.rates[self.now] = [*self.rates[self.now], work / (time.perf_counter() - self.started)][-self.TRIES :]
        self.step += 1
        if self.step % self.PROBE == self.TRIES and all(self.rates.values()):
            self.best = max(self.counts, key=lambda n: float(np.mean(self.rates[n])))


class Ema:
    """Exponential moving average of weights. The decay at step n is at most (1 + n) / (10 + n), so that early averages leave
    the initial weights behind."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in module.state_dict().items():
            self.state[key].lerp_(value, 1 - decay) if value.is_floating_point() else self.state[key].copy_(value)


def save_atomic(data: object, path: Path) -> None:
    """Write a torch file under a temporary name, then rename it: a kill leaves the old file or the new one."""
    partial = path.with_suffix(".part")
    torch.save(data, partial)
    os.replace(partial, path)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values, onto the CPU; nothing else is unpickled. Raises ReferenceModelError."""
    try:
        data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return data
    except Exception as error:
        raise ReferenceModelError(
            f"{path} cannot be read as a training checkpoint ({error}); delete it to start this stage again"
        ) from error


def load_weights(module: nn.Module, weights: Any, path: Path) -> None:
    """Give a module the weights of a file. Raises ReferenceModelError for those of another module."""
    try:
        module.load_state_dict(weights)
    except Exception as error:  # a list, other names, other shapes
        raise ReferenceModelError(f"{path} does not hold the weights of this network ({error})") from error


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up to `peak` over `WARMUP` steps (a tenth of short trainings), then a cosine to 0.

    >>> [round(learning_rate(s, 1000, 1.0), 3) for s in (0, 99, 550, 999)]
    [0.01, 1.0, 0.5, 0.0]
    """
    warmup = min(WARMUP, steps // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def set_rate(optimizers: Iterable[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of every group to `rate` times its own scale."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]


def make_optimizers(module: nn.Module, lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices inside transformer layers, AdamW for everything else."""
    hidden: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in module.named_parameters():
        inside = any(part in name for part in ("blocks.", "layers."))
        (hidden if p.ndim == 2 and inside else matrices if p.ndim >= 2 else others).append(p)
    groups = [
        {"params": matrices, "weight_decay": weight_decay, "scale": 1.0},
        {"params": others, "weight_decay": 0.0, "scale": 1.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))]
    if hidden:
        # Networks are small and trainings short here: steps twice as large as AdamW would take.
        group = {"params": hidden, "scale": MUON_SCALE}
        optimizers.append(torch.optim.Muon([group], lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))
    return optimizers


def matrix_peak() -> float:
    """FLOP/s of the fastest of five fp32 products of 1024x1024 matrices."""
    a = torch.ones(1024, 1024)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best


def gradients(module: nn.Module, step_function: StepFunction, step: int, seed: int) -> Mapping[str, float]:
    """Set the gradients of a step and return its values to log. All its randomness comes from (seed, step)."""
    torch.manual_seed(seed * 1_000_003 + step)
    module.zero_grad(set_to_none=True)
    loss, values = step_function(step, np.random.default_rng([seed, step]))
    loss.backward()  # type: ignore[no-untyped-call]
    return values


def flops_of(module: nn.Module, step_function: StepFunction, step: int, seed: int) -> float:
    """FLOPs of a step. Its gradients are not used: the counter splits operators, which changes their last bits."""
    with FlopCounterMode(display=False) as counter:
        gradients(module, step_function, step, seed)
    return float(counter.get_total_flops())


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
    keep_at: Mapping[str, int] | None = None,
    stop_at: int | None = None,
    weight_decay: float = 0.01,
    threads: Threads | None = None,
) -> None:
    """Train `module` in place; it ends with its averaged weights. A finished training is loaded, an interrupted one resumes.

    All randomness of step s comes from (seed, s), so 10 steps, a kill and 10 more equal 20 steps bit for bit.
    State: `folder/<name>.train.pt`; result: `<name>.pt`; `keep_at` {"early": step} stores the average of that step as
    `<name>-early.pt`; `stop_at` ends before `steps` (for tests of resume). Losses go to `<name>.jsonl`, with the share of
    the machine's matrix peak (MFU) and, where steps count their tokens, tokens/s. `threads` chooses the number of threads
    step by step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result_file, state_file = folder / f"{name}.pt", folder / f"{name}.train.pt"
    if result_file.exists():
        load_weights(module, load_tensors(result_file), result_file)
        return
    optimizers = make_optimizers(module, lr, weight_decay)
    ema, first = Ema(module, ema_decay), 0
    if state_file.exists():
        state = load_tensors(state_file)
        module.load_state_dict(state["module"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        ema.state, first = state["ema"], state["step"]

    module.train()
    last = steps if stop_at is None else stop_at
    flops, log = flops_of(module, step_function, first, seed) if first < last else 0.0, Log(name, folder, steps, first)
    with log:
        for step in range(first, last):
            if threads:
                threads.before()
            set_rate(optimizers, learning_rate(step, steps, lr))
            values = gradients(module, step_function, step, seed)
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
            ema.update(module, step)
            if threads:
                threads.after(values.get("tokens", 1.0))
                values = {**values, "threads": threads.now}
            now = step + 1
            for label in (label for label, when in (keep_at or {}).items() if now == when):
                save_atomic(ema.state, folder / f"{name}-{label}.pt")
            log.add(now, values, flops)
            if now % save_every == 0 or now == stop_at:
                state = {"module": module.state_dict(), "ema": ema.state, "step": now}
                save_atomic({**state, "optimizers": [o.state_dict() for o in optimizers]}, state_file)
    if stop_at is None:
        module.load_state_dict(ema.state)
        save_atomic(ema.state, result_file)
        state_file.unlink(missing_ok=True)


class Log:
    """Progress of a training: a bar where there is a terminal, lines where there is none, and `<name>.jsonl`."""

    def __init__(self, name: str, folder: Path, steps: int, first: int) -> None:
        self.name, self.steps, self.first, self.peak = name, steps, first, matrix_peak()
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn(name),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(name, total=steps, completed=first, note="")
        self.file = (folder / f"{name}.jsonl").open("a", encoding="utf-8")
        self.window: dict[str, list[float]] = {}
        self.started = self.since = time.perf_counter()
        self.since_step = first

    def __enter__(self) -> None:
        self.bar.start()

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.file.close()

    def add(self, now: int, values: Mapping[str, float], flops: float) -> None:
        """Record the values of step `now` (from 1) and its FLOPs; every 50 steps their means become a row."""
        for key, value in values.items():
            self.window.setdefault(key, []).append(value)
        if now % 50 == 0 or now == self.steps:
            self._row(now, flops)
        self.bar.update(self.task, completed=now)

    def _row(self, now: int, flops: float) -> None:
        row = {k: round(float(np.nanmean(v)), 5) for k, v in self.window.items()}
        note = " ".join(f"{k} {v}" for k, v in row.items())
        seconds, steps = time.perf_counter() - self.since, now - self.since_step
        if "tokens" in row:
            row["tokens_per_s"] = round(row["tokens"] * steps / seconds)
        row["mfu"] = round(flops * steps / seconds / self.peak, 3)
        passed = time.perf_counter() - self.started
        self.file.write(json.dumps({"step": now, **row, "seconds": round(passed, 1)}) + "\n")
        self.file.flush()
        self.bar.update(self.task, note=note)
        if not self.console.is_terminal and (now % 250 == 0 or now == self.steps):
            left = (self.steps - now) * passed / (now - self.first)
            self.console.print(f"{self.name} {now}/{self.steps} {note} ({left:.0f} s left)", highlight=False)
        self.window, self.since, self.since_step = {}, time.perf_counter(), now
