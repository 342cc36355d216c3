"""
Turn a SELECT over the spans of a mix into its rows; nothing else is run, and nothing else is read.

polars' SQL can open files by table functions (`read_csv(…)`) and change tables. So the text is cut
into words first: one statement that starts with SELECT or WITH, no word of the language that
changes anything, and no function that is not on a list.

    >>> refusal("SELECT component, SUM(n_tokens) FROM spans GROUP BY component")
    ''
    >>> refusal("SELECT * FROM read_csv('/etc/passwd')")
    "function 'read_csv' is not one that may be called"
    >>> refusal("DROP TABLE spans")
    'only SELECT (or WITH … SELECT) is run'
"""

import re
from typing import Any

from curate.audit.opened import Opened
from curate.errors import UsageError

FUNCTIONS = frozenset(
    [
        "abs", "array_agg", "avg", "cast", "ceil", "char_length", "coalesce", "concat",
        "concat_ws", "contains", "corr", "count", "covar_pop", "covar_samp", "date", "date_part",
        "dense_rank", "div", "ends_with", "exp", "extract", "first", "floor", "greatest", "if",
        "ifnull", "in", "initcap", "lag", "last", "lead", "least", "left", "length", "like", "ln",
        "log", "log10", "log2", "lower", "ltrim", "max", "median", "min", "mod", "not", "nullif",
        "octet_length", "over", "pow", "power", "quantile_cont", "quantile_disc", "rank",
        "regexp_like", "replace", "reverse", "right", "round", "row_number", "rtrim", "sign",
        "sqrt", "starts_with", "stddev", "stddev_pop", "stddev_samp", "string_agg", "strpos",
        "substr", "substring", "sum", "trim", "try_cast", "upper", "values", "var_pop",
        "var_samp", "variance",
    ]
)  # fmt: skip
"""Functions of numbers and texts, and the words that a bracket may follow."""

BEFORE_BRACKETS = frozenset(
    [
        "all", "and", "any", "as", "between", "by", "case", "distinct", "else", "except",
        "exists", "filter", "from", "having", "intersect", "join", "limit", "on", "or", "partition",
        "select", "then", "union", "using", "when", "where",
    ]
)  # fmt: skip

REFUSED = frozenset(
    [
        "alter", "attach", "call", "copy", "create", "delete", "describe", "drop", "execute",
        "explain", "export", "grant", "insert", "install", "into", "load", "pragma", "set", "show",
        "truncate", "update", "use",
    ]
)  # fmt: skip

SIGNS = frozenset(",.*=<>!+-/%()|[]:")
MAX_CHARACTERS = 100_000
MAX_ROWS = 10_000
_WORD = re.compile(
    r"(?P<space>\s+)|(?P<comment>--|/\*)|'(?P<text>(?:[^']|'')*)'|\"(?P<quoted>[^\"]*)\""
    r"|`(?P<ticked>[^`]*)`|(?P<word>[A-Za-z_][\w.]*)|(?P<number>\d[\d._eE]*)|(?P<sign>.)",
    re.DOTALL,
)


def refusal(sql: str) -> str:
    """Why a query is not run; empty if it is."""
    if len(sql) > MAX_CHARACTERS:
        return f"a query has at most {MAX_CHARACTERS:,} characters"
    words = []
    for match in _WORD.finditer(sql.strip().removesuffix(";")):
        kind = match.lastgroup or ""
        if kind == "comment":
            return "comments are not read"
        if kind != "space":
            words.append((kind, match.group(kind)))
    if not words or words[0][1].lower() not in ("select", "with"):
        return "only SELECT (or WITH … SELECT) is run"
    for (kind, text), (_, following) in zip(words, [*words[1:], ("", "")], strict=True):
        if kind == "sign" and text not in SIGNS:
            return f"cannot read {text!r}"
        if kind == "word" and text.lower() in REFUSED:
            return f"{text.upper()} is not run: queries only read"
        called = kind in ("word", "quoted", "ticked") and following == "("
        known = kind == "word" and text.lower() in FUNCTIONS | BEFORE_BRACKETS
        if called and not known:
            return f"function {text!r} is not one that may be called"
    return ""


def query(mix: Opened, sql: str) -> dict[str, Any]:
    """
    Columns and rows (at most MAX_ROWS) of a SELECT over the table `spans`.

    Its columns are those of docs/format.md §5.3 and `row`; Binary ones are hex digits, what JSON
    has no word for is text. UsageError if the query is refused or wrong.
    """
    import polars as pl

    why = refusal(sql)
    if why:
        raise UsageError(f"the query is refused: {why}", hint="Ask the one table there is: spans.")
    spans = mix.spans().with_row_index("row")
    binary = [name for name, kind in spans.collect_schema().items() if kind == pl.Binary]
    table = spans.with_columns(pl.col(name).bin.encode("hex") for name in binary)
    try:
        with pl.SQLContext(spans=table) as context:
            found = context.execute(sql).limit(MAX_ROWS + 1).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise UsageError(
            "the query cannot be answered", details=[str(error).split("\n")[0]]
        ) from None
    simple = (int, float, str, type(None))
    rows = [
        {name: value if isinstance(value, simple) else str(value) for name, value in row.items()}
        for row in found.head(MAX_ROWS).iter_rows(named=True)
    ]
    return {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        "columns": found.columns,
        "rows": rows,
        "complete": found.height <= MAX_ROWS,
    }
