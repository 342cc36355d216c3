"""
Turn a stage's tasks into calls of a datatrove pipeline step: one by one here, or by an executor.

A stage is a `PipelineStep` and a task a rank, so that datatrove's executors can run it. With one
worker or one task there is nothing to execute but a loop, and importing an executor would take
longer than a small build.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from curate.run.workers import Crew

Progress = Callable[[int], None]


class Step(PipelineStep):  # type: ignore[misc]
    """
    One stage as a pipeline step: `run_task(rank, progress)` does task number `rank`.

    Steps hold plain declarations and pickle; models and tables are opened inside `run_task`.
    """

    type = "curate"

    def __init__(self) -> None:
        super().__init__()
        self.progress: Progress = _silent

    def run_task(self, rank: int, progress: Progress) -> None:
        """Do one task; its last act is to write its receipt."""
        raise TypeError(f"{type(self).__name__} does no task")

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """datatrove's entry: do task `rank`, pass nothing on."""
        self.run_task(rank, self.progress)
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "progress": _silent}


def run_step(
    step: Step,
    *,
    tasks: int,
    crew: Crew,
    logging_dir: Path,
    name_of: Callable[[int], str],
    progress: Progress,
    done: Callable[[int], None] = lambda rank: None,
) -> None:
    """Do every task of a step; see `Crew.run` for what a dying worker does."""
    if min(crew.n_workers, tasks) > 1:
        from curate.run.executors import LocalExecutor

        executor = LocalExecutor(step, tasks=tasks, crew=crew, logging_dir=logging_dir)
        executor.run(name_of=name_of, progress=progress, done=done)
        return
    crew.run(
        partial(run_rank, step, tasks),
        range(tasks),
        name_of=name_of,
        progress=progress,
        done=lambda rank, _: done(rank),
    )


def run_rank(step: Step, world_size: int, rank: int, progress: Progress) -> None:
    """Do one task of a step as a datatrove pipeline does."""
    step.progress = progress
    deque(step(None, rank, world_size) or (), maxlen=0)


def _silent(n: int) -> None:
    return None
