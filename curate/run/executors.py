"""
Turn a stage's tasks into a datatrove pipeline and run it on several processes of this machine.

datatrove's executors are the engine room: a stage is a `PipelineStep`, a task a rank. Its local
`run()` is replaced, because a killed worker hangs its pool for good, and its task log writes the
values of local variables, which here are document text; its completion markers are not used,
because they ignore options: only our receipts say what is done.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor

from curate.run.steps import Progress, Step, run_rank
from curate.run.workers import Crew


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]
    """datatrove's local executor with worker processes that are named when they die."""

    def __init__(self, step: Step, *, tasks: int, crew: Crew, logging_dir: Path) -> None:
        super().__init__(
            pipeline=[step],
            tasks=tasks,
            workers=crew.n_workers,
            logging_dir=str(logging_dir),
            skip_completed=False,
        )
        self.crew = crew

    def run(
        self,
        *,
        name_of: Callable[[int], str],
        progress: Progress,
        done: Callable[[int], None],
    ) -> None:
        """Run every rank; see `Crew.run` for what a dying worker does."""
        (step,) = self.pipeline
        self.crew.run(
            # The step alone: a worker need not import the executor.
            partial(run_rank, step, self.tasks),
            range(self.tasks),
            name_of=name_of,
            progress=progress,
            done=lambda rank, _: done(rank),
        )
