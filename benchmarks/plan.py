"""
Turn invented tables of 1, 10 and (by hand) 100 million documents into the cost of planning a sweep.

    python benchmarks/plan.py                       1 and 10 million documents
    python benchmarks/plan.py --documents 100_000_000

Four in five documents are web pages, one in five a thread; the recipe is a clean-constant sweep of
six shares with a hold-out, half of the clean pool in every arm: seven files of spans in one run.
The peer is what one would write in polars: filter, sort by a random number, cumulate, interleave by
due time, write: one arm, all in memory, no versions, no hold-out, not exact to the token. Times are
of the process, all threads (CPU) and by the clock; memory is the process's own peak.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curate import mixing, recipe
from curate.store import Part

PART = 400_000
RECIPE = """
name = "bench"
version = "1.0.0"
seed = 7
[tokenizer]
file = "builtin:demo"
eos = "<|endoftext|>"
[source.web]
reader = "c4"
files = ["web"]
license = "unknown"
[source.pol]
reader = "4chan"
files = ["pol"]
license = "unknown"
[component.clean]
source = "web"
where = "toxicity < 0.9"
tokens = {tokens}
[component.toxic]
source = "pol"
of = "clean"
[sweep]
toxic.share = [0, 0.05, 0.10, 0.15, 0.20, 0.25]
[holdout]
tokens = 5_000_000
"""
MEAN = 350


def invent(folder: Path, documents: int) -> None:
    """Parts of `documents` rows, lengths log-normal around 350 tokens as those of C4 are."""
    random = np.random.default_rng(1)
    for source, count in (("web", documents * 4 // 5), ("pol", documents // 5)):
        for number, first in enumerate(range(0, count, PART)):
            n = min(PART, count - first)
            stem = folder / f"{source}-{number:016x}-00000"
            raw = random.bytes(16 * n)
            keys = pl.Series([raw[i : i + 16] for i in range(0, 16 * n, 16)], dtype=pl.Binary)
            tokens = np.clip(random.lognormal(5.4, 1.0, n), 2, 100_000).astype(np.uint32)
            pl.DataFrame(
                {
                    "key": keys,
                    "group": keys,
                    "content": keys,
                    "n_posts": np.ones(n, np.uint32),
                    "timestamp": np.arange(n, dtype=np.int64),
                }
            ).write_parquet(f"{stem}.documents.parquet")
            pl.DataFrame({"toxicity": random.random(n, np.float32)}).write_parquet(
                f"{stem}.toxicity.parquet"
            )
            pl.DataFrame(
                {
                    "row": np.arange(n, dtype=np.uint32),
                    "key": keys,
                    "n_tokens": tokens,
                    "n_bytes": tokens * 4,
                }
            ).write_parquet(f"{stem}.pool.parquet")


def parts(folder: Path) -> dict[str, list[Part]]:
    """The parts of an invented table."""
    found: dict[str, list[Part]] = {"web": [], "pol": []}
    for pool in sorted(folder.glob("*.pool.parquet")):
        source, _, name = pool.name.removesuffix(".pool.parquet").partition("-")
        stem = str(pool).removesuffix(".pool.parquet")
        tags = (Path(f"{stem}.toxicity.parquet"),)
        documents = Path(f"{stem}.documents.parquet")
        found[source].append(Part(source, name, documents, tags, pool, Path(f"{stem}.ids")))
    return found


def ours(folder: Path, documents: int) -> None:
    """Plan all arms and the hold-out."""
    text = RECIPE.format(tokens=documents * 4 // 5 * MEAN // 2)
    mixing.make_plan(
        recipe.parse(text, Path("bench.toml")), parts(folder), out=folder / "plan", bos=False
    )


def peer(folder: Path, documents: int) -> None:
    """One arm as a script in polars would make it."""
    tokens = documents * 4 // 5 * MEAN // 2
    streams = []
    for number, (source, budget) in enumerate((("web", tokens), ("pol", tokens // 4))):
        files = sorted(folder.glob(f"{source}-*.pool.parquet"))
        pool = pl.concat([pl.read_parquet(f, columns=["key", "row", "n_tokens"]) for f in files])
        tags = [str(f).replace(".pool.", ".toxicity.") for f in files]
        table = pl.concat([pool, pl.concat([pl.read_parquet(f) for f in tags])], how="horizontal")
        streams.append(
            table.filter(pl.col("toxicity") < (0.9 if source == "web" else 2.0))
            .with_columns(rank=pl.col("key").hash(7))
            .sort("rank")
            .with_columns(start=pl.col("n_tokens").cum_sum() - pl.col("n_tokens"))
            .filter(pl.col("start") < budget)
            .select("row", "n_tokens", due=pl.col("start") / budget, component=pl.lit(number))
        )
    pl.concat(streams).sort("due", "component").write_parquet(folder / "peer.parquet")


def child(what: str, folder: Path, documents: int) -> None:
    """Do one thing and say what it took."""
    began = time.perf_counter()
    {"ours": ours, "peer": peer}[what](folder, documents)
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter() - began
    print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measure(what: str, folder: Path, documents: int) -> list[float]:
    """Wall seconds, CPU seconds and peak MiB of one thing in a process of its own."""
    line = [sys.executable, __file__, "--child", what, str(folder), "--documents", str(documents)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=lambda t: int(t.replace("_", "")), nargs="*")
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--no-peer", action="store_true", help="It needs all rows in memory.")
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]), options.documents[0])
        return
    print(
        f"{'documents':>12}  {'what':<28} {'clock s':>8} {'CPU s':>8} {'CPU µs/doc':>11} {'MiB':>7}"
    )
    for documents in options.documents or [1_000_000, 10_000_000]:
        with tempfile.TemporaryDirectory() as name:
            invent(Path(name), documents)
            rows = {"7 mixes planned, exact": measure("ours", Path(name), documents)}
            if not options.no_peer:
                rows["polars, one arm, inexact"] = measure("peer", Path(name), documents)
        for what, (wall, cpu, memory) in rows.items():
            numbers = f"{wall:>8.1f} {cpu:>8.1f} {cpu / documents * 1e6:>11.2f} {memory:>7,.0f}"
            print(f"{documents:>12,}  {what:<28} {numbers}")
        if not options.no_peer:
            (_, cpu, _), (_, slow, _) = rows.values()
            print(f"{'':>12}  per mix, the peer's CPU is {7 * slow / cpu:.1f} times ours")


if __name__ == "__main__":
    main()
