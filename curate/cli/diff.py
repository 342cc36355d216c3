"""Say what differs between two mixes."""

from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import opened
from curate.cli.options import json_option, out_option


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--bytes", "read_bytes", is_flag=True, help="Read shards: differing bytes exactly.")
@click.option("--tag", help="The score whose bands are compared; the first one by default.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 if anything differs.")
@out_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    a: str,
    b: str,
    read_bytes: bool,
    tag: str | None,
    exit_code: bool,
    out: Path,
    as_json: bool,
) -> None:
    """
    Say what differs between two mixes: documents, tokens, declarations, shards and their bytes.

    \b
    Example:
      curate diff demo-10pct@1.0.0 demo-10pct@1.0.1
    """
    from curate.audit.diff import diff

    found = diff(opened(a, out), opened(b, out), read_bytes=read_bytes, tag=tag)
    console.emit(found, as_json=as_json, text=_text(found))
    if exit_code and found["a"]["id"] != found["b"]["id"]:
        context.exit(3)


def _text(found: dict[str, Any]) -> str:
    a, b = found["a"]["mix"], found["b"]["mix"]
    if found["a"]["id"] == found["b"]["id"]:
        return f"{a} and {b} are the same"
    lines = [f"{a} → {b}" + (": the same content" if found["same_content"] else "")]
    lines += [f"  {_change(change)}" for change in found["totals"]]
    for side, word in (("out", "gone"), ("in", "new")):
        part = found["documents"][side]
        if part["n_documents"]:
            lines.append(
                f"{word}: {part['n_documents']:,} documents, {part['n_spans']:,} spans, "
                f"{part['n_tokens']:,} tokens"
            )
            lines += [f"  {item['id']} ({item['component']})" for item in part["listed"][:10]]
    for component in found["components"]:
        state = "same stream" if component["same_stream"] else "another stream"
        lines.append(f"component {component['name']}: {state}")
    for name, rows in found["tables"].items():
        lines += [f"  {name} {r['value']}: {r['a']:,} → {r['b']:,} tokens" for r in rows[:10]]
    lines += [_change(c) for c in found["declared"] if not c["field"].endswith(".text")]
    return "\n".join([*lines, *_shards(found["shards"])])


def _shards(shards: dict[str, Any]) -> list[str]:
    lines = [f"{len(shards['identical']):,} shards are byte-identical"]
    for pair in shards["different"]:
        ranges = ", ".join(f"{first:,}–{end:,}" for first, end in pair["spans_b"][:5])
        lines.append(
            f"shard {pair['number']}: {pair['n_spans_b']:,} spans differ, bytes {ranges or 'none'}"
        )
        if "bytes" in pair:
            exact = ", ".join(f"{a:,}–{b:,}" for a, b in pair["bytes"]["ranges"][:5])
            lines.append(f"  {pair['bytes']['n_ids']:,} ids differ: bytes {exact}")
    for name, side in (("only_a", "gone"), ("only_b", "new")):
        lines += [f"shard {shard}: {side}" for shard in shards[name]]
    return lines


def _change(change: dict[str, Any]) -> str:
    return f"{change['field']}: {_value(change, 'a')} → {_value(change, 'b')}"


def _value(change: dict[str, Any], side: str) -> str:
    if side not in change:
        return "(none)"
    value = change[side]
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
