"""
Turn a part of documents into its part of the pool, and say how much slower that is than encoding.

    python benchmarks/tokens.py
    python benchmarks/tokens.py --tokenizer tokenizer.json --repeat 5

`engine` is the bare call on texts already in memory; `stage` is all of `encode_part`: reading,
encoding, parity sample, EOS, checks, digests, files made durable. `least` is what no stage of this
format can do without: the bare call, unpacking the text column and making Python strings of it,
sha256 of every row and of the file, the reference's ids of the sample; the last line says how much
of each. MB of text per core-second, best of `--repeat`, taken in turns. Engines remember words and
Python's strings their UTF-8, so each run has new ones, made before the clock starts, as a build
meets its texts: once. `MiB` is the most memory of a process that runs the stage alone.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import ROOT, texts
from measure import ONE_THREAD

if TYPE_CHECKING:
    from curate.tokenizer import Tokenizer
    from curate.tokens.engines import EngineName

PEAK = """
import sys
from pathlib import Path
from curate.tokenizer import load
from curate.tokens import encode_part
encode_part(Path(sys.argv[1]), load(sys.argv[2], eos="<|endoftext|>"), max_document_tokens=None,
            out=Path(sys.argv[3]), part="alone", engine=sys.argv[4])
lines = Path("/proc/self/status").read_text().splitlines()  # rusage would count the parent's
print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")))
"""


def write_documents(path: Path, shared: Path, copies: int, n_bytes: int | None) -> int:
    """A documents part of the columns that tokenizing reads; returns bytes of text."""
    import polars as pl

    from curate import document

    taken = list(texts(shared, copies, n_bytes))
    frame = pl.DataFrame({"id": [document.text_id(text) for text in taken], "text": taken})
    frame = frame.with_columns(
        key=document.keys(frame["id"]),
        n_bytes=pl.col("text").str.len_bytes().cast(pl.UInt32),
    )
    frame.write_parquet(path, compression="zstd", compression_level=1, row_group_size=65_536)
    return int(frame["n_bytes"].sum())


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one run."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measured(
    part: Path, tokenizer: "Tokenizer", folder: Path, kind: "EngineName"
) -> dict[str, float]:
    """CPU seconds of the stage, and of each thing that it cannot do without."""
    from curate.tokens import encode_part, engines, parity
    from curate.tokens.batches import batches, n_rows

    engines._fast.cache_clear()
    engines.reference.cache_clear()
    slow, engine = engines.reference(tokenizer), engines.choose(tokenizer, kind)[0]
    loaded = list(batches(part, batch_bytes=engine.batch_bytes))
    texts = [batch.frame["text"].to_list() for batch in loaded]
    flat = []
    spent = {"engine": cpu_seconds(lambda: flat.extend(map(engine.encode, texts)))}
    spent["read"] = cpu_seconds(
        lambda: [b.frame["text"].to_list() and None for b in batches(part, batch_bytes=8 << 20)]
    )
    narrow = [(ids.astype(tokenizer.dtype).view("u1").data, offsets) for ids, offsets in flat]
    borders = [
        (offsets * (2 if tokenizer.dtype == "uint16" else 4)).tolist() for _, offsets in narrow
    ]
    spent["digests"] = cpu_seconds(
        lambda: [
            (
                hashlib.sha256(ids).digest(),
                [hashlib.sha256(ids[a:b]).digest() for a, b in pairwise(at)],
            )
            for (ids, _), at in zip(narrow, borders, strict=True)
        ]
    )
    if kind == "fastokens":
        sample = [
            text[row][: parity.LONG_TEXT]
            for batch, text in zip(loaded, texts, strict=True)
            for row in parity.chosen(
                batch.words, first_row=batch.first_row, n_rows=n_rows(part)
            ).tolist()
        ]
        spent["sample"] = cpu_seconds(lambda: [slow.encode([text]) for text in sample])
    engines._fast.cache_clear()
    engines.choose(tokenizer, kind)
    spent["stage"] = cpu_seconds(
        lambda: encode_part(
            part, tokenizer, max_document_tokens=None, out=folder, part="p", engine=kind
        )
    )
    return spent


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--tokenizer", default="builtin:demo")
    parser.add_argument("--copies", type=int, default=1, help="of the texts, lines shuffled")
    parser.add_argument("--megabytes", type=int, help="of text; default all there is")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--engine", action="append", help="default: both")
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)
    from curate.tokenizer import load

    tokenizer = load(options.tokenizer, eos="<|endoftext|>")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = folder / "documents.parquet"
        limit = None if options.megabytes is None else options.megabytes * 1_000_000
        n_bytes = write_documents(part, options.shared, options.copies, limit)
        print(f"{n_bytes:,} bytes of text, tokenizer {tokenizer.name}; MB per core-second")
        print(f"{'engine':<12}{'engine':>8}{'least':>8}{'stage':>8}{'stage/engine':>14}", end="")
        print(f"{'stage/least':>13}{'MiB':>7}")
        for kind in options.engine or ("fastokens", "tokenizers"):
            runs = [measured(part, tokenizer, folder, kind) for _ in range(options.repeat)]
            best = {what: min(run[what] for run in runs) for what in runs[0]}
            stage = best.pop("stage")
            alone = subprocess.run(
                [sys.executable, "-c", PEAK, part, options.tokenizer, folder, kind],
                capture_output=True,
                text=True,
                check=True,
            )
            least = sum(best.values())
            rates = (n_bytes / 1e6 / seconds for seconds in (best["engine"], least, stage))
            print(f"{kind:<12}" + "".join(f"{rate:>8.1f}" for rate in rates), end="")
            print(f"{best['engine'] / stage:>13.0%} {least / stage:>12.0%} {int(alone.stdout):>7,}")
            print("  " + ", ".join(f"{what} {1000 * s:,.0f} ms" for what, s in best.items()))


if __name__ == "__main__":
    main()
