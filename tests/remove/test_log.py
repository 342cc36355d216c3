"""The log and the list of removals say what happened, and not to whom."""

import json
import shutil
from collections.abc import Callable

import polars as pl

from curate.audit.verify import verify
from curate.run import removals
from curate.run.build import build
from curate.run.order import Order
from tests.remove.world import World, picked, whole


def test_one_arm_alone_is_warned_about(world: Callable[..., World]) -> None:
    """What was constant over the sweep now differs."""
    w = world()
    answer = w.remove([picked(w, "clean", 4)], mixes=[w.mix("10pct")])

    assert any("tiny-00pct" in warning for warning in answer.warnings)
    assert not (w.out / "tiny-20pct" / "1.0.1").exists()


def test_the_log_does_not_say_what_went(world: Callable[..., World]) -> None:
    """Neither ids nor keys are in manifests or removals; who has the key can tell."""
    w = world()
    some = picked(w, "clean", 4)
    key = w.spans().filter(pl.col("id") == some)["key"][0]
    w.remove([some], reason="dmca-7")
    manifest = (w.out / "tiny-20pct" / "1.0.1" / "manifest.json").read_text()
    listed = (w.folder / "tiny.removals").read_text()
    secret = removals.secret_of(w.folder / "store" / "removals.key", create=False)
    [entry] = w.mix(version="1.0.1").origin["removals"]

    for text in (manifest, listed):
        assert some not in text and key.hex() not in text
    assert ("dmca-7", removals.keyed(secret, "id", key)) == (entry["reason"], entry["removed"])
    assert f"{entry['removed']} id dmca-7 1.0.0\n" in listed
    assert 0o600 == (w.folder / "store" / "removals.key").stat().st_mode & 0o777


def test_later_versions_are_told_and_this_one_is_not(world: Callable[..., World]) -> None:
    """Builds of 1.1.0 leave it out; 1.0.0 still builds as it did."""
    w = world()
    some = w.spans().filter(pl.col("id") == picked(w, "clean", 4))
    w.remove(some["id"].to_list())
    secret = w.folder / "store" / "removals.key"
    same = removals.matcher(w.recipe, "1.0.0", secret)
    later = removals.matcher(w.recipe, "1.1.0", secret)

    assert not same
    assert [True] == later.matches(some["key"], some["content"]).to_list()
    others = w.spans().filter(pl.col("id") != some["id"][0])
    assert not later.matches(others["key"], others["content"]).any()


def test_a_later_build_leaves_it_out_and_counts_it(world: Callable[..., World]) -> None:
    """Version 1.1.0 of the recipe: the page is not in, the source says how many were removed."""
    w = world()
    some = picked(w, "clean", 4)
    w.remove([some])
    w.recipe.write_text(w.recipe.read_text().replace('"1.0.0"', '"1.1.0"'))
    build(Order(w.recipe, w.store, w.out, w.folder / "manifests"))

    whole(w, "1.1.0")
    assert some not in w.spans("20pct", "1.1.0")["id"].to_list()
    origin = w.mix("20pct", "1.1.0").origin
    assert 1 == origin["sources"]["web"]["n_removed"]
    [told] = origin["opt_outs"]
    assert ("tiny.removals", "1.0.0", 2, 1) == (
        told["name"], told["version"], told["n_entries"], told["n_matches"]
    )  # fmt: skip


def test_what_was_taken_down_does_not_come_back(world: Callable[..., World]) -> None:
    """A page that no arm had reached is taken down first; it is no substitute afterwards."""
    w = world()
    w.remove([picked(w, "clean", 4)])
    came = w.mix(version="1.0.1").origin["removals"][0]["added"][0]["key"]
    again = World(shutil.copytree(w.folder, w.folder.parent / "again", symlinks=True))
    for version in ("1.0.1", "1.0.1.superseded.json"):
        for path in again.out.glob(f"*/{version}"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    again.remove([f"key:{came}"])
    again.remove([picked(w, "clean", 4)], of="1.0.1")

    assert came not in again.spans("20pct", "1.0.2")["key"].bin.encode("hex").to_list()
    whole(again, "1.0.2")


def test_the_old_version_is_marked_and_untouched(world: Callable[..., World]) -> None:
    """Beside it lies who supersedes it; in it not a byte has changed."""
    w = world()
    before = verify(w.out / "tiny-20pct" / "1.0.0", read_data=True).findings
    w.remove([picked(w, "clean", 4)])
    mark = json.loads((w.out / "tiny-20pct" / "1.0.0.superseded.json").read_text())

    assert {"by": "1.0.1", "reason": "test"} == mark
    assert () == before == verify(w.out / "tiny-20pct" / "1.0.0", read_data=True).findings


def test_ids_that_no_mix_holds_are_named_and_noted(world: Callable[..., World]) -> None:
    """They may turn up in a later dump."""
    w = world()
    answer = w.remove(["https://nowhere.example/#0123456789abcdef", picked(w, "clean", 4)])

    assert ["https://nowhere.example/#0123456789abcdef"] == answer.not_found
    assert 3 == len(removals.read(w.folder / "tiny.removals"))  # two ids and one text


def test_a_forged_log_is_found(world: Callable[..., World]) -> None:
    """A document that the log does not name as a substitute is out of order."""
    from tests.tiny_files import seal

    w = world()
    w.remove([picked(w, "clean", 4)])
    folder = w.out / "tiny-20pct" / "1.0.1"
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["origin"]["removals"][0]["added"][0]["key"] = "0" * 32
    seal(folder, facts)
    forged = {f.kind for f in verify(folder, semantic=True).findings}
    facts["origin"]["removals"] = []
    seal(folder, facts)
    silent = {f.kind for f in verify(folder, semantic=True).findings}

    assert "removal" in forged
    assert "order" in silent
