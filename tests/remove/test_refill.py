"""What is taken down is gone, what comes in its place is in the log, and nothing else moves."""

from collections.abc import Callable

import polars as pl
import pytest

from curate.audit.diff import diff
from curate.errors import InfeasibleError
from curate.run.substitutes import sizes
from tests.remove.world import World, picked, whole


def test_what_was_taken_down_is_gone_and_everything_else_is_where_it_was(
    world: Callable[..., World],
) -> None:
    """diff(A, remove(A, D)): out is D, in is what the log says, all other spans are the same."""
    w = world()
    ids = [picked(w, "clean", 4), picked(w, "toxic", 1), picked(w, "clean", -1)]
    w.remove(ids)
    whole(w, "1.0.1")
    for arm in ("00pct", "10pct", "20pct"):
        found = diff(w.mix(arm), w.mix(arm, "1.0.1"))
        log = w.mix(arm, "1.0.1").origin["removals"]
        held = set(w.spans(arm)["id"]) & set(ids)
        came = {a["key"] for entry in log for a in entry["added"]}

        assert held == {d["id"] for d in found["documents"]["out"]["listed"]}
        assert came == {d["key"] for d in found["documents"]["in"]["listed"]}
        assert len(held) == len(log)
        before, after = w.spans(arm), w.spans(arm, "1.0.1")
        same = before.filter(~pl.col("id").is_in(ids)).select("key", "start", "digest")
        kept = after.filter(~pl.col("key").bin.encode("hex").is_in(list(came)))
        assert same.equals(kept.select("key", "start", "digest"))


def test_only_the_shards_of_what_went_are_written(world: Callable[..., World]) -> None:
    """All other files of the new version are the old version's, not copies of them."""
    w = world()
    [answer] = [m for m in w.remove([picked(w, "clean", 4)]).mixes if m.mix == "tiny-20pct"]
    old, new = (
        {
            p.name: p.stat().st_ino
            for p in (w.out / "tiny-20pct" / version / "shards").iterdir()
            if p.suffix not in (".bin", ".ds")
        }
        for version in ("1.0.0", "1.0.1")
    )
    written = {name for name in new if old.get(name) != new[name]}

    assert 1 == answer.n_shards
    assert 1 == len({name.split(".")[0] for name in written})
    assert len(w.mix().shards) > 2


def test_arms_get_the_same_documents_and_stay_nested(world: Callable[..., World]) -> None:
    """The clean part is the same in every arm, before and after; toxic arms are still prefixes."""
    w = world()
    w.remove([picked(w, "clean", n) for n in (0, 7, -1)] + [picked(w, "toxic", 0)])
    digests = {
        arm: {c["name"]: c["stream_digest"] for c in w.mix(arm, "1.0.1").content["components"]}
        for arm in ("00pct", "10pct", "20pct")
    }
    small, large = (
        w.spans(arm, "1.0.1").filter(pl.col("component") == "toxic")["digest"].to_list()
        for arm in ("10pct", "20pct")
    )

    assert 1 == len({d["clean"] for d in digests.values()})
    assert small[:-2] == large[: len(small) - 2]


def test_budgets_are_still_met_to_the_token(world: Callable[..., World]) -> None:
    """Every shard has as many tokens as before, every component too."""
    w = world()
    w.remove([picked(w, "clean", n) for n in range(6)])
    for arm in ("00pct", "10pct", "20pct"):
        before, after = w.mix(arm), w.mix(arm, "1.0.1")

        assert [s["n_tokens"] for s in before.shards] == [s["n_tokens"] for s in after.shards]
        assert [c["n_tokens"] for c in before.content["components"]] == [
            c["n_tokens"] for c in after.content["components"]
        ]
        assert before.content["largest_deviation"] == after.content["largest_deviation"]


def test_copies_of_the_text_go_too(world: Callable[..., World]) -> None:
    """Two URLs, one text: who asks for one means both, and neither comes as a substitute."""
    w = world(twins=True)
    some = w.spans("00pct").row(3, named=True)
    w.remove([some["id"]])

    for arm in ("00pct", "10pct", "20pct", "holdout"):
        assert some["content"] not in w.spans(arm, "1.0.1")["content"].to_list()
    whole(w, "1.0.1")


def test_pieces_go_with_their_document(world: Callable[..., World]) -> None:
    """A page that was split into pieces is gone with all of them."""
    w = world(tokenizer="max_document_tokens = 30")
    some = w.spans().filter(pl.col("id").str.contains(r"#[0-9a-f]{16}#"))["id"][0]
    document = some.rpartition("#")[0]
    w.remove([document])

    for arm in ("00pct", "10pct", "20pct"):
        assert not w.spans(arm, "1.0.1")["id"].str.starts_with(document).any()
    whole(w, "1.0.1")


def test_later_epochs_fill_what_earlier_ones_lose(world: Callable[..., World]) -> None:
    """Read twice, removed twice; what comes is what the last epoch had not reached."""
    w = world(epochs=3)
    spans = w.spans("20pct").filter(pl.col("component") == "clean")
    some = spans.filter(pl.col("epoch") == 1)["id"][2]
    assert 2 <= spans.filter(pl.col("id") == some).height
    w.remove([some])

    assert 0 == w.spans("20pct", "1.0.1").filter(pl.col("id") == some).height
    whole(w, "1.0.1")


def test_a_version_can_be_patched_again(world: Callable[..., World]) -> None:
    """A substitute is taken down, then more is closed up, then filled again: all checks hold."""
    w = world()
    w.remove([picked(w, "clean", n) for n in (2, 3)])
    came = [a["key"] for e in w.mix(version="1.0.1").origin["removals"] for a in e["added"]]
    w.remove([f"key:{came[0]}", picked(w, "clean", 9)], of="1.0.1")
    whole(w, "1.0.2")
    w.remove([f"key:{came[-1]}", picked(w, "clean", 12)], of="1.0.2", close=True)
    whole(w, "1.0.3")
    w.remove([picked(w, "clean", 15), picked(w, "toxic", 0)], of="1.0.3")
    whole(w, "1.0.4")
    log = w.mix(version="1.0.4").origin["removals"]

    assert ["1.0.1", "1.0.2", "1.0.3", "1.0.4"] == sorted({entry["version"] for entry in log})
    assert {"version": "1.0.3", "id": w.mix(version="1.0.3").manifest["id"]} == w.mix(
        version="1.0.4"
    ).origin["parent"]


def test_a_pool_without_enough_left_is_explained(world: Callable[..., World]) -> None:
    """Every page that was ever read: nothing is left to take its place."""
    w = world()
    parts = (w.folder / "store" / "documents").glob("web@*/*.parquet")
    everything = [i for part in parts for i in pl.read_parquet(part)["id"]]
    with pytest.raises(InfeasibleError, match="too few unused documents") as caught:
        w.remove(everything)

    assert "--close" in caught.value.hint
    assert not list(w.out.glob("*/1.0.1"))


@pytest.mark.parametrize(
    ("wholes", "n", "expected"),
    [
        ([5, 5], 10, [5, 5]),
        ([5, 9], 10, [5, 5]),
        ([5, 9], 5, [5]),
        ([9], 4, [4]),
        ([9], 2, [2]),  # a place of one content id and EOS
        ([9, 9], 10, [7, 3]),  # one id would be left: the first gives up two
        ([4, 9], 5, [0, 5]),  # the first is too short for that: it stays out
    ],
)
def test_places_are_filled_to_the_token(wholes: list[int], n: int, expected: list[int]) -> None:
    """Whole documents while they fit, the last cut; no cut under two content ids if possible."""
    assert expected == sizes(wholes, n, least=3)
