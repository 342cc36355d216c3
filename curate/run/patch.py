"""
Turn a finished mix and a few places in it into its next version, rewriting only their shards.

Shards without a place are linked; in the others the spans of a place give way to new ones, or to
nothing. Nothing of the parent changes.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from curate import files
from curate.errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from curate.audit.opened import Opened

    Ids = npt.NDArray[np.unsignedinteger[Any]]

SPANS = "spans.parquet"
CARRIED = ("tokenizer.json",)
"""Files that a patch does not change; tables of lists and exports are made anew."""


@dataclass(frozen=True)
class Replacement:
    """
    What comes for the spans of some rows of a mix.

    `rows` has the columns of spans.parquet, `n_tokens_whole`, and `for_row`, the row of the parent
    that each of them stands for (several may stand for one; none closes the place up). `ids` holds
    their ids back to back.
    """

    gone: list[int]
    rows: "pl.DataFrame | None"
    ids: "Ids | None"


def patch(parent: "Opened", change: Replacement, staging: Path, *, link: str) -> dict[str, Any]:
    """
    Write every file of the next version but its manifest and sums; returns its `content`.

    Raises IntegrityError if a shard of the parent is not what its name says, or the new spans break
    a rule of docs/format.md §5.1.
    """
    import polars as pl

    files.remove(staging)
    files.make_folder(staging / "shards")
    before = _spans(parent)
    after = _joined(before, change)
    touched = set(before["shard"].gather(change.gone).to_list())
    observed = _observer(parent, after)
    written: list[pl.DataFrame] = []
    for old in range(len(parent.shards)):
        rows = after.filter(pl.col("shard") == old)
        if not rows.height:
            continue  # all of it was closed up
        rows = _placed(rows, len(written))
        if old in touched:
            ids = _ids(parent, old, rows, change)
            name, digest = _write_shard(staging, len(written), ids, rows, parent, link)
        else:
            digest = parent.shards[old]["sha256"]
            name = _link_shard(parent, old, len(written), staging, link)
        _observe(observed, parent, rows)
        observed.name_shard(name, digest, int(rows["n_tokens"].sum()), rows.height)
        written.append(rows)
    spans = pl.concat(written) if written else after
    with files.replacing(staging / SPANS) as temporary:
        spans.select(before.drop("row", "n_tokens_whole").columns).write_parquet(
            temporary, compression="zstd", compression_level=3, statistics=True,
            row_group_size=131_072,
        )  # fmt: skip
    for name in CARRIED:
        if (parent.folder / name).is_file():
            _same_file(parent.folder / name, staging / name)
    content = _content(staging / SPANS, observed, parent)
    files.remove(staging / ".tmp-spill")
    return content


def _spans(parent: "Opened") -> "pl.DataFrame":
    """The parent's spans with `row` and, for those that are cut, `n_tokens_whole`."""
    import polars as pl

    cut = [
        (c["name"], bytes.fromhex(item["key"]), item["epoch"], item["n_tokens_whole"])
        for c in parent.content["components"]
        for item in c["cut"]
    ]
    wholes = pl.DataFrame(
        cut,
        schema={
            "component": pl.String,
            "key": pl.Binary,
            "epoch": pl.UInt32,
            "n_tokens_whole": pl.UInt32,
        },
        orient="row",
    )
    spans = parent.spans().with_row_index("row").collect()
    joined = spans.join(wholes, on=["component", "key", "epoch"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("n_tokens_whole").fill_null(pl.col("n_tokens")))


def _joined(before: "pl.DataFrame", change: Replacement) -> "pl.DataFrame":
    """The spans of the new version in stream order; `row` is the parent's, null for new ones."""
    import polars as pl

    kept = before.filter(~pl.col("row").is_in(change.gone)).with_columns(
        for_row=pl.col("row"), place=pl.lit(-1, dtype=pl.Int64)
    )
    if change.rows is None or not change.rows.height:
        return kept.drop("for_row", "place").with_columns(new=pl.lit(None, dtype=pl.Int64))
    shard = before.select("row", "shard")
    new = (
        change.rows.drop("shard")
        .with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64))
        .join(shard, left_on="for_row", right_on="row", how="left", maintain_order="left")
        .with_columns(row=pl.lit(None, dtype=pl.UInt32))
    )
    both = pl.concat([kept, new.select(kept.columns)]).sort("for_row", "place")
    return both.with_columns(new=pl.when(pl.col("row").is_null()).then(pl.col("place"))).drop(
        "for_row", "place"
    )


def _placed(rows: "pl.DataFrame", number: int) -> "pl.DataFrame":
    """The rows of one shard with its new number; `was` is where kept ones started."""
    import polars as pl

    ends = pl.col("n_tokens").cast(pl.UInt64).cum_sum()
    return rows.with_columns(
        was=pl.col("start"),
        shard=pl.lit(number, dtype=pl.UInt32),
        start=ends - pl.col("n_tokens"),
    )


