"""
Turn random ids into the mixes, exports and configurations that the readers are tried on.

    python tests/trainers/make_mixes.py build/trainers/mixes

Beside each mix lies `truth.json`: its documents as lists of ids, shard by shard, kept from before
any of our code saw them.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import document, manifest, shards
from curate.mix import Mix
from curate.shards import exports, trainers
from curate.store import Part
from curate.tokenizer import Tokenizer

SEQUENCE, BATCH = 64, 4
COMPONENTS = ("clean", "toxic")


@dataclass(frozen=True)
class Preset:
    """A vocabulary as real tokenizers have it."""

    name: str
    dtype: str
    n_vocab: int
    eos: int
    bos: int | None = None
    layout: str = "interleaved"


PRESETS = [
    Preset("neox", "uint16", 50_280, 50_279),
    Preset("largest", "uint16", 65_536, 0),
    Preset("wide", "uint32", 151_936, 151_643),
    Preset("bos", "uint16", 32_000, 2, 1),
    Preset("bytes", "uint16", 258, 256, 257),
    Preset("sources", "uint16", 50_280, 50_279, layout="by-source"),
    Preset("cycle", "uint16", 40, 39),
]


def documents_of(preset: Preset) -> list[list[int]]:
    """333 documents of random ids: one of 5,000, one of nothing but EOS; or the same one over."""
    if preset.name == "cycle":
        return [[*range(5, 30), preset.eos]] * 333
    random = np.random.default_rng(len(preset.name))
    allowed = np.setdiff1d(np.arange(preset.n_vocab), [preset.eos, preset.bos or preset.eos])
    lengths = random.geometric(1 / 60, size=333)
    lengths[17], lengths[200] = 5_000, 0
    begin = [] if preset.bos is None else [preset.bos]
    return [
        [*begin, *random.choice(allowed, size=n).tolist(), preset.eos] for n in lengths.tolist()
    ]


def tokenizer_of(preset: Preset) -> Tokenizer:
    """A tokenizer.json that names the special ids; nothing is tokenized with it."""
    vocabulary = {f"t{n}": n for n in range(preset.n_vocab)}
    data = json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "t3"},
        }
    ).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    bos = None if preset.bos is None else f"t{preset.bos}"
    return Tokenizer(
        preset.name, sha256, sha256, preset.n_vocab, preset.dtype, f"t{preset.eos}", preset.eos,
        bos, preset.bos, (), data,
    )  # type: ignore[arg-type] # fmt: skip


def score(ids: list[int]) -> float:
    """What stands for the toxicity of a document: its length decides."""
    return (len(ids) % 16) / 16


def write_part(folder: Path, number: int, found: list[list[int]], dtype: str) -> Part:
    """One part of the component of that number (docs/format.md §3)."""
    stem = folder / f"part-{number}"
    arrays = [np.array(ids, dtype=dtype) for ids in found]
    np.concatenate(arrays).tofile(stem.with_suffix(".ids"))
    names = [f"https://{COMPONENTS[number]}.example/{n}#{n:016x}" for n in range(len(found))]
    rows: dict[str, Any] = {
        "id": names,
        "key": [document.key(name) for name in names],
        "group": [document.key(name) for name in names],
        "text": ["x"] * len(found),
        "n_bytes": [4 * len(ids) for ids in found],
        "content": [document.key(name) for name in names],
        "input": [f"{number:016x}"] * len(found),
        "offset": list(range(len(found))),
        "n_posts": [1] * len(found),
        **{
            name: [None] * len(found)
            for name in ("timestamp", "url", "registered_domain", "board", "thread", "license",
                         "language")
        },
    }  # fmt: skip
    pl.DataFrame(rows, schema_overrides=document.schema()).write_parquet(stem.with_suffix(".docs"))
    lengths = [len(ids) for ids in found]
    pool = {
        "row": pl.Series(range(len(found)), dtype=pl.UInt32),
        "piece": pl.Series([None] * len(found), dtype=pl.UInt32),
        "key": rows["key"],
        "n_tokens": pl.Series(lengths, dtype=pl.UInt32),
        "n_bytes": pl.Series(rows["n_bytes"], dtype=pl.UInt32),
        "offset": pl.Series(np.cumsum(lengths) - lengths, dtype=pl.UInt64),
        "digest": [hashlib.sha256(ids.tobytes()).digest()[:16] for ids in arrays],
    }
    pl.DataFrame(pool).write_parquet(stem.with_suffix(".pool"))
    scores = {"toxicity": pl.Series([score(ids) for ids in found], dtype=pl.Float32)}
    pl.DataFrame(scores).write_parquet(stem.with_suffix(".tags"))
    ids, docs, rows_, tags = (stem.with_suffix(s) for s in (".ids", ".docs", ".pool", ".tags"))
    return Part(COMPONENTS[number], stem.name, docs, (tags,), rows_, ids)


def write_mix(folder: Path, preset: Preset) -> None:
    """Plan, write and seal one mix; keep the truth."""
    folder.mkdir(parents=True)
    found = documents_of(preset)
    halves = [found[0::2], found[1::2]]
    parts = [write_part(folder, n, half, preset.dtype) for n, half in enumerate(halves)]
    order = [(n % 2, n // 2) for n in range(len(found))]
    if preset.layout == "by-source":
        order.sort()
    limit = sum(map(len, found)) // 3 + 1
    rows: list[tuple[Any, ...]] = []
    truth: list[list[list[int]]] = [[]]
    filled = 0
    for component, row in order:
        ids = halves[component][row]
        begins = preset.layout == "by-source" and rows and rows[-1][0] != component
        if filled and (begins or filled + len(ids) > limit):
            truth.append([])
            filled = 0
        filled += len(ids)
        truth[-1].append(ids)
        rows.append((component, component, row, 0, 0, len(ids), False, 0, len(truth) - 1))
    kinds = [pl.UInt16, *[pl.UInt32] * 5, pl.Boolean, pl.UInt32, pl.UInt32]
    named = ("component", "part", "row", "epoch", "first", "n_tokens", "cut", "n_inserted", "shard")
    schema = dict(zip(named, kinds, strict=True))
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "mix.parquet")
    asked = {"unit": "tokens", "requested": 0, "residual": 0, "epochs": "1/1"}
    out = folder / "mix"
    content = shards.write_mix(
        plan=folder,
        arm="mix",
        facts={"components": [{"name": c, "source": c, **asked} for c in COMPONENTS]},
        parts=parts,
        tokenizer=tokenizer_of(preset),
        licenses={},
        layout=preset.layout,
        seed=7,
        out=out,
    )
    seal(out, preset.name, content)
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "preset.json").write_text(json.dumps(vars(preset)))


def seal(out: Path, name: str, content: dict[str, Any]) -> None:
    """Manifest and SHA256SUMS."""
    sums = shards.sums(out, content)
    nothing = {"n_read": 0, "n_superseded": 0, "n_held_out": 0, "n_empty": 0}
    known = {
        "recipe": {"name": name, "sha256": "0" * 64, "text": ""},
        "arm": {"name": name, "settings": {}},
        "tool": {"name": "curate", "version": "0"},
        "libraries": {},
        "stages": {},
        "sources": {c: {"reader": "none", **nothing} for c in COMPONENTS},
        "inputs": [],
        "components": {
            c: {"source": c, "eligible": {}, "dropped": [], "n_unused": 0} for c in COMPONENTS
        },
        "taggers": {},
        "tokenizer": {"name": name},
    }
    made = manifest.build(
        name=name, version="1.0.0", content=content, origin=known, files=sums.facts
    )
    data = manifest.to_bytes(made)
    (out / "SHA256SUMS").write_bytes(sums.text(data))
    (out / "manifest.json").write_bytes(data)


def export_of(trainer: str, folder: Path, preset: Preset) -> Path | None:
    """Where `main` put what this trainer reads beside the mix."""
    if trainer in trainers.READ_AN_EXPORT:
        return folder / trainers.READ_AN_EXPORT[trainer][0]
    masked = trainer == "olmo-core" and preset.layout == "interleaved"
    return folder / "sides" if masked else None


def main(out: Path) -> None:
    """Every preset: mix, exports, configurations."""
    for preset in PRESETS:
        folder = out / preset.name
        write_mix(folder, preset)
        mix = Mix.open(folder / "mix")
        for to in exports.WRITERS:
            if to != "llmc" or preset.dtype == "uint16":
                exports.export(
                    mix,
                    to,
                    folder / to,
                    window=SEQUENCE,
                    side=["mask:toxicity<0.5", "score:toxicity"] if to == "sides" else [],
                )
        for trainer in trainers.TRAINERS:
            if trainer == "nanogpt" and preset.dtype != "uint16":
                continue
            told = trainers.configuration(
                mix,
                trainer,
                sequence=SEQUENCE,
                batch=BATCH,
                export=export_of(trainer, folder, preset),
                links=folder / "links" / trainer,
            )
            (folder / f"{trainer}.txt").write_text(told)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
