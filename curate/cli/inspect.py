"""Show a mix at a glance."""

from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import mix_argument, opened
from curate.cli.options import json_option, out_option


@click.command()
@mix_argument
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="Tables to show: component, source, band, place, year, language, license, length, or any "
    "column of spans.parquet. Repeat for several; all of the named ones by default.",
)
@click.option("--tag", help="The score that `band` is about.  [default: what a `where` asks]")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Rows a table.")
@click.option(
    "--personal",
    is_flag=True,
    help="Count instead what looks like a person's data in the texts, by kind; shows none of it.",
)
@out_option
@json_option
def command(
    mix: str,
    by: tuple[str, ...],
    tag: str | None,
    top: int,
    personal: bool,
    out: Path,
    as_json: bool,
) -> None:
    """
    Show a mix at a glance: tokens by component, source, score band, place, year, language, length.

    \b
    Example:
      curate inspect demo-10pct@1.0.0 --by place --top 20
    """
    if personal:
        from curate.audit import personal as patterns

        counts = patterns.personal(opened(mix, out), lambda what, n: console.bar(what, n, "B"))
        console.emit(counts, as_json=as_json, text=_kinds(counts))
        return
    from curate.audit.inspect import BY, inspect

    found = inspect(opened(mix, out), by=by or BY, tag=tag, top=top)
    console.emit(found, as_json=as_json, text=_text(found))


def _kinds(found: dict[str, Any]) -> str:
    lines = [f"{found['mix']}: patterns, not people; names are not looked for"]
    for kind, components in found["kinds"].items():
        lines += ["", f"{kind:<28} {'matches':>16} {'spans':>12}"]
        lines += [
            f"{component:<28} {facts['n_matches']:>16,} {facts['n_spans']:>12,}"
            for component, facts in components.items()
        ]
    return "\n".join(lines)


def _text(found: dict[str, Any]) -> str:
    names = ("tokens", "spans", "documents", "bytes")
    counts = ", ".join(f"{found[f'n_{name}']:,} {name}" for name in names)
    off = found["largest_deviation"]
    lines = [
        f"{found['mix']}  content {found['content_id'][:16]}  id {found['id'][:16]}",
        f"{counts}, {found['n_shards']:,} shards; {found['layout']}",
        f"largest deviation {off['value']} tokens ({off['component']} at token {off['at']:,})",
    ]
    for name, rows in found["tables"].items():
        title = f"{name} ({found['tag']})" if name == "band" else name
        lines += ["", f"{title:<28} {'tokens':>16} {'share':>8} {'documents':>12}"]
        for row in rows:
            over, under = (int(part) for part in row["share"].split("/"))
            percent = f"{100 * over / under:.2f} %"
            label = row["value"] if len(row["value"]) <= 28 else row["value"][:27] + "…"
            lines.append(
                f"{label:<28} {row['n_tokens']:>16,} {percent:>8} {row['n_documents']:>12,}"
            )
    return "\n".join(lines)
