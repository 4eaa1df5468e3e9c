"""The peak FLOP/s of the machine's matrix product, the denominator of `share_of_peak`."""

from __future__ import annotations

import multiprocessing as mp
import time
from typing import Any

from sora_eval.util.errors import GeneratorError

SIDE, SECONDS = 1536, 0.6


def matrix_peak(device: str = "cpu", threads: int = 0) -> float:
    """FLOP/s of the fastest of many fp32 products of two square matrices, by torch's BLAS with `threads` (0: one per core).

    The fastest, since a peak is the rate of an undisturbed machine. Raises GeneratorError for an absent device.
    """
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise GeneratorError(f"device {device!r} was asked for, but torch finds no GPU")
    if threads:
        torch.set_num_threads(threads)
    a, b = (torch.randn(SIDE, SIDE, device=device) for _ in range(2))
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        _wait(torch, device)
        before = time.perf_counter()
        torch.mm(a, b)
        _wait(torch, device)
        best = min(best, time.perf_counter() - before)
    return 2 * SIDE**3 / best


def _wait(torch: Any, device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def matrix_peak_apart(device: str = "cpu", threads: int = 0) -> float:
    """`matrix_peak` in its own process, so that its threads and memory do not disturb the timings."""
    with mp.get_context("spawn").Pool(1) as pool:
        return pool.apply(matrix_peak, (device, threads))
