"""
Turn spans in stream order into every file of a mix, from docs/format.md §5 alone.

It shares no code with `curate`: see tiny_mix.

    >>> canonical({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
"""

import csv
import gzip
import hashlib
import io
import json
import os
import pathlib
import struct
import zlib
from typing import Any

import numpy as np
import polars as pl

from tests.tiny_manifest import (
    BOS,
    EOS,
    Document,
    Phases,
    Span,
    content,
    input_sha,
    key,
    origin,
    source_of,
)


def write_spans(
    folder: pathlib.Path,
    spans: list[Span],
    *,
    pools: dict[str, list[Document]],
    name: str = "tiny",
    recipe: str | None = None,
    version: str = "1.0.0",
    seed: int = 7,
    shard_tokens: int = 2**28,
    dtype: str = "uint16",
    how: str = "hard",
    where: dict[str, str] | None = None,
    phases: Phases | None = None,
    by_source: bool = False,
    bos: bool = False,
) -> pathlib.Path:
    """Every file of §5 for spans in stream order."""
    (folder / "shards").mkdir(parents=True)
    tokenizer = tokenizer_json(bos)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    rows, shards = [], []
    current: list[tuple[Span, dict[str, Any]]] = []

    def close() -> None:
        if current:
            shards.append(write_shard(folder, len(shards), current, dtype, how))
            current.clear()

    start = 0
    for span in spans:
        turn = by_source and rows and rows[-1]["component"] != span.document.component
        if turn or (start and start + len(span.ids) > shard_tokens):
            close()
            start = 0
        row = span_row(span, len(shards), start, dtype)
        rows.append(row)
        current.append((span, row))
        start += len(span.ids)
    close()
    write_table(folder, rows, sorted({t for s in spans for t in s.document.tags}))
    manifest = {
        "format": "curate-manifest/1",
        "name": name,
        "version": version,
        "content": content(
            spans, rows, shards, tokenizer, dtype, seed, pools, phases or {}, by_source, bos
        ),
        "origin": origin(recipe or name, pools, {row["key"] for row in rows}, where or {}, bos),
    }
    seal(folder, manifest)
    return folder


def span_row(span: Span, shard: int, start: int, dtype: str) -> dict[str, Any]:
    """One row of §5.3."""
    d = span.document
    group = f"4chan:{d.board}/{d.thread}" if d.board else d.url or d.id
    ids = np.array(span.ids, dtype=np.dtype(dtype).newbyteorder("<"))
    return {
        "key": key(d.id),
        "id": d.id,
        "component": d.component,
        "source": source_of(d.component),
        "epoch": span.epoch,
        "shard": shard,
        "start": start,
        "n_tokens": len(span.ids),
        "first": 0,
        "n_inserted": 0,
        "cut": span.cut,
        "digest": hashlib.sha256(ids.tobytes()).digest()[:16],
        "n_bytes": len(d.text.encode()),
        "content": hashlib.sha256(d.text.encode()).digest()[:16],
        "group": key(group),
        "input": input_sha(source_of(d.component))[:16],
        "offset": 0,
        "n_posts": 1,
        "timestamp": d.timestamp,
        "url": d.url,
        "registered_domain": d.domain,
        "board": d.board,
        "thread": d.thread,
        "license": d.license,
        "language": d.language,
        **d.tags,
    }


TYPES = {
    "key": pl.Binary, "id": pl.String, "component": pl.String, "source": pl.String,
    "epoch": pl.UInt32, "shard": pl.UInt32, "start": pl.UInt64, "n_tokens": pl.UInt32,
    "first": pl.UInt32, "n_inserted": pl.UInt32, "cut": pl.Boolean, "digest": pl.Binary,
    "n_bytes": pl.UInt32, "content": pl.Binary, "group": pl.Binary, "input": pl.String,
    "offset": pl.UInt64, "n_posts": pl.UInt32, "timestamp": pl.Int64, "url": pl.String,
    "registered_domain": pl.String, "board": pl.String, "thread": pl.Int64,
    "license": pl.String, "language": pl.String,
}  # fmt: skip


def write_table(folder: pathlib.Path, rows: list[dict[str, Any]], tags: list[str]) -> None:
    """§5.3."""
    schema = {**TYPES, **dict.fromkeys(tags, pl.Float32)}
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(
        folder / "spans.parquet",
        compression="zstd",
        compression_level=3,
        row_group_size=131_072,
        statistics=True,
    )


