"""
Turn a list of task numbers into calls in worker processes, naming any worker that dies.

The standard library's pools cannot say which task a killed worker was on, so each worker here is
a plain process with a pipe: the parent sends a task, then numbers; the worker answers each with
progress, a result or an error. A dead worker ends the run at once with the name of its task.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

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


class Worker(NamedTuple):
    """A process, and our end of its pipe."""

    process: BaseProcess
    connection: Connection


class WorkerDied(CurateError):
    """A worker process ended without an answer (killed, out of memory, crashed)."""

    code = "worker-died"


def available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Crew:
    """
    Up to `n_workers` processes that do the tasks of one stage after the other.

    They start when there are two tasks to do, and stay until they are dismissed: to import, and to
    open an engine, takes as long as tokenizing forty megabytes.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._workers: list[Worker] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.dismiss()
        self._kill()

    def dismiss(self) -> None:
        """Let the workers end, and give back the memory they hold; later tasks start others."""
        for _, connection in self._workers:
            with suppress(OSError):  # one that died has nothing left to do
                connection.send(None)
        for process, _ in self._workers:
            process.join()
        self._workers = []

    def prepare(self) -> None:
        """Let the fork server, if one is needed, import while the caller does something else."""
        if self.n_workers > 1:
            with _environment(ONE_THREAD):
                _context()
                multiprocessing.forkserver.ensure_running()

    def run(
        self,
        task: Task,
        numbers: Sequence[int],
        *,
        name_of: Callable[[int], str],
        progress: Callable[[int], None],
        done: Callable[[int, Any], None],
    ) -> None:
        """
        Call `task` once for each of `numbers`, at most `n_workers` at a time.

        With one worker, or one task, everything runs in this process. Errors raised by a task are
        raised here, with all workers stopped; a worker that dies raises WorkerDied.
        """
        if self.n_workers == 1 or len(numbers) <= 1:
            for number in numbers:
                done(number, task(number, progress))
            return
        pending = list(reversed(numbers))
        running: dict[Connection, tuple[Worker, int]] = {}
        try:
            idle = self._ready(min(self.n_workers, len(numbers)))
            for worker in idle:
                _send(worker, task, name_of(pending[-1]))
            while pending or running:
                while idle and pending:
                    worker, number = idle.pop(), pending.pop()
                    running[worker.connection] = (worker, number)
                    _send(worker, number, name_of(number))
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection)
                    worker, number = running[ready]
                    kind, value = _receive(worker, name_of(number))
                    if kind == "progress":
                        progress(value)
                    elif kind == "error":
                        raise value
                    else:
                        del running[ready]
                        idle.append(worker)
                        done(number, value)
        except BaseException:
            self._kill()
            raise

    def _ready(self, n: int) -> "list[Worker]":
        """n workers, those that are missing started now."""
        with _environment(ONE_THREAD):
            context = _context()
            while len(self._workers) < n:
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs,))
                process.start()
                theirs.close()
                self._workers.append(Worker(process, ours))
        return self._workers[:n]

    def _kill(self) -> None:
        for process, _ in self._workers:
            if process.is_alive():
                process.kill()
            process.join()
        self._workers = []


def _send(worker: Worker, order: Task | int, name: str) -> None:
    try:
        worker.connection.send(order)
    except (BrokenPipeError, ConnectionResetError):
        raise _death(worker.process, name) from None


def _receive(worker: Worker, name: str) -> tuple[str, Any]:
    try:
        answer: tuple[str, Any] = worker.connection.recv()
        return answer
    except (EOFError, ConnectionResetError):
        raise _death(worker.process, name) from None


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


def _work(connection: Connection) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    task: Task | None = None
    while (order := connection.recv()) is not None:
        if callable(order):
            task = order
            continue
        assert task is not None
        try:
            connection.send(("result", task(order, lambda n: connection.send(("progress", n)))))
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
