"""
Turn the list of what is not in a mix into the places where it says other than the manifest.

    >>> import polars as pl
    >>> counted(pl.DataFrame({"component": ["a", "a"], "clause": ["[unused]", "[unused]"]}), "a")
    {'[unused]': 2}
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from curate.audit.findings import Finding
from curate.audit.opened import Opened, collected
from curate.errors import IntegrityError

if TYPE_CHECKING:
    import polars as pl

DROPPED = "dropped.parquet"
COLUMNS = {"key": "Binary", "component": "String", "clause": "String"}
UNUSED = "[unused]"
REMOVED = "[removed]"


def has(mix: Opened) -> bool:
    """Whether a mix has the list, as a plain file."""
    return (mix.folder / DROPPED).is_file() and not (mix.folder / DROPPED).is_symlink()


def rows(mix: Opened) -> "pl.LazyFrame":
    """The list; nothing of it is read yet."""
    import polars as pl

    return pl.scan_parquet(mix.folder / DROPPED, glob=False)


def check(mix: Opened, spans: "pl.DataFrame") -> Iterator[Finding]:
    """
    Counts by component and reason, order, and that nothing listed as unused is in the mix.

    After a take-down the list has what is left of it: what went is listed nowhere, so that there
    may be less of each reason than was counted.
    """
    try:
        table = collected(rows(mix), DROPPED)
    except IntegrityError as error:
        yield Finding("dropped", DROPPED, "", error.message)
        return
    schema = {name: str(kind) for name, kind in table.schema.items()}
    if schema != COLUMNS:
        yield Finding("dropped", DROPPED, "", f"columns are {schema}")
        return
    ordered = table.select("key", "component").to_struct().is_sorted()
    if not ordered:
        yield Finding("dropped", DROPPED, "", "is not sorted by key")
    names = sorted(
        name
        for name, facts in mix.origin["components"].items()
        if facts["source"] in mix.origin["sources"]
    )
    for name in sorted(set(table["component"]) - set(names)):
        yield Finding("dropped", DROPPED, f"component {name}", "is not in the manifest")
    patched = bool(mix.origin.get("parent"))
    for name in names:
        said, found = expected(mix, name), counted(table, name)
        for clause in sorted(said.keys() | found.keys()):
            a, b = said.get(clause, 0), found.get(clause, 0)
            if b > a or (b < a and not patched):
                what = f"the manifest counts {a:,} documents under {clause!r}, the list {b:,}"
                yield Finding("dropped", DROPPED, f"component {name}", what)
    both = _unused(table).join(spans, on=["key", "component"], how="semi")
    if both.height:
        what = f"{both.height:,} documents are listed as unused, and are in the mix"
        yield Finding("dropped", DROPPED, f"key {both['key'][0].hex()}", what)


def counted(table: "pl.DataFrame", component: str) -> dict[str, int]:
    """Rows of a component by reason."""
    import polars as pl

    mine = table.filter(pl.col("component") == component)["clause"]
    return dict(mine.value_counts(sort=False).sort("clause").iter_rows())


def expected(mix: Opened, component: str) -> dict[str, int]:
    """What the manifest counts for a component, by reason."""
    facts = mix.origin["components"][component]
    source = mix.origin["sources"][facts["source"]]
    said = {item["clause"]: item["n_documents"] for item in facts["dropped"]}
    said.pop(REMOVED, None)
    said |= {
        UNUSED: facts["n_unused"],
        "[superseded]": source["n_superseded"],
        "[empty]": source["n_empty"],
        "[held out]": 0 if mix.is_holdout else source["n_held_out"],
    }
    return {clause: n for clause, n in said.items() if n}


def _unused(table: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    return table.filter(pl.col("clause") == UNUSED)
