"""
Turn a C4 dump into a mix, and say what each stage of the build took: CPU and clock seconds.

    python benchmarks/stages.py --tokenizer tokenizer.json
    python benchmarks/stages.py --tokenizer tokenizer.json --copies 5

One worker, one process, the recipe of build.py; a stage is what lies between the events that a
build emits, `write` ends with the manifest. `start` is all before and between them: imports, the
digests of inputs, the lock, opening models. Aim: plan and write at most 8 % of the job.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from build import write_recipe
from corpus import ROOT, write_c4
from measure import ONE_THREAD

AIM = 0.08
DUMP = "0.json.gz"


class Clock:
    """CPU and clock seconds by stage, fed with the events of a build."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        self._stage, self._since = "start", (0.0, time.perf_counter())

    def __call__(self, event: object) -> None:
        from curate.run import events

        if isinstance(event, events.Started):
            self.turn(event.stage)
        elif isinstance(event, events.Finished):
            self.turn("start")

    def turn(self, stage: str) -> None:
        """From here on it is another stage."""
        usage = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        now = (sum(u.ru_utime + u.ru_stime for u in usage), time.perf_counter())
        spent = self.spent.setdefault(self._stage, [0.0, 0.0])
        for n in range(2):
            spent[n] += now[n] - self._since[n]
        self._stage, self._since = stage, now


def measure(job: str, folder: Path, tokenizer: Path) -> Clock:
    """Build one job in this process."""
    clock = Clock()
    work = folder / job
    from curate.run.build import build
    from curate.run.order import Order
    from curate.store import Store

    work.mkdir()
    recipe = work / "bench.toml"
    write_recipe(recipe, job, tokenizer, folder / DUMP)
    build(Order(recipe, Store(work / "store"), work / "mixes", work / "manifests"), clock)
    clock.turn("end")
    return clock


def main() -> None:
    """Measure each job in a process of its own, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument(
        "--tokenizer", type=Path, default=ROOT / "curate/models/demo-tokenizer.json"
    )
    parser.add_argument("--megabytes", type=int, help="of text; default all there is")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--inner", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tokenizer = options.tokenizer.resolve()
    if options.inner:
        job, folder = options.inner
        show(job, measure(job, Path(folder), tokenizer))
        return
    limit = None if options.megabytes is None else options.megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        n_bytes = write_c4(Path(folder) / DUMP, options.shared, options.copies, limit)
        print(f"{n_bytes:,} bytes of text", flush=True)
        for job in ("tokens", "whole"):
            line = [sys.executable, __file__, "--tokenizer", tokenizer, "--inner", job, folder]
            subprocess.run(line, env={**os.environ, **ONE_THREAD}, check=True)


def show(job: str, clock: Clock) -> None:
    """Print the stages of a job, and the share of plan and write."""
    total = [sum(spent[n] for spent in clock.spent.values()) for n in range(2)]
    print(f"\n{job:<10}{'CPU s':>8}{'clock s':>9}{'of CPU':>8}")
    for stage, (cpu, wall) in clock.spent.items():
        print(f"{stage:<10}{cpu:>8.2f}{wall:>9.2f}{cpu / total[0]:>8.1%}")
    late = sum(clock.spent[stage][0] for stage in ("plan", "write")) / total[0]
    print(f"{'all':<10}{total[0]:>8.2f}{total[1]:>9.2f}   plan + write: {late:.1%}", end="")
    print(f" (aim: at most {AIM:.0%})", flush=True)


if __name__ == "__main__":
    main()
