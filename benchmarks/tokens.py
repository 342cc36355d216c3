"""
Turn a part of documents into its part of the pool, and say how much slower that is than encoding.

    python benchmarks/tokens.py
    python benchmarks/tokens.py --tokenizer tokenizer.json --repeat 5

`engine` is the bare call on texts already in memory; `read` is reading the text column and making
Python strings of it, which the stage must do as well; `stage` is all of `encode_part`: reading,
encoding, parity sample, EOS, checks, digests, files made durable. MB of text per core-second, best
of `--repeat`. Engines remember words, so each run has a new one, loaded before the clock starts, as
a build meets its texts: once. The last column is the most memory of a process that runs the stage
alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from corpus import ROOT, texts
from measure import ONE_THREAD

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
    frame.write_parquet(path, compression="zstd", compression_level=3, row_group_size=65_536)
    return int(frame["n_bytes"].sum())


def cpu_seconds(
    work: Callable[[], object], repeat: int, before: Callable[[], object] = lambda: None
) -> float:
    """Least CPU time of `repeat` runs, without what `before` each of them takes."""
    times = []
    for _ in range(repeat):
        before()
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


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
    from curate.tokens import encode_part, engines
    from curate.tokens.batches import batches

    tokenizer = load(options.tokenizer, eos="<|endoftext|>")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = folder / "documents.parquet"
        limit = None if options.megabytes is None else options.megabytes * 1_000_000
        n_bytes = write_documents(part, options.shared, options.copies, limit)
        print(f"{n_bytes:,} bytes of text, tokenizer {tokenizer.name}; MB per core-second")
        print(f"{'engine':<12}{'engine':>9}{'read':>9}{'stage':>9}{'stage/engine':>14}{'MiB':>7}")
        read = cpu_seconds(
            lambda: [b.frame["text"].to_list() for b in batches(part)], options.repeat
        )
        loaded = [b.frame["text"].to_list() for b in batches(part)]
        for kind in options.engine or ("fastokens", "tokenizers"):

            def renew(kind: str = kind) -> None:
                engines._fast.cache_clear()
                engines.reference.cache_clear()
                engines.reference(tokenizer)
                engines.choose(tokenizer, kind)

            bare = cpu_seconds(
                lambda kind=kind: [
                    engines.choose(tokenizer, kind)[0].encode(t) and None for t in loaded
                ],
                options.repeat,
                renew,
            )
            stage = cpu_seconds(
                lambda kind=kind: encode_part(
                    part, tokenizer, max_document_tokens=None, out=folder, part="p", engine=kind
                ),
                options.repeat,
                renew,
            )
            alone = subprocess.run(
                [sys.executable, "-c", PEAK, part, options.tokenizer, folder, kind],
                capture_output=True,
                text=True,
                check=True,
            )
            rates = "".join(f"{n_bytes / 1e6 / seconds:>9.1f}" for seconds in (bare, read, stage))
            print(f"{kind:<12}{rates}{bare / stage:>13.0%} {int(alone.stdout):>7,}", flush=True)


if __name__ == "__main__":
    main()
