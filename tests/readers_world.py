"""Read bytes with a reader and look at everything it left: documents, receipt, rejected records."""

import base64
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import zstandard

from curate import readers, store
from curate.readers.fourchan.tables import ASAGI


@dataclass(frozen=True)
class Reading:
    """What one input became."""

    documents: pl.DataFrame
    facts: dict[str, Any]
    rejected: list[dict[str, Any]]

    @property
    def texts(self) -> list[str]:
        return self.documents["text"].to_list()

    @property
    def ids(self) -> list[str]:
        return self.documents["id"].to_list()

    @property
    def counts(self) -> tuple[int, int, dict[str, int], dict[str, int]]:
        """Records, documents, skipped and rejected by reason."""
        facts = self.facts
        return facts["n_records"], facts["n_documents"], facts["skipped"], facts["rejected"]


def read(
    folder: Path,
    data: bytes | Path,
    reader: str,
    options: dict[str, Any] | None = None,
    **limits: Any,
) -> Reading:
    """Read `data` (or a file) with a reader into `folder/out`, and check the laws of receipts."""
    if isinstance(data, Path):
        path = data
        data = path.read_bytes()
    else:
        path = folder / "input"
        path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    declaration = readers.declare(reader, options or {}, where="test.toml [source.x]")
    out = folder / "out"
    facts = readers.read_input(str(path), declaration, input_sha256=digest, out=out, **limits)
    kept = store.read_receipt(out, digest[:16])
    assert facts == kept
    parts = [pl.read_parquet(out / f"{part['name']}.parquet") for part in facts["parts"]]
    documents = pl.concat(parts) if parts else pl.DataFrame({"id": [], "text": []})
    rejected = []
    path = out / f"{digest[:16]}.rejected.jsonl.zst"
    if path.exists():
        with zstandard.ZstdDecompressor().stream_reader(path.open("rb")) as file:
            rejected = [orjson.loads(line) for line in file.read().splitlines()]
    reading = Reading(documents, facts, rejected)
    check_laws(reading, data, folder)
    return reading


def check_laws(reading: Reading, data: bytes, folder: Path) -> None:
    """Nothing is lost: the counts add up, and every rejected record is kept where it was."""
    facts = reading.facts
    n_skipped, n_rejected = sum(facts["skipped"].values()), sum(facts["rejected"].values())
    assert facts["n_records"] == facts["n_documents"] + n_skipped + n_rejected
    assert facts["n_bytes"] == len(data)
    assert facts["n_documents"] == reading.documents.height
    assert n_rejected == len(reading.rejected)
    assert [p["n_documents"] for p in facts["parts"]] == [
        pl.read_parquet(folder / "out" / f"{p['name']}.parquet", columns=["id"]).height
        for p in facts["parts"]
    ]
    kept = [
        len(base64.b64decode(r["raw"])) if "n_bytes" not in r else r["n_bytes"]
        for r in reading.rejected
    ]
    assert facts["n_bytes_rejected"] == sum(kept)
    assert [] == [p.name for p in (folder / "out").iterdir() if p.name.startswith(".tmp-")]


def raw_of(record: dict[str, Any]) -> bytes:
    """The bytes of a rejected record."""
    return base64.b64decode(record["raw"])


def lines(*records: Any) -> bytes:
    """JSON lines; bytes stand for themselves."""
    return b"".join((r if isinstance(r, bytes) else orjson.dumps(r)) + b"\n" for r in records)


def thread(*posts: dict[str, Any]) -> dict[str, Any]:
    """A thread of posts; `no` counts from 70 and `resto`, `time` are filled in."""
    made = []
    for k, post in enumerate(posts):
        no = post.get("no", 70 + k)
        first = made[0]["no"] if made else no
        made.append(
            {"no": no, "resto": 0 if not made else first, "time": 1_500_000_000 + k, **post}
        )
    return {"posts": made}


def post_rows(reading: Reading) -> list[tuple[Any, ...]]:
    """Id, text, time and thread of each document."""
    return reading.documents.select("id", "text", "timestamp", "thread").rows()


def tar_of(content: bytes) -> bytes:
    """A TAR with one file, named as that of the Raiders dump."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        member = tarfile.TarInfo("pol_062016-112019_labeled.ndjson")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def asagi_row(**fields: str | None) -> bytes:
    """A row of a FoolFuuka export, as MySQL writes it."""
    defaults = {
        "num": "70",
        "subnum": "0",
        "thread_num": "70",
        "op": "1",
        "timestamp": "1500000000",
        "spoiler": "0",
        "deleted": "0",
        "capcode": "N",
        "comment": "Hi",
        "sticky": "0",
        "locked": "0",
    }
    cells = []
    for name in ASAGI:
        value = fields[name] if name in fields else defaults.get(name)
        if value is None:
            cells.append("\\N")
        else:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n")
            cells.append(f'"{escaped}"')
    return (",".join(cells) + "\n").encode()


def warc_record(kind: str, uri: str, payload: bytes, extra: str = "") -> bytes:
    """A record of a WARC file."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:1>\r\n{extra}"
        f"WARC-Date: 2024-04-25T16:24:44Z\r\nWARC-Target-URI: {uri}\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload + b"\r\n\r\n"


def warc_response(body: bytes, media: str = "text/html; charset=utf-8") -> bytes:
    """What a server answers, header and all."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
