"""
Turn receipts, lock and plan into the `origin` of a manifest: where a mix came from.

Only facts that do not depend on when, where or with how many workers a build ran
(docs/format.md §5.7).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import PurePosixPath
from typing import Any

from curate import __version__, lock, mixing, readers, shards, taggers, tokens
from curate.fingerprint import digest
from curate.run.job import Job
from curate.store import read_receipt

DECISIVE_LIBRARIES = ("fastokens", "fasttext-community", "tokenizers")
"""Libraries whose version can change ids or scores; others only move bytes."""


def origin_of(
    job: Job, plan: Mapping[str, Any], arm: Mapping[str, Any], stem: str
) -> dict[str, Any]:
    """The `origin` object of one arm's manifest."""
    sources = {
        name: _source(job, name, plan["sources"][name]) for name in sorted(job.recipe.sources)
    }
    return {
        "recipe": {
            "name": job.recipe.name,
            "sha256": digest(job.recipe.text.encode()),
            "text": job.recipe.text,
        },
        "arm": {"name": stem if stem != "mix" else "", "settings": arm.get("settings", {})},
        "lock": {
            "sha256": digest(job.lock.to_toml().encode()),
            **({"resolved": dict(job.lock.resolved)} if job.lock.resolved else {}),
        },
        "tool": {"name": "curate", "version": __version__},
        "libraries": {name: version_of(name) for name in DECISIVE_LIBRARIES},
        "stages": {
            "read": {"format": readers.FORMAT, "determinism": "exact"},
            "tag": {"format": taggers.FORMAT, "determinism": "as each tagger says"},
            "tokenize": {"format": tokens.FORMAT, "determinism": "exact"},
            "plan": {"format": mixing.FORMAT, "determinism": "exact"},
            "write": {"format": shards.FORMAT, "determinism": "exact"},
        },
        "sources": sources,
        "inputs": _inputs(job),
        "components": {part["name"]: _component(part) for part in arm["components"]},
        "taggers": {name: _tagger(job, name) for name in job.taggers},
        "tokenizer": dict(job.lock.tokenizer),
    }


def _source(job: Job, name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    told = job.recipe.sources[name]
    facts = {
        **counts,
        "reader": told.reader,
        "license": told.license,
        "options": {k: v for k, v in job.readers[name].items() if v is not None},
    }
    period = _period(job, name)
    return {**facts, "period": period} if period else facts


def _period(job: Job, source: str) -> dict[str, str] | None:
    """First and last day (UTC) of a source's documents, from their timestamps."""
    import polars as pl

    files = [job.documents(source) / f"{name}.parquet" for name in job.part_names(source)]
    if not files:
        return None
    seconds = pl.scan_parquet(files).select(
        pl.col("timestamp").min().alias("from"), pl.col("timestamp").max().alias("to")
    )
    first, last = seconds.collect().row(0)
    if first is None:
        return None
    return {"from": _day(first), "to": _day(last)}


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _inputs(job: Job) -> list[dict[str, Any]]:
    """One entry per distinct input of a source, by digest: renaming changes names only."""
    found = {}
    for item in job.lock.inputs:
        receipt = read_receipt(job.documents(item.source), item.sha256[:16])
        if receipt is None:
            continue
        name = lock.without_credentials(item.name) if lock.is_url(item.name) else item.name
        found[item.source, item.sha256] = {
            "source": item.source,
            "name": PurePosixPath(name).name,
            "sha256": item.sha256,
            "n_bytes": item.n_bytes,
            "n_records": receipt["n_records"],
            "n_documents": receipt["n_documents"],
            "skipped": receipt["skipped"],
            "rejected": receipt["rejected"],
        }
    return [found[key] for key in sorted(found)]


def _component(part: Mapping[str, Any]) -> dict[str, Any]:
    facts = {
        "source": part["source"],
        "eligible": part["eligible"],
        "dropped": part["dropped"],
        "n_unused": part["n_unused"],
    }
    return {**facts, "where": part["where"]} if "where" in part else facts


def _tagger(job: Job, name: str) -> dict[str, Any]:
    """A tagger's declaration, its model files, and the digest of each column over all parts."""
    import hashlib

    columns: dict[str, Any] = {}
    for source in sorted(job.recipe.sources):
        for part in job.part_names(source):
            receipt = read_receipt(job.tags(source, name), part)
            for column, facts in (receipt or {"columns": {}})["columns"].items():
                state = columns.setdefault(column, hashlib.sha256())
                state.update(f"{source}/{part}:{facts['digest']}\n".encode())
    return {
        "declared": {k: v for k, v in job.taggers[name].items() if v is not None},
        "models": taggers.models(job.taggers[name]),
        "columns": {column: {"digest": state.hexdigest()} for column, state in columns.items()},
    }
