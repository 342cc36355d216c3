"""Take documents out of mixes: a new version that rewrites only what changed."""

import sys
from pathlib import Path
from typing import Any

import click

from curate.cli import console
from curate.cli.mixes import opened
from curate.cli.options import json_option, out_option, store_option
from curate.errors import UsageError


@click.command()
@click.argument("mixes", nargs=-1, required=True, metavar="MIX...")
@click.option(
    "--ids",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    required=True,
    help="File of document ids, one a line (or key: and 32 hex digits); - is stdin.",
)
@click.option("--reason", required=True, help="A code of one word; it is in the manifest.")
@click.option("--close", is_flag=True, help="Shorten the mixes instead of filling the places.")
@click.option("--alone", is_flag=True, help="Patch only the mixes named, not their whole sweep.")
@click.option("--version", help="Of the new mixes; by default the last number is one higher.")
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The recipe of these mixes; by default recipes/<name>.toml.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the key that removals are noted with; by default removals.key in the store.",
)
@click.option(
    "--record",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("manifests"),
    show_default=True,
    help="Folder of committed manifests.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and write nothing.")
@click.option("--purge", is_flag=True, help="Delete the documents from the store as well.")
@store_option
@out_option
@json_option
def command(
    mixes: tuple[str, ...],
    ids: Path,
    reason: str,
    close: bool,
    alone: bool,
    version: str | None,
    recipe: Path | None,
    key: Path | None,
    record: Path,
    dry_run: bool,
    purge: bool,
    store: Path,
    out: Path,
    as_json: bool,
) -> None:
    """
    Take documents out of mixes: a new version that rewrites only the shards they were in.

    All arms of the sweep are patched together. The documents' places are filled, to the token, with
    the same unused documents in every arm. Copies of their text and their pieces go too; a post
    takes every document that holds it with it. Later builds of the recipe leave them out.

    \b
    Example:
      curate remove demo-10pct@1.0.0 --ids takedown.txt --reason dmca-2026-117
    """
    from curate.run.remove import Request, remove, siblings

    chosen = [opened(mix, out) for mix in mixes]
    if not alone:
        whole = [sibling for mix in chosen for sibling in siblings(mix)]
        chosen = list({mix.folder.resolve(): mix for mix in whole}.values())
    name = chosen[0].origin["recipe"]["name"]
    recipe = recipe or Path("recipes") / f"{name}.toml"
    there = recipe.is_file()
    if purge and not there:
        raise UsageError(f"--purge needs the recipe, and there is no {recipe}")
    answer = remove(
        chosen,
        Request(_lines(ids), reason, close=close, version=version),
        job=_job(recipe, store) if there and not (close and not purge) else None,
        recipe=recipe if there else None,
        secret=key or store / "removals.key",
        record=record,
        dry_run=dry_run,
    )
    purged = _purge(_lines(ids), chosen, recipe, store) if purge and not dry_run else {}
    result: dict[str, Any] = {
        "mixes": [
            {
                **{k: getattr(m, k) for k in ("mix", "version", "n_documents", "n_spans")},
                **{k: getattr(m, k) for k in ("n_tokens", "n_shards", "content_id")},
                "folder": str(m.folder),
            }
            for m in answer.mixes
        ],
        "not_found": answer.not_found,
        "warnings": answer.warnings,
        "purged": purged,
        "dry_run": dry_run,
    }
    for warning in answer.warnings:
        console.note(f"note: {warning}")
    console.emit(result, as_json=as_json, text=_text(result))


def _lines(path: Path) -> list[str]:
    text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    return list(dict.fromkeys(line.strip() for line in text.split("\n") if line.strip()))


def _job(recipe: Path, store: Path) -> Any:
    from curate.run.job import open_job
    from curate.store import Store

    return open_job(recipe, store=Store(store), locked=True)


def _purge(ids: list[str], mixes: list[Any], recipe: Path, store: Path) -> dict[str, Any]:
    from curate.run.places import wanted_of
    from curate.run.purge import purge

    job = _job(recipe, store)
    return purge(job, wanted_of(ids, mixes, job))


def _text(result: dict[str, Any]) -> str:
    word = "would go" if result["dry_run"] else "gone"
    lines = []
    for mix in result["mixes"]:
        counts = f"{mix['n_documents']:,} documents, {mix['n_spans']:,} spans"
        what = f"{counts}, {mix['n_tokens']:,} tokens {word}; {mix['n_shards']:,} shards written"
        lines.append(f"{mix['mix']}@{mix['version']}: {what}")
    lines += [f"not found: {identifier}" for identifier in result["not_found"]]
    for source, counts in result["purged"].get("rewritten", {}).items():
        lines.append(f"purged from the store: {counts:,} documents of {source}")
    lines += [f"not reached: {place}" for place in result["purged"].get("not_reached", [])]
    return "\n".join(lines)
