"""Turn `curate export` into the layout of another trainer."""

from pathlib import Path

import click

from curate.cli.options import json_option

LAYOUTS = ("mds", "litdata", "parquet", "arrow", "webdataset", "arrayrecord", "llmc", "text")


@click.command()
@click.argument("manifest")
@click.option("--to", type=click.Choice(LAYOUTS), required=True, help="The layout.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write.  [default: exports/MIX/VERSION/LAYOUT]",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    help="Tokens of a sample of mds, which has it baked in.",
)
@click.option(
    "--mixes",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("mixes"),
    show_default=True,
    help="Where mix@version is looked up.",
)
@click.option("--force", is_flag=True, help="Write over another export in that folder.")
@json_option
def command(
    manifest: str,
    to: str,
    out: Path | None,
    window: int,
    mixes: Path,
    force: bool,
    as_json: bool,
) -> None:
    """
    Write a mix in another layout, without tokenizing again.

    MANIFEST is a mix folder, its manifest.json, or mix@version. Each shard is hashed as it is read;
    curate-export.json, written last, carries the digests of the mix and of every file made from it.
    Trainers that read a shard as it is need no export: see `curate use`.
    """
    from curate.cli import console
    from curate.mix import Mix
    from curate.shards.exports import export

    mix = Mix.open(manifest, mixes)
    folder = out or Path("exports") / mix.manifest["name"] / mix.manifest["version"] / to
    with console.bar(f"export to {to}", mix.n_tokens, " tokens") as advance:
        record = export(mix, to, folder, window=window, force=force, progress=advance)
    n_tokens, dropped, made = record["n_tokens"], record["n_dropped"], record["files"]
    n_bytes = sum(file["n_bytes"] for file in made)
    console.emit(
        {**record, "folder": str(folder)},
        as_json=as_json,
        text="\n".join(
            [
                f"{folder}: {mix.title} as {to}",
                f"  {n_tokens:,} tokens in {len(made):,} files, {n_bytes:,} bytes",
                *([f"  {dropped:,} tokens dropped: tails shorter than a window"] * (dropped > 0)),
            ]
        ),
    )
