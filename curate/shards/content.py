"""
Turn what was counted while a mix was written into its manifest's `content` (docs/format.md §5.6).

Documents and the Merkle root are counted a range of keys at a time, so that the memory they need
does not grow with the mix.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import IntegrityError
from curate.shards.documents import RANGE_SPANS, Documents, count, rows_of
from curate.shards.merkle import Tree
from curate.shards.observe import Observed, bound

if TYPE_CHECKING:
    from curate.tokenizer import Tokenizer

FROM_PLAN = ("unit", "requested", "residual", "epochs")
"""What no byte of a mix can tell: what was asked, and what it is a fraction of."""


def content_of(
    documents: Documents,
    observed: Observed,
    facts: Mapping[str, Any],
    tokenizer: "Tokenizer",
    *,
    layout: str,
    seed: int,
) -> dict[str, Any]:
    """
    The `content` of a mix with these documents and counts.

    `facts` is the arm's object of plan.json. Raises IntegrityError where it says something else
    than was counted.
    """
    tree = _count(documents, observed)
    n_tokens = sum(tally.n_tokens for tally in observed.tallies)
    components = [
        _component(planned, tally, n_tokens)
        for planned, tally in zip(facts["components"], observed.tallies, strict=True)
    ]
    content: dict[str, Any] = {
        "tokenizer": _tokenizer(tokenizer),
        "layout": layout,
        "seed": seed,
        "n_tokens": n_tokens,
        "n_spans": sum(c["n_spans"] for c in components),
        "n_documents": tree.n_leaves,
        "n_bytes": sum(c["n_bytes"] for c in components),
        "components": components,
        "largest_deviation": _deviation(observed, facts),
        "shards": observed.shards,
        "windows": observed.windows(),
        "merkle_root": tree.root(),
    }
    _compare("the mix", facts, {**content, "n_shards": len(observed.shards)})
    return content


def _component(planned: Mapping[str, Any], tally: Any, n_tokens: int) -> dict[str, Any]:
    share = Fraction(tally.n_tokens, n_tokens or 1)
    made = {
        "name": tally.name,
        **{name: planned[name] for name in FROM_PLAN},
        "n_tokens": tally.n_tokens,
        "n_spans": tally.n_spans,
        "n_documents": tally.n_documents,
        "n_bytes": tally.n_bytes,
        "share": f"{share.numerator}/{share.denominator}",
        "cut": tally.cut,
        "stream_digest": tally.stream.hexdigest(),
    }
    made |= {name: planned[name] for name in ("of", "phases") if name in planned}
    _compare(f"component {tally.name}", planned, made)
    return made


def _compare(what: str, planned: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    counts = ("n_tokens", "n_spans", "n_documents", "n_bytes", "n_shards", "share", "cut")
    wrong = [n for n in counts if n in planned and n in made and planned[n] != made[n]]
    if wrong:
        raise IntegrityError(
            f"{what} was not written as it was planned",
            details=[f"{n}: planned {planned[n]}, written {made[n]}" for n in wrong],
            hint="This is a bug in curate: please report it with this message.",
        )


def _tokenizer(tokenizer: "Tokenizer") -> dict[str, Any]:
    made: dict[str, Any] = {
        "sha256": tokenizer.sha256,
        "n_vocab": tokenizer.n_vocab,
        "dtype": tokenizer.dtype,
        "eos": {"token": tokenizer.eos_token, "id": tokenizer.eos_id},
    }
    if tokenizer.bos_id is not None:
        made["bos"] = {"token": tokenizer.bos_token, "id": tokenizer.bos_id}
    return made


def _deviation(observed: Observed, facts: Mapping[str, Any]) -> dict[str, Any]:
    seen = observed.deviation
    names = [tally.name for tally in observed.tallies]
    value = seen.value
    planned = facts.get("largest_deviation", {})
    limit = planned.get("bound")
    if limit is None:
        exact = bound(seen.totals, seen.component, observed.longest) if names else Fraction(0)
        limit = f"{exact.numerator}/{exact.denominator}"
    made = {
        "value": f"{value.numerator}/{value.denominator}",
        "component": names[seen.component] if names else "",
        "at": seen.at,
        "bound": limit,
    }
    if planned and planned["value"] != made["value"]:
        raise IntegrityError(
            "the order of the mix is not the planned one",
            details=[f"largest deviation planned {planned['value']}, written {made['value']}"],
            hint="This is a bug in curate: please report it with this message.",
        )
    return made


def documents_of(spans: Path, observed: Observed, folder: Path) -> Documents:
    """The documents of a finished spans.parquet; `folder` is for what does not fit in memory."""
    import polars as pl

    numbers = {tally.name: number for number, tally in enumerate(observed.tallies)}
    rows = pl.scan_parquet(spans).select("key", "digest", "component")
    n_spans = sum(tally.n_spans for tally in observed.tallies)
    documents = Documents(folder, n_spans)
    for first in range(0, n_spans, RANGE_SPANS):
        lot = rows.slice(first, RANGE_SPANS).collect()
        components = lot["component"].replace_strict(numbers, return_dtype=pl.Int64)
        documents.add(rows_of(components.to_numpy(), lot))
    return documents


def _count(documents: Documents, observed: Observed) -> Tree:
    """Count distinct keys, overall (leaves of the tree returned) and per component."""
    tree = Tree()
    for rows in documents.ranges():
        leaves, n_documents = count(rows, len(observed.tallies))
        tree.add(leaves)
        for tally, n in zip(observed.tallies, n_documents, strict=True):
            tally.n_documents += n
    return tree
