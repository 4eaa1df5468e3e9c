"""Worker processes and the parent that they belong to."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor

from sora_eval.util.processes import begin_worker

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin_worker)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


def test_a_worker_ignores_ctrl_c_and_ends_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(parent.stdout.readline()))
    os.kill(worker.pid, signal.SIGINT)
    with pytest.raises(psutil.TimeoutExpired):
        worker.wait(0.5)
    parent.kill()
    parent.wait()
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running()
