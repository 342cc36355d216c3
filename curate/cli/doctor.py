"""Turn `curate doctor` into a list of what this installation can do, and what is missing."""

import importlib.util
import platform
import sys
from importlib import metadata

import click

from curate import __version__
from curate.cli import console
from curate.cli.options import json_option

PARTS = (
    # (what for, module, distribution, how to get it)
    ("engine room", "datatrove", "datatrove", ""),
    ("tables", "polars", "polars", ""),
    ("reference tokenizer", "tokenizers", "tokenizers", ""),
    ("fast tokenizer", "fastokens", "fastokens", ""),
    ("fastText", "fasttext", "fasttext-community", ""),
    ("Hub", "huggingface_hub", "huggingface-hub", ""),
    ("Detoxify tagger", "detoxify", "detoxify", "make setup EXTRAS=detoxify"),
    ("ONNX backend", "onnxruntime", "onnxruntime", "make setup EXTRAS=onnx"),
    ("tiktoken files", "tiktoken", "tiktoken", "make setup EXTRAS=tiktoken"),
    ("SentencePiece", "sentencepiece", "sentencepiece", "make setup EXTRAS=sentencepiece"),
    ("WARC reader", "warcio", "warcio", "make setup EXTRAS=warc"),
)


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Say what this installation can do."""
    rows = [_row(*part) for part in PARTS]
    providers = _fasttext_providers()
    lines = [
        f"curate {__version__}, Python {platform.python_version()} on {sys.platform}",
        *(f"{row['part']:22} {row['state']}" for row in rows),
    ]
    if len(providers) > 1:
        lines.append(
            f"warning: {', '.join(providers)} all install `fasttext`; the last one wins. "
            "Uninstall all but fasttext-community."
        )
    console.emit(
        {"version": __version__, "parts": rows, "fasttext_providers": providers},
        as_json=as_json,
        text="\n".join(lines),
    )


def _row(part: str, module: str, distribution: str, install: str) -> dict[str, str]:
    if importlib.util.find_spec(module) is None:
        return {"part": part, "state": f"not installed: {install}" if install else "missing"}
    try:
        return {"part": part, "state": f"{distribution} {metadata.version(distribution)}"}
    except metadata.PackageNotFoundError:
        return {"part": part, "state": f"{module}, from another distribution"}


def _fasttext_providers() -> list[str]:
    found = metadata.packages_distributions().get("fasttext", [])
    return sorted(set(found))
