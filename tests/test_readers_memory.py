"""How much memory readers take: less than 512 MB, whatever they read."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.readers_world import thread, warc_record, warc_response

MEMORY = """
import sys, pathlib, hashlib
from curate import readers
declaration = readers.declare(sys.argv[1], {}, where="x")
path = pathlib.Path(sys.argv[2])
with path.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
facts = readers.read_input(str(path), declaration, input_sha256=digest, out=path.parent / "out")
# The peak of this process alone; getrusage would give that of the one that started it, if higher.
(peak,) = [row for row in pathlib.Path("/proc/self/status").open() if row.startswith("VmHWM")]
print(facts["n_documents"], int(peak.split()[1]) // 1024)
"""


def long_dumps() -> dict[str, tuple[str, list[dict[str, Any]], int]]:
    """Dump → (reader, records, how often): short records, and lines just short of too long."""
    chance = random.Random(7)
    words = [f"word{k}" for k in range(5_000)]
    texts = [" ".join(chance.choices(words, k=40)) for _ in range(500)]
    short = [
        thread(*[{"no": 1000 * k + j, "com": texts[(k + j) % 500]} for j in range(60)])
        for k in range(100)
    ]
    pages = [
        {"text": " ".join(texts[k : k + 8]), "url": f"https://{k}.example/"} for k in range(490)
    ]
    sticky = thread(*[{"no": j + 1, "com": texts[j % 500]} for j in range(29_000)])
    book = {"text": "\n".join(chance.choices(texts, k=35_500))}
    return {
        "threads": ("4chan", short, 60),
        "sticky threads": ("4chan", [sticky], 6),
        "pages": ("c4", pages, 250),
        "pages, then books": ("c4", [*pages, *[book] * 10], 1),
    }


def peak(reader: str, path: Path) -> tuple[int, int]:
    """Documents of a dump, and the most memory in MB that a process took that read it."""
    said = subprocess.run(
        [sys.executable, "-c", MEMORY, reader, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"POLARS_MAX_THREADS": "1", "PATH": ""},
    )
    n_documents, megabytes = map(int, said.stdout.split())
    return n_documents, megabytes


@pytest.mark.parametrize("dump", ["threads", "sticky threads", "pages", "pages, then books"])
def test_memory_is_bounded(tmp_path: Path, dump: str, scale: int) -> None:
    """Dumps of a hundred megabytes and more, and lines of 12, are read in at most 512 MB."""
    reader, records, n_times = long_dumps()[dump]
    block = zstandard.compress(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    path = tmp_path / "dump"
    path.write_bytes(block * n_times * scale)
    n_documents, megabytes = peak(reader, path)

    assert len(records) * n_times * scale == n_documents
    assert megabytes <= 512


DENSE = {
    "lists": ("c4", b'{"text":"a","x":[' + b"[]," * 4_000_000 + b"0]}\n", 0),
    "posts": ("4chan", b'{"posts":[{"no":1,"com":"a"}' + b",{}" * 300_000 + b"]}\n", 0),
    "lines": ("c4", b'{"text":"a"}\n' * 600_000, 600_000),
    "rows": ("4chan", b"no,resto,com\n" + b"1,1,a\n" * 900_000, 1),
    "posts of a thread": (
        "4chan",
        b"no,resto,com\n" + b"".join(b"%d,1,a\n" % k for k in range(1, 1_500_000)),
        0,
    ),
    "tags": (
        "warc",
        warc_record("response", "https://a.example/", warc_response(b"<b>" * 5**9)),
        0,
    ),
}


@pytest.mark.parametrize("dump", DENSE)
def test_memory_is_bounded_by_what_is_in_a_line(tmp_path: Path, dump: str) -> None:
    """A few megabytes of the least values, posts, lines, rows or tags there are take no more."""
    reader, data, n_documents = DENSE[dump]
    (tmp_path / "dump").write_bytes(data)
    n_found, megabytes = peak(reader, tmp_path / "dump")

    assert n_documents == n_found
    assert megabytes <= 512


def test_memory_is_bounded_by_what_is_in_a_row(tmp_path: Path) -> None:
    """Rows of a megabyte are grouped on the disk, whichever of their cells is so long."""
    text = random.Random(7).randbytes(500_000).hex().encode()
    with (tmp_path / "dump").open("wb") as file:
        file.write(b"no,resto,sub,com\n")
        for k in range(1, 201):
            file.write(b"%d,%d,%s,a\n" % (k, k, text))
    n_found, megabytes = peak("4chan", tmp_path / "dump")

    assert 200 == n_found
    assert megabytes <= 512
