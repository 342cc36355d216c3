"""
Turn the key of a document that is not in a mix into the stage at which it was left out, and why.

Three witnesses are asked: `dropped.parquet` in the mix (docs/format.md §5.8), the hold-out's own
mix beside this one, and the store. What none of them knows is said to be unknown.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.audit import dropped, where
from curate.audit.opened import Opened, collected
from curate.errors import CurateError

if TYPE_CHECKING:
    import polars as pl

Reason = dict[str, Any]


def left_out(
    mix: Opened, keys: list[bytes], group: bytes | None, store: Path | None
) -> list[Reason]:
    """Reasons as {stage, why, component?, source?}, most certain first."""
    found = [*_dropped(mix, keys), *_held_out(mix, keys, group)]
    if store is not None and not found:
        found += _in_store(mix, store, keys, group)
    if not found:
        asked = [
            "the mix has no dropped.parquet"
            if not dropped.has(mix)
            else "dropped.parquet has it not"
        ]
        asked.append("no store was given (--store)" if store is None else "the store has it not")
        why = f"not in this mix; {', '.join(asked)}"
        stage = "read" if store is not None else "unknown"
        found = [{"stage": stage, "why": why}]
    return found


def _dropped(mix: Opened, keys: list[bytes]) -> Iterator[Reason]:
    import polars as pl

    if not dropped.has(mix) or not keys:
        return
    rows = dropped.rows(mix).filter(pl.col("key").is_in(pl.Series(keys, dtype=pl.Binary).implode()))
    found = collected(rows.select("component", "clause").unique(), dropped.DROPPED)
    for component, clause in found.sort("component", "clause").rows():
        yield {"stage": "plan", "component": component, "why": clause}


def _held_out(mix: Opened, keys: list[bytes], group: bytes | None) -> Iterator[Reason]:
    """A hold-out takes whole groups and is a mix of its own, beside this one."""
    import polars as pl

    other = holdout_of(mix)
    if other is None:
        return
    try:
        same = pl.col("key").is_in(pl.Series(keys, dtype=pl.Binary).implode())
        if group is not None:
            same |= pl.col("group") == pl.lit(group)
        n = collected(other.spans().filter(same).select(pl.len())).item()
    except CurateError:
        return
    if n:
        yield {"stage": "plan", "why": f"held out: its group is in {other.title}"}


def holdout_of(mix: Opened) -> Opened | None:
    """The hold-out of the same recipe and version, if it lies beside this mix and can be read."""
    from curate.manifest import load

    name, version = f"{mix.origin['recipe']['name']}-holdout", mix.manifest["version"]
    folder = mix.folder.resolve().parent.parent / name / version
    if mix.is_holdout or not folder.is_dir():
        return None
    try:
        return Opened(folder, load(folder))
    except CurateError:
        return None


def _in_store(mix: Opened, store: Path, keys: list[bytes], group: bytes | None) -> Iterator[Reason]:
    """Whether a source has the document, and which clause of which component it breaks first."""
    import polars as pl

    wanted = pl.col("key").is_in(pl.Series(keys, dtype=pl.Binary).implode())
    if group is not None and not keys:
        wanted = pl.col("group") == pl.lit(group)
    for source in sorted(mix.origin["sources"]):
        for part in sorted((store / "documents").glob(f"{source}@*/*.parquet")):
            rows = pl.scan_parquet(part, glob=False).with_row_index("row").drop("text")
            for row in collected(rows.filter(wanted)).iter_slices(1):
                place = {"source": source, "input": row["input"][0], "offset": row["offset"][0]}
                yield from _why_not(mix, store, part, row, place)


def _why_not(
    mix: Opened, store: Path, part: Path, row: "pl.DataFrame", place: Reason
) -> Iterator[Reason]:
    tagged = _with_tags(store, part, row)
    for name, facts in sorted(mix.origin["components"].items()):
        if facts["source"] != place["source"]:
            continue
        clause = facts.get("where", "")
        broken = where.first_breach(clause, tagged) if clause else ""
        why = broken or "read and eligible: superseded, held out, empty, or beyond the budget"
        yield {"stage": "plan", "component": name, "why": why, **place}


def _with_tags(store: Path, part: Path, row: "pl.DataFrame") -> "pl.DataFrame":
    """A row of documents with the tags of every tagger that has this part."""
    import polars as pl

    number = int(row["row"][0])
    for tags in sorted((store / "tags" / part.parent.name).glob(f"*/{part.name}")):
        more = collected(pl.scan_parquet(tags, glob=False).slice(number, 1))
        row = row.with_columns(more.select(n for n in more.columns if n not in row.columns))
    return row
