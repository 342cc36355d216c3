"""Prove that a document is in a mix, or that it is not."""

import json
from pathlib import Path

import click

from curate.cli import console
from curate.cli.mixes import mix_argument, opened
from curate.cli.options import json_option, out_option
from curate.errors import IntegrityError, UsageError


@click.command()
@mix_argument
@click.option("--id", "id_", help="Prove that this document is in the mix.")
@click.option("--absent", help="Prove that this document is not in the mix.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the proof to this file.",
)
@out_option
@json_option
def command(
    mix: str, id_: str | None, absent: str | None, output: Path | None, out: Path, as_json: bool
) -> None:
    """
    Prove that a document is in a mix, or that it is not.

    The proof is a Merkle path to the manifest's root; docs/verify_proof.py checks it with Python
    alone. Exit code 3 if the opposite of what was to be proven is true.

    \b
    Example:
      curate prove demo-10pct@1.0.0 --absent 4chan:pol/124205675 -o proof.json
      python docs/verify_proof.py proof.json mixes/demo-10pct/1.0.0/manifest.json
    """
    from curate import files
    from curate.audit.prove import prove

    document = id_ or absent
    if document is None or (id_ and absent):
        raise UsageError("say one of --id and --absent")
    proof = prove(opened(mix, out), document)
    wanted = "present" if id_ else "absent"
    if proof["claim"] != wanted:
        raise IntegrityError(
            f"{document} is {proof['claim']} in {proof['mix']}@{proof['version']}, not {wanted}"
        )
    if output is not None:
        files.write_bytes(output, json.dumps(proof, indent=1).encode() + b"\n")
    leaves = ", ".join(f"{leaf['index']:,}" for leaf in proof["leaves"])
    text = (
        f"{document} is {proof['claim']} in {proof['mix']}@{proof['version']}: "
        f"leaves {leaves or 'none'} of {proof['n_documents']:,}, root {proof['merkle_root'][:16]}…"
    )
    hint = f"\nwritten to {output}" if output else "\nadd -o FILE or --json for the proof itself"
    console.emit(proof, as_json=as_json, text=text + hint)
