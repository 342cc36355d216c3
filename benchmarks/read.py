"""
Turn real dumps into a table: how fast they are read, beside datatrove's JsonlReader.

    python benchmarks/read.py             ../shared/data, repeated to about 100 MB of raw JSON each
    python benchmarks/read.py --data DIR --megabytes 20 --rounds 2

Both sides do the same work on one core: decompress, parse, clean the HTML, put threads together,
name every document, take its digests. Their texts are compared byte for byte before anything is
timed. `curate` also accounts for every record and writes Parquet; the peer with its own
ParquetWriter is a second column. Rounds alternate, the best of each counts, in CPU seconds of the
process.
"""

import argparse
import gzip
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("DATATROVE_COLORIZE_LOGS", "0")

import polars as pl
import zstandard

from curate import files, readers

ROOT = Path(__file__).resolve().parent.parent
TAG = re.compile("<[^>]*>")
SPACES = re.compile("(?m)^( +)$")


def clean(html: str) -> str:
    """The simplest cleaning that gives the same text on these dumps."""
    text = TAG.sub("", html.replace("<br>", "\n"))
    for entity, character in (("gt", ">"), ("lt", "<"), ("quot", '"'), ("#039", "'"), ("amp", "&")):
        text = text.replace(f"&{entity};", character)
    return text.strip("\n")


def escape(text: str) -> str:
    """No two empty lines in a row, as `plain` has it."""
    if "\n\n\n" not in text and "\n " not in text and " \n" not in text:
        return text
    text = SPACES.sub(r"\1 ", text)
    return text.replace("\n\n\n", "\n\n \n").replace("\n\n\n", "\n\n \n")


def named(text: str, identifier: str, **metadata: Any) -> dict[str, Any]:
    """A document as an adapter returns it, with the digests a documents table has."""
    raw = text.encode()
    key = hashlib.sha256(identifier.encode()).digest()[:16].hex()
    content = hashlib.sha256(raw).digest()[:16].hex()
    metadata |= {"key": key, "content": content, "n_bytes": len(raw)}
    return {"text": text, "id": identifier, "metadata": metadata}


def thread(self: Any, data: dict[str, Any], path: str, id_in_file: int) -> dict[str, Any]:
    """Adapter for a line of threads."""
    said = []
    for post in data["posts"]:
        parts = [clean(post[key]) for key in ("sub", "com") if post.get(key)]
        text = "\n".join(part for part in parts if part.strip())
        if text:
            said.append(escape(text))
    first = data["posts"][0]
    newest = max(post["time"] for post in data["posts"])
    text = "\n\n\n".join(said)
    name = f"4chan:pol/{first['no']}"
    return named(text, name, n_posts=len(said), time=newest, country=first.get("country"))


def page(self: Any, data: dict[str, Any], path: str, id_in_file: int) -> dict[str, Any]:
    """Adapter for a line of C4."""
    digest = hashlib.sha256(data["text"].encode()).hexdigest()
    group = hashlib.sha256(data["url"].encode()).digest()[:16].hex()
    name = f"{data['url']}#{digest[:16]}"
    return named(data["text"], name, url=data["url"], time=data["timestamp"], group=group)


def repeated(paths: list[Path], megabytes: int) -> bytes:
    """Their decompressed lines, over and over, to about so many megabytes."""
    raw = b""
    for path in paths:
        if path.suffix == ".gz":
            raw += gzip.decompress(path.read_bytes())
        else:
            with zstandard.ZstdDecompressor().stream_reader(path.open("rb")) as file:
                raw += file.read()
    return raw * max(1, round(megabytes * 1e6 / len(raw)))


def ours(path: Path, reader: str, folder: Path) -> tuple[int, str]:
    """Read with curate, into Parquet; the number and the digest of the texts."""
    declaration = readers.declare(reader, {}, where="benchmark")
    facts = readers.read_input(
        str(path), declaration, input_sha256=files.sha256_of(path), out=folder
    )
    state = hashlib.sha256()
    for part in facts["parts"]:
        for text in pl.read_parquet(folder / f"{part['name']}.parquet", columns=["text"])["text"]:
            state.update(text.encode())
    return facts["n_documents"], state.hexdigest()


