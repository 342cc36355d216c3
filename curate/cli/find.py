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
    "--list",
    "listed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Every document that this file lists (opt-outs, block lists): a line is an id, a URL, "
    "board/thread or a registered domain.",
)
@click.option(
    "--items",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Every document that holds a line of this file, or much of it: items of an evaluation.",
)
@click.option(
    "--near",
    type=click.FloatRange(0, 1),
    help="The least part of a passage's five-word runs to share.  [default: --text 0.1, "
    "--items 0.5]",
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
    listed: Path | None,
    items: Path | None,
    near: float | None,
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
    files = [path for path in (text, listed, items) if path is not None]
    if files and (len(files) > 1 or id_ or url or thread):
        raise UsageError("say one of --id, --url, --thread, --text, --list and --items")
    if files:
        said = files[0].read_bytes().decode("utf-8", "replace")
        answer, words = _of_file(opened(mix, out), said, text, listed, near)
        console.emit(answer, as_json=as_json, text=words)
        context.exit(0 if answer["matches"] else 1)
    from curate.audit.find import find

    found = find(opened(mix, out), id_=id_, url=url, thread=thread, store=store)
    console.emit(found, as_json=as_json, text=_spans(found))
    context.exit(0 if found["n_spans"] else 1)


def _of_file(
    mix: Any, said: str, text: Path | None, listed: Path | None, near: float | None
) -> tuple[dict[str, Any], str]:
    """The answer about what a file says, and its words."""
    if text is not None:
        from curate.audit.passage import find_text

        found = find_text(mix, said, near=0.1 if near is None else near, progress=_bar)
        return found, _passage(found)
    from curate.audit.lists import find_items, find_listed

    if listed is not None:
        found = find_listed(mix, said)
        return found, _entries(found)
    found = find_items(mix, said, near=0.5 if near is None else near, progress=_bar)
    return found, _items(found)


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


def _entries(found: dict[str, Any]) -> str:
    told = found["list"]
    lines = [
        f"{found['n_matches']:,} of {told['n_entries']:,} entries are in {found['mix']}",
        f"{found['n_spans']:,} spans, {found['n_tokens']:,} tokens",
        f"list {told['sha256']}",
    ]
    lines += [
        f"line {match['line']:,}: {match['n_spans']:,} spans, {match['n_tokens']:,} tokens"
        for match in found["matches"]
    ]
    return "\n".join(lines)


def _items(found: dict[str, Any]) -> str:
    from curate.audit.rows import describe

    told = found["list"]
    counts = f"{found['n_exact']:,} whole and {found['n_near']:,} near matches"
    lines = [
        f"{told['n_entries']:,} items: {counts} in {found['mix']}",
        f"{found['n_skipped']:,} items of less than five words were not looked for",
        found["error_rate"],
        f"list {told['sha256']}",
    ]
    for match in found["matches"]:
        kind = "whole" if match["exact"] else f"{100 * match['containment']:.1f} %"
        lines += [f"item {match['item']:,}, {kind}", describe(match["span"])]
    return "\n".join(lines)
