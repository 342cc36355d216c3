"""
Turn an invented mix of a million spans into the time that each of an auditor's questions takes.

    python benchmarks/audit.py                      1,000,000 spans of 100 tokens, four shards
    python benchmarks/audit.py --spans 100000

Questions are asked as people ask them: a new process each, so that starting Python is in the
figure. The peer of `verify --read-data` is sha256 over the same bytes in as many threads.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curate.audit import counts, merkle, schedule
from curate.audit.rank import ranks
from curate.document import key_words
from tests.tiny_files import TYPES, seal, tokenizer_json, write_sidecars
from tests.tiny_manifest import EOS, key

SHARDS = 4
SEED = 7


def invent(folder: Path, n: int, mean: int) -> None:
    """A mix of n web pages and threads, one in five a thread, with every law kept."""
    (folder / "shards").mkdir(parents=True)
    random = np.random.default_rng(1)
    lengths = random.integers(mean // 2, mean * 3 // 2, n)
    threads = np.arange(n) % 5 == 0
    names = [
        f"4chan:pol/{i}" if t else f"https://site{i % 4999}.example/{i}#{i:016x}"
        for i, t in enumerate(threads.tolist())
    ]
    component = np.where(threads, "toxic", "clean")
    urls = [None if t else name.partition("#")[0] for name, t in zip(names, threads, strict=True)]
    table = pl.DataFrame(
        {"id": names, "component": component, "url": urls, "n_tokens": lengths}
    ).with_columns(
        key=pl.Series([key(name) for name in names], dtype=pl.Binary),
        board=pl.when(pl.col("url").is_null()).then(pl.lit("pol")),
        thread=pl.when(pl.col("url").is_null()).then(pl.int_range(pl.len())),
        toxicity=pl.Series(random.random(n), dtype=pl.Float32) / 2 + pl.Series(threads) * 0.5,
    )
    table = ordered(table)
    shard = np.minimum(np.arange(n) * SHARDS // n, SHARDS - 1)
    lengths = table["n_tokens"].to_numpy().astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    starts -= starts[np.searchsorted(shard, np.arange(SHARDS))][shard]
    ids = random.integers(97, 123, int(lengths.sum()), dtype=np.uint16)
    ends = np.cumsum(lengths)
    ids[ends - 1] = EOS
    view, bounds = memoryview(ids).cast("B"), (ends * 2).tolist()
    digests = [hashlib.sha256(view[a:b]).digest()[:16] for a, b in pairwise([0, *bounds])]
    text = memoryview((ids & 0xFF).astype(np.uint8))
    stops = ends.tolist()
    contents = [hashlib.sha256(text[a : b - 1]).digest()[:16] for a, b in pairwise([0, *stops])]
    table = table.with_columns(
        source=pl.col("component").replace_strict({"clean": "pages", "toxic": "board"}),
        epoch=pl.lit(0), shard=pl.Series(shard), start=pl.Series(starts),
        first=pl.lit(0), n_inserted=pl.lit(0), cut=pl.lit(False),
        digest=pl.Series(digests, dtype=pl.Binary), n_bytes=pl.col("n_tokens") - 1,
        content=pl.Series(contents, dtype=pl.Binary),
        group=pl.Series([key(i.partition("#")[0]) for i in table["id"]], dtype=pl.Binary),
        input=pl.lit("0" * 16), offset=pl.int_range(pl.len()), n_posts=pl.lit(1),
        timestamp=pl.int_range(pl.len()) + 1_500_000_000,
        registered_domain=pl.col("url").str.split("/").list.get(2, null_on_oob=True),
        license=pl.lit("CC0-1.0"), language=pl.lit("en"),
    )  # fmt: skip
    table = table.select([pl.col(c).cast(t) for c, t in TYPES.items()] + ["toxicity"])
    table.write_parquet(folder / "spans.parquet", row_group_size=131_072, compression_level=3)
    (folder / "tokenizer.json").write_bytes(tokenizer_json())
    shards, at = [], 0
    for rows in table.partition_by("shard", maintain_order=True):
        size = int(rows["n_tokens"].sum())
        shards.append(write_shard(folder, len(shards), ids[at : at + size], rows))
        at += size
    seal(folder, facts(table, shards))


def ordered(table: pl.DataFrame) -> pl.DataFrame:
    """Components by rank, woven by due time."""
    parts = []
    totals = {c: int(k) for c, k in table.group_by("component").agg(pl.sum("n_tokens")).iter_rows()}
    lines = schedule.schedules(totals, {})
    for name in sorted(totals):
        own = table.filter(pl.col("component") == name)
        place = pl.Series("rank", ranks(key_words(own["key"]), seed=SEED, epoch=0))
        own = own.with_columns(place).sort("rank")
        begun = (own["n_tokens"].cum_sum() - own["n_tokens"]).to_numpy().astype(np.int64)
        parts.append(own.with_columns(due=pl.Series(schedule.due(lines[name], begun))))
    return pl.concat(parts).sort("due", "component", maintain_order=True).drop("due", "rank")


def write_shard(folder: Path, number: int, ids: Any, rows: pl.DataFrame) -> dict[str, Any]:
    """Ids and sidecars of one shard."""
    data = ids.tobytes()
    sha = hashlib.sha256(data).hexdigest()
    stem = folder / "shards" / f"{number:05d}-{sha[:8]}"
    stem.with_suffix(".npy").write_bytes(data)
    for suffix in (".bin", ".ds"):
        os.link(stem.with_suffix(".npy"), stem.with_suffix(suffix))
    write_sidecars(
        stem, rows.select("start", "n_tokens", "id", "input", "offset").to_dicts(), "uint16"
    )
    return {"name": stem.name, "sha256": sha, "n_tokens": len(ids), "n_spans": rows.height}


def facts(table: pl.DataFrame, shards: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest of the mix: counted here once, and again by `verify`."""
    lengths = table["n_tokens"].to_numpy().astype(np.int64)
    names = sorted(set(table["component"]))
    totals = {c: int(k) for c, k in table.group_by("component").agg(pl.sum("n_tokens")).iter_rows()}
    lines = schedule.schedules(totals, {})
    value, name, at = schedule.largest_deviation(lines, table["component"].to_numpy(), lengths)
    limit = schedule.bound(lines, name, int(lengths.max()), int(lengths.sum()), False)
    made = {c: component(table.filter(pl.col("component") == c), totals[c], lengths) for c in names}
    sizes = [s["n_tokens"] for s in shards]
    tails = {w: counts.tails(shards, table, w) for w in (1024, 2048, 4096, 8192)}
    pool = {c: {k: v for k, v in m.items() if k.startswith("n_")} for c, m in made.items()}
    source = {"clean": "pages", "toxic": "board"}
    told = {
        "reader": "invented",
        "license": "CC0-1.0",
        "n_superseded": 0,
        "n_held_out": 0,
        "n_empty": 0,
    }
    item = {"sha256": "0" * 64, "n_bytes": 1, "skipped": {}, "rejected": {}}
    return {
        "format": "curate-manifest/1",
        "name": "large",
        "version": "1.0.0",
        "content": {
            "tokenizer": {
                "sha256": hashlib.sha256(tokenizer_json()).hexdigest(),
                "n_vocab": 257,
                "dtype": "uint16",
                "eos": {"token": "<|endoftext|>", "id": EOS},
            },
            "layout": "interleaved",
            "seed": SEED,
            "n_tokens": int(lengths.sum()),
            "n_spans": table.height,
            "n_documents": table.height,
            "n_bytes": int(table["n_bytes"].sum()),
            "components": [{"name": c, **made[c]} for c in names],
            "largest_deviation": {
                "value": text(value),
                "component": name,
                "at": at,
                "bound": text(limit),
            },
            "shards": shards,
            "windows": {
                str(w): {"n_windows": [n // w for n in sizes], "n_dropped": tails[w]} for w in tails
            },
            "merkle_root": merkle.root(merkle.leaves(table)[1]).hex(),
        },
        "origin": {
            "recipe": {"name": "large", "sha256": hashlib.sha256(b"").hexdigest(), "text": ""},
            "arm": {"name": "", "settings": {}},
            "tool": {"name": "benchmark", "version": "1"},
            "libraries": {},
            "stages": {},
            "sources": {source[c]: {**told, "n_read": pool[c]["n_documents"]} for c in names},
            "inputs": [
                {**item, "source": source[c], "name": f"{c}.jsonl"}
                | dict.fromkeys(("n_records", "n_documents"), pool[c]["n_documents"])
                for c in names
            ],
            "components": {
                c: {"source": source[c], "eligible": pool[c], "dropped": [], "n_unused": 0}
                for c in names
            },
            "taggers": {},
            "tokenizer": {},
        },
    }


def component(own: pl.DataFrame, n_tokens: int, lengths: Any) -> dict[str, Any]:
    """What the manifest says of one component that is taken whole."""
    return {
        "unit": "tokens",
        "requested": n_tokens,
        "n_tokens": n_tokens,
        "n_spans": own.height,
        "n_documents": own.height,
        "n_bytes": int(own["n_bytes"].sum()),
        "residual": 0,
        "epochs": "1/1",
        "share": text(Fraction(n_tokens, int(lengths.sum()))),
        "cut": [],
        "stream_digest": hashlib.sha256(b"".join(own["digest"].to_list())).hexdigest(),
    }


def text(value: Fraction) -> str:
    """n/d."""
    return f"{value.numerator}/{value.denominator}"


def timed(*words: str) -> tuple[float, float, int]:
    """Wall and CPU seconds of one command, and its exit code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from curate.cli import main; main()", *words],
        stdout=subprocess.DEVNULL,
    )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.returncode


def bare_sha256(folder: Path, threads: int) -> tuple[float, float, int]:
    """Wall and CPU seconds of sha256 over every inode of the mix, and the bytes."""
    paths = list({p.stat().st_ino: p for p in folder.rglob("*") if p.is_file()}.values())
    began, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(digest_of, sorted(paths, key=lambda p: -p.stat().st_size)))
    n_bytes = sum(p.stat().st_size for p in paths)
    return time.monotonic() - began, time.process_time() - cpu, n_bytes


def digest_of(path: Path) -> str:
    """sha256 as the standard library has it."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Make the mix, ask everything once to warm the page cache, then time it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[1])
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=100, help="of a span, on average")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "large" / "1.0.0"
        invent(folder, options.spans, options.tokens)
        mix = str(folder)
        listed = Path(place) / "list.txt"
        listed.write_text("".join(f"pol/{5 * n}\nsite{n}.example\n" for n in range(5_000)))
        threads = len(os.sched_getaffinity(0))
        bare_sha256(folder, threads)
        wall, cpu, n_bytes = bare_sha256(folder, threads)
        print(f"{options.spans:,} spans, {n_bytes / 1e6:,.0f} MB, {threads} threads")
        print(f"{'question':<44} {'wall s':>8} {'CPU s':>8}")
        print(f"{'sha256 of every file (hashlib)':<44} {wall:>8.2f} {cpu:>8.2f}")
        report(cpu, folder, threads)
        for words in (
            ("--help",),
            ("inspect", mix),
            ("trace", mix, "--token", "12345678"),
            ("find", mix, "--id", "4chan:pol/500000"),
            ("find", mix, "--url", "https://site4/none"),
            ("find", mix, "--thread", "pol/500000"),
            ("find", mix, "--list", str(listed)),
            ("diff", mix, mix),
            ("query", mix, "SELECT board, SUM(n_tokens) AS n FROM spans GROUP BY board"),
            ("prove", mix, "--id", "4chan:pol/500000"),
            ("prove", mix, "--absent", "4chan:pol/1"),
            ("verify", mix),
            ("verify", mix, "--read-data"),
            ("verify", mix, "--semantic"),
        ):
            wall, cpu, code = timed(*words)
            names = {mix: "MIX", str(listed): "10,000 ENTRIES"}
            shown = " ".join(names.get(word, word) for word in words)
            print(f"{shown[:44]:<44} {wall:>8.2f} {cpu:>8.2f}" + (f"  exit {code}" if code else ""))


def report(bare: float, folder: Path, threads: int) -> None:
    """`verify --read-data` in this process: the ratio of CPU time to bare sha256."""
    from curate.audit.verify import verify

    began, cpu = time.monotonic(), time.process_time()
    findings = verify(folder, read_data=True, threads=threads).findings
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    line = f"{'verify(read_data=True)':<44} {wall:>8.2f} {cpu:>8.2f}"
    print(f"{line}  {bare / cpu:.0%} of bare sha256 per CPU second, {len(findings)} findings")


if __name__ == "__main__":
    main()
