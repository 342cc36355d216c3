"""
Turn a list of task numbers into calls in worker processes, naming any worker that dies.

The standard library's pools cannot say which task a killed worker was on, so each worker here is
a plain process with a pipe: the parent sends a task number, the worker answers with progress, a
result or an error. A dead worker ends the run at once with the name of its task.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from curate.errors import CurateError

ONE_THREAD = {
    "POLARS_MAX_THREADS": "1",
    "FASTOKENS_BPE_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Environment of a worker: parallelism is between tasks, never inside one."""

PRELOADED = ["numpy", "datatrove.pipeline.base", "tokenizers", "fastokens", "fasttext"]
"""What the fork server imports, once for all workers: polars starts threads, which do not fork."""

Task = Callable[[int, Callable[[int], None]], Any]
"""What a worker runs: (task number, report progress) → result. Must pickle."""


class WorkerDied(CurateError):
    """A worker process ended without an answer (killed, out of memory, crashed)."""

    code = "worker-died"


def available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare() -> None:
    """Let the fork server start its imports, while the caller does something else."""
    with _environment(ONE_THREAD):
        _context()
        multiprocessing.forkserver.ensure_running()


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_tasks(
    task: Task,
    numbers: Sequence[int],
    *,
    workers: int,
    name_of: Callable[[int], str],
    progress: Callable[[int], None],
    done: Callable[[int, Any], None],
) -> None:
    """
    Call `task` once for each of `numbers`, at most `workers` at a time.

    With one worker, or one task, everything runs in this process. Errors raised by a task are
    raised here, with the other workers stopped; a worker that dies raises WorkerDied.
    """
    if workers == 1 or len(numbers) <= 1:
        for number in numbers:
            done(number, task(number, progress))
        return
    pending = list(reversed(numbers))
    running: dict[Connection, tuple[BaseProcess, int]] = {}
    idle: list[tuple[BaseProcess, Connection]] = []
    with _environment(ONE_THREAD):
        context = _context()
        try:
            for _ in range(min(workers, len(numbers))):
                ours, theirs = context.Pipe()
                started = context.Process(target=_work, args=(task, theirs))
                started.start()
                theirs.close()
                idle.append((started, ours))
            while pending or running:
                while idle and pending:
                    process, connection = idle.pop()
                    number = pending.pop()
                    running[connection] = (process, number)
                    _send(connection, number, process, name_of(number))
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection)
                    connection = ready
                    process, number = running[connection]
                    kind, value = _receive(connection, process, name_of(number))
                    if kind == "progress":
                        progress(value)
                    elif kind == "error":
                        raise value
                    else:
                        del running[connection]
                        idle.append((process, connection))
                        done(number, value)
            for process, connection in idle:
                connection.send(None)
                process.join()
        finally:
            for process, _ in [*idle, *running.values()]:
                if process.is_alive():
                    process.kill()
                process.join()


def _send(connection: Connection, number: int, process: BaseProcess, name: str) -> None:
    try:
        connection.send(number)
    except (BrokenPipeError, ConnectionResetError):
        raise _death(process, name) from None


def _receive(connection: Connection, process: BaseProcess, name: str) -> tuple[str, Any]:
    try:
        answer: tuple[str, Any] = connection.recv()
        return answer
    except (EOFError, ConnectionResetError):
        raise _death(process, name) from None


def _death(process: BaseProcess, name: str) -> WorkerDied:
    process.join(timeout=2)
    code = process.exitcode
    how = (
        f"was killed by {signal.Signals(-code).name}"
        if code is not None and code < 0
        else f"ended with code {code}"
    )
    return WorkerDied(
        f"the worker on {name} {how}",
        details=["finished work is kept"],
        hint="Run the same line again to go on; with less memory at hand, use fewer --workers.",
    )


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _work(task: Task, connection: Connection) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    while (number := connection.recv()) is not None:
        try:
            result = task(number, lambda n: connection.send(("progress", n)))
            connection.send(("result", result))
        except Exception as error:
            connection.send(("error", _portable(error)))


def _portable(error: Exception) -> Exception:
    """`error` if it survives pickling, else a CurateError that says the same."""
    from multiprocessing.reduction import ForkingPickler

    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        return CurateError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent() -> None:
    """Ask Linux to kill this worker when the build is killed; elsewhere the closed pipe ends it."""
    import ctypes

    pr_set_pdeathsig = 1
    try:
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    except (OSError, AttributeError):
        return
