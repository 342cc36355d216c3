"""A patched mix is built again, a store is purged."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl

from curate.run.build import build
from curate.run.job import open_job
from curate.run.order import Order
from curate.run.places import wanted_of
from curate.run.purge import purge
from curate.run.rebuild import rebuild
from tests.remove.world import World, picked


def test_a_rebuild_gives_the_same_content(world: Callable[..., World]) -> None:
    """The recipe, built somewhere else without the store, and every patch applied again."""
    w = world()
    w.remove([picked(w, "clean", n) for n in (2, 3)] + [w.spans("holdout")["id"][0]])
    w.remove([picked(w, "clean", 9), picked(w, "toxic", 1)], of="1.0.1")
    secret = w.folder / "store" / "removals.key"
    for arm, version, store in (("20pct", "1.0.0", None), ("10pct", "1.0.2", w.store.root)):
        mix = w.mix(arm, version)

        assert [] == rebuild(mix, recipe=w.recipe, store=store, secret=secret)


def test_a_rebuild_finds_another_content(world: Callable[..., World]) -> None:
    """A mix that was sealed with another stream is not what the recipe gives."""
    from tests.tiny_files import seal

    w = world()
    folder = w.out / "tiny-20pct" / "1.0.0"
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["content"]["n_bytes"] += 1
    seal(folder, facts)
    found = rebuild(w.mix(), recipe=w.recipe, store=w.store.root, secret=Path("none"))

    assert ["content.n_bytes"] == [f.where for f in found]


def test_a_purged_store_holds_the_text_no_more(world: Callable[..., World]) -> None:
    """Documents, tags and tokens; a second run finds nothing to do; a build goes on."""
    w = world(twins=True)
    some = w.spans("00pct").row(3, named=True)
    w.remove([some["id"]])
    job = open_job(w.recipe, store=w.store, locked=True)
    wanted = wanted_of([some["id"]], [w.mix()], job)
    first = purge(job, wanted)
    again = purge(job, wanted)
    left = pl.concat(
        [pl.read_parquet(p) for p in (w.folder / "store" / "documents").glob("web@*/*.parquet")]
    )
    [receipt] = (w.folder / "store" / "documents").glob("web@*/*.receipt.json")
    facts = json.loads(receipt.read_text())

    assert [2] == list(first["rewritten"].values())
    assert {} == again["rewritten"]
    assert some["content"] not in left["content"].to_list()
    assert not list((w.folder / "store" / "tokens").glob("web@*/*/*"))
    assert (158, {"removed": 2}) == (facts["n_documents"], facts["skipped"])
    assert facts["n_records"] == facts["n_documents"] + 2
    assert any("web.json.gz" in place for place in first["not_reached"])
    build(Order(w.recipe, w.store, w.folder / "m2", w.folder / "r2", until="plan"))
