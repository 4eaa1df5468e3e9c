"""Starts command lines as children of a process that has imported everything, so that hundreds of starts cost little.

Reads one JSON object per line, {"argv", "cwd", "log"}, answers {"pid"}, and when the child ends {"ended", "code"}.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import threading


def child(job: dict[str, object], main: object) -> None:
    os.setsid()
    os.chdir(str(job["cwd"]))
    log = os.open(str(job["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    sys.path[0] = str(job["cwd"])
    sys.argv = ["sora-eval", *map(str, job["argv"])]  # type: ignore[call-overload]
    code = 1
    try:
        main()  # type: ignore[operator]
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(data: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


def reap(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    answer({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    for package in ("sora_eval", "sora_eval_reports", "reference_model.world", "reference_model.sampling"):
        module = importlib.import_module(package)
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    for name in (
        "altair",
        "av",
        "matplotlib.pyplot",
        "open_clip",
        "pyarrow.parquet",
        "safetensors.torch",
        "timm",
        "vl_convert",
    ):
        importlib.import_module(name)
    from sora_eval.cli import main

    gc.freeze()
    answer({"ready": 1})
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(job, main)
        answer({"pid": pid})
        threading.Thread(target=reap, args=(pid,), daemon=True).start()
