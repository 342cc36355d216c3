"""Turn `curate use` into a trainer's own configuration for a mix."""

from pathlib import Path

import click

from curate.cli.options import json_option, out_option

TRAINERS = (
    "olmo-core",
    "megatron",
    "gpt-neox",
    "nanotron",
    "datatrove",
    "nanogpt",
    "litgpt",
    "mosaicml",
    "llmc",
    "modded-nanogpt",
    "trl",
    "webdataset",
    "grain",
    "torchtitan",
    "lingua",
    "levanter",
    "torchtune",
)


@click.command()
@click.argument("manifest")
@click.option("--trainer", type=click.Choice(TRAINERS), required=True, help="Who is to read it.")
@click.option(
    "--sequence-length",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    help="Tokens of a window.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Windows of a step, over all devices.",
)
@click.option(
    "--export",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the export it needs, or of side arrays.  [default: exports/MIX/VERSION/LAYOUT]",
)
@click.option(
    "--links",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for links to shards, where the trainer wants them under other names.",
)
@click.option(
    "--link",
    type=click.Choice(["hard", "symbolic", "copy"]),
    default="hard",
    show_default=True,
    help="How a shard gets back a name that is missing.",
)
@out_option
@json_option
def command(
    manifest: str,
    trainer: str,
    sequence_length: int,
    batch_size: int,
    export: Path | None,
    links: Path | None,
    link: str,
    out: Path,
    as_json: bool,
) -> None:
    """
    Print a trainer's own configuration for a mix, ready to paste.

    MANIFEST is a mix folder, its manifest.json, or mix@version. Names and sidecars that the folder
    lost, as downloads do, are made again first. Counts are exact: windows are those the trainer's
    reader gives, steps are those before a window comes a second time.
    """
    from curate.cli import console
    from curate.mix import Mix
    from curate.shards.mend import mend
    from curate.shards.trainers import configuration

    mix = Mix.open(manifest, out)
    made = mend(mix, link)
    for name in made:
        console.note(f"made again: {name}")
    text = configuration(
        mix, trainer, sequence=sequence_length, batch=batch_size, export=export, links=links
    )
    console.emit(
        {"mix": mix.title, "trainer": trainer, "made": made, "configuration": text},
        as_json=as_json,
        text=text.rstrip("\n"),
    )
