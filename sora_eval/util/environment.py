"""Repository, machine and versions of a run; memory of this process."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from sora_eval import __version__


def git_state() -> dict[str, Any]:
    """Commit of the working folder and whether it has uncommitted changes; None outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            command = ["git", *arguments]
            result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(git("status", "--porcelain")) if commit else None}


def hardware() -> dict[str, Any]:
    """Processor, number of cores, memory in bytes and system of this machine."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next(
            (line.split(":")[1].strip() for line in info.read_text(encoding="utf-8").splitlines() if "model name" in line), cpu
        )
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total, "platform": platform.system()}


def software() -> dict[str, str]:
    """Versions of sora_eval, Python and the packages that numbers depend on."""
    packages = ("torch", "torchmetrics", "open_clip_torch", "numpy", "scipy", "opencv-python-headless", "av")
    return {"sora_eval": __version__, "python": platform.python_version(), **{p: version(p) for p in packages}}


def is_strict(choice: bool | None) -> bool:
    """Whether an undecided gate fails: the user's choice, or if None, whether `$CI` is set to anything but 0 or false."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") if choice is None else choice


_before_reset = 0  # bytes


def reset_peak() -> None:
    """Restart the count of `peak_bytes` on Linux; no effect on other systems."""
    global _before_reset  # noqa: PLW0603
    _before_reset = max(_before_reset, peak_bytes())
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak_bytes() -> int:
    """Peak memory of this process in bytes, since its start or since `reset_peak`."""
    status = Path("/proc/self/status")
    if status.exists():
        kibibytes = next(
            (line.split()[1] for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")), None
        )
        if kibibytes is not None:
            return int(kibibytes) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def most_bytes() -> int:
    """Peak memory in bytes of this process since its start, or of the largest of its processes that have ended."""
    ended = 0
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        ended = int(peak if sys.platform == "darwin" else peak * 1024)
    return max(_before_reset, peak_bytes(), ended)
