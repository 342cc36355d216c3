"""
Turn real dumps into a table: how fast they are read, beside datatrove's JsonlReader.

    python benchmarks/read.py             ../shared/data, about 75 MB of raw JSON each
    python benchmarks/read.py --shared DIR --rounds 2

Both sides do the same work on one core: decompress, parse, clean the HTML, put threads together,
name every document, take its digests. Reading hands documents over in memory, ours as tables, the
peer's as its Document objects; reading and writing ends in Parquet, zstd level 1, on both sides.
`curate` also accounts for every record and checks the file's sha256.

The peer cleans comments in two ways: the shortest that gives the right text on these dumps, two
lines of replacements; and with an HTML parser (selectolax, the quickest there is), which like our
reader also knows the notices, spoilers and code of other boards. All texts are compared byte for
byte before anything is timed. No document occurs twice. Rounds alternate, the best of each counts,
in CPU seconds of the process.
"""

import argparse
import csv
import datetime
import functools
import gzip
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("DATATROVE_COLORIZE_LOGS", "0")

import polars as pl
import zstandard

import corpus
from curate import files, readers
from curate.readers import parts
from curate.readers.base import Tally
from curate.readers.decompress import Stream
from curate.readers.options import module_of

TAG = re.compile("<[^>]*>")
SPACES = re.compile("(?m)^( +)$")
NOTICES = "span.abbr, table.exif, span.fortune, span.capcodeReplies"
STAFF = 'b[style*="red"], strong[style*="red"], small'

Clean = Callable[[str], str]


def replaced(html: str) -> str:
    """The shortest cleaning that gives the same text on these dumps."""
    text = TAG.sub("", html.replace("<br>", "\n"))
    for entity, character in (("gt", ">"), ("lt", "<"), ("quot", '"'), ("#039", "'"), ("amp", "&")):
        text = text.replace(f"&{entity};", character)
    return text.strip("\n")


def parsed(html: str) -> str:
    """Cleaning with an HTML parser, which knows all that our reader knows."""
    from selectolax.lexbor import LexborHTMLParser

    if "<" not in html and "&" not in html:
        return html.strip("\n")
    tree = LexborHTMLParser(html)
    for node in tree.css(NOTICES):
        node.decompose()
    for node in tree.css(STAFF):
        if node.text().startswith(("(USER ", "Oekaki Post")):
            node.decompose()
    for node in tree.css("br"):
        node.replace_with("\n")
    return (tree.body.text() if tree.body else "").strip("\n")


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


def thread(clean: Clean, self: Any, data: dict[str, Any], path: str, place: int) -> dict[str, Any]:
    """Adapter for a line of threads."""
    said = []
    for post in data["posts"]:
        pieces = [clean(post[key]) for key in ("sub", "com") if post.get(key)]
        text = "\n".join(piece for piece in pieces if piece.strip())
        if text:
            said.append(escape(text))
    first = data["posts"][0]
    newest = max(post["time"] for post in data["posts"])
    text = "\n\n\n".join(said)
    name = f"4chan:pol/{first['no']}"
    return named(text, name, n_posts=len(said), time=newest, country=first.get("country"))


def page(self: Any, data: dict[str, Any], path: str, place: int) -> dict[str, Any]:
    """Adapter for a line of C4."""
    digest = hashlib.sha256(data["text"].encode()).hexdigest()
    group = hashlib.sha256(data["url"].encode()).digest()[:16].hex()
    name = f"{data['url']}#{digest[:16]}"
    return named(data["text"], name, url=data["url"], time=data["timestamp"], group=group)


def real_threads(folder: Path) -> bytes:
    """A thread per line: the days that are so, and those in CSV written in the same way."""
    days = [_plain(path) for path in sorted((folder / "ndjson").glob("*.zst"))]
    for path in sorted((folder / "csv").glob("*.zst")):
        found: dict[str, list[dict[str, Any]]] = {}
        for row in csv.DictReader(io.StringIO(_plain(path).decode(), newline="")):
            found.setdefault(row["thread"], []).append(_post(row))
        days += [json.dumps({"posts": said}).encode() + b"\n" for said in found.values()]
    return b"".join(days)


def _post(row: dict[str, str]) -> dict[str, Any]:
    """A row of the CSV files as a post of the API."""
    time_ = datetime.datetime.fromisoformat(row["time"]).replace(tzinfo=datetime.UTC)
    opens = row[""] == row["thread"]
    shown = {
        "no": int(row[""]),
        "now": time_.strftime("%m/%d/%y(%a)%H:%M:%S"),
        "name": row["name"],
        "sub": row["subject"] if opens else "",
        "com": row["comment"],
        "time": int(time_.timestamp()),
        "resto": 0 if opens else int(row["thread"]),
        "country": row["country"],
    }
    return {key: value for key, value in shown.items() if value != ""}


def _plain(path: Path) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(path.open("rb")) as file:
        data: bytes = file.read()
        return data


def real_pages(shared: Path) -> bytes:
    """Real texts of the lengths of web pages as lines of C4; like there, hosts hardly repeat."""
    pages = (
        {
            "text": text,
            "timestamp": "2019-04-21T18:54:04Z",
            "url": f"https://www.site{number}.com/{number}",
        }
        for number, text in enumerate(corpus.texts(shared))
    )
    return b"".join(json.dumps(page, ensure_ascii=False).encode() + b"\n" for page in pages)


