"""Each law of mixing is broken by itself, and the finding says which and by how much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.audit import laws
from curate.audit.opened import Opened, open_mix
from tests.audit.conftest import Mix
from tests.audit.damage import manifest_of
from tests.audit.test_rows import at
from tests.tiny_mix import some_documents, write

Change = Callable[[pl.DataFrame], pl.DataFrame]


def broken(folder: Path, change: Change, facts: dict[str, Any] | None = None) -> set[str]:
    """What the laws say of a mix with other rows, and maybe another manifest."""
    mix = open_mix(folder)
    mix = Opened(folder, facts or mix.manifest)
    return {finding.what for finding in laws.check(mix, change(mix.spans().collect()))}


def again(component: str) -> Change:
    """The first clean span once more at the end, called of a component."""
    return lambda t: pl.concat(
        [t, t.filter(component="clean").head(1).with_columns(component=pl.lit(component))]
    )


def exchanged(component: str) -> Change:
    """The first clean span and the first one of a component after it change places."""

    def change(t: pl.DataFrame) -> pl.DataFrame:
        places = list(range(t.height))
        one = t["component"].to_list().index("clean")
        other = t["component"].to_list().index(component, one + 1)
        places[one], places[other] = other, one
        return t[places]

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (again("toxic"), "1 documents are in more than one component"),
        (again("clean"), "2 spans of documents that are in an epoch more than once"),
        (at(2, "cut", True), "2 spans are cut; only the last two of a component may be"),
        (at(0, "epoch", 7), "epoch 7 has 1 documents, 12 are eligible"),
        (exchanged("clean"), "2 spans are not where (epoch, rank, key) puts them"),
        (exchanged("toxic"), "2 spans are not where (due, component) puts them"),
    ],
)
def test_a_broken_law_is_named(make: Mix, change: Change, what: str) -> None:
    """A document twice, a cut in the middle, an epoch too late, a place that is another's."""
    assert what in broken(make(shard_tokens=10_000), change)


def test_rows_as_they_are_break_no_law(make: Mix) -> None:
    """Whatever the layout."""
    assert set() == broken(make("1"), lambda t: t)
    assert set() == broken(make("2", by_source=True), lambda t: t)


def test_more_documents_than_are_eligible_are_found(make: Mix) -> None:
    """Twelve clean documents in an epoch, of three."""
    folder = make()
    facts = manifest_of(folder)
    facts["origin"]["components"]["clean"]["eligible"]["n_documents"] = 3

    assert "epoch 0 has 12 documents, 3 are eligible" in broken(folder, lambda t: t, facts)


def test_an_epoch_between_others_is_whole(tmp_path: Path) -> None:
    """Three passes; of the second one a document is missing."""
    documents = [d for d in some_documents() if d.component == "clean"]
    total = sum(len(d.text.encode()) + 1 for d in documents)
    folder = write(tmp_path / "t" / "1", documents=documents, budgets={"clean": 2 * total + 40})
    second = pl.col("epoch") == 1
    gone = pl.col("key") != pl.col("key").filter(second).first()

    n = len(documents)
    assert f"epoch 1 has {n - 1} documents, {n} are eligible" in broken(
        folder, lambda t: t.filter(~second | gone)
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.reverse(), "components do not follow one another in order of name"),
        (
            lambda t: t.with_columns(start=pl.col("start") + 5),
            "a component does not start with a shard of its own",
        ),
    ],
)
def test_components_by_source_follow_one_another(make: Mix, change: Change, what: str) -> None:
    """In order of name, each from a new shard."""
    assert what in broken(make(by_source=True), change)


@pytest.mark.parametrize("field", ["value", "at", "component", "bound"])
def test_the_largest_deviation_is_recounted(make: Mix, field: str) -> None:
    """Each of its four parts."""
    folder = make()
    facts = manifest_of(folder)
    said = facts["content"]["largest_deviation"]
    other = {"value": "1/7", "at": said["at"] + 1, "bound": "1/7"}
    other["component"] = "clean" if said["component"] == "toxic" else "toxic"
    facts["content"]["largest_deviation"] = {**said, field: other[field]}

    assert 1 == len(broken(folder, lambda t: t, facts))


@pytest.mark.parametrize(("back", "found"), [(1, False), (2, False), (3, True)])
def test_only_the_last_two_of_a_component_may_be_cut(make: Mix, back: int, found: bool) -> None:
    """The last, the last but one, and the one before them; the last is cut already."""
    folder = make(shard_tokens=10_000)
    names = open_mix(folder).spans().collect()["component"].to_list()
    row = [n for n, name in enumerate(names) if name == "clean"][-back]

    assert found == any("are cut" in what for what in broken(folder, at(row, "cut", True)))
