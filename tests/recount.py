"""
Turn a mix folder into the list of numbers in its manifest that its files do not bear out.

    python tests/recount.py MIXFOLDER

Stands alone: the standard library, numpy and polars; it shares no code with `curate`, neither with
what wrote the mix nor with `curate verify`. Every number is counted again from ids and spans.

    >>> rank_of(bytes(range(16)), seed=7, epoch=0) == ranks([bytes(range(16))], [0], seed=7)[0]
    True
"""

import csv
import gzip
import hashlib
import io
import json
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

Facts = dict[str, Any]
DOCUMENT_SUFFIXES = (".npy", ".bin", ".ds", ".idx", ".csv.gz", ".ds.index", ".ds.metadata")


def recount(folder: Path) -> list[str]:
    """Every disagreement between the manifest in `folder` and its files; empty if all is right."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    spans = pl.read_parquet(folder / "spans.parquet")
    content = manifest["content"]
    return [
        *_identity(folder, manifest),
        *_sums(folder, manifest),
        *_tokenizer(folder, content),
        *_ids(folder, content, spans),
        *_components(content, manifest["origin"], spans),
        *_order(manifest, spans),
        *_windows(content, spans),
        *_merkle(content, spans),
        *_documents(spans),
        *_origin(manifest, spans),
    ]


def main() -> int:
    """Print what disagrees; 3 if anything does."""
    wrong = recount(Path(sys.argv[1]))
    for line in wrong:
        print(line)
    print(f"{sys.argv[1]}: {len(wrong)} disagreements")
    return 3 if wrong else 0


def _same(what: str, said: object, found: object) -> Iterator[str]:
    if said != found:
        yield f"{what}: the manifest says {said}, the files say {found}"


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _identity(folder: Path, manifest: Facts) -> Iterator[str]:
    data = (folder / "manifest.json").read_bytes()
    yield from _same("manifest.json bytes", data, _canonical(manifest))
    yield from _same("content_id", manifest["content_id"], _sha(_canonical(manifest["content"])))
    rest = {name: value for name, value in manifest.items() if name != "id"}
    yield from _same("id", manifest["id"], _sha(_canonical(rest)))
    recipe = manifest["origin"]["recipe"]
    yield from _same("recipe sha256", recipe["sha256"], _sha(recipe["text"].encode()))


def _sums(folder: Path, manifest: Facts) -> Iterator[str]:
    """SHA256SUMS covers every file, in order, with the digest of its bytes."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    names = [n for n in names if n not in ("SHA256SUMS", "manifest.json")]
    lines = "".join(f"{_sha((folder / n).read_bytes())}  {n}\n" for n in names)
    own = f"{_sha((folder / 'manifest.json').read_bytes())}  manifest.json\n"
    yield from _same("SHA256SUMS", (folder / "SHA256SUMS").read_text(), lines + own)
    files = manifest["files"]
    yield from _same("files.sums_sha256", files["sums_sha256"], _sha(lines.encode()))
    yield from _same("files.n_files", files["n_files"], len(names))
    n_bytes = sum((folder / n).stat().st_size for n in names)
    yield from _same("files.n_bytes", files["n_bytes"], n_bytes)


def _tokenizer(folder: Path, content: Facts) -> Iterator[str]:
    file = folder / "tokenizer.json"
    if not file.exists():
        return
    said = content["tokenizer"]
    yield from _same("tokenizer.sha256", said["sha256"], _sha(file.read_bytes()))
    whole = json.loads(file.read_bytes())
    vocabulary = dict(whole["model"]["vocab"])
    vocabulary.update({t["content"]: t["id"] for t in whole["added_tokens"]})
    yield from _same("tokenizer.n_vocab", said["n_vocab"], max(vocabulary.values()) + 1)
    yield from _same("tokenizer.eos.id", said["eos"]["id"], vocabulary.get(said["eos"]["token"]))
    width = "uint16" if said["n_vocab"] <= 65536 else "uint32"
    yield from _same("tokenizer.dtype (at least)", said["dtype"] in (width, "uint32"), True)