def peer(path: Path, adapter: Callable[..., Any], codec: str) -> Iterator[Any]:
    """Documents as datatrove reads them."""
    from datatrove.pipeline.readers import JsonlReader

    reader = JsonlReader(
        str(path.parent), adapter=adapter, compression=codec, glob_pattern=path.name
    )
    return reader.run(None, 0, 1)


def written(documents: Iterator[Any], folder: Path) -> int:
    """The same, through datatrove's ParquetWriter."""
    from datatrove.pipeline.writers import ParquetWriter

    writer = ParquetWriter(str(folder), compression="zstd", expand_metadata=True)
    return sum(1 for _ in writer.run(documents, 0, 1))


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process that `work` takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(name: str, path: Path, n_raw: int, reader: str, rounds: int) -> None:
    """Print one row: MB of raw JSON per core-second, ours and the peer's, and the ratios."""
    adapter, codec = (thread, "zstd") if reader == "4chan" else (page, "gzip")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        n_ours, digest = ours(path, reader, folder / "ours")
        state = hashlib.sha256()
        n_theirs = 0
        for document in peer(path, adapter, codec):
            state.update(document.text.encode())
            n_theirs += 1
        if (n_ours, digest) != (n_theirs, state.hexdigest()):
            raise SystemExit(f"{name}: the two sides do not read the same texts")
        declaration = readers.declare(reader, {}, where="benchmark")
        sha256 = files.sha256_of(path)
        works: dict[str, Callable[[], Any]] = {
            "curate": lambda: readers.read_input(
                str(path), declaration, input_sha256=sha256, out=folder / "ours"
            ),
            "JsonlReader": lambda: sum(1 for _ in peer(path, adapter, codec)),
            "+ ParquetWriter": lambda: written(peer(path, adapter, codec), folder / "theirs"),
        }
        best = dict.fromkeys(works, float("inf"))
        for _ in range(rounds):
            for what, work in works.items():
                best[what] = min(best[what], cpu(work))
    rates = [n_raw / 1e6 / seconds for seconds in best.values()]
    print(
        f"{name:<22}{n_raw / 1e6:8.0f}{n_ours:9,}{rates[0]:10.0f}{rates[1]:13.0f}{rates[2]:17.0f}"
        f"{rates[0] / rates[1]:9.1f}x{rates[0] / rates[2]:8.1f}x"
    )


def main() -> None:
    """Measure both dumps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    threads = sorted((chosen.data / "4chan-pol-2026" / "ndjson").glob("*.zst"))
    pages = sorted((chosen.data / "c4").glob("c4-train*.gz"))
    if not threads or not pages:
        sys.exit(f"needs real dumps: none in {chosen.data}")
    import datatrove.pipeline.readers  # noqa: F401 (it sets up its own logging)
    from loguru import logger

    logger.remove()
    print("MB of raw JSON per core-second, reading and (curate, + ParquetWriter) writing")
    print(
        f"{'dump':<22}{'MB':>8}{'docs':>9}{'curate':>10}{'JsonlReader':>13}{'+ ParquetWriter':>17}"
        f"{'ratio':>10}{'ratio':>9}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        raw = repeated(threads, chosen.megabytes)
        path = Path(scratch) / "threads.ndjson.zst"
        path.write_bytes(zstandard.ZstdCompressor(level=3).compress(raw))
        compare("4chan threads, zstd", path, len(raw), "4chan", chosen.rounds)
        raw = repeated(pages, chosen.megabytes)
        path = Path(scratch) / "c4.json.gz"
        path.write_bytes(gzip.compress(raw, 6))
        compare("C4, gzip", path, len(raw), "c4", chosen.rounds)


if __name__ == "__main__":
    main()
