"""Workers answer in order, and one that dies is one message. This module stays light: every worker imports it anew."""

import pytest

from sora_eval.pipeline.workers import Workers
from sora_eval.util.errors import RunError


def state():
    return {"made": 1}


def square(held, x):
    return held["made"] * x * x


def threads(_held):
    import torch

    from sora_eval.util.processes import session_threads

    return session_threads(), torch.get_num_threads()


def ends(_held, x):
    import os

    os._exit(x) if x >= 0 else os.kill(os.getpid(), -x)


@pytest.mark.parametrize("number", [1, 2])
def test_workers_answer_in_the_order_of_the_jobs(number):
    with Workers(state, number) as pool:
        assert list(pool.map(square, ((i,) for i in range(9)))) == [i * i for i in range(9)]


def test_a_session_has_as_many_threads_in_a_worker_as_without_workers():
    """Else its sums are cut into other parts, and features differ in the last digits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with Workers(state, 2) as pool:
            assert list(pool.map(threads, [()])) == [(3, 1)]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "ended with exit code 3; resume"),
        (-9, "was ended by SIGKILL, most likely .* memory; resume"),
        (-15, "by SIGTERM; resume"),
    ],
)
def test_a_worker_that_dies_is_one_message_that_says_how(code, words):
    with Workers(state, 2) as pool, pytest.raises(RunError, match=rf"a scoring worker .*{words}.*fewer --workers"):
        list(pool.map(ends, ((code,) for _ in range(3))))
