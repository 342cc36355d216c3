"""
Turn a take-down into a store that no longer holds the documents, and say what was not reached.

The documents' parts are rewritten without them; tags and tokens of those parts are deleted, as is
every plan: the next build makes them again from what is left. Each step leaves a store that a
second run goes on with.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files
from curate.run.places import Wanted

if TYPE_CHECKING:
    import polars as pl

    from curate.run.job import Job

REASON = "removed"
"""Under what documents' receipts count the records of what was purged."""


def purge(job: "Job", wanted: Wanted) -> dict[str, Any]:
    """
    Take documents out of every source in the store.

    Returns `rewritten` {folder of documents: documents} and `not_reached`, places that hold, or may
    hold, the text and are not the store's to change.
    """
    root = job.store.root
    rewritten: dict[str, int] = {}
    with job.store.locked():
        for folder in sorted((root / "documents").glob("*@*")):
            for part in sorted(folder.glob("*.parquet")):
                n = _purge_part(root, part, wanted)
                if n:
                    rewritten[folder.name] = rewritten.get(folder.name, 0) + n
            for receipt in sorted(folder.glob("*.receipt.json")):
                _count_again(receipt)
        if rewritten:
            for name in ("plans", "builds"):
                files.remove(root / name)
    return {"rewritten": rewritten, "not_reached": _not_reached(job)}


def _purge_part(root: Path, part: Path, wanted: Wanted) -> int:
    """Rewrite one part if it holds anything wanted; returns how many documents went."""
    import polars as pl

    rows = pl.scan_parquet(part, glob=False).select("key", "content").collect()
    gone = rows["key"].is_in(_series(wanted.keys).implode()) | rows["content"].is_in(
        _series(wanted.contents).implode()
    )
    if not gone.any():
        return 0
    for kind in ("tags", "tokens"):
        for made in sorted((root / kind / part.parent.name).glob(f"*/{part.stem}.*")):
            files.remove(made)
    with files.replacing(part) as temporary:
        pl.read_parquet(part, glob=False).filter(~gone).write_parquet(
            temporary, compression="zstd", compression_level=1, row_group_size=65_536
        )
    return int(gone.sum())


def _series(values: frozenset[bytes]) -> "pl.Series":
    import polars as pl

    return pl.Series(sorted(values), dtype=pl.Binary)


def _count_again(receipt: Path) -> None:
    """Let a receipt say what its parts hold; what is missing was removed (docs/format.md §3.1)."""
    import polars as pl

    facts = json.loads(receipt.read_bytes())
    removed = 0
    for part in facts["parts"]:
        table = pl.scan_parquet(receipt.parent / f"{part['name']}.parquet", glob=False)
        n, n_bytes = (
            table.select(pl.len(), pl.col("n_bytes").cast(pl.UInt64).sum()).collect().row(0)
        )
        removed += part["n_documents"] - n
        part["n_documents"], part["n_bytes"] = n, n_bytes
    if removed:
        facts["n_documents"] -= removed
        facts["skipped"][REASON] = facts["skipped"].get(REASON, 0) + removed
        files.write_bytes(receipt, json.dumps(facts, indent=1, sort_keys=True).encode())


def _not_reached(job: "Job") -> list[str]:
    """Where the text may still be."""
    dumps = sorted({f"the dump {Path(item.name).name} ({item.source})" for item in job.lock.inputs})
    rejected = sorted(job.store.root.glob("documents/*/*.rejected.jsonl.zst"))
    return [
        *dumps,
        *(f"rejected records in {path.parent.name}/{path.name}" for path in rejected),
        "older versions of the mixes, their exports and published copies",
        "models trained on them",
    ]
