"""
Turn the same dumps into a mix with one worker and with several, and say what the others bring.

    python benchmarks/workers.py --tokenizer tokenizer.json --copies 16

Clock seconds of the whole job of build.py, each worker with a core: alone on all cores, a worker
would use some of a second one too, to write while it reads.
"""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from isal import igzip

from build import write_recipe
from corpus import ROOT, write_c4
from measure import run


def divided(dump: Path, n_dumps: int, folder: Path) -> None:
    """Deal the lines of a dump out to several."""
    folder.mkdir()
    with ExitStack() as stack:
        lines = stack.enter_context(igzip.open(dump))
        parts = [
            stack.enter_context(igzip.open(folder / f"{n:02}.json.gz", "wb"))
            for n in range(n_dumps)
        ]
        for number, line in enumerate(lines):
            parts[number % n_dumps].write(line)


def seconds(dumps: str, tokenizer: Path, work: Path, n_workers: int) -> float:
    """Clock seconds of a build with so many workers, on as many cores."""
    work.mkdir()
    write_recipe(work / "bench.toml", "whole", tokenizer, dumps)
    line = ["-m", "curate", "build", work / "bench.toml", "--workers", str(n_workers),
            "--store", work / "store", "--out", work / "mixes", "--record", work / "m"]  # fmt: skip
    cost = run([sys.executable, *line], n_cores=n_workers)
    shutil.rmtree(work)
    return cost.wall_seconds


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument(
        "--tokenizer", type=Path, default=ROOT / "curate/models/demo-tokenizer.json"
    )
    parser.add_argument("--megabytes", type=int, help="of text; default all there is")
    parser.add_argument("--copies", type=int, default=5, help="of the texts, lines shuffled")
    parser.add_argument("--dumps", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    tokenizer = options.tokenizer.resolve()
    limit = None if options.megabytes is None else options.megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_bytes = write_c4(folder / "all.json.gz", options.shared, options.copies, limit)
        divided(folder / "all.json.gz", options.dumps, folder / "dumps")
        print(f"{n_bytes:,} bytes of text in {options.dumps} dumps; clock seconds", flush=True)
        times = []
        for n in (1, options.workers):
            dumps, work = str(folder / "dumps" / "*.gz"), folder / "work"
            times.append(seconds(dumps, tokenizer, work, n))
            print(f"{n} worker(s) on as many cores{times[-1]:>8.1f}", flush=True)
        print(f"{times[0] / times[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
