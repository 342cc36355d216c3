"""Say where a document is in a mix, or why it is not."""

from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import mix_argument, opened
from curate.cli.options import json_option, out_option
from curate.errors import UsageError


@click.command()
@mix_argument
@click.option("--id", "id_", help="A document's id, or key: and 32 hex digits.")
@click.option("--url", help="Every document of this URL.")
@click.option("--thread", help="Every document of this thread, as board/number.")
@click.option(
    "--text",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Every document that holds the passage in this file, or much of it.",
)
@click.option(
    "--near",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="With --text: the least part of the passage's five-word runs to share.",
)
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to ask why a document was left out.",
)
@out_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    mix: str,
    id_: str | None,
    url: str | None,
    thread: str | None,
    text: Path | None,
    near: float,
    store: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """
    Say where a document is in a mix: every span and shard; or at which stage it was left out.

    Exit code 1 if nothing is found.

    \b
    Examples:
      curate find demo-10pct@1.0.0 --thread pol/124205675
      curate find demo-10pct@1.0.0 --text passage.txt
    """
    if text is not None:
        if id_ or url or thread:
            raise UsageError("say one of --id, --url, --thread and --text")
        from curate.audit.passage import find_text

        passage = text.read_bytes().decode("utf-8", "replace")
        found = find_text(opened(mix, out), passage, near=near, progress=_bar)
        console.emit(found, as_json=as_json, text=_passage(found))
        context.exit(0 if found["matches"] else 1)
    from curate.audit.find import find

    found = find(opened(mix, out), id_=id_, url=url, thread=thread, store=store)
    console.emit(found, as_json=as_json, text=_spans(found))
    context.exit(0 if found["n_spans"] else 1)


def _bar(what: str, total: int) -> Any:
    return console.bar(what, total, "B")


def _spans(found: dict[str, Any]) -> str:
    from curate.audit.rows import describe

    if not found["n_spans"]:
        lines = [f"not in {found['mix']}"]
        for reason in found["left_out"]:
            place = f" ({reason['component']})" if "component" in reason else ""
            lines.append(f"  {reason['stage']}{place}: {reason['why']}")
        return "\n".join(lines)
    epochs = ", ".join(str(epoch) for epoch in found["epochs"])
    head = f"spans: {found['n_spans']:,}, documents: {found['n_documents']:,}, "
    lines = [f"{head}tokens: {found['n_tokens']:,}, epochs: {epochs} in {found['mix']}"]
    lines += [describe(span) for span in found["spans"]]
    lines += [f"same text: {other['id']} ({other['component']})" for other in found["duplicates"]]
    return "\n".join(lines)


def _passage(found: dict[str, Any]) -> str:
    from curate.audit.rows import describe

    counts = f"{found['n_exact']:,} whole and {found['n_near']:,} near matches"
    lines = [f"{found['n_words']:,} words: {counts} in {found['mix']}", found["error_rate"]]
    for match in found["matches"]:
        kind = "whole" if match["exact"] else f"{100 * match['containment']:.1f} %"
        lines += [kind, describe(match["span"])]
    return "\n".join(lines)
