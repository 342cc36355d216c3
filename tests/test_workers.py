"""Workers do every task once, report, fail loudly, and are named when they die."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from curate.errors import InputError
from curate.lock import Input
from curate.run import build, workers
from curate.run.workers import Crew, WorkerDied

Progress = Callable[[int], None]


def square(number: int, progress: Progress) -> int:
    progress(number)
    return number * number


def environment(number: int, progress: Progress) -> str:
    return os.environ["POLARS_MAX_THREADS"]


def die_on_two(number: int, progress: Progress) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


def refuse_on_two(number: int, progress: Progress) -> int:
    if number == 2:
        raise InputError("dump 2 is cut short", details=["at byte 7"], hint="Fetch it again.")
    return number


class Unpicklable(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def raise_unpicklable(number: int, progress: Progress) -> int:
    raise Unpicklable(3, 4)


def run(task: Callable[..., object], n: int, workers: int) -> tuple[dict[int, object], int]:
    results: dict[int, object] = {}
    units = 0

    def advance(amount: int) -> None:
        nonlocal units
        units += amount

    def name_of(number: int) -> str:
        return f"dump {number}"

    with Crew(workers) as crew:
        crew.run(task, range(n), name_of=name_of, progress=advance, done=results.__setitem__)
    return results, units


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_task_is_done_once(workers: int) -> None:
    """Results and progress are the same for any number of workers."""
    assert ({0: 0, 1: 1, 2: 4, 3: 9}, 6) == run(square, 4, workers)


def process(number: int, progress: Progress) -> int:
    return os.getpid()


def in_turn(crew: Crew, task: Callable[..., object], n: int) -> list[object]:
    """What n tasks gave, by number."""
    found: dict[int, object] = {}
    crew.run(
        task,
        range(n),
        name_of=lambda number: f"dump {number}",
        progress=lambda amount: None,
        done=found.__setitem__,
    )
    return [found[number] for number in range(n)]


def test_workers_stay_until_they_are_dismissed() -> None:
    """The same two processes do the tasks of every run, then others; none is left at the end."""
    with Crew(2) as crew:
        first = set(in_turn(crew, process, 6))
        assert [0, 1, 4] == in_turn(crew, square, 3)
        again = set(in_turn(crew, process, 4))
        crew.dismiss()
        later = set(in_turn(crew, process, 2))

    assert (2, 2) == (len(first), len(later))
    assert first == again
    assert first.isdisjoint({os.getpid(), *later})
    assert not [pid for pid in first | later if Path(f"/proc/{pid}").exists()]


def test_a_worker_killed_between_two_runs_is_named() -> None:
    """The next run ends with the name of what it would have done."""
    with Crew(2) as crew:
        for pid in set(in_turn(crew, process, 2)):
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"the worker on dump [0-3] was killed by SIGKILL"):
            in_turn(crew, square, 4)


def test_workers_use_one_thread_each() -> None:
    """Workers see the one-thread settings; the parent's environment is as before."""
    before = os.environ.get("POLARS_MAX_THREADS")
    results, _ = run(environment, 2, 2)

    assert {0: "1", 1: "1"} == results
    assert before == os.environ.get("POLARS_MAX_THREADS")


def test_a_killed_worker_is_named_at_once() -> None:
    """A worker killed from outside ends the run within 5 s with the name of its task."""
    began = time.monotonic()
    with pytest.raises(WorkerDied, match="the worker on dump 2 was killed by SIGKILL"):
        run(die_on_two, 6, 2)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_whole(workers: int) -> None:
    """An error crosses the process border with its details, hint and exit code."""
    with pytest.raises(InputError) as caught:
        run(refuse_on_two, 4, workers)

    assert (["at byte 7"], "Fetch it again.", 4) == (
        caught.value.details,
        caught.value.hint,
        caught.value.exit_code,
    )


def test_an_error_that_does_not_pickle_is_still_told() -> None:
    """An exception that cannot cross the process border arrives as its text."""
    with pytest.raises(Exception, match="Unpicklable: 3 and 4"):
        run(raise_unpicklable, 2, 2)


def test_no_worker_outlives_the_run() -> None:
    """After a failure no worker process is left."""
    with pytest.raises(WorkerDied):
        run(die_on_two, 6, 3)

    assert [] == _children_running_tests()


def _children_running_tests() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
            command = (entry.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and b"spawn_main" in command:
            found.append(entry.parent.name)
    return found


@pytest.mark.parametrize(
    ("n_bytes", "kind", "expected"),
    [
        (build.SMALL // 2 - 1, "fasttext", 1),
        (build.SMALL // 2, "fasttext", workers.available()),
        (10, "detoxify", workers.available()),
    ],
)
def test_who_names_no_number_gets_what_pays(n_bytes: int, kind: str, expected: int) -> None:
    """A few MB are done by one process, unless a slow model reads them."""
    inputs = [Input("web", f"{k}.json.gz", f"{k}" * 64, n_bytes) for k in range(2)]
    job = SimpleNamespace(taggers={"t": {"kind": kind}}, lock=SimpleNamespace(inputs=inputs))

    assert expected == build._n_workers(job)
