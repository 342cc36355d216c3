"""
Turn the real texts beside the checkout into one C4 dump for benchmarks, or invent one without them.

    write_c4(Path("c4.json.gz"), shared=Path("../shared"), copies=3)
    -> bytes of text

With `../shared/data`: C4, reviews, threads and books cut to the lengths of web pages; about 71 MB.
Without: pages of the sample generator under other seeds, which repeat themselves more. Further
copies have the lines of every text in another order: other documents of the same words.
"""

import gzip
import html
import io
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import isal.igzip
import polars as pl
import zstandard

ROOT = Path(__file__).resolve().parent.parent


def texts(shared: Path, copies: int = 1, n_bytes: int | None = None) -> Iterator[str]:
    """Texts of some hundred bytes to some hundred thousand, in a fixed order, up to `n_bytes`."""
    found = list(_real(shared / "data") if (shared / "data").is_dir() else _invented())
    dice = random.Random(0)
    dice.shuffle(found)
    total = 0
    for copy in range(copies):
        for text in found:
            if n_bytes is not None and total >= n_bytes:
                return
            lines = text.split("\n")
            if copy:
                dice.shuffle(lines)
                lines.append(f"({copy})")
            yield (text := "\n".join(lines))
            total += len(text.encode())


def write_c4(path: Path, shared: Path, copies: int = 1, n_bytes: int | None = None) -> int:
    """Write a gzip file in C4's layout, and an id; return bytes of text."""
    total = 0
    with isal.igzip.open(path, "wb") as file:
        for number, text in enumerate(texts(shared, copies, n_bytes)):
            page = {
                "id": str(number),  # dolma drops what has none
                "text": text,
                "timestamp": "2019-04-21T18:54:04Z",
                "url": f"https://www.site{number % 997}.example/{number}",
            }
            file.write(json.dumps(page, ensure_ascii=False).encode() + b"\n")
            total += len(text.encode())
    return total


def _lines(path: Path) -> Iterator[dict[str, object]]:
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            yield from map(json.loads, file)
    else:
        with open(path, "rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            yield from map(json.loads, io.BufferedReader(reader))


def _real(data: Path) -> Iterator[str]:
    for name in (
        "c4/c4-train.00000-of-00001.json.gz",
        "web-movie-reviews/movie_reviews.dev.jsonl.zst",
        "web-dclm-annotated/majority_data.jsonl.zst",
    ):
        yield from (str(line["text"]) for line in _lines(data / name))
    yield from _threads(data / "4chan-pol-2026")
    dice = random.Random(1)
    for line in _lines(data / "books-public-domain/books.dev.jsonl.zst"):
        book, start = str(line["text"]), 0
        while start < len(
            book
        ):  # lengths of web pages: about 2,000 characters, some ten times that
            n = int(dice.lognormvariate(7.3, 0.8)) + 50
            if book[start : start + n].strip():
                yield book[start : start + n]
            start += n


def _threads(folder: Path) -> Iterator[str]:
    """Posts of a thread joined, their markup taken off as simply as can be."""
    for path in sorted(folder.glob("ndjson/*.zst")):
        for line in _lines(path):
            posts = [post.get("com") or "" for post in line["posts"]]  # type: ignore[attr-defined]
            yield _plain("\n\n".join(posts))
    for path in sorted(folder.glob("csv/*.zst")):
        with open(path, "rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            table = pl.read_csv(reader.read(), columns=["comment", "thread"], infer_schema=False)
        grouped = table.drop_nulls().group_by("thread", maintain_order=True).agg("comment")
        yield from (_plain("\n\n".join(posts)) for posts in grouped["comment"].to_list())


def _plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", markup.replace("<br>", "\n"))) or "-"


def _invented() -> Iterator[str]:
    sys.path.insert(0, str(ROOT / "samples"))
    import web

    for seed in range(60):
        yield from (page.text for page in web.pages(ROOT / "samples" / "material", seed))
