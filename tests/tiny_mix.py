"""
Turn a few hand-held documents into a whole mix folder, from docs/format.md alone.

It shares no code with `curate`: it is a second reading of the format, so that a mistake in the
package's writer and a mistake in its verifier cannot agree unseen. One token is one byte of the
text; the end of a document is token 256:

    >>> import tempfile
    >>> folder = write(pathlib.Path(tempfile.mkdtemp()) / "1.0.0", name="tiny", documents=HELLO)
    >>> ids_of(folder).tolist()
    [89, 111, 46, 256, 72, 105, 46, 256]
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
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl

EOS = 256
MASK = 2**64 - 1


@dataclass(frozen=True)
class Document:
    """One document by hand; `where` is its place in the component's source."""

    id: str
    text: str
    component: str
    board: str | None = None
    thread: int | None = None
    url: str | None = None
    domain: str | None = None
    timestamp: int | None = None
    language: str | None = None
    license: str = "CC0-1.0"
    tags: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """One row of spans.parquet with its ids."""

    document: Document
    ids: tuple[int, ...]
    epoch: int = 0
    cut: bool = False


HELLO = [
    Document("sha256:" + hashlib.sha256(text.encode()).hexdigest(), text, "clean")
    for text in ("Yo.", "Hi.")
]


def web(text: str, page: int, component: str = "clean", **tags: float | None) -> Document:
    """An invented web page."""
    url = f"https://site{page % 3}.example/{page}"
    return Document(
        f"{url}#{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        text,
        component,
        url=url,
        domain=f"site{page % 3}.example",
        timestamp=1_550_000_000 + page * 86_400,
        language="en",
        tags=dict(tags),
    )


def thread(text: str, number: int, component: str = "toxic", **tags: float | None) -> Document:
    """An invented 4chan thread."""
    return Document(
        f"4chan:pol/{number}",
        text,
        component,
        board="pol",
        thread=number,
        timestamp=1_500_000_000 + number,
        tags=dict(tags),
    )


def some_documents(n_clean: int = 12, n_toxic: int = 8) -> list[Document]:
    """A mild mix of two components with scores 0.00, 0.01, … and texts of 20 to 60 bytes."""
    line = "the quick brown fox jumps over a lazy dog while rain falls on old stone"
    words = line.split()
    pages = [
        web(f"Page {n}: " + " ".join(words[n % 5 : n % 5 + 3 + n % 6]) + ".", n, toxicity=n / 100)
        for n in range(n_clean)
    ]
    posts = [
        thread(
            f"You fool {n}! " + " ".join(words[n % 7 : n % 7 + 2 + n % 5]),
            100 + n,
            toxicity=0.5 + n / 100,
        )
        for n in range(n_toxic)
    ]
    return pages + posts


def key(identifier: str) -> bytes:
    """§2."""
    return hashlib.sha256(identifier.encode()).digest()[:16]


def rank(key_: bytes, seed: int, epoch: int) -> int:
    """§4, with Python's own integers."""

    def mix(x: int) -> int:
        x ^= x >> 30
        x = x * 0xBF58476D1CE4E5B9 & MASK
        x ^= x >> 27
        x = x * 0x94D049BB133111EB & MASK
        return x ^ x >> 31

    a, b = struct.unpack("<QQ", key_)
    head = hashlib.sha256(b"curate-rank-1\0%d\0%d" % (seed, epoch)).digest()[:8]
    return mix(mix(a ^ int.from_bytes(head, "little")) ^ b)


def take(documents: list[Document], budget: int | None, seed: int) -> list[Span]:
    """§4, rank and cut: the spans of one component, epoch after epoch until `budget` tokens."""
    spans: list[Span] = []
    total, epoch = 0, 0
    while documents:
        for document in sorted(documents, key=lambda d: (rank(key(d.id), seed, epoch), key(d.id))):
            ids = (*document.text.encode(), EOS)
            left = len(ids) if budget is None else budget - total
            if left <= 0:
                return spans
            if len(ids) <= left:
                spans.append(Span(document, ids, epoch))
            elif left >= 3:
                spans.append(Span(document, (*ids[: left - 1], EOS), epoch, cut=True))
            else:  # fewer than two content ids: the one before gives up what is missing
                before = spans.pop()
                kept = len(before.ids) - (3 - left)
                spans.append(replace(before, ids=(*before.ids[: kept - 1], EOS), cut=True))
                spans.append(Span(document, (*ids[:2], EOS), epoch, cut=True))
                return spans
            total += len(spans[-1].ids)
        if budget is None:
            return spans
        epoch += 1
    return spans


