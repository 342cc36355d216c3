"""
Turn a finished mix into the configuration that its trainer wants, ready to paste.

Most trainers read the shards as they are; the others are told which export to make first. Counts
are exact: windows are those the trainer's own reader gives, steps those before one repeats.

    >>> sorted(READ_AS_IT_IS)
    ['datatrove', 'gpt-neox', 'megatron', 'nanogpt', 'nanotron', 'olmo-core']
"""

from collections.abc import Callable
from pathlib import Path

from curate.errors import UsageError
from curate.mix import Mix
from curate.shards.trainers import exported, native
from curate.shards.trainers.view import View

READ_AS_IT_IS: dict[str, Callable[[View], str]] = {
    "olmo-core": native.olmo_core,
    "megatron": native.megatron,
    "gpt-neox": native.gpt_neox,
    "nanotron": native.nanotron,
    "datatrove": native.datatrove,
    "nanogpt": native.nanogpt,
}
"""Trainers that read a mix without an export."""

READ_AN_EXPORT: dict[str, tuple[str, Callable[[View], str]]] = {
    "litgpt": ("litdata", exported.litgpt),
    "mosaicml": ("mds", exported.mosaicml),
    "llmc": ("llmc", exported.llmc),
    "modded-nanogpt": ("llmc", exported.modded_nanogpt),
    "trl": ("parquet", exported.trl),
    "webdataset": ("webdataset", exported.webdataset),
    "grain": ("arrayrecord", exported.grain),
    "torchtitan": ("text", exported.torchtitan),
    "lingua": ("text", exported.lingua),
    "levanter": ("text", exported.levanter),
    "torchtune": ("text", exported.torchtune),
}
"""Trainers that need an export: its layout, and what writes their configuration."""

TRAINERS = (*READ_AS_IT_IS, *READ_AN_EXPORT)


def configuration(
    mix: Mix,
    trainer: str,
    *,
    sequence: int,
    batch: int,
    export: Path | None = None,
    links: Path | None = None,
) -> str:
    """
    What to paste into `trainer` for windows of `sequence` tokens, `batch` of them a step.

    `export` is the folder of the export where the trainer needs one, `links` a folder for links
    to shards where it wants them under other names. Raises UsageError for an unknown trainer.
    """
    view = View(mix, sequence, batch, export, links)
    if export is not None and trainer in READ_AS_IT_IS and trainer != "olmo-core":
        raise UsageError(
            f"{trainer} reads the mix as it is",
            details=["an export is of use to it only as label masks, which it does not take"],
            hint="Leave out --export.",
        )
    if not mix.shards:
        raise UsageError(f"{mix.title} has no tokens: there is nothing to read")
    if trainer in READ_AS_IT_IS:
        return READ_AS_IT_IS[trainer](view)
    if trainer in READ_AN_EXPORT:
        return READ_AN_EXPORT[trainer][1](view)
    raise UsageError(f"no trainer {trainer!r}", hint=f"One of: {', '.join(TRAINERS)}.")
