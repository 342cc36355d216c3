"""
Turn a stage's tasks into a datatrove pipeline and run it where it was asked to run.

datatrove's executors are the engine room: a stage is a `PipelineStep`, a task a rank. Its local
`run()` is replaced, because a killed worker hangs its pool for good; its completion markers are
not used, because they ignore options: only our receipts say what is done.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from curate.run.workers import run_tasks


class Step(PipelineStep):  # type: ignore[misc]
    """
    One stage as a pipeline step: `run_task(rank, progress)` does task number `rank`.

    Steps hold plain declarations and pickle; models and tables are opened inside `run_task`.
    """

    type = "curate"

    def __init__(self) -> None:
        super().__init__()
        self.progress: Callable[[int], None] = _silent

    def run_task(self, rank: int, progress: Callable[[int], None]) -> None:
        """Do one task; its last act is to write its receipt."""
        raise TypeError(f"{type(self).__name__} does no task")

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """datatrove's entry: do task `rank`, pass nothing on."""
        self.run_task(rank, self.progress)
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "progress": _silent}


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]
    """datatrove's local executor with worker processes that are named when they die."""

    def __init__(self, step: Step, *, tasks: int, workers: int, logging_dir: Path) -> None:
        super().__init__(
            pipeline=[step],
            tasks=tasks,
            workers=workers,
            logging_dir=str(logging_dir),
            skip_completed=False,
        )

    def run(
        self,
        *,
        name_of: Callable[[int], str] = str,
        progress: Callable[[int], None] = lambda n: None,
        done: Callable[[int], None] = lambda rank: None,
    ) -> None:
        """Run every rank; see `workers.run_tasks` for what a dying worker does."""
        run_tasks(
            partial(_run_rank, self),
            range(self.tasks),
            workers=self.workers,
            name_of=name_of,
            progress=progress,
            done=lambda rank, _: done(rank),
        )

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        # datatrove's own version logs tracebacks with the values of local variables, which here
        # are document text; it also writes markers that nobody may trust.
        data = None
        for step in self.pipeline:
            data = step(data, rank, self.world_size)
        deque(data or (), maxlen=0)
        return PipelineStats(self.pipeline)


def _run_rank(executor: LocalExecutor, rank: int, progress: Callable[[int], None]) -> None:
    for step in executor.pipeline:
        step.progress = progress
    executor._run_for_rank(rank)


def _silent(n: int) -> None:
    return None
