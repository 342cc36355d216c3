"""
Turn a manifest into the places where its numbers contradict one another; no other file is read.

    >>> [f.what for f in _equal("a.n_tokens", said=3, found=4)]
    ['says 3, but the rest of the manifest gives 4']
"""

import hashlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from curate.audit.findings import Finding
from curate.audit.opened import Opened
from curate.audit.patched import closed_tokens, places_of

MAX_SHARD_TOKENS = 2**30
MANIFEST = "manifest.json"

DELIVERED = {"tokens": "n_tokens", "documents": "n_spans", "bytes": "n_bytes"}
"""What a budget in each unit counts: a document that is read twice is delivered twice."""


def check(mix: Opened) -> Iterator[Finding]:
    """Sums, shares, residuals, names and laws that follow from the manifest alone (§5.6, §5.7)."""
    yield from _totals(mix)
    for component in mix.content["components"]:
        yield from _component(mix, component)
    yield from _shards(mix)
    yield from _windows(mix)
    if not places_of(mix).closed:
        yield from _deviation(mix.content["largest_deviation"])
    yield from _sources(mix)
    if "opt_outs" in mix.origin:
        said = sum(listed["n_matches"] for listed in mix.origin["opt_outs"])
        removed = sum(source.get("n_removed", 0) for source in mix.origin["sources"].values())
        yield from _equal("origin.opt_outs[].n_matches", said=said, found=removed)
    recipe = mix.origin["recipe"]
    found = hashlib.sha256(recipe["text"].encode()).hexdigest()
    yield from _equal("origin.recipe.sha256", said=recipe["sha256"], found=found)


def fraction(numerator: int, denominator: int) -> str:
    """`numerator / denominator` as the manifest writes it; 0/1 where there is nothing to divide."""
    value = Fraction(numerator, denominator) if denominator else Fraction(0)
    return f"{value.numerator}/{value.denominator}"


def _equal(where: str, *, said: object, found: object) -> Iterator[Finding]:
    if said != found:
        what = f"says {_shown(said)}, but the rest of the manifest gives {_shown(found)}"
        yield Finding("manifest", MANIFEST, where, what)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _totals(mix: Opened) -> Iterator[Finding]:
    content = mix.content
    names = [c["name"] for c in content["components"]]
    yield from _equal("content.components", said=names, found=sorted(set(names)))
    for field in ("n_tokens", "n_spans", "n_bytes"):
        total = sum(c[field] for c in content["components"])
        yield from _equal(f"content.{field}", said=content[field], found=total)
    for field in ("n_tokens", "n_spans"):
        total = sum(s[field] for s in mix.shards)
        yield from _equal(f"content.shards[].{field}", said=content[field], found=total)
    tokenizer = content["tokenizer"]
    if tokenizer["n_vocab"] > 65_536 and tokenizer["dtype"] == "uint16":
        what = f"uint16 cannot hold a vocabulary of {tokenizer['n_vocab']:,}"
        yield Finding("manifest", MANIFEST, "content.tokenizer.dtype", what)


def _component(mix: Opened, said: Mapping[str, Any]) -> Iterator[Finding]:
    where = f"content.components.{said['name']}"
    delivered = said[DELIVERED[said["unit"]]]
    yield from _equal(
        f"{where}.residual", said=said["residual"], found=delivered - said["requested"]
    )
    exact = said["unit"] == "tokens" and mix.content["layout"] == "interleaved"
    exact &= not mix.is_holdout  # which takes whole groups
    missing = said["residual"] + closed_tokens(mix, said["name"])
    if said["unit"] == "tokens" and (missing < 0 or (exact and missing)):
        what = "a token budget is met exactly" if exact else "less than was asked for"
        yield Finding("manifest", MANIFEST, f"{where}.residual", what)
    share = fraction(said["n_tokens"], mix.content["n_tokens"])
    yield from _equal(f"{where}.share", said=said["share"], found=share)
    facts = mix.origin["components"].get(said["name"])
    if facts is None:
        yield Finding("manifest", MANIFEST, where, "is not in origin.components")
        return
    eligible = facts["eligible"]
    epochs = fraction(said["n_tokens"], eligible["n_tokens"])
    yield from _equal(f"{where}.epochs", said=said["epochs"], found=epochs)
    accounted = facts["n_unused"] + said["n_documents"]
    place = f"origin.components.{said['name']}.eligible.n_documents"
    yield from _equal(place, said=eligible["n_documents"], found=accounted)
    if facts["source"] not in mix.origin["sources"]:
        yield Finding("manifest", MANIFEST, where, f"source {facts['source']!r} is not listed")


def _shards(mix: Opened) -> Iterator[Finding]:
    for number, shard in enumerate(mix.shards):
        where = f"content.shards[{number}]"
        name = f"{number:05d}-{shard['sha256'][:8]}"
        yield from _equal(f"{where}.name", said=shard["name"], found=name)
        if not 0 < shard["n_tokens"] <= MAX_SHARD_TOKENS or not shard["n_spans"]:
            what = f"{shard['n_tokens']:,} tokens in {shard['n_spans']:,} spans"
            yield Finding("manifest", MANIFEST, where, f"{what}: empty or over 2^30 tokens")


def _windows(mix: Opened) -> Iterator[Finding]:
    sizes = [shard["n_tokens"] for shard in mix.shards]
    for width, said in mix.content["windows"].items():
        where = f"content.windows.{width}"
        whole = [size // int(width) for size in sizes]
        yield from _equal(f"{where}.n_windows", said=said["n_windows"], found=whole)
        tails = sum(size % int(width) for size in sizes)
        total = sum(said["n_dropped"].values())
        yield from _equal(f"{where}.n_dropped", said=total, found=tails)


def _deviation(said: Mapping[str, Any]) -> Iterator[Finding]:
    if Fraction(said["value"]) > Fraction(said["bound"]):
        what = f"{said['value']} is beyond the bound {said['bound']}"
        yield Finding("manifest", MANIFEST, "content.largest_deviation", what)


def _sources(mix: Opened) -> Iterator[Finding]:
    """No source is used more than it was read, and each has an input."""
    with_inputs = {i["source"] for i in inputs(mix)}
    for name, source in mix.origin["sources"].items():
        left = source["n_read"] - source["n_superseded"] - source["n_empty"]
        left -= source.get("n_removed", 0)
        left -= 0 if mix.is_holdout else source["n_held_out"]  # a hold-out draws from all of it
        where = f"origin.sources.{name}"
        if left < 0:
            yield Finding("manifest", MANIFEST, where, f"{-left:,} more left out than were read")
        eligible = [
            facts["eligible"]["n_documents"] + sum(d["n_documents"] for d in facts["dropped"])
            for facts in mix.origin["components"].values()
            if facts["source"] == name
        ]
        if eligible and max(eligible) > left:
            what = f"{max(eligible):,} eligible or dropped, but {left:,} read and left"
            yield Finding("manifest", MANIFEST, where, what)
        if source["n_read"] and name not in with_inputs:
            yield Finding("manifest", MANIFEST, where, "has no input in origin.inputs")


def inputs(mix: Opened) -> list[dict[str, Any]]:
    """The rows of `origin.inputs`."""
    from curate.manifest import listed

    return listed(mix.origin["inputs"], mix.folder)
