"""Where a run was made: repository, machine, versions."""

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
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(git("status", "--porcelain")) if commit else None}


def hardware() -> dict[str, Any]:
    """What ran it."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total, "platform": platform.system()}


def software() -> dict[str, str]:
    """Versions that numbers depend on."""
    packages = ("torch", "torchmetrics", "open_clip_torch", "numpy", "scipy", "opencv-python-headless", "av")
    return {"sora_eval": __version__, "python": platform.python_version(), **{p: version(p) for p in packages}}


def is_strict(asked: bool | None) -> bool:
    """Whether what cannot be decided fails: what was asked for, or else whether this is a CI job."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false") if asked is None else asked


def reset_peak() -> None:
    """Let `peak_bytes` count from now on, where the system can do that (Linux); elsewhere nothing happens."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most memory that this process has held so far, or since `reset_peak`."""
    status = Path("/proc/self/status")
    if status.exists():
        found = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")), None)
        if found is not None:
            return int(found) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
