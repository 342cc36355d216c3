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
from curate.fingerprint import canonical, digest
from curate.run import removals
from curate.run.job import Job
from curate.store import read_receipt

DECISIVE_LIBRARIES = ("fastokens", "fasttext-community", "tokenizers")
"""Libraries whose version can change ids or scores; others only move bytes."""

NOT_CHECKED = ("AdvBench", "Civil Comments", "MMLU", "Paloma", "RealToxicityPrompts", "ToxiGen")
"""What mixes like these are measured with. No stage looks for their items, and a mix says so."""


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
        "evaluations": {"checked": [], "not_checked": list(NOT_CHECKED)},
        **_opt_outs(job, plan),
    }


def _opt_outs(job: Job, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The list of removals that this version had to leave out, and what it found of it."""
    entries = removals.applied(job.recipe.path, job.recipe.version)
    if not entries:
        return {}
    listed = {
        "name": removals.path_of(job.recipe.path).name,
        "sha256": removals.digest_of(entry.digest for entry in entries),
        "version": removals.newest(entries),
        "n_entries": len(entries),
        "n_matches": sum(source.get("n_removed", 0) for source in plan["sources"].values()),
    }
    return {"opt_outs": [listed]}


def _source(job: Job, name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    told = job.recipe.sources[name]
    facts = {
        **counts,
        "reader": told.reader,
        "license": told.license,
        "options": {k: v for k, v in job.readers[name].items() if v is not None},
    }
    terms = {"terms": told.terms} if told.terms else {}
    period = _period(job, name)
    return {**facts, **terms, **({"period": period} if period else {})}


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
    """
    One entry per distinct input of a source, by digest: renaming changes names only.

    Inputs that are joined have their counts together, in the first of them.
    """
    found = {}
    nothing = {"n_records": 0, "n_documents": 0, "skipped": {}, "rejected": {}}
    for source in job.recipe.sources:
        for sha256, items in job.readings(source):
            counts = read_receipt(job.documents(source), sha256[:16])
            if counts is None:
                continue
            for item in items:
                name = lock.without_credentials(item.name) if lock.is_url(item.name) else item.name
                found[source, item.sha256] = {
                    "source": source,
                    "name": PurePosixPath(name).name,
                    "sha256": item.sha256,
                    "n_bytes": item.n_bytes,
                    **{count: counts[count] for count in nothing},
                }
                counts = nothing
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
        "declared": _brief(job.taggers[name]),
        "models": taggers.models(job.taggers[name]),
        "columns": {column: {"digest": state.hexdigest()} for column, state in columns.items()},
        **_promises(job.taggers[name]),
    }


def _brief(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A declaration with lists of words by digest: they may be long, and worse."""
    found = {k: v for k, v in declared.items() if v is not None and k not in ("words", "cheap")}
    if "words" in declared:
        words = declared["words"]
        found["list"] = {"sha256": digest(canonical(words)), "n_entries": len(words)}
    if "cheap" in declared:
        found["cheap"] = _brief(declared["cheap"])
    return found


def _promises(declared: Mapping[str, Any]) -> dict[str, Any]:
    """How exactly a tagger's columns come again, and the golden scores its model was held to."""
    from curate.taggers import shelf
    from curate.taggers.probe import TOLERANCE

    if "model" not in declared:
        return {"determinism": "exact"}
    card = shelf.card(shelf.place(declared))
    apart = TOLERANCE[declared.get("precision", "fp32")]
    said = card.get("determinism", f"exact on one machine; within {apart:g} on another")
    golden = card.get("golden", [])
    if not golden:
        return {"determinism": said}
    # A model is opened only once it has given these scores again (taggers/probe.py).
    test = {"sha256": digest(canonical(golden)), "n_texts": len(golden), "passed": True}
    return {"determinism": said, "self_test": test}
