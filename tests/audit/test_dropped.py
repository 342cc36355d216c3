"""The list of what is not in a mix is held to the manifest's own counts."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.audit.verify import verify
from tests.audit.conftest import Mix, spans_of
from tests.audit.damage import manifest_of
from tests.tiny_files import seal
from tests.tiny_mix import key

KEYS = [key(f"4chan:pol/{n}") for n in range(900, 904)]


def listed(folder: Path, rows: list[tuple[bytes, str, str]], patched: bool = False) -> list[str]:
    """What a recount says of a mix of which four documents were dropped, and of this list."""
    facts = manifest_of(folder)
    toxic, source = facts["origin"]["components"]["toxic"], facts["origin"]["sources"]["board"]
    toxic["dropped"] = [{"clause": "toxicity >= 0.5", "n_documents": 2}]
    source.update(n_superseded=1, n_empty=1, n_read=source["n_read"] + 4)
    facts["origin"]["inputs"][0]["n_documents"] += 4
    if patched:
        facts["origin"]["parent"] = {"version": "0.9.0", "id": "0" * 64}
    spare = [key("nobody")] * toxic["n_unused"]
    clean = [key("no one")] * facts["origin"]["components"]["clean"]["n_unused"]
    rows = rows + [(k, "toxic", "[unused]") for k in spare]
    rows += [(k, "clean", "[unused]") for k in clean]
    schema = {"key": pl.Binary, "component": pl.String, "clause": pl.String}
    table = pl.DataFrame(rows, schema=schema, orient="row").sort("key", "component", "clause")
    table.write_parquet(folder / "dropped.parquet")
    seal(folder, facts)
    return said(folder)


def said(folder: Path) -> list[str]:
    """Findings about the list."""
    found = verify(folder, read_data=True, semantic=True).findings
    assert {"dropped"} >= {f.kind for f in found}
    return [f"{f.where}: {f.what}".removeprefix(": ") for f in found]


FOUR = [
    (KEYS[0], "toxic", "toxicity >= 0.5"),
    (KEYS[1], "toxic", "toxicity >= 0.5"),
    (KEYS[2], "toxic", "[superseded]"),
    (KEYS[3], "toxic", "[empty]"),
]


def test_a_list_that_agrees_is_no_finding(make: Mix) -> None:
    """Four documents, three reasons."""
    assert [] == listed(make(), FOUR)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (FOUR[1:], "counts 2 documents under 'toxicity >= 0.5', the list 1"),
        (FOUR[:3], "counts 1 documents under '[empty]', the list 0"),
        ([*FOUR, (KEYS[3], "toxic", "rude")], "counts 0 documents under 'rude', the list 1"),
        ([*FOUR, (KEYS[3], "mild", "rude")], "component mild: is not in the manifest"),
    ],
)
def test_a_list_with_other_counts_is_found(make: Mix, rows: Any, what: str) -> None:
    """One too few, one too many, one of nobody."""
    [line] = listed(make(), rows)

    assert what in line


def test_after_a_take_down_there_may_be_less_and_never_more(make: Mix) -> None:
    """What went is listed nowhere; what was never there is not either."""
    assert [] == listed(make("1"), FOUR[1:], patched=True)
    assert 1 == len(listed(make("2"), [FOUR[0], *FOUR], patched=True))


def test_a_document_of_the_mix_is_not_unused(make: Mix) -> None:
    """A list with the right counts, one of whose keys is in the mix after all."""
    folder = make()
    listed(folder, FOUR)
    mine = next(row["key"] for row in spans_of(folder) if row["component"] == "toxic")
    table = pl.read_parquet(folder / "dropped.parquet")
    swapped = pl.when(pl.col("clause") == "[empty]").then(pl.lit("[unused]"))
    facts = manifest_of(folder)
    facts["origin"]["sources"]["board"].update(n_empty=0)
    facts["origin"]["components"]["toxic"]["n_unused"] += 1
    facts["origin"]["components"]["toxic"]["eligible"]["n_documents"] += 1
    table = table.with_columns(
        key=pl.when(pl.col("clause") == "[empty]").then(pl.lit(mine)).otherwise("key"),
        clause=swapped.otherwise("clause"),
    )
    table.sort("key").write_parquet(folder / "dropped.parquet")
    seal(folder, facts)

    assert [f"key {mine.hex()}: 1 documents are listed as unused, and are in the mix"] == said(
        folder
    )


def test_a_list_of_another_form_is_found(make: Mix) -> None:
    """Out of order, with another column, or no table at all."""
    folder = make()
    listed(folder, FOUR)
    path, facts = folder / "dropped.parquet", manifest_of(folder)
    table = pl.read_parquet(path)
    table.reverse().write_parquet(path)
    seal(folder, facts)
    order = said(folder)
    table.with_columns(text=pl.lit("a")).write_parquet(path)
    seal(folder, facts)
    columns = said(folder)
    path.write_bytes(b"PAR1")
    seal(folder, facts)

    assert ["is not sorted by key"] == order
    assert ["columns are"] == [line[:11] for line in columns]
    assert ["dropped.parquet cannot be read"] == said(folder)
