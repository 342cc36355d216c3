"""Turn `curate export` into the layout of another trainer."""

from pathlib import Path

import click

from curate.cli.options import json_option
from curate.errors import IntegrityError, UsageError

LAYOUTS = (
    "mds",
    "litdata",
    "parquet",
    "arrow",
    "webdataset",
    "arrayrecord",
    "llmc",
    "text",
    "sides",
    "tokenizer",
)


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
    help="Tokens of a sample of mds, which has it baked in.  [default: 2048]",
)
@click.option(
    "--mixes",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("mixes"),
    envvar="CURATE_OUT",
    show_default=True,
    help="Where mix@version is looked up.",
)
@click.option(
    "--side",
    multiple=True,
    metavar="ARRAY",
    help="For sides: mask:TAG<NUMBER, bucket:TAG:NUMBER,… or score:TAG. Repeatable.",
)
@click.option("--check", is_flag=True, help="Write nothing: compare an export with its mix.")
@click.option("--force", is_flag=True, help="Write over another export in that folder.")
@json_option
def command(
    manifest: str,
    to: str,
    out: Path | None,
    window: int | None,
    mixes: Path,
    side: tuple[str, ...],
    check: bool,
    force: bool,
    as_json: bool,
) -> None:
    """
    Write a mix in another layout, without tokenizing again.

    MANIFEST is a mix folder, its manifest.json, or mix@version. Each shard is hashed as it is read;
    curate-export.json, written last, carries the digests of the mix and of every file made from it.
    Trainers that read a shard as it is need no export: see `curate use`.

    The tokenizer is a folder that transformers' AutoTokenizer opens, with no tokens in it.

    Side arrays have a value for each token of each shard: a loss mask, a bucket or the score of a
    tag. Exit code 3 if --check finds a byte that is not what the mix gives.
    """
    from curate.cli import console
    from curate.mix import Mix
    from curate.shards import exports

    mix = Mix.open(manifest, mixes)
    if window is not None and to != "mds":
        raise UsageError(f"an export to {to} has no windows", hint="Leave out --window.")
    folder = out or Path("exports") / mix.manifest["name"] / mix.manifest["version"] / to
    if check:
        with console.bar("check", mix.n_tokens, " tokens") as advance:
            wrong = exports.check(mix, folder, progress=advance)
        if wrong:
            raise IntegrityError(f"{folder} is not the export of {mix.title}", details=wrong)
        console.emit({"problems": []}, as_json=as_json, text=f"{folder}: as {mix.title} gives it")
        return
    with console.bar(f"export to {to}", mix.n_tokens, " tokens") as advance:
        record = exports.export(
            mix, to, folder, window=window or 2048, side=side, force=force, progress=advance
        )
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
