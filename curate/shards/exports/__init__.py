"""
Turn a finished mix into the layout of a trainer that cannot read a shard as it is.

    mds          MosaicML streaming, LLM-Foundry      windows
    litdata      litdata, litgpt                      shards
    parquet      HF datasets, TRL                     documents
    arrow        HF datasets                          documents
    webdataset   webdataset                           documents
    arrayrecord  grain                                documents
    llmc         llm.c, modded-nanogpt                shards, uint16 only
    text         torchtitan, lingua, levanter, …      documents, decoded
    sides        OLMo-core's label masks, rewards     a value for each token
    tokenizer    transformers' AutoTokenizer          no tokens

Nothing is tokenized again. Every shard is hashed while it is read; `curate-export.json`, written
last, carries the digests of the mix and of every file made from it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from curate import files
from curate.errors import IntegrityError, UsageError
from curate.fingerprint import canonical
from curate.mix import Mix
from curate.shards.exports import arrays, containers, documents, sides
from curate.shards.exports.folder import Comparing, Folder, Source

RECORD = "curate-export.json"
"""Written last; the folder then takes its name, so that an export is there whole or not at all."""

FIELDS = {"format", "to", "mix", "tokenizer", "shards", "options", "n_tokens", "n_dropped", "files"}
"""Of that record (docs/format.md §6)."""

WRITERS: dict[str, Callable[[Source, Folder], None]] = {
    "mds": arrays.write_mds,
    "litdata": arrays.write_litdata,
    "parquet": documents.write_parquet,
    "arrow": documents.write_arrow,
    "webdataset": containers.write_webdataset,
    "arrayrecord": containers.write_arrayrecord,
    "llmc": arrays.write_llmc,
    "text": documents.write_text,
    "sides": sides.write_sides,
    "tokenizer": documents.write_tokenizer,
}
"""Name of a layout → what writes it."""


def export(
    mix: Mix,
    to: str,
    out: Path,
    *,
    window: int = 2048,
    side: Sequence[str] = (),
    force: bool = False,
    progress: Callable[[int], None] = lambda n_tokens: None,
) -> dict[str, Any]:
    """
    Write a mix as `to` into the folder `out`; returns what `curate-export.json` says.

    `window` is the length of the samples of mds, which has it baked in; `side` are the arrays of
    `sides` (see `exports.sides`). An export that is there is
    left alone if it is of this mix; another is refused (IntegrityError) unless `force`.
    """
    if to not in WRITERS:
        raise UsageError(f"no export to {to!r}", hint=f"One of: {', '.join(WRITERS)}.")
    if side and to != "sides":
        raise UsageError(
            f"an export to {to} has no side arrays",
            hint="They are an export of their own: --to sides",
        )
    mix.refuse_within(out)
    declared = {
        "format": "curate-export/1",
        "to": to,
        "mix": {name: mix.manifest[name] for name in ("name", "version", "id", "content_id")},
        "tokenizer": mix.content["tokenizer"],
        "shards": [{name: shard[name] for name in ("name", "sha256")} for shard in mix.shards],
        "options": {"mds": {"window": window}, "sides": {"side": list(side)}}.get(to, {}),
    }
    done = read_record(out)
    if done is not None and not force:
        if all(done.get(name) == value for name, value in declared.items()):
            return done
        raise IntegrityError(
            f"{out} holds another export",
            details=_differences(done, declared),
            hint="Name another --out, or write over it with --force.",
        )
    if done is None and out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds something else", hint="Name another --out.")
    staging = out.parent / (files.TEMPORARY_PREFIX + out.name)
    with files.refusals_told(out.parent):
        files.remove(staging)
        files.make_folder(staging)
        folder = Folder(staging)
        source = Source(mix, progress, window=window, sides=side)
        WRITERS[to](source, folder)
        record = {
            **declared,
            "n_tokens": source.n_exported,
            "n_dropped": source.n_dropped,
            "files": folder.files(),
        }
        files.write_bytes(staging / RECORD, canonical(record))
        files.remove(out)
        files.rename(staging, out)
    return record


def _differences(done: dict[str, Any], declared: dict[str, Any]) -> list[str]:
    there, asked = done["mix"], declared["mix"]
    lines = [f"it is {done['to']} of {there['name']}@{there['version']}"]
    if there["content_id"] != asked["content_id"]:
        lines.append(f"its content is {there['content_id'][:16]}, not {asked['content_id'][:16]}")
    for name, value in declared["options"].items():
        if done["options"].get(name, value) != value:
            lines.append(f"its {name} is {done['options'][name]}, not {value}")
    return lines


def check(
    mix: Mix, out: Path, *, progress: Callable[[int], None] = lambda n_tokens: None
) -> list[str]:
    """
    What is wrong with an export, by making it again and comparing every byte; empty if nothing.

    Nothing is written but, for layouts that a library writes, a temporary file in `out`.
    """
    record = read_record(out)
    if record is None:
        raise UsageError(f"{out} is no finished export: it has no {RECORD}")
    if record["mix"]["content_id"] != mix.manifest["content_id"]:
        return [f"it is of {record['mix']['name']}@{record['mix']['version']}, with other content"]
    if record["to"] not in WRITERS:
        return [f"{RECORD} names the unknown layout {record['to']!r}"]
    options = record["options"]
    source = Source(mix, progress, window=options.get("window", 1), sides=options.get("side", ()))
    folder = Comparing(out)
    WRITERS[record["to"]](source, folder)
    made, told = folder.files(), record["files"]
    more = sorted({path.name for path in out.iterdir()} - {f["name"] for f in made} - {RECORD})
    return [
        *folder.problems,
        *([] if made == told else [f"{RECORD} gives other files or digests"]),
        *(f"{name}: is not of this export" for name in more),
    ]


def read_record(folder: Path) -> dict[str, Any] | None:
    """What a finished export says of itself, or None; IntegrityError if that is no such record."""
    import orjson

    try:
        record = orjson.loads((folder / RECORD).read_bytes())
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        raise IntegrityError(f"{folder / RECORD} is not JSON") from None
    if not isinstance(record, dict) or not record.keys() >= FIELDS:
        raise IntegrityError(
            f"{folder / RECORD} is no record of an export",
            hint="Delete that folder and make the export again.",
        )
    return record
