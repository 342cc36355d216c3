"""
Turn spans and their rows into what a manifest says of them, from docs/format.md §5.6 and §5.7.

It shares no code with `curate`: see tiny_mix.

    >>> frac(Fraction(2, 4))
    '1/2'
"""

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

EOS, BOS = 256, 257

Phases = dict[str, list[tuple[Fraction, Fraction]]]
"""Component → (stretch of the stream, relative density)."""


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


def key(identifier: str) -> bytes:
    """§2."""
    return hashlib.sha256(identifier.encode()).digest()[:16]


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
    phases: Phases,
    by_source: bool,
    bos: bool,
) -> dict[str, Any]:
    """§5.6, counted span by span."""
    whole = sum(len(s.ids) for s in spans)
    components = []
    for name in sorted(pools):
        mine = [(s, r) for s, r in zip(spans, rows, strict=True) if s.document.component == name]
        n_tokens = sum(len(s.ids) for s, _ in mine)
        pool = sum(len(d.text.encode()) + 1 + bos for d in pools[name])
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
                **(
                    {"phases": [[frac(a), frac(b)] for a, b in phases[name]]}
                    if name in phases
                    else {}
                ),
                "stream_digest": hashlib.sha256(b"".join(r["digest"] for _, r in mine)).hexdigest(),
            }
        )
    return {
        "tokenizer": {
            "sha256": hashlib.sha256(tokenizer).hexdigest(),
            "n_vocab": 257 + bos,
            "dtype": dtype,
            "eos": {"token": "<|endoftext|>", "id": EOS},
            **({"bos": {"token": "<|start|>", "id": BOS}} if bos else {}),
        },
        "layout": "by-source" if by_source else "interleaved",
        "seed": seed,
        "n_tokens": whole,
        "n_spans": len(spans),
        "n_documents": len({r["key"] for r in rows}),
        "n_bytes": sum(r["n_bytes"] for r in rows),
        "components": components,
        "largest_deviation": deviation(
            spans, {c["name"]: c["n_tokens"] for c in components}, phases, by_source
        ),
        "shards": shards,
        "windows": windows(rows, shards, sorted(pools)),
        "merkle_root": merkle(rows).hex(),
    }


Line = list[tuple[Fraction, Fraction, Fraction, Fraction]]
"""Straight pieces of a schedule: from (token, due) to (token, due)."""


def lines(totals: dict[str, int], phases: Phases) -> dict[str, Line]:
    """§4, schedule: what of each component is due by each token of the stream."""
    whole = sum(totals.values())
    edges = {Fraction(0), Fraction(1)}
    for stretches in phases.values():
        edges |= {sum((s for s, _ in stretches[:n]), Fraction(0)) for n in range(len(stretches))}
    found: dict[str, Line] = {name: [] for name, total in totals.items() if total}
    free = sum(totals[name] for name in found if name not in phases)
    ordered = sorted(edges)
    for left, right in pairwise(ordered):
        wanted = {}
        for name in found.keys() & phases.keys():
            at, mine, every = Fraction(0), Fraction(0), Fraction(0)
            for stretch, density in phases[name]:
                mine += max(Fraction(0), min(right, at + stretch) - max(left, at)) * density
                every += stretch * density
                at += stretch
            wanted[name] = totals[name] * mine / every
        rest = (right - left) * whole - sum(wanted.values())
        for name, line in found.items():
            low = line[-1][3] if line else Fraction(0)
            high = low + wanted.get(name, rest * totals[name] / (free or 1))
            line.append((left * whole, low, right * whole, high))
    return found


def due(line: Line, c: int) -> int:
    """⌊sup {E : F(E) ≤ c}⌋."""
    for start, low, stop, high in line:
        if low < high and c < high:
            return int(start + (c - low) * (stop - start) / (high - low))
    raise ValueError("beyond the component")


def deviation(
    spans: list[Span], totals: dict[str, int], phases: Phases, by_source: bool
) -> dict[str, Any]:
    """§4: the first place where |F(E) − e| is largest, and the bound there."""
    schedule = lines(totals, phases)
    done = dict.fromkeys(sorted(schedule), 0)
    worst = (Fraction(0), min(schedule, default=""), 0)
    at = 0
    for span in spans:
        done[span.document.component] += len(span.ids)
        at += len(span.ids)
        for name, e in done.items():
            start, low, stop, high = next(p for p in schedule[name] if at <= p[2])
            value = abs(low + (at - start) * (high - low) / (stop - start) - e)
            if value > worst[0]:
                worst = (value, name, at)
    value, name, at = worst
    slopes = [(d - b) / (c - a) for a, b, c, d in schedule.get(name, [])] or [Fraction(0)]
    least, most = min(slopes), max(slopes)
    longest = max((len(s.ids) for s in spans), default=0)
    bound = max((1 - least) * (longest + most), most * ((len(schedule) - 1) * longest + 1))
    if by_source:
        bound = most * (1 - least) * sum(totals.values())
    return {
        "value": frac(value),
        "component": name,
        "at": at,
        "bound": frac(bound if schedule else Fraction(0)),
    }


def windows(
    rows: list[dict[str, Any]], shards: list[dict[str, Any]], names: list[str]
) -> dict[str, Any]:
    """§5.6: whole windows of each shard, and whose tokens the tails are."""
    found: dict[str, Any] = {}
    for w in (1024, 2048, 4096, 8192):
        dropped = dict.fromkeys(names, 0)
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


def origin(
    name: str,
    pools: dict[str, list[Document]],
    used: set[bytes],
    where: dict[str, str],
    bos: bool,
) -> dict[str, Any]:
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
                **({"where": where[c]} if c in where else {}),
                "eligible": {
                    "n_documents": len(d),
                    "n_tokens": sum(len(x.text.encode()) + 1 + bos for x in d),
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
