"""Turns the hand-written `material/` into the two sample dumps, the same bytes every time.

    python samples/generate.py --out samples

The dumps are `4chan.ndjson.zst` and `c4.json.gz`. Nothing but the seed and the material decides
what is in them; how well they are compressed may differ between builds of zlib and zstd.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import threads
import web
import zstandard

MATERIAL = Path(__file__).parent / "material"
SEED = 20190421


def fourchan_lines() -> bytes:
    """Return the 4chan dump in its wire form: compact, ASCII, every slash escaped."""
    lines = (json.dumps(line, separators=(",", ":")) for line in threads.dump(MATERIAL, SEED))
    return "".join(line.replace("/", "\\/") + "\n" for line in lines).encode("ascii")


def c4_lines() -> bytes:
    """Return the C4 dump: compact, UTF-8 as it is."""
    lines = (
        json.dumps(
            {"text": page.text, "timestamp": page.timestamp, "url": page.url},
            separators=(",", ":"),
            ensure_ascii=False,
        )
        for page in web.pages(MATERIAL, SEED + 1)
    )
    return "".join(line + "\n" for line in lines).encode("utf-8")


def main() -> None:
    """Write both dumps into a folder."""
    parser = argparse.ArgumentParser(description="Write the sample dumps.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the two files")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    compressor = zstandard.ZstdCompressor(level=19, write_checksum=True, write_content_size=True)
    (out / "4chan.ndjson.zst").write_bytes(compressor.compress(fourchan_lines()))
    (out / "c4.json.gz").write_bytes(gzip.compress(c4_lines(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
