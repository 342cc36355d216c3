"""
Turn an invented pool into a mix, and say how fast: shards written per second, memory held.

    python benchmarks/write.py      1 M documents of 500 tokens, uint16 and uint32
    python benchmarks/write.py --documents 2500000 --dtype uint32 --cold --limit 1250
                                    as root: cold cache, a quarter of the pool fits in memory

The peer is what any writer must do: copy the same bytes to a file, fsync it and take its sha256.
Figures are MB of shards (ids, once) per second of wall and of CPU time.
"""

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import document, shards
from curate.store import Part
from curate.tokenizer import Tokenizer

PART_DOCUMENTS = 125_000
EOS, VOCABULARY = {"uint16": 0, "uint32": 100_257}, {"uint16": 50_280, "uint32": 100_278}


def invent_part(folder: Path, number: int, n: int, mean: int, dtype: str) -> Part:
    """A part of n documents of about `mean` tokens, with the columns that C4 has."""
    random = np.random.default_rng(number)
    lengths = np.maximum(3, random.exponential(mean, n).astype(np.int64))
    ids = random.integers(1, 50_000, int(lengths.sum()), dtype=np.dtype(dtype))
    ends = np.cumsum(lengths)
    ids[ends - 1] = EOS[dtype]
    view = memoryview(ids).cast("B")
    width = ids.itemsize
    stops = (ends * width).tolist()
    starts = [0, *stops[:-1]]
    digests = [hashlib.sha256(view[a:b]).digest()[:16] for a, b in zip(starts, stops, strict=True)]
    names = [
        f"https://www.site{number * 7919 % 5000 + i % 997}.example/articles/{i}/some-title-{i % 89}"
        f"#{digests[i][:8].hex()}"
        for i in range(n)
    ]
    keys = [document.key(name) for name in names]
    stem = folder / f"part-{number:05d}"
    ids.tofile(stem.with_suffix(".ids"))
    columns: dict[str, Any] = {
        "id": names,
        "key": keys,
        "group": [key[::-1] for key in keys],
        "text": ["x"] * n,
        "n_bytes": (lengths * 4).astype(np.uint32),
        "content": digests,
        "input": ["0123456789abcdef"] * n,
        "offset": np.cumsum(lengths * 5).astype(np.uint64),
        "n_posts": np.ones(n, np.uint32),
        "timestamp": 1_550_000_000 + np.arange(n),
        "url": [name.partition("#")[0] for name in names],
        "registered_domain": [name.split("/")[2][4:] for name in names],
        "board": [None] * n,
        "thread": [None] * n,
        "license": [None] * n,
        "language": ["en"] * n,
    }
    pl.DataFrame(columns, schema_overrides=document.schema()).write_parquet(
        stem.with_suffix(".documents"), row_group_size=65_536
    )
    scores = {name: random.random(n, dtype=np.float32) for name in ("language.en", "toxicity")}
    pl.DataFrame(scores).write_parquet(stem.with_suffix(".tags"))
    pool = {
        "row": np.arange(n, dtype=np.uint32),
        "piece": pl.Series([None] * n, dtype=pl.UInt32),
        "key": keys,
        "n_tokens": lengths.astype(np.uint32),
        "n_bytes": (lengths * 4).astype(np.uint32),
        "offset": (ends - lengths).astype(np.uint64),
        "digest": digests,
    }
    pl.DataFrame(pool).write_parquet(stem.with_suffix(".pool"))
    return Part(
        "c4" if number % 4 else "pol",
        stem.name,
        stem.with_suffix(".documents"),
        (stem.with_suffix(".tags"),),
        stem.with_suffix(".pool"),
        stem.with_suffix(".ids"),
    )