def _ids(parent: "Opened", old: int, rows: "pl.DataFrame", change: Replacement) -> "Ids":
    """The ids of a shard: kept spans from the parent's, new ones from the replacement."""
    import numpy as np

    theirs = parent.ids(old)
    lengths = rows["n_tokens"].to_numpy().astype(np.int64)
    result = np.empty(int(lengths.sum()), dtype=theirs.dtype)
    new = rows["new"].fill_null(-1).to_numpy()
    if change.rows is not None and change.ids is not None:
        sizes = change.rows["n_tokens"].to_numpy().astype(np.int64)
        firsts = np.cumsum(sizes) - sizes
    was = rows["was"].to_numpy().astype(np.int64)
    at, row = 0, 0
    while row < len(lengths):
        stop = row + 1
        if new[row] >= 0 and change.ids is not None:
            first = int(firsts[new[row]])
            source = change.ids[first : first + int(lengths[row])]
        else:
            # Neighbours that were neighbours are copied at once.
            while (
                stop < len(lengths)
                and new[stop] < 0
                and was[stop] == was[stop - 1] + lengths[stop - 1]
            ):
                stop += 1
            source = theirs[int(was[row]) : int(was[row]) + int(lengths[row:stop].sum())]
        result[at : at + len(source)] = source
        at, row = at + len(source), stop
    return result


def _write_shard(
    staging: Path, number: int, ids: "Ids", rows: "pl.DataFrame", parent: "Opened", link: str
) -> tuple[str, str]:
    """Write a shard's seven files; returns its name and digest."""
    import numpy as np

    from curate.shards.shard_files import OpenShard
    from curate.shards.sidecars import DocumentTable

    ends = np.cumsum(rows["n_tokens"].to_numpy().astype(np.int64))
    eos = np.flatnonzero(ids == parent.content["tokenizer"]["eos"]["id"])
    if not np.array_equal(eos, ends - 1):
        raise IntegrityError(
            f"shard {number} would have an EOS inside a span, or a span without one",
            hint="Run curate verify --all on the parent.",
        )
    shard = OpenShard(number, staging / ".tmp-spill", parent.content["tokenizer"]["dtype"])
    shard.add(ids, rows["n_tokens"].to_numpy().astype(np.int64))
    table = DocumentTable()
    table.add(rows)
    return shard.close(staging / "shards", table.close(), link=link, siblings=()), shard.digest


def _link_shard(parent: "Opened", old: int, number: int, staging: Path, link: str) -> str:
    """Give a shard that did not change its (maybe new) name in the new version."""
    from curate.shards.shard_files import link_names
    from curate.shards.sidecars import SUFFIXES

    was = parent.shards[old]["name"]
    name = f"{number:05d}-{was.partition('-')[2]}"
    folder = parent.folder / "shards"
    for suffix in SUFFIXES:
        if suffix not in (".bin", ".ds"):
            _same_file(folder / f"{was}{suffix}", staging / "shards" / f"{name}{suffix}")
    link_names(staging / "shards" / f"{name}.npy", link)
    return name


def _same_file(there: Path, here: Path) -> None:
    """Link a file, or copy it where links cannot be."""
    with files.replacing(here) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(there, temporary)
        except OSError:  # another disk, or one without hard links
            shutil.copyfile(there, temporary)


def _observer(parent: "Opened", after: "pl.DataFrame") -> Any:
    import numpy as np
    import polars as pl

    from curate.shards.observe import Observed

    names = [c["name"] for c in parent.content["components"]]
    sums = dict(
        after.group_by("component").agg(pl.col("n_tokens").cast(pl.Int64).sum()).iter_rows()
    )
    return Observed(names, np.array([sums.get(name, 0) for name in names], dtype=np.int64))


def _observe(observed: Any, parent: "Opened", rows: "pl.DataFrame") -> None:
    import numpy as np
    import polars as pl

    numbers = {c["name"]: n for n, c in enumerate(parent.content["components"])}
    components = rows["component"].replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
    observed.add(components, rows["n_tokens"].to_numpy().astype(np.int64), rows)
    observed.end_shard()


def _content(spans: Path, observed: Any, parent: "Opened") -> dict[str, Any]:
    """`content` as any writer of mixes has it, with what was asked for kept from the parent."""
    from curate.shards.content import content_of, documents_of

    was: Mapping[str, Any] = parent.content
    told = ("name", "unit", "requested", "residual", "epochs", "of", "phases")
    components = [{k: v for k, v in c.items() if k in told} for c in was["components"]]
    tokenizer = was["tokenizer"]
    bos = tokenizer.get("bos", {})
    facts = SimpleNamespace(
        sha256=tokenizer["sha256"],
        n_vocab=tokenizer["n_vocab"],
        dtype=tokenizer["dtype"],
        eos_token=tokenizer["eos"]["token"],
        eos_id=tokenizer["eos"]["id"],
        bos_token=bos.get("token"),
        bos_id=bos.get("id"),
    )
    return content_of(
        documents_of(spans, observed, spans.parent / ".tmp-spill"),
        observed,
        {"components": components},
        facts,  # type: ignore[arg-type]
        layout=was["layout"],
        seed=was["seed"],
    )