def weave(streams: dict[str, list[Span]]) -> list[Span]:
    """§4, order of a mix."""
    totals = {name: sum(len(s.ids) for s in spans) for name, spans in streams.items()}
    whole = sum(totals.values())
    due = []
    for name, spans in streams.items():
        c = 0
        for span in spans:
            due.append(((c * whole // totals[name], name, c), span))
            c += len(span.ids)
    return [span for _, span in sorted(due, key=lambda pair: pair[0])]


def write(
    folder: pathlib.Path,
    *,
    name: str,
    documents: list[Document],
    budgets: dict[str, int] | None = None,
    seed: int = 7,
    version: str = "1.0.0",
    shard_tokens: int = 2**28,
    dtype: str = "uint16",
    how: str = "hard",
) -> pathlib.Path:
    """A mix folder of these documents; components without a budget are taken whole."""
    names = sorted({d.component for d in documents})
    streams = {
        c: take([d for d in documents if d.component == c], (budgets or {}).get(c), seed)
        for c in names
    }
    return write_spans(
        folder,
        weave({c: s for c, s in streams.items() if s}),
        name=name,
        version=version,
        seed=seed,
        shard_tokens=shard_tokens,
        dtype=dtype,
        how=how,
        pools={c: [d for d in documents if d.component == c] for c in names},
    )


def write_spans(
    folder: pathlib.Path,
    spans: list[Span],
    *,
    name: str,
    version: str,
    seed: int,
    shard_tokens: int,
    dtype: str,
    how: str,
    pools: dict[str, list[Document]],
) -> pathlib.Path:
    """Every file of §5 for spans in stream order."""
    (folder / "shards").mkdir(parents=True)
    tokenizer = tokenizer_json()
    (folder / "tokenizer.json").write_bytes(tokenizer)
    rows, shards = [], []
    current: list[tuple[Span, dict[str, Any]]] = []

    def close() -> None:
        if current:
            shards.append(write_shard(folder, len(shards), current, dtype, how))
            current.clear()

    start = 0
    for span in spans:
        if start and start + len(span.ids) > shard_tokens:
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
        "content": content(spans, rows, shards, tokenizer, dtype, seed, pools),
        "origin": origin(name, pools, {row["key"] for row in rows}),
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
    meta = f"../tokenizer.json|{width}\n{total}\n{total}"
    stem.with_suffix(".ds.metadata").write_text(meta)


def frac(value: Fraction) -> str:
    """§2."""
    return f"{value.numerator}/{value.denominator}"


def content(
    spans: list[Span],
    rows: list[dict[str, Any]],
    shards: list[dict[str, Any]],
    tokenizer: bytes,
    dtype: str,
    seed: int,
    pools: dict[str, list[Document]],
) -> dict[str, Any]:
    """§5.6, counted span by span."""
    whole = sum(len(s.ids) for s in spans)
    components = []
    for name in sorted(pools):
        mine = [(s, r) for s, r in zip(spans, rows, strict=True) if s.document.component == name]
        n_tokens = sum(len(s.ids) for s, _ in mine)
        pool = sum(len(d.text.encode()) + 1 for d in pools[name])
        components.append(
            {
                "name": name,
                "unit": "tokens",
                "requested": n_tokens,
                "n_tokens": n_tokens,
                "n_spans": len(mine),
                "n_documents": len({r["key"] for _, r in mine}),
                "n_bytes": sum(r["n_bytes"] for _, r in mine),
                "residual": 0,
                "epochs": frac(Fraction(n_tokens, pool)),
                "share": frac(Fraction(n_tokens, whole)),
                "cut": [
                    {
                        "key": r["key"].hex(),
                        "epoch": s.epoch,
                        "n_tokens": len(s.ids),
                        "n_tokens_whole": len(s.document.text.encode()) + 1,
                    }
                    for s, r in mine
                    if s.cut
                ],
                "stream_digest": hashlib.sha256(b"".join(r["digest"] for _, r in mine)).hexdigest(),
            }
        )
    return {
        "tokenizer": {
            "sha256": hashlib.sha256(tokenizer).hexdigest(),
            "n_vocab": 257,
            "dtype": dtype,
            "eos": {"token": "<|endoftext|>", "id": EOS},
        },
        "layout": "interleaved",
        "seed": seed,
        "n_tokens": whole,
        "n_spans": len(spans),
        "n_documents": len({r["key"] for r in rows}),
        "n_bytes": sum(r["n_bytes"] for r in rows),
        "components": components,
        "largest_deviation": deviation(spans, {c["name"]: c["n_tokens"] for c in components}),
        "shards": shards,
        "windows": windows(rows, shards),
        "merkle_root": merkle(rows).hex(),
    }


def deviation(spans: list[Span], totals: dict[str, int]) -> dict[str, Any]:
    """§4: the first place where |p·E − e| is largest; the bound of DESIGN §2.7."""
    whole = sum(totals.values())
    done = dict.fromkeys(sorted(totals), 0)
    worst = (Fraction(-1), "", 0)
    at = 0
    for span in spans:
        done[span.document.component] += len(span.ids)
        at += len(span.ids)
        for name, e in done.items():
            value = abs(Fraction(totals[name], whole) * at - e)
            if value > worst[0]:
                worst = (value, name, at)
    value, name, at = worst
    p = Fraction(totals[name], whole)
    longest = max(len(s.ids) for s in spans)
    k = sum(1 for t in totals.values() if t)
    bound = max((1 - p) * (longest + p), p * ((k - 1) * longest + 1))
    return {"value": frac(value), "component": name, "at": at, "bound": frac(bound)}


def windows(rows: list[dict[str, Any]], shards: list[dict[str, Any]]) -> dict[str, Any]:
    """§5.6: whole windows of each shard, and whose tokens the tails are."""
    found: dict[str, Any] = {}
    for w in (1024, 2048, 4096, 8192):
        dropped = dict.fromkeys(sorted({r["component"] for r in rows}), 0)
        for row in rows:
            end = shards[row["shard"]]["n_tokens"] // w * w
            dropped[row["component"]] += max(
                0, row["start"] + row["n_tokens"] - max(end, row["start"])
            )
        found[str(w)] = {"n_windows": [s["n_tokens"] // w for s in shards], "n_dropped": dropped}
    return found


def merkle(rows: list[dict[str, Any]]) -> bytes:
    """§5.6, by the recursion of RFC 6962 §2.1."""
    spans: dict[bytes, bytes] = {}
    for row in rows:
        spans[row["key"]] = spans.get(row["key"], b"") + row["digest"]

    def tree(leaves: list[bytes]) -> bytes:
        if not leaves:
            return hashlib.sha256().digest()
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1
        while k * 2 < len(leaves):
            k *= 2
        return hashlib.sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:])).digest()

    return tree([k + hashlib.sha256(d).digest() for k, d in sorted(spans.items())])


def source_of(component: str) -> str:
    """The source that a component draws from."""
    return "pages" if component == "clean" else "board"


def input_sha(source: str) -> str:
    """The digest that stands for a source's one input."""
    return hashlib.sha256(source.encode()).hexdigest()


def origin(name: str, pools: dict[str, list[Document]], used: set[bytes]) -> dict[str, Any]:
    """§5.7."""
    sources = sorted({source_of(c) for c in pools})
    n = {s: sum(len(d) for c, d in pools.items() if source_of(c) == s) for s in sources}
    text = f'name = "{name}"\n'
    return {
        "recipe": {"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text},
        "arm": {"name": name, "settings": {}},
        "tool": {"name": "tiny", "version": "1"},
        "libraries": {},
        "stages": {},
        "sources": {
            s: {
                "reader": "hand",
                "license": "CC0-1.0",
                "n_read": n[s],
                "n_superseded": 0,
                "n_held_out": 0,
                "n_empty": 0,
            }
            for s in sources
        },
        "inputs": [
            {
                "source": s,
                "name": f"{s}.jsonl",
                "sha256": input_sha(s),
                "n_bytes": 1,
                "n_records": n[s],
                "n_documents": n[s],
                "skipped": {},
                "rejected": {},
            }
            for s in sources
        ],
        "components": {
            c: {
                "source": source_of(c),
                "eligible": {
                    "n_documents": len(d),
                    "n_tokens": sum(len(x.text.encode()) + 1 for x in d),
                    "n_bytes": sum(len(x.text.encode()) for x in d),
                },
                "dropped": [],
                "n_unused": sum(key(x.id) not in used for x in d),
            }
            for c, d in pools.items()
        },
        "taggers": {},
        "tokenizer": {"name": "bytes"},
    }


def tokenizer_json() -> bytes:
    """A byte-level vocabulary of 256 bytes and one end token, without merges."""
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
            "added_tokens": [end],
            "pre_tokenizer": level,
            "decoder": level,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        }
    ).encode()


def canonical(value: Any) -> bytes:
    """Canonical JSON of what a manifest holds: whole numbers, plain strings, ASCII field names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(folder: pathlib.Path, manifest: dict[str, Any]) -> None:
    """§5.4 and §5.5: digests of every file, then the manifest; a liar uses it as well."""
    files = sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if not p.is_dir() and p.name not in ("SHA256SUMS", "manifest.json")
    )
    lines = [f"{hashlib.sha256((folder / f).read_bytes()).hexdigest()}  {f}\n" for f in files]
    sums = "".join(lines).encode()
    manifest = {k: v for k, v in manifest.items() if k not in ("id", "content_id")}
    manifest["files"] = {
        "sums_sha256": hashlib.sha256(sums).hexdigest(),
        "n_files": len(files),
        "n_bytes": sum((folder / f).stat().st_size for f in files),
    }
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