def tables(path: Path, declaration: dict[str, Any], sha256: str) -> Iterator[pl.DataFrame]:
    """Documents as curate reads them, with all their columns."""
    reader = module_of(declaration)
    columns = reader.columns(declaration)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Tally(sha256[:16], Path(scratch) / "rejected") as tally,
    ):
        for batch in reader.read([Stream(str(path), sha256)], declaration, tally):
            yield parts.complete(batch, columns, input_name=sha256[:16])


def peer(path: Path, adapter: Callable[..., Any]) -> Iterator[Any]:
    """Documents as datatrove reads them."""
    from datatrove.pipeline.readers import JsonlReader

    codec = "gzip" if path.suffix == ".gz" else "zstd"
    reader = JsonlReader(
        str(path.parent), adapter=adapter, compression=codec, glob_pattern=path.name
    )
    return reader.run(None, 0, 1)


def written(documents: Iterator[Any], folder: Path) -> None:
    """The same, through datatrove's ParquetWriter, without what else it can add to a file."""
    from datatrove.pipeline.writers import ParquetWriter

    writer = ParquetWriter(
        str(folder),
        compression="zstd",
        expand_metadata=True,
        use_content_defined_chunking=False,
        write_page_index=False,
    )
    for _ in writer.run(documents, 0, 1):
        pass


def digest_of(texts: Iterable[str]) -> str:
    """sha256 of texts, one after the other."""
    state = hashlib.sha256()
    for text in texts:
        state.update(text.encode() + b"\0")
    return state.hexdigest()


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process that `work` takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(
    name: str, path: Path, n_raw: int, reader: str, adapters: dict[str, Any], rounds: int
) -> None:
    """Print two rows: MB of raw JSON per core-second of each side, and the ratios."""
    declaration = readers.declare(reader, {}, where="benchmark")
    sha256 = files.sha256_of(path)
    ours = digest_of(text for table in tables(path, declaration, sha256) for text in table["text"])
    for what, adapter in adapters.items():
        if digest_of(document.text for document in peer(path, adapter)) != ours:
            raise SystemExit(f"{name}, {what}: the two sides do not read the same texts")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def count(things: Iterable[Any]) -> None:
            for _ in things:
                pass

        def write() -> None:
            readers.read_input(str(path), declaration, input_sha256=sha256, out=folder / "ours")

        works = {
            "reading": {
                "curate": lambda: count(tables(path, declaration, sha256)),
                **{w: functools.partial(_run, count, path, a) for w, a in adapters.items()},
            },
            "reading and writing": {
                "curate": write,
                **{
                    w: functools.partial(_run, lambda d: written(d, folder / "theirs"), path, a)
                    for w, a in adapters.items()
                },
            },
        }
        for work, sides in works.items():
            best = dict.fromkeys(sides, float("inf"))
            for _ in range(rounds):
                for side, run in sides.items():
                    best[side] = min(best[side], cpu(run))
            rates = {side: n_raw / 1e6 / seconds for side, seconds in best.items()}
            shown = [
                f"{side} {rate:.0f} ({rates['curate'] / rate:.1f} x)"
                for side, rate in rates.items()
                if side != "curate"
            ]
            print(f"{name:<22}{work:<21}curate {rates['curate']:4.0f}   {'   '.join(shown)}")


def _run(use: Callable[[Iterator[Any]], None], path: Path, adapter: Any) -> None:
    use(peer(path, adapter))


def main() -> None:
    """Measure both dumps."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shared", type=Path, default=corpus.ROOT.parent / "shared")
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    chan = chosen.shared / "data" / "4chan-pol-2026"
    if not chan.is_dir():
        sys.exit(f"needs real dumps: none in {chosen.shared / 'data'}")
    import datatrove.pipeline.readers  # noqa: F401 (it sets up its own logging)
    from loguru import logger

    logger.remove()
    print("MB of raw JSON per core-second; in brackets how many times as fast curate is")
    with tempfile.TemporaryDirectory() as scratch:
        raw = real_threads(chan)
        path = Path(scratch) / "threads.ndjson.zst"
        path.write_bytes(zstandard.ZstdCompressor(level=3).compress(raw))
        cleanings = {"datatrove": replaced, "with an HTML parser": parsed}
        adapters: dict[str, Any] = {
            # A plain function, as datatrove binds it to its reader.
            what: _bound(clean)
            for what, clean in cleanings.items()
        }
        compare("4chan threads, zstd", path, len(raw), "4chan", adapters, chosen.rounds)
        raw = real_pages(chosen.shared)
        path = Path(scratch) / "c4.json.gz"
        path.write_bytes(gzip.compress(raw, 6))
        compare("C4, gzip", path, len(raw), "c4", {"datatrove": page}, chosen.rounds)


def _bound(clean: Clean) -> Callable[..., Any]:
    def adapter(self: Any, data: dict[str, Any], path: str, place: int) -> dict[str, Any]:
        return thread(clean, self, data, path, place)

    return adapter


if __name__ == "__main__":
    main()
