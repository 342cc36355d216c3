"""
Turn a command line into the CPU seconds that it and everything it started took.

    run(["sleep", "1"]) -> Cost(cpu_seconds=0.0, wall_seconds=1.0)

Workers whose parent goes first (a fork server's) would not be counted; so this process adopts
them and waits for each.
"""

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ONE_THREAD = {
    "RAYON_NUM_THREADS": "1",
    "FASTOKENS_BPE_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What workers of `curate` are given; peers get the same."""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    cpu_seconds: float
    wall_seconds: float


def _ours() -> dict[str, str]:
    """Our environment, in which modules are compiled once, as installing a package does."""
    kept = dict(os.environ)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    n_cores: int | None = None,
) -> Cost:
    """
    Run a command to its end, on `n_cores` cores of those there are (default: all).

    CalledProcessError if it fails, with what it said.
    """
    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command],
        env={**_ours(), **ONE_THREAD, **(environment or {})},
        cwd=cwd,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout.decode()[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall)