def _ids(folder: Path, content: Facts, spans: pl.DataFrame) -> Iterator[str]:
    """Shards, their sidecars, and the spans that tile them."""
    tokenizer = content["tokenizer"]
    dtype = np.dtype("<u2" if tokenizer["dtype"] == "uint16" else "<u4")
    shards = content["shards"]
    stems = {f"{s['name']}{x}" for s in shards for x in DOCUMENT_SUFFIXES}
    found = {p.name for p in (folder / "shards").iterdir()} if shards else set()
    yield from _same("files in shards/", sorted(stems), sorted(found))
    yield from _same("content.n_spans", content["n_spans"], spans.height)
    yield from _same("content.n_tokens", content["n_tokens"], int(spans["n_tokens"].sum()))
    yield from _same("content.n_documents", content["n_documents"], spans["key"].n_unique())
    yield from _same("content.n_bytes", content["n_bytes"], int(spans["n_bytes"].sum()))
    numbers = spans["shard"].to_numpy()
    yield from _same(
        "spans are in shard order", True, bool((np.diff(numbers.astype(int)) >= 0).all())
    )
    yield from _same("shards with spans", list(range(len(shards))), sorted(set(numbers.tolist())))
    for number, shard in enumerate(shards):
        data = (folder / "shards" / f"{shard['name']}.npy").read_bytes()
        name = f"shard {number:05d}"
        yield from _same(f"{name} sha256", shard["sha256"], _sha(data))
        yield from _same(f"{name} name", shard["name"], f"{number:05d}-{_sha(data)[:8]}")
        ids = np.frombuffer(data, dtype=dtype)
        mine = spans.filter(pl.col("shard") == number)
        yield from _same(f"{name} n_tokens", shard["n_tokens"], len(ids))
        yield from _same(f"{name} n_spans", shard["n_spans"], mine.height)
        yield from _tiling(name, ids, mine, tokenizer)
        yield from _sidecars(folder / "shards" / shard["name"], name, data, mine, dtype.itemsize)


def _tiling(name: str, ids: Any, mine: pl.DataFrame, tokenizer: Facts) -> Iterator[str]:
    lengths = mine["n_tokens"].to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    yield from _same(f"{name} starts", mine["start"].to_list(), (ends - lengths).tolist())
    yield from _same(f"{name} end of spans", int(ends[-1]), len(ids))
    yield from _same(f"{name} ids < n_vocab", True, int(ids.max()) < tokenizer["n_vocab"])
    eos = np.flatnonzero(ids == tokenizer["eos"]["id"])
    yield from _same(f"{name} EOS at the ends of spans only", (ends - 1).tolist(), eos.tolist())
    if "bos" in tokenizer:
        bos = np.flatnonzero(ids == tokenizer["bos"]["id"])
        yield from _same(f"{name} BOS at the starts", (ends - lengths).tolist(), bos.tolist())
    raw = ids.tobytes()
    width = ids.itemsize
    digests = [
        hashlib.sha256(raw[(e - n) * width : e * width]).digest()[:16]
        for e, n in zip(ends.tolist(), lengths.tolist(), strict=True)
    ]
    yield from _same(f"{name} span digests", mine["digest"].to_list(), digests)


def _sidecars(stem: Path, name: str, data: bytes, mine: pl.DataFrame, width: int) -> Iterator[str]:
    for suffix in (".bin", ".ds"):
        path = stem.with_name(stem.name + suffix)
        yield from _same(f"{name}{suffix}", True, path.read_bytes() == data)
        if path.is_symlink():
            yield from _same(f"{name}{suffix} link", stem.name + ".npy", str(path.readlink()))
    n = mine.height
    lengths, starts = mine["n_tokens"].to_list(), mine["start"].to_list()
    idx = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8 if width == 2 else 4, n, n + 1)
    idx += struct.pack(f"<{n}i", *lengths) + struct.pack(f"<{n}q", *(s * width for s in starts))
    idx += struct.pack(f"<{n + 1}q", *range(n + 1))
    yield from _same(f"{name}.idx", stem.with_name(stem.name + ".idx").read_bytes() == idx, True)
    ends = [s + k for s, k in zip(starts, lengths, strict=True)]
    index = struct.pack(f"<{n}Q", *ends)
    found = stem.with_name(stem.name + ".ds.index").read_bytes()
    yield from _same(f"{name}.ds.index", found == index, True)
    packed = stem.with_name(stem.name + ".csv.gz").read_bytes()
    yield from _same(f"{name}.csv.gz header", packed[:10].hex(), "1f8b08000000000000ff")
    rows = list(csv.reader(io.StringIO(gzip.decompress(packed).decode(), newline="")))
    wanted = zip(starts, ends, mine["id"], mine["input"], mine["offset"], strict=True)
    said = [[str(cell) for cell in row] for row in wanted]
    yield from _same(f"{name}.csv.gz rows", rows == said, True)
    meta = stem.with_name(stem.name + ".ds.metadata").read_text()
    yield from _same(f"{name}.ds.metadata lines", len(meta.split("\n")), 3)
    yield from _same(f"{name}.ds.metadata n_tokens", meta.split("\n")[1], str(sum(lengths)))
    yield from _same(
        f"{name}.ds.metadata bytes", meta.split("\n")[0].rpartition("|")[2], str(width)
    )


