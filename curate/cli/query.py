"""Run read-only SQL over the spans of a mix."""

from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import mix_argument, opened
from curate.cli.options import json_option, out_option


@click.command()
@mix_argument
@click.argument("sql")
@out_option
@json_option
def command(mix: str, sql: str, out: Path, as_json: bool) -> None:
    """
    Run a SELECT over the table `spans` (docs/format.md §5.3) of a mix; at most 10,000 rows.

    \b
    Example:
      curate query demo-10pct@1.0.0 "SELECT board, SUM(n_tokens) AS n FROM spans GROUP BY board"
    """
    from curate.audit.query import query

    found = query(opened(mix, out), sql)
    if not found["complete"]:
        console.note(f"only the first {len(found['rows']):,} rows are shown")
    console.emit(found, as_json=as_json, text=_text(found))


def _text(found: dict[str, Any]) -> str:
    rows = [
        ["" if row[c] is None else _cell(row[c]) for c in found["columns"]] for row in found["rows"]
    ]
    widths = [max(map(len, column)) for column in zip(found["columns"], *rows, strict=True)]
    lines = [found["columns"], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
