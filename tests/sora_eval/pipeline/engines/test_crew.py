"""Tasks whose worker is lost or late are tried again, as often as asked."""

from concurrent.futures import Future

import pytest

from sora_eval.pipeline.engines import crew as crews
from sora_eval.pipeline.engines.crew import Crew, Lost, Task, finished
from sora_eval.pipeline.engines.worker import Place
from sora_eval.util.errors import GeneratorError, RunError

PLACE = Place(1, True, {}, {})


class Scripted:
    """Workers that answer at once: a value, an exception, or nothing for None."""

    def __init__(self, answers, openings=()):
        self.answers, self.openings, self.stopped, self.asked = list(answers), list(openings), 0, []

    def start(self):
        return ScriptedWorker(self, _done(self.openings.pop(0) if self.openings else PLACE))


class ScriptedWorker:
    def __init__(self, script, opening):
        self._script, self.opening = script, opening

    def submit(self, function, job):
        self._script.asked.append(job[0])
        return _done(self._script.answers.pop(0))

    def result(self, future):
        return future.result()

    def stop(self, *, now):
        self._script.stopped += 1


def _done(answer):
    future = Future()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    elif answer is not None:
        future.set_result(answer)
    return future


def task(name, *parts):
    return Task(len, lambda _place: (name,), name, max(len(parts), 1), parts)


def results_of(script, tasks, **options):
    crew = Crew("generator", 1, script.start, **{"retries": 2, "case_timeout": None, **options})
    left, results = list(tasks), []
    while left or crew.busy:
        while left and crew.free > 0:
            crew.begin(left.pop(0))
        results += [(task.subject, str(result)) for _, task, result in finished([crew])]
    return results


def test_a_task_is_tried_again_on_another_worker():
    script = Scripted([Lost("was lost"), Lost("was lost"), "a", "b"])
    assert results_of(script, [task("A"), task("B")]) == [("A", "a"), ("B", "b")]
    assert (script.asked, script.stopped) == (["A", "A", "A", "B"], 2)


@pytest.mark.parametrize(("retries", "times"), [(0, ""), (1, "; tried 2 times")])
def test_what_no_worker_answers_says_how_they_ended(retries, times):
    script = Scripted([Lost("was lost")] * (1 + retries) + ["b"])
    assert results_of(script, [task("A"), task("B")], retries=retries) == [("A", f"a generator was lost{times}"), ("B", "b")]


def test_the_last_try_asks_for_each_case_of_a_batch_alone():
    script = Scripted([Lost("was lost"), Lost("was lost"), "a", Lost("was lost"), "c"])
    batch = task("ABC", task("A"), task("B"), task("C"))
    assert results_of(script, [batch]) == [("A", "a"), ("B", "a generator was lost; tried 3 times"), ("C", "c")]
    assert script.asked == ["ABC", "ABC", "A", "B", "C"]


def test_a_worker_that_is_late_is_ended():
    script = Scripted([None, "a", None, None, None])
    late = "a generator did not answer within 0.01 s (--case-timeout); tried 3 times"
    assert results_of(script, [task("A"), task("B")], case_timeout=0.01) == [("A", "a"), ("B", late)]
    assert script.stopped == 4


def test_workers_that_end_before_they_are_open_are_one_message():
    with pytest.raises(RunError, match="a generator ended with exit code 1, before it was open; 3 times"):
        results_of(Scripted([], [Lost("ended with exit code 1")] * 3), [task("A")])
    assert results_of(Scripted(["a"], [Lost("x"), Lost("x")]), [task("A")]) == [("A", "a")]


def test_what_a_worker_raises_is_raised():
    with pytest.raises(GeneratorError, match="no weights"):
        results_of(Scripted([], [GeneratorError("no weights")]), [task("A")])


def test_workers_that_never_open_are_one_message(monkeypatch):
    monkeypatch.setattr(crews, "MOST_SECONDS_TO_START", 0.01)
    script = Scripted([])
    script.start = lambda: ScriptedWorker(script, Future())
    with pytest.raises(RunError, match=r"no generator is open after 0\.01 s"):
        results_of(script, [task("A")])