def _components(content: Facts, origin: Facts, spans: pl.DataFrame) -> Iterator[str]:
    names = [c["name"] for c in content["components"]]
    yield from _same("components are in order of name", names, sorted(set(names)))
    yield from _same("components of spans", True, set(spans["component"]) <= set(names))
    for said in content["components"]:
        mine = spans.filter(pl.col("component") == said["name"])
        n_tokens = int(mine["n_tokens"].sum())
        found = {
            "n_tokens": n_tokens,
            "n_spans": mine.height,
            "n_documents": mine["key"].n_unique(),
            "n_bytes": int(mine["n_bytes"].sum()),
            "share": _fraction(n_tokens, content["n_tokens"]),
            "stream_digest": _sha(b"".join(mine["digest"])),
        }
        # A document that is read twice is delivered twice.
        delivered = "n_spans" if said["unit"] == "documents" else f"n_{said['unit']}"
        found["residual"] = found[delivered] - said["requested"]
        eligible = origin["components"][said["name"]]["eligible"]
        found["epochs"] = _fraction(n_tokens, eligible["n_tokens"])
        cut = mine.filter("cut")
        fields = zip(cut["key"], cut["epoch"], cut["n_tokens"], strict=True)
        for what, value in found.items():
            yield from _same(f"component {said['name']} {what}", said[what], value)
        listed = [(bytes.fromhex(c["key"]), c["epoch"], c["n_tokens"]) for c in said["cut"]]
        yield from _same(f"component {said['name']} cut", listed, list(fields))
        longer = [c["n_tokens"] < c["n_tokens_whole"] for c in said["cut"]]
        yield from _same(f"component {said['name']} cut is shorter", all(longer), True)
        source = origin["components"][said["name"]]["source"]
        yield from _same(
            f"component {said['name']} source",
            [source] * bool(mine.height),
            mine["source"].unique().to_list(),
        )


def _fraction(numerator: int, denominator: int) -> str:
    value = Fraction(numerator, denominator) if denominator else Fraction(0)
    return f"{value.numerator}/{value.denominator}"


