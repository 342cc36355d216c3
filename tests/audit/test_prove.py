"""What is in a mix is proven, and what is not; nothing else can be."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.audit.find import find
from curate.audit.opened import Opened, open_mix
from curate.audit.prove import prove
from curate.errors import IntegrityError
from tests.audit.conftest import DOCUMENTS
from tests.tiny_mix import web, write


def script(root: Path, proof: dict[str, Any], folder: Path, place: Path) -> tuple[int, str]:
    """What the stand-alone checker says."""
    (place / "proof.json").write_text(json.dumps(proof))
    line = [sys.executable, "-I", str(root / "docs" / "verify_proof.py")]
    done = subprocess.run(
        [*line, str(place / "proof.json"), str(folder / "manifest.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip()


@pytest.fixture(scope="module")
def checker(root: Path) -> Callable[..., str]:
    """`check` of docs/verify_proof.py."""
    names: dict[str, Any] = {"__name__": "verify_proof"}
    exec((root / "docs" / "verify_proof.py").read_text(), names)
    checked: Callable[..., str] = names["check"]
    return checked


def test_the_script_stands_alone_and_is_short(
    root: Path, mix: Opened, folder: Path, tmp_path: Path
) -> None:
    """Sixty lines, standard library, no installation."""
    good = script(root, prove(mix, "4chan:pol/100"), folder, tmp_path)
    lie = {**prove(mix, "4chan:pol/100"), "document": "4chan:pol/101"}

    assert (0, "the proof holds") == good
    assert (3, "the key is not that of the document") == script(root, lie, folder, tmp_path)
    assert len((root / "docs" / "verify_proof.py").read_text().splitlines()) <= 60


@pytest.mark.parametrize("n", range(10))
def test_presence_and_absence_are_proven_in_trees_of_any_size(
    tmp_path: Path, checker: Callable[..., str], n: int
) -> None:
    """Of 0 to 9 documents every one is proven present, and everything else absent."""
    documents = [web(f"Text {page}.", page) for page in range(n)]
    folder = write(tmp_path / "t" / "1", documents=documents)
    mix = open_mix(folder)
    for document in documents:
        assert "" == checker(prove(mix, document.id), mix.manifest)
    for number in range(30):
        proof = prove(mix, f"sha256:{number}")
        assert ("absent", "") == (proof["claim"], checker(proof, mix.manifest))


def test_no_absence_can_be_proven_of_what_is_there(
    mix: Opened, checker: Callable[..., str]
) -> None:
    """Every choice of leaves and spelling for a present document fails."""
    ids = [d.id for d in DOCUMENTS if find(mix, id_=d.id)["n_spans"]]
    leaves = sorted((prove(mix, i)["leaves"][0] for i in ids), key=lambda leaf: leaf["index"])
    truth = prove(mix, ids[3])
    at = truth["leaves"][0]["index"]
    upper = [{**leaf, "key": leaf["key"].upper()} for leaf in leaves]
    tricks: list[list[dict[str, Any]]] = [
        [],
        leaves[at - 1 : at],
        leaves[at + 1 : at + 2],
        [leaves[at - 1], leaves[at + 1]],
        leaves[at - 1 : at + 2],
        leaves[at : at + 2],
        upper[at : at + 2],
        [*upper[at - 1 : at], leaves[at + 1]],
        leaves[:1],
        leaves[-1:],
    ]
    for trick in tricks:
        lie = {**truth, "claim": "absent", "leaves": trick}
        assert "" != checker(lie, mix.manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(manifest_id="0" * 64),
        lambda p: p.update(claim="perhaps"),
        lambda p: p.update(leaves=[]),
        lambda p: p["leaves"][0].update(index=p["leaves"][0]["index"] ^ 1),
        lambda p: p["leaves"][0].update(index=99),
        lambda p: p["leaves"][0].update(index=-1),
        lambda p: p["leaves"][0]["path"].pop(),
        lambda p: p["leaves"][0]["path"].append("0" * 64),
        lambda p: p["leaves"][0]["span_digests"].append("0" * 32),
        lambda p: p["leaves"][0].update(key="0" * 32),
        lambda p: p.update(key="0" * 32),
    ],
)
def test_a_changed_proof_does_not_hold(
    mix: Opened, checker: Callable[..., str], change: Any
) -> None:
    """Every part of it matters."""
    proof = prove(mix, "4chan:pol/100")
    change(proof)

    assert "" != checker(proof, mix.manifest)


def test_no_proof_is_made_from_spans_that_were_changed(tmp_path: Path) -> None:
    """The spans must lead to the manifest's root."""
    folder = write(tmp_path / "t" / "1", documents=DOCUMENTS)
    spans = pl.read_parquet(folder / "spans.parquet")
    spans.head(5).write_parquet(folder / "spans.parquet")

    with pytest.raises(IntegrityError, match="Merkle root"):
        prove(open_mix(folder), "4chan:pol/100")
