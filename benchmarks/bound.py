"""
Turn a C4 dump into the least that a build of it can take: each native call alone, nothing between.

    python benchmarks/bound.py --tokenizer tokenizer.json --copies 5

The bound is the sum of: decompress, parse JSON, take the digests that the formats ask for, compress
documents, read them, (whole job) make words and ask fastText, encode, write ids and take their
sha256, twice: to the pool and to the shards. CPU seconds of one thread, each call's inputs ready in
memory, models loaded before.
"""

import os

from measure import ONE_THREAD, Cost, run

os.environ.update(ONE_THREAD)  # before the first import that asks how many threads there are

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from isal import igzip

from build import write_recipe
from corpus import ROOT, write_c4


def seconds(work: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """Least CPU time of some runs, and what the last one gave."""
    times = []
    for _ in range(repeat):
        began = time.process_time()
        made = work()
        times.append(time.process_time() - began)
    return min(times), made


def bound(dump: Path, tokenizer: Path, folder: Path) -> dict[str, float]:
    """CPU seconds of each native call of a whole job over `dump`, in order."""
    import fasttext

    from curate.taggers import shelf, words
    from curate.tokenizer import load
    from curate.tokens.engines import Fast

    spent: dict[str, float] = {}
    spent["decompress"], data = seconds(lambda: igzip.open(dump).read())
    schema = {"text": pl.String(), "url": pl.String(), "timestamp": pl.String()}
    spent["parse"], table = seconds(lambda: pl.read_ndjson(data, schema=schema))
    texts = table["text"].to_list()
    encoded = table["text"].cast(pl.Binary).to_list()
    spent["digests of texts"], _ = seconds(lambda: [hashlib.sha256(t).digest() for t in encoded])
    spent["write documents"], _ = seconds(
        lambda: table.write_parquet(
            folder / "d", compression="zstd", compression_level=1, row_group_size=4_096
        )
    )
    spent["read documents"], _ = seconds(lambda: pl.read_parquet(folder / "d", columns=["text"]))
    model = fasttext.load_model(str(shelf.located("builtin:toxicity")))
    spent["make words"], lines = seconds(lambda: words.normalised(table["text"], "marked"))
    spent["fastText"], _ = seconds(lambda: model.predict(lines, k=2))
    loaded = load(str(tokenizer), eos="<|endoftext|>")
    engines = [Fast(loaded) for _ in range(3)]  # they remember words: each meets the texts once
    spent["encode"], (flat, _) = seconds(lambda: engines.pop().encode(texts))
    ids = flat.astype(loaded.dtype)

    def written() -> str:
        ids.tofile(folder / "ids")
        return hashlib.sha256(ids.view(np.uint8).data).hexdigest()

    once, _ = seconds(written)
    spent["write ids, twice"] = 2 * once
    return spent


def built(job: str, dump: Path, tokenizer: Path, work: Path) -> Cost:
    """`curate build` of a job."""
    recipe = work / "bench.toml"
    write_recipe(recipe, job, tokenizer, dump)
    line = ["-m", "curate", "build", recipe, "--workers", "1", "--store", work / "store",
            "--out", work / "mixes", "--record", work / "manifests"]  # fmt: skip
    return run([sys.executable, *line])


def main() -> None:
    """Measure, print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument(
        "--tokenizer", type=Path, default=ROOT / "curate/models/demo-tokenizer.json"
    )
    parser.add_argument("--megabytes", type=int, help="of text; default all there is")
    parser.add_argument("--copies", type=int, default=1, help="of the texts, lines shuffled")
    options = parser.parse_args()
    tokenizer = options.tokenizer.resolve()
    limit = None if options.megabytes is None else options.megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dump = folder / "0.json.gz"
        n_bytes = write_c4(dump, options.shared, options.copies, limit)
        spent = bound(dump, tokenizer, folder)
        print(f"{n_bytes:,} bytes of text; CPU seconds of each native call alone")
        for call, cost in spent.items():
            print(f"{call:<20}{cost:>8.2f}")
        tagging = spent["make words"] + spent["fastText"]
        total = sum(spent.values())
        print(f"\n{'job':<8}{'bound':>8}{'build':>8}{'bound/build':>13}")
        for job, least in (("tokens", total - tagging), ("whole", total)):
            work = folder / "work"
            work.mkdir()
            cost = built(job, dump, tokenizer, work).cpu_seconds
            shutil.rmtree(work)
            print(f"{job:<8}{least:>8.2f}{cost:>8.2f}{least / cost:>12.0%}")


if __name__ == "__main__":
    main()