def rank_of(key: bytes, *, seed: int, epoch: int) -> int:
    """docs/format.md §4 in Python integers."""
    mask = 2**64 - 1

    def mix(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        return x ^ x >> 31

    a, b = struct.unpack("<QQ", key)
    s = hashlib.sha256(f"curate-rank-1\0{seed}\0{epoch}".encode()).digest()[:8]
    return mix(mix(a ^ int.from_bytes(s, "little")) ^ b)


def ranks(keys: list[bytes], epochs: list[int], *, seed: int) -> list[int]:
    """`rank_of` over a column."""
    return [rank_of(k, seed=seed, epoch=e) for k, e in zip(keys, epochs, strict=True)]


class _Stream:
    """The spans as they were planned: what came for what was taken down counts as one span."""

    def __init__(self, manifest: Facts, spans: pl.DataFrame) -> None:
        sizes = [shard["n_tokens"] for shard in manifest["content"]["shards"]]
        firsts = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
        log = manifest["origin"].get("removals", [])
        at = {id(e): firsts[min(e["shard"], len(sizes))] + e["start"] for e in log}
        filled = [e for e in log if e["mode"] == "refill"]
        self.own: list[bool] = []  # no substitute
        self.now: list[tuple[str, int]] = []  # component and tokens, places as one span
        placed: list[tuple[int, int, int, str, int]] = []
        outer = [e for e in filled if not e.get("within")]
        last = None
        for shard, start, n, name in spans.select(
            "shard", "start", "n_tokens", "component"
        ).iter_rows():
            begin = firsts[shard] + start
            place = next((e for e in outer if at[id(e)] <= begin < at[id(e)] + e["n_tokens"]), None)
            self.own.append(place is None)
            if place is not None and place is last:
                continue
            size = n if place is None else place["n_tokens"] + place.get("closed", 0)
            self.now.append((name, size))
            placed.append((begin, 1, len(placed), name, size))
            last = place
        for number, e in enumerate(log):
            gone = e["n_tokens"] if e["mode"] == "close" else e.get("closed", 0)
            if not e.get("within") and (e["mode"] == "close" or e["n_tokens"] == 0):
                placed.append((at[id(e)], 0, number, e["component"], gone))
        self.planned = [(name, n) for _, _, _, name, n in sorted(placed)]


def _order(manifest: Facts, spans: pl.DataFrame) -> Iterator[str]:
    """Within a component by (epoch, rank, key); the stream by (due, name, position)."""
    content = manifest["content"]
    by_name = {c["name"]: c for c in content["components"]}
    stream = _Stream(manifest, spans)
    if not any("phases" in c for c in by_name.values()):
        if content["layout"] == "interleaved":
            yield from _same("order of the stream", _due_in_order(stream.planned), True)
        yield from _deviation(content, stream)
    if content["layout"] == "by-source":
        names = spans["component"].to_list()
        yield from _same("components one after the other", names, sorted(names))
    own = spans.filter(pl.Series(stream.own, dtype=pl.Boolean))
    for name in by_name:
        mine = own.filter(pl.col("component") == name)
        places = ranks(mine["key"].to_list(), mine["epoch"].to_list(), seed=content["seed"])
        order = list(zip(mine["epoch"], places, mine["key"], strict=True))
        yield from _same(f"component {name} is in order of rank", order == sorted(order), True)
        what = f"component {name} takes a document once an epoch"
        yield from _same(what, len(set(order)), len(order))


def _due_in_order(planned: list[tuple[str, int]]) -> bool:
    totals: dict[str, int] = {}
    for name, n in planned:
        totals[name] = totals.get(name, 0) + n
    whole = sum(totals.values())
    begun = dict.fromkeys(totals, 0)
    wanted = []
    for name, n in planned:
        wanted.append((begun[name] * whole // totals[name], name, begun[name]))
        begun[name] += n
    return wanted == sorted(wanted)


def _deviation(content: Facts, stream: _Stream) -> Iterator[str]:
    """|T·E − e·W| / W in whole numbers, at every span end, over every component."""
    said = content["largest_deviation"]
    names = [name for name, _ in stream.now]
    lengths = [n for _, n in stream.now]
    ends = list(accumulate(lengths))
    whole = sum(lengths)
    worst = 0
    for name in sorted(set(names)):
        own = list(accumulate(n if c == name else 0 for c, n in stream.now))
        off = [abs(own[-1] * e - o * whole) for e, o in zip(ends, own, strict=True)]
        worst = max(worst, *off)
    yield from _same("largest_deviation.value", said["value"], _fraction(worst, whole))


def _windows(content: Facts, spans: pl.DataFrame) -> Iterator[str]:
    sizes = [s["n_tokens"] for s in content["shards"]]
    for width, said in content["windows"].items():
        w = int(width)
        yield from _same(f"windows {w}", said["n_windows"], [n // w for n in sizes])
        dropped = dict.fromkeys((c["name"] for c in content["components"]), 0)
        for shard, size in enumerate(sizes):
            tail = spans.filter(
                (pl.col("shard") == shard) & (pl.col("start") + pl.col("n_tokens") > size // w * w)
            )
            for name, start, n in tail.select("component", "start", "n_tokens").iter_rows():
                dropped[name] += start + n - max(start, size // w * w)
        yield from _same(f"windows {w} n_dropped", said["n_dropped"], dropped)


def _merkle(content: Facts, spans: pl.DataFrame) -> Iterator[str]:
    digests: dict[bytes, Any] = {}
    for key, digest in spans.select("key", "digest").iter_rows():
        digests.setdefault(key, hashlib.sha256()).update(digest)
    level = [hashlib.sha256(b"\0" + k + d.digest()).digest() for k, d in sorted(digests.items())]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hashlib.sha256(b"\1" + left + right).digest() for left, right in pairs]
        level = above + level[len(above) * 2 :]
    root = level[0] if level else hashlib.sha256().digest()
    yield from _same("merkle_root", content["merkle_root"], root.hex())


def _documents(spans: pl.DataFrame) -> Iterator[str]:
    """Keys and groups are the digests of what they name."""
    keys = [hashlib.sha256(i.encode()).digest()[:16] for i in spans["id"]]
    yield from _same("keys are digests of ids", keys == spans["key"].to_list(), True)
    named = spans.with_columns(
        name=pl.when(pl.col("board").is_not_null() & pl.col("thread").is_not_null())
        .then("4chan:" + pl.col("board") + "/" + pl.col("thread").cast(pl.String))
        .otherwise(pl.col("url"))
    ).filter(pl.col("name").is_not_null())
    groups = [hashlib.sha256(i.encode()).digest()[:16] for i in named["name"]]
    yield from _same(
        "groups are digests of thread or URL", groups == named["group"].to_list(), True
    )


def _origin(manifest: Facts, spans: pl.DataFrame) -> Iterator[str]:
    """Inputs named by spans are listed; what was eligible is used or unused."""
    origin, content = manifest["origin"], manifest["content"]
    listed = {(i["source"], i["sha256"][:16]) for i in origin["inputs"]}
    used = set(spans.select("source", "input").unique().iter_rows())
    yield from _same("inputs of spans are listed", used <= listed, True)
    for component in content["components"]:
        facts = origin["components"][component["name"]]
        accounted = facts["n_unused"] + component["n_documents"]
        yield from _same(
            f"component {component['name']} eligible documents",
            facts["eligible"]["n_documents"],
            accounted,
        )


if __name__ == "__main__":
    sys.exit(main())
