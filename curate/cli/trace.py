"""Say which document a token comes from."""

from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import mix_argument, opened
from curate.cli.options import json_option, out_option


@click.command()
@mix_argument
@click.option("--token", type=int, required=True, help="Token of the stream, or of --shard.")
@click.option("--shard", type=int, help="Number of the shard that --token counts in.")
@click.option("--show-text", is_flag=True, help="Show the document. It may offend.")
@out_option
@json_option
def command(
    mix: str, token: int, shard: int | None, show_text: bool, out: Path, as_json: bool
) -> None:
    """
    Say which document a token comes from: locator, place, neighbours.

    \b
    Examples:
      curate trace demo-10pct@1.0.0 --token 123456
      curate trace demo-10pct@1.0.0 --shard 3 --token 77 --json
    """
    from curate.audit.trace import trace

    found = trace(
        opened(mix, out),
        token=token if shard is None else None,
        shard=shard,
        at=token if shard is not None else None,
        show_text=show_text,
    )
    console.emit(found, as_json=as_json, text=_text(found))


def _text(found: dict[str, Any]) -> str:
    from curate.audit.rows import describe

    place = found["place"]
    at = f"shard {place['shard']} token {place['at']:,} (byte {place['byte']:,})"
    which = f"id {place['id']:,}, token {place['of_span']:,} of its span"
    lines = [f"token {found['token']:,} of {found['mix']}: {at}, {which}", describe(found["span"])]
    if "text_bytes" in place:
        lines.append(f"  bytes {place['text_bytes'][0]:,}–{place['text_bytes'][1]:,} of its text")
    lines += [f"{n}: {found[n]['id']}" for n in ("previous", "next") if found[n]]
    if "text" in found:
        lines += ["", found["text"]]
    return "\n".join(lines)