def invent_plan(folder: Path, parts: list[Part], shard_tokens: int) -> dict[str, Any]:
    """Every document once, in a shuffled order; parts 0, 4, 8 … are the second component."""
    tables = [
        pl.read_parquet(part.pool, columns=["row", "n_tokens"]).with_columns(
            part=pl.lit(n, dtype=pl.UInt32), component=pl.lit(int(part.source == "pol"), pl.UInt16)
        )
        for n, part in enumerate(parts)
    ]
    plan = pl.concat(tables).sample(fraction=1.0, shuffle=True, seed=7)
    plan.select(
        "component",
        "part",
        "row",
        pl.lit(0, pl.UInt32).alias("epoch"),
        pl.lit(0, pl.UInt32).alias("first"),
        "n_tokens",
        pl.lit(False).alias("cut"),
        pl.lit(0, pl.UInt32).alias("n_inserted"),
        (pl.col("n_tokens").cast(pl.UInt64).cum_sum() // shard_tokens)
        .cast(pl.UInt32)
        .alias("shard"),
    ).write_parquet(folder / "mix.parquet", row_group_size=131_072)
    asked = {"unit": "tokens", "requested": 0, "residual": 0, "epochs": "1/1"}
    return {"components": [{"name": n, "source": n, **asked} for n in ("c4", "pol")]}


def tokenizer(dtype: str) -> Tokenizer:
    """As much of a tokenizer as writing needs."""
    return Tokenizer(
        "bench",
        "0" * 64,
        "0" * 64,
        VOCABULARY[dtype],
        dtype,
        "<eos>",
        EOS[dtype],
        None,
        None,
        (),
        b"{}",
    )  # type: ignore[arg-type]


def limit_memory(megabytes: int) -> None:
    """Put this process, with its share of the page cache, under a limit of its own."""
    version_1 = Path("/sys/fs/cgroup/memory")
    base, name = (
        (version_1, "memory.limit_in_bytes")
        if version_1.is_dir()
        else (Path("/sys/fs/cgroup"), "memory.max")
    )
    group = base / f"curate-bench-{os.getpid()}"
    group.mkdir()
    (group / name).write_text(str(megabytes * 1_000_000))
    (group / "cgroup.procs").write_text(str(os.getpid()))


def bare(folder: Path, content: dict[str, Any]) -> float:
    """Seconds of CPU to copy every shard to a file, fsync it and take its sha256."""
    paths = [folder / "shards" / f"{shard['name']}.npy" for shard in content["shards"]]
    for path in paths:  # written shards are let go of: have them in memory, as the pool was
        path.read_bytes()
    begun = time.process_time()
    for path in paths:
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        with open(folder / "copy", "wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        (folder / "copy").unlink()
    return time.process_time() - begun


def measure(args: argparse.Namespace, dtype: str) -> None:
    """Write one mix in this process and print its row."""
    folder = Path(args.folder or tempfile.mkdtemp(prefix="bench-write-"))
    store = folder / f"store-{dtype}-{args.documents}-{args.tokens}"
    numbers = range(-(-args.documents // PART_DOCUMENTS))
    if args.make:
        store.mkdir(parents=True, exist_ok=True)
    share = -(-args.documents // len(numbers))
    if args.make:
        parts = [invent_part(store, n, share, args.tokens, dtype) for n in numbers]
        import pickle

        facts = invent_plan(store, parts, args.shard_tokens)
        (store / "made.pickle").write_bytes(pickle.dumps((parts, facts)))
        return
    import pickle

    parts, facts = pickle.loads((store / "made.pickle").read_bytes())
    out = folder / "mix"
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    if args.limit:
        limit_memory(args.limit)
    for part in parts:
        for path in (part.ids, part.documents, part.pool, *part.tags):
            with open(path, "rb", buffering=0) as file:
                if args.cold:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                else:  # a system may have let go of what was not read for minutes
                    hashlib.file_digest(file, "sha256")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    content = shards.write_mix(
        plan=store,
        arm="mix",
        facts=facts,
        parts=parts,
        tokenizer=tokenizer(dtype),
        licenses={"c4": "ODC-BY-1.0", "pol": "CC-BY-4.0"},
        layout="interleaved",
        seed=7,
        out=out,
    )
    sums = shards.sums(out, content)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    megabytes = content["n_tokens"] * np.dtype(dtype).itemsize / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    floor = bare(out, content)
    print(
        f"{dtype:8} {args.documents:>10,} {megabytes:>8,.0f} {len(content['shards']):>6} "
        f"{megabytes / wall:>9,.0f} {megabytes / cpu:>9,.0f} {megabytes / floor:>9,.0f} "
        f"{floor / cpu:>6.2f} {before / 1024:>9,.0f} {peak / 1024:>9,.0f}  {sums.n_files} files"
    )


def main() -> None:
    """Measure each width in a process of its own, so that memory is told apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=500, help="mean tokens of a document")
    parser.add_argument("--shard-tokens", type=int, default=134_217_728)
    parser.add_argument("--dtype", choices=["uint16", "uint32"])
    parser.add_argument("--cold", action="store_true", help="drop the pool from the page cache")
    parser.add_argument("--limit", type=int, help="MB of memory, page cache included (root)")
    parser.add_argument("--folder", help="keep the invented pool here")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inner:
        measure(args, args.dtype)
        return
    widths = [args.dtype] if args.dtype else ["uint16", "uint32"]
    folder = args.folder or tempfile.mkdtemp(prefix="bench-write-")
    print(
        "width     documents       MB shards    MB/s  MB/cpu-s   bare      bare/ours "
        "MiB before  MiB peak"
    )
    try:
        for dtype in widths:
            line = [
                sys.executable, __file__, "--inner", "--dtype", dtype, "--folder", folder,
                "--documents", str(args.documents), "--tokens", str(args.tokens),
                "--shard-tokens", str(args.shard_tokens), *(["--cold"] if args.cold else []),
                *(["--limit", str(args.limit)] if args.limit else []),
            ]  # fmt: skip
            if not list(Path(folder).glob(f"store-{dtype}-{args.documents}-{args.tokens}/made*")):
                subprocess.run([*line, "--make"], check=True)
            subprocess.run(line, check=True)
    finally:
        if not args.folder:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
