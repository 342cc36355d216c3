"""Stages are datatrove steps, and what the fork server imports starts no thread."""

import os
import subprocess
import sys
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor

from curate.run.steps import Progress, Step
from curate.run.workers import ONE_THREAD, PRELOADED


class Touch(Step):
    """Task i: make file i of a folder."""

    name = "touch"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run_task(self, rank: int, progress: Progress) -> None:
        """Make one file."""
        (self.folder / str(rank)).touch()
        progress(1)


def test_datatroves_own_executor_runs_a_stage(tmp_path: Path) -> None:
    """A step is a datatrove pipeline step: its local executor does every task as a rank."""
    (tmp_path / "made").mkdir()
    executor = LocalPipelineExecutor(
        [Touch(tmp_path / "made")], tasks=3, workers=1, logging_dir=str(tmp_path / "logs")
    )

    executor.run()

    assert ["0", "1", "2"] == sorted(path.name for path in (tmp_path / "made").iterdir())


def test_what_workers_share_starts_no_thread() -> None:
    """A process that forks must have one thread, whatever it has imported."""
    asked = f"import os, {', '.join(PRELOADED)}\nprint(len(os.listdir('/proc/self/task')))"

    told = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "1\n" == told.stdout
