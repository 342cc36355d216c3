"""
Turn the spans of a mix into tables: what is in it, by component, source, score, place, time.

Every table counts delivered tokens, spans and distinct documents; shares are exact fractions of the
mix's tokens.
"""

from typing import TYPE_CHECKING, Any

from curate.audit.arithmetic import fraction
from curate.audit.opened import Opened, collected
from curate.audit.where import columns as columns_of

if TYPE_CHECKING:
    import polars as pl

BY = ("component", "source", "band", "place", "year", "language", "license", "length")
"""The tables of a glance. `place` is the board or the registered domain."""

UNKNOWN = "(none)"
LENGTHS = (16, 64, 256, 1_024, 4_096, 16_384, 65_536)
TENTHS = 10


def inspect(
    mix: Opened, *, by: tuple[str, ...] = BY, tag: str | None = None, top: int = 10
) -> dict[str, Any]:
    """
    The mix at a glance: the manifest's totals, then for each name in `by` its largest values.

    `by` may also name any column of the spans; `tag` is the score whose bands are shown (if
    None, `main_score`). Values beyond the `top` are summed as `(others)`.
    """
    import polars as pl

    spans = mix.spans()
    columns = spans.collect_schema()
    scores = [name for name, kind in columns.items() if kind.is_float()]
    tag = tag or main_score(mix, scores)
    wanted = {name: _expression(name, tag, columns) for name in by}
    wanted = {name: expression for name, expression in wanted.items() if expression is not None}
    wanted_columns = spans.select(
        "key", pl.col("n_tokens").cast(pl.UInt64), **{f"by:{n}": e for n, e in wanted.items()}
    )
    table = collected(wanted_columns)
    content = mix.content
    # Where no document comes twice, spans are documents: counting distinct keys is slow.
    once = content["n_documents"] == content["n_spans"]
    n_documents = pl.len() if once else pl.col("key").n_unique()
    keep = ("n_tokens", "n_spans", "n_documents", "n_bytes", "layout", "largest_deviation")
    return {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        "id": mix.manifest["id"],
        **{name: content[name] for name in keep},
        "n_shards": len(mix.shards),
        "tokenizer": content["tokenizer"],
        "components": content["components"],
        **({"estimates": mix.manifest["estimates"]} if "estimates" in mix.manifest else {}),
        "tag": tag,
        "tables": {name: _table(table, f"by:{name}", name, top, n_documents) for name in wanted},
    }


def main_score(mix: Opened, scores: list[str]) -> str | None:
    """Of the scores there are, the first that a `where` looks at; else a tagger's; else any."""
    wheres = [facts.get("where", "") for facts in mix.origin["components"].values()]
    asked = [name for where in wheres for name in columns_of(where)]
    wanted = [*asked, "toxicity", *mix.origin["taggers"], *scores]
    return next((name for name in wanted if name in scores), None)


def _expression(name: str, tag: str | None, columns: "pl.Schema") -> "pl.Expr | None":
    """The value of a span in table `name`; None where there is no such table."""
    import polars as pl

    if name == "band":
        if tag is None:
            return None
        # Edges are float32 as in a `where`: a score of 0.7 belongs to the band from 0.7.
        edges = [pl.lit(n / TENTHS).cast(columns[tag]) for n in range(1, TENTHS)]
        above = pl.sum_horizontal([(pl.col(tag) >= edge).cast(pl.Int64) for edge in edges])
        return pl.when(pl.col(tag).is_not_null()).then(above)
    if name == "place":
        return pl.coalesce(pl.lit("/") + pl.col("board") + pl.lit("/"), "registered_domain")
    if name == "year":
        return pl.from_epoch(pl.col("timestamp"), time_unit="s").dt.year()
    if name == "length":
        return pl.sum_horizontal([(pl.col("n_tokens") >= edge).cast(pl.Int64) for edge in LENGTHS])
    if name not in columns:
        from curate.errors import UsageError

        raise UsageError(f"spans have no column {name!r}", details=[", ".join(columns)])
    return pl.col(name)


def _table(
    table: "pl.DataFrame", column: str, name: str, top: int, n_documents: "pl.Expr"
) -> list[dict[str, Any]]:
    import polars as pl

    whole = int(table["n_tokens"].sum())
    counted = (
        table.group_by(column)
        .agg(
            pl.col("n_tokens").sum(),
            pl.len().alias("n_spans"),
            n_documents.alias("n_documents"),
        )
        .sort(["n_tokens", column], descending=[True, False], nulls_last=True)
    )
    ordered = name in ("band", "year", "length")
    shown = counted if ordered else counted.head(top)
    if ordered:
        shown = shown.sort(column, nulls_last=True)
    rows = [
        {
            "value": _label(name, value),
            "n_tokens": n_tokens,
            "share": fraction(n_tokens, whole),
            "n_spans": n_spans,
            "n_documents": n,
        }
        for value, n_tokens, n_spans, n in shown.iter_rows()
    ]
    rest = counted.tail(max(0, counted.height - shown.height))
    if rest.height:
        n_tokens = int(rest["n_tokens"].sum())
        rows.append(
            {
                "value": f"({rest.height:,} others)",
                "n_tokens": n_tokens,
                "share": fraction(n_tokens, whole),
                "n_spans": int(rest["n_spans"].sum()),
                "n_documents": int(rest["n_documents"].sum()),
            }
        )
    return rows


def _label(name: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if name == "band":
        return f"{value / TENTHS:.1f}–{(value + 1) / TENTHS:.1f}"
    if name == "length":
        low = LENGTHS[value - 1] if value else 0
        return f"{low:,}+" if value == len(LENGTHS) else f"{low:,}–{LENGTHS[value] - 1:,}"
    return value.hex() if isinstance(value, bytes) else str(value)