def write_shard(
    folder: pathlib.Path,
    number: int,
    members: list[tuple[Span, dict[str, Any]]],
    dtype: str,
    how: str,
) -> dict[str, Any]:
    """§5.1 and §5.2: raw ids under three names and four sidecars."""
    ids = np.array(
        [i for span, _ in members for i in span.ids], dtype=np.dtype(dtype).newbyteorder("<")
    )
    sha = hashlib.sha256(ids.tobytes()).hexdigest()
    stem = folder / "shards" / f"{number:05d}-{sha[:8]}"
    stem.with_suffix(".npy").write_bytes(ids.tobytes())
    for suffix in (".bin", ".ds"):
        if how == "hard":
            os.link(stem.with_suffix(".npy"), stem.with_suffix(suffix))
        elif how == "symbolic":
            stem.with_suffix(suffix).symlink_to(stem.name + ".npy")
        else:
            stem.with_suffix(suffix).write_bytes(ids.tobytes())
    write_sidecars(stem, [row for _, row in members], dtype)
    return {"name": stem.name, "sha256": sha, "n_tokens": len(ids), "n_spans": len(members)}


def write_sidecars(stem: pathlib.Path, rows: list[dict[str, Any]], dtype: str) -> None:
    """§5.2."""
    width = np.dtype(dtype).itemsize
    lengths = [row["n_tokens"] for row in rows]
    starts = [row["start"] for row in rows]
    n, total = len(rows), sum(lengths)
    head = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8 if width == 2 else 4, n, n + 1)
    body = struct.pack(f"<{n}i{n}q{n + 1}q", *lengths, *(s * width for s in starts), *range(n + 1))
    stem.with_suffix(".idx").write_bytes(head + body)
    ends = [s + k for s, k in zip(starts, lengths, strict=True)]
    stem.with_suffix(".ds.index").write_bytes(struct.pack(f"<{n}Q", *ends))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    for row in rows:
        lines.writerow(
            [row["start"], row["start"] + row["n_tokens"], row["id"], row["input"], row["offset"]]
        )
    raw = text.getvalue().encode()
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = deflate.compress(raw) + deflate.flush()
    gz = b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed + struct.pack("<II", zlib.crc32(raw), len(raw))
    stem.with_suffix(".csv.gz").write_bytes(gz)
    meta = f"../tokenizer.json|{width}\n{total}\n{in_words(total)}"
    stem.with_suffix(".ds.metadata").write_text(meta)


def in_words(n: int) -> str:
    """§5.2: to one decimal, rounded down."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if n >= size:
            return f"{n * 10 // size / 10:.1f}{letter}"
    return str(n)


def tokenizer_json(bos: bool = False) -> bytes:
    """A byte-level vocabulary of 256 bytes, an end and maybe a start token, without merges."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    strange = {b: 256 + n for n, b in enumerate(b for b in range(256) if b not in printable)}
    vocabulary = {chr(strange.get(b, b)): b for b in range(256)}
    end = {"id": EOS, "content": "<|endoftext|>", "single_word": False, "lstrip": False,
           "rstrip": False, "normalized": False, "special": True}  # fmt: skip
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [end, {**end, "id": BOS, "content": "<|start|>"}][: 1 + bos],
            "pre_tokenizer": level,
            "decoder": level,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        }
    ).encode()


def canonical(value: Any) -> bytes:
    """Canonical JSON of what a manifest holds: whole numbers, plain strings, ASCII field names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(folder: pathlib.Path, manifest: dict[str, Any], keep_files: bool = False) -> None:
    """§5.4 and §5.5: digests of every file, then the manifest; a liar uses it as well."""
    files = sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if not p.is_dir() and p.name not in ("SHA256SUMS", "manifest.json")
    )
    lines = [f"{hashlib.sha256((folder / f).read_bytes()).hexdigest()}  {f}\n" for f in files]
    sums = "".join(lines).encode()
    manifest = {k: v for k, v in manifest.items() if k not in ("id", "content_id")}
    facts = {
        "sums_sha256": hashlib.sha256(sums).hexdigest(),
        "n_files": len(files),
        "n_bytes": sum((folder / f).stat().st_size for f in files),
    }
    if not keep_files:
        manifest["files"] = facts
    manifest["content_id"] = hashlib.sha256(canonical(manifest["content"])).hexdigest()
    manifest["id"] = hashlib.sha256(canonical(manifest)).hexdigest()
    data = canonical(manifest)
    (folder / "manifest.json").write_bytes(data)
    last = f"{hashlib.sha256(data).hexdigest()}  manifest.json\n"
    (folder / "SHA256SUMS").write_bytes(sums + last.encode())


def ids_of(folder: pathlib.Path) -> Any:
    """All ids of a mix in stream order, int64."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    dtype = manifest["content"]["tokenizer"]["dtype"]
    files = [folder / "shards" / f"{s['name']}.npy" for s in manifest["content"]["shards"]]
    return np.concatenate(
        [np.fromfile(f, dtype=f"<{'u2' if dtype == 'uint16' else 'u4'}") for f in files]
    ).astype(np.int64)


def csv_rows(path: pathlib.Path) -> list[list[str]]:
    """The lines of a `.csv.gz`."""
    return list(csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
