"""
Turn hand-held documents into a store and a plan as the stages before `shards` leave them.

The store is written from docs/format.md §3 with one token per byte of text; the plan from §4 by
`tiny_mix`, so that what `curate.shards` writes can be compared with `tiny_mix`'s own mix.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import document, files, manifest, shards
from curate.store import Part
from curate.tokenizer import Tokenizer
from tests import tiny_files, tiny_manifest, tiny_mix
from tests.tiny_manifest import Document, Span


def tokenizer(dtype: str = "uint16", *, bos: bool = False) -> Tokenizer:
    """One token per byte; EOS 256, BOS 257."""
    json = tiny_files.tokenizer_json()
    return Tokenizer(
        name="bytes",
        sha256=hashlib.sha256(json).hexdigest(),
        file_sha256=hashlib.sha256(json).hexdigest(),
        n_vocab=258 if bos else 257,
        dtype=dtype,  # type: ignore[arg-type]
        eos_token="<|endoftext|>",
        eos_id=256,
        bos_token="<s>" if bos else None,
        bos_id=257 if bos else None,
        probe=(),
        json=json,
    )


def pool_ids(text: str, bos: bool = False) -> list[int]:
    """The pool row of a text."""
    return [*([257] if bos else []), *text.encode(), 256]


@dataclass
class World:
    """Parts on disk, and where each document is in them."""

    folder: Path
    documents: list[Document]
    parts: list[Part]
    places: dict[str, tuple[int, int]]  # id → (part, row)
    tokenizer: Tokenizer

    def write(self, spans: list[Span], out: Path, **options: Any) -> dict[str, Any]:
        """Plan these spans and write their mix."""
        settings = {
            key: options.pop(key)
            for key in ("shard_tokens", "names", "by_source")
            if key in options
        }
        facts = self.plan(spans, **settings)
        return shards.write_mix(
            **{
                "plan": self.folder,
                "arm": "mix",
                "facts": facts,
                "parts": self.parts,
                "tokenizer": self.tokenizer,
                "licenses": {"pages": "CC0-1.0", "board": "CC0-1.0"},
                "layout": "interleaved",
                "seed": 7,
                "out": out,
                **options,
            }
        )

    def plan(
        self,
        spans: list[Span],
        *,
        shard_tokens: int = 2**28,
        names: list[str] | None = None,
        by_source: bool = False,
    ) -> dict[str, Any]:
        """Write `mix.parquet`; returns the arm's object of plan.json."""
        names = names or sorted({s.document.component for s in spans})
        rows, shard, filled = [], 0, 0
        for span in spans:
            component = names.index(span.document.component)
            begins = by_source and bool(rows) and rows[-1][0] != component
            if filled and (begins or filled + len(span.ids) > shard_tokens):
                shard, filled = shard + 1, 0
            filled += len(span.ids)
            part, row = self.places[span.document.id]
            rows.append((component, part, row, span.epoch, 0, len(span.ids), span.cut, 0, shard))
        pl.DataFrame(rows, schema=PLAN, orient="row").write_parquet(self.folder / "mix.parquet")
        total = sum(len(s.ids) for s in spans)
        return {
            "name": "",
            "n_tokens": total,
            "n_spans": len(spans),
            "n_shards": shard + 1 if spans else 0,
            "components": [self._component(name, spans, total) for name in names],
        }

    def _component(self, name: str, spans: list[Span], total: int) -> dict[str, Any]:
        mine = [s for s in spans if s.document.component == name]
        n_tokens = sum(len(s.ids) for s in mine)
        pool = sum(len(d.text.encode()) + 1 for d in self.documents if d.component == name)
        return {
            "name": name,
            "source": tiny_manifest.source_of(name),
            "unit": "tokens",
            "requested": n_tokens,
            "residual": 0,
            "epochs": tiny_manifest.frac(Fraction(n_tokens, pool or 1)),
            "n_tokens": n_tokens,
            "n_spans": len(mine),
            "n_documents": len({s.document.id for s in mine}),
            "n_bytes": sum(len(s.document.text.encode()) for s in mine),
            "share": tiny_manifest.frac(Fraction(n_tokens, total or 1)),
        }


PLAN = {
    "component": pl.UInt16,
    "part": pl.UInt32,
    "row": pl.UInt32,
    "epoch": pl.UInt32,
    "first": pl.UInt32,
    "n_tokens": pl.UInt32,
    "cut": pl.Boolean,
    "n_inserted": pl.UInt32,
    "shard": pl.UInt32,
}


def make(
    folder: Path,
    documents: list[Document],
    *,
    n_parts: int = 2,
    dtype: str = "uint16",
    bos: bool = False,
) -> World:
    """Write the documents, tags and pool of every source, dealt over `n_parts` parts each."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    places: dict[str, tuple[int, int]] = {}
    for source in sorted({tiny_manifest.source_of(d.component) for d in documents}):
        own = [d for d in documents if tiny_manifest.source_of(d.component) == source]
        for n in range(n_parts):
            dealt = own[n::n_parts]
            if dealt:
                places |= {d.id: (len(parts), row) for row, d in enumerate(dealt)}
                parts.append(write_part(folder, source, n, dealt, dtype, bos))
    return World(folder, documents, parts, places, tokenizer(dtype, bos=bos))


def write_part(
    folder: Path, source: str, number: int, documents: list[Document], dtype: str, bos: bool
) -> Part:
    """The files of one part (docs/format.md §3.1 to §3.3)."""
    name = f"{tiny_manifest.input_sha(source)[:16]}-{number:05d}"
    stem = folder / f"{source}-{name}"
    rows = [tiny_files.span_row(Span(d, (256,)), 0, 0, dtype) for d in documents]
    texts = [{**r, "text": d.text, "license": None} for r, d in zip(rows, documents, strict=True)]
    schema = document.schema()
    pl.DataFrame(
        [{column: row[column] for column in schema} for row in texts], schema=schema
    ).write_parquet(stem.with_suffix(".documents"))
    tags = sorted({t for d in documents for t in d.tags})
    pl.DataFrame(
        [{t: d.tags.get(t) for t in tags} for d in documents],
        schema=dict.fromkeys(tags, pl.Float32),
    ).write_parquet(stem.with_suffix(".tags"))
    pools = [
        np.array(pool_ids(d.text, bos), dtype=f"<{np.dtype(dtype).str[1:]}") for d in documents
    ]
    lengths = [len(ids) for ids in pools]
    stem.with_suffix(".ids").write_bytes(np.concatenate(pools).tobytes())
    pl.DataFrame(
        {
            "row": range(len(documents)),
            "piece": [None] * len(documents),
            "key": [tiny_manifest.key(d.id) for d in documents],
            "n_tokens": lengths,
            "n_bytes": [len(d.text.encode()) for d in documents],
            "offset": [sum(lengths[:n]) for n in range(len(lengths))],
            "digest": [hashlib.sha256(ids.tobytes()).digest()[:16] for ids in pools],
        },
        schema={
            "row": pl.UInt32,
            "piece": pl.UInt32,
            "key": pl.Binary,
            "n_tokens": pl.UInt32,
            "n_bytes": pl.UInt32,
            "offset": pl.UInt64,
            "digest": pl.Binary,
        },
    ).write_parquet(stem.with_suffix(".pool"))
    return Part(
        source,
        name,
        stem.with_suffix(".documents"),
        (stem.with_suffix(".tags"),),
        stem.with_suffix(".pool"),
        stem.with_suffix(".ids"),
    )


def finish(folder: Path, content: dict[str, Any], documents: list[Document] | None = None) -> None:
    """Write manifest and SHA256SUMS as a build does, of a mix of all of these documents."""
    pools = {c: [d for d in documents or [] if d.component == c] for c in ("clean", "toxic")}
    used = {tiny_manifest.key(d.id) for d in documents or []}
    sums = shards.sums(folder, content)
    made = manifest.build(
        name="tiny",
        version="1.0.0",
        content=content,
        origin=tiny_manifest.origin("tiny", pools, used, {}, bos=False),
        files=sums.facts,
    )
    data = manifest.to_bytes(made)
    files.write_bytes(folder / "SHA256SUMS", sums.text(data))
    files.write_bytes(folder / "manifest.json", data)


def planned(documents: list[Document], budgets: dict[str, int] | None = None) -> list[Span]:
    """The spans of a mix of these documents, seed 7, in stream order."""
    names = sorted({d.component for d in documents})
    streams = {
        c: tiny_mix.take([d for d in documents if d.component == c], (budgets or {}).get(c), 7)
        for c in names
    }
    return tiny_mix.weave({c: s for c, s in streams.items() if s})


def invented(n_clean: int, n_toxic: int, seed: int = 0) -> list[Document]:
    """Documents with texts of 0 to 300 bytes beyond their number, some with awkward URLs."""
    random = np.random.default_rng(seed)
    words = ["salt,", '"stone"', "and", "rain;", "a", "line\nand", "an", "übung", "of", "words"]
    found = []
    for n in range(n_clean + n_toxic):
        text = f"{n} " + " ".join(random.choice(words, int(random.integers(0, 40))))
        if n < n_clean:
            found.append(tiny_mix.web(text, n, toxicity=n / 1000))
        else:
            found.append(tiny_mix.thread(text, n, toxicity=n / 1000, insult=0.5))
    return found
