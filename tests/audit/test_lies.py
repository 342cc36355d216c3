"""Whoever tells these lies computes every digest again that he can."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curate.audit.verify import verify
from tests import recount
from tests.audit.conftest import BUDGETS, Mix
from tests.audit.damage import everything, files, kinds, manifest_of, npy
from tests.tiny_files import seal, tokenizer_json, write_spans
from tests.tiny_mix import (
    WHERE,
    Document,
    pools_of,
    some_documents,
    streams,
    weave,
    write,
)


def test_a_wrong_share_is_found_in_the_manifest_alone(make: Mix) -> None:
    """1/5 called 1/4: no file needs to be read."""
    folder = make()
    lie = manifest_of(folder)
    lie["content"]["components"][1]["share"] = "1/4"
    seal(folder, lie)

    assert {"manifest"} == kinds(folder)


def test_counts_that_agree_with_one_another_but_not_with_the_files_are_found(make: Mix) -> None:
    """Thirty tokens called toxic that are clean, with shares, residuals and epochs to match."""
    folder = make()
    lie = manifest_of(folder)
    clean, toxic = lie["content"]["components"]
    for component, n in ((clean, 370), (toxic, 130)):
        eligible = lie["origin"]["components"][component["name"]]["eligible"]["n_tokens"]
        component.update(
            n_tokens=n,
            requested=n,
            share=recount._fraction(n, 500),
            epochs=recount._fraction(n, eligible),
        )
    seal(folder, lie)

    assert set() == kinds(folder)
    assert {"count"} == everything(folder)
    assert [] != recount.recount(folder)


@pytest.mark.parametrize("field", ["n_documents", "n_bytes", "n_spans", "seed"])
def test_an_edited_count_is_found(make: Mix, field: str) -> None:
    """One more than there are."""
    folder = make()
    lie = manifest_of(folder)
    lie["content"][field] += 1
    seal(folder, lie)

    assert everything(folder)


@pytest.mark.parametrize(
    "path",
    [
        ("merkle_root",),
        ("components", 0, "stream_digest"),
        ("largest_deviation", "value"),
        ("largest_deviation", "at"),
        ("largest_deviation", "bound"),
        ("windows", "2048", "n_windows", 0),
        ("windows", "1024", "n_dropped", "clean"),
        ("shards", 0, "n_tokens"),
        ("shards", 0, "n_spans"),
        ("shards", 0, "sha256"),
        ("shards", 1, "name"),
        ("components", 0, "cut", 0, "n_tokens"),
        ("components", 1, "n_documents"),
        ("components", 1, "n_bytes"),
        ("components", 1, "n_spans"),
        ("components", 1, "residual"),
        ("components", 1, "requested"),
        ("components", 1, "epochs"),
        ("tokenizer", "n_vocab"),
        ("tokenizer", "eos", "id"),
        ("tokenizer", "eos", "token"),
        ("tokenizer", "sha256"),
    ],
)
def test_every_number_of_the_content_is_borne_out_by_the_files(
    make: Mix, path: tuple[str | int, ...]
) -> None:
    """Change one value, seal the mix again, and it is found."""
    folder = make()
    lie = manifest_of(folder)
    place: Any = lie["content"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = other(place[path[-1]])
    seal(folder, lie)

    assert everything(folder)


OPT_OUT = {"name": "a.removals", "sha256": "0" * 64, "n_entries": 2, "n_matches": 1}
C0, S0 = ("content", "components", 0), ("content", "shards", 0)
ALONE: list[tuple[dict[tuple[str | int, ...], Any], str]] = [
    ({("content", "n_tokens"): 501}, "content.n_tokens"),
    ({("content", "n_spans"): 17}, "content.n_spans"),
    ({("content", "n_bytes"): 1}, "content.n_bytes"),
    ({(*C0, "share"): "3/5"}, "content.components.clean.share"),
    ({(*C0, "residual"): 1}, "content.components.clean.residual"),
    ({(*C0, "requested"): 399, (*C0, "residual"): 1}, "content.components.clean.residual"),
    ({(*C0, "requested"): 401, (*C0, "residual"): -1}, "content.components.clean.residual"),
    ({(*C0, "unit"): "documents", (*C0, "requested"): 11}, "content.components.clean.residual"),
    ({(*C0, "epochs"): "1/1"}, "content.components.clean.epochs"),
    ({(*C0, "n_documents"): 11}, "origin.components.clean.eligible.n_documents"),
    ({(*C0, "name"): "zlean"}, "content.components"),
    ({(*C0, "name"): "aclean"}, "content.components.aclean"),
    ({(*S0, "n_tokens"): 199}, "content.shards[].n_tokens"),
    ({(*S0, "n_spans"): 1}, "content.shards[].n_spans"),
    ({(*S0, "name"): "00001-00000000"}, "content.shards[0].name"),
    ({(*S0, "n_tokens"): 0}, "content.shards[0]"),
    ({(*S0, "n_spans"): 0}, "content.shards[0]"),
    ({(*S0, "n_tokens"): 2**30 + 1}, "content.shards[0]"),
    ({("content", "windows", "2048", "n_windows", 0): 1}, "content.windows.2048.n_windows"),
    ({("content", "windows", "1024", "n_dropped", "clean"): 3}, "content.windows.1024.n_dropped"),
    ({("content", "largest_deviation", "value"): "9999/1"}, "content.largest_deviation"),
    ({("content", "tokenizer", "n_vocab"): 65_537}, "content.tokenizer.dtype"),
    ({("origin", "recipe", "text"): "name = 'other'"}, "origin.recipe.sha256"),
    (
        {("origin", "components", "clean", "n_unused"): 1},
        "origin.components.clean.eligible.n_documents",
    ),
    ({("origin", "components", "clean", "source"): "nowhere"}, "content.components.clean"),
    ({("origin", "sources", "pages", "n_read"): 3}, "origin.sources.pages"),
    ({("origin", "sources", "pages", "n_empty"): 99}, "origin.sources.pages"),
    (
        {
            ("origin", "sources", "extra"): {
                "reader": "none",
                "n_read": 0,
                "n_superseded": 0,
                "n_held_out": 0,
                "n_empty": 1,
            }
        },
        "origin.sources.extra",
    ),
    ({("origin", "inputs", 0, "source"): "nowhere"}, "origin.sources.board"),
    ({("origin", "opt_outs"): [OPT_OUT]}, "origin.opt_outs[].n_matches"),
]


@pytest.mark.parametrize(("changes", "where"), ALONE)
def test_numbers_that_contradict_one_another_need_no_file(
    make: Mix, changes: dict[tuple[str | int, ...], Any], where: str
) -> None:
    """The structure level alone finds what the manifest itself disproves, and says where."""
    folder = make()
    lie = manifest_of(folder)
    for path, value in changes.items():
        place: Any = lie
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
    seal(folder, lie)

    assert where in {f.where for f in verify(folder).findings if f.kind == "manifest"}


@pytest.mark.parametrize("field", ["n_files", "n_bytes", "sums_sha256"])
def test_what_the_manifest_says_of_its_files_is_checked(make: Mix, field: str) -> None:
    """One file or byte more, or other lines."""
    folder = make()
    lie = manifest_of(folder)
    value = lie["files"][field]
    lie["files"][field] = value + 1 if isinstance(value, int) else "0" * 64
    seal(folder, lie, keep_files=True)

    assert {"sums" if field == "sums_sha256" else "size"} == kinds(folder)


def other(value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, int):
        return value - 1 if value else value + 1
    if "/" in value:
        return f"{int(value.split('/')[0]) * 2 + 1}/{value.split('/')[1]}"
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def liar(folder: Path, change: Callable[[list[Any]], list[Any]], shard_tokens: int = 200) -> Path:
    """A mix whose writer changed the spans before he wrote them, every digest being right."""
    documents = some_documents()
    spans = change(weave(streams(documents, BUDGETS)))
    return write_spans(
        folder, spans, pools=pools_of(documents), shard_tokens=shard_tokens, where=WHERE
    )


def relabelled(spans: list[Any]) -> list[Any]:
    """Call a toxic document clean."""
    at = next(n for n, s in enumerate(spans) if s.document.component == "toxic")
    document = replace(spans[at].document, component="clean")
    return [*spans[:at], replace(spans[at], document=document), *spans[at + 1 :]]


def moved(spans: list[Any]) -> list[Any]:
    """Let two clean documents change places."""
    clean = [n for n, s in enumerate(spans) if s.document.component == "clean" and not s.cut]
    a, b = clean[1], clean[5]
    spans[a], spans[b] = spans[b], spans[a]
    return spans


def clean_last(spans: list[Any]) -> list[Any]:
    """Serve the toxic part first."""
    return sorted(spans, key=lambda s: s.document.component, reverse=True)


def retold(spans: list[Any]) -> list[Any]:
    """Change a clean document's tokens, but not what the row says of its text."""
    at = next(n for n, s in enumerate(spans) if s.document.component == "clean" and not s.cut)
    ids = list(spans[at].ids)
    ids[3] = 33
    return [*spans[:at], replace(spans[at], ids=tuple(ids)), *spans[at + 1 :]]


def exchanged(spans: list[Any]) -> list[Any]:
    """Put another clean document, text and digest included, in the place of one."""
    at = [n for n, s in enumerate(spans) if s.document.component == "clean" and not s.cut][4]
    text = "x" * (len(spans[at].ids) - 1)
    own = Document("sha256:" + recount._sha(text.encode()), text, "clean", tags={"toxicity": 0.0})
    span = replace(spans[at], document=own, ids=(*text.encode(), 256))
    return [*spans[:at], span, *spans[at + 1 :]]


def doubled(spans: list[Any]) -> list[Any]:
    """Serve a document twice in one epoch, right after itself."""
    return [spans[0], *spans]


def without_end(spans: list[Any]) -> list[Any]:
    """Leave out the last EOS."""
    return [*spans[:-1], replace(spans[-1], ids=(*spans[-1].ids[:-1], 33))]


def end_inside(spans: list[Any]) -> list[Any]:
    """Put an EOS inside a document."""
    return [replace(spans[0], ids=(*spans[0].ids[:2], 256, *spans[0].ids[3:])), *spans[1:]]


def outside(spans: list[Any]) -> list[Any]:
    """Use an id that the vocabulary does not have."""
    return [replace(spans[0], ids=(*spans[0].ids[:2], 257, *spans[0].ids[3:])), *spans[1:]]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (relabelled, "where"),
        (relabelled, "order"),
        (moved, "order"),
        (clean_last, "order"),
        (retold, "text"),
        (exchanged, "order"),
        (doubled, "order"),
        (without_end, "eos"),
        (end_inside, "eos"),
        (outside, "vocab"),
    ],
)
def test_a_liar_who_seals_his_mix_is_found(
    tmp_path: Path, change: Callable[[list[Any]], list[Any]], kind: str
) -> None:
    """Every digest fits, and still the laws of mixing or the texts say no."""
    folder = liar(tmp_path / "tiny" / "1.0.0", change)

    assert "digest" not in everything(folder)
    assert kind in everything(folder)


def test_an_extra_shard_that_is_listed_and_sealed_is_found(make: Mix) -> None:
    """SHA256SUMS may list what it likes: the manifest's shards are the mix's."""
    folder = make()
    for path in list((folder / "shards").glob("00000-*")):
        shutil.copy(path, path.with_name(path.name.replace("00000", "00009")))
    seal(folder, manifest_of(folder))

    assert {"extra"} == kinds(folder)


@pytest.mark.parametrize("suffix", [".idx", ".ds.index", ".csv.gz", ".ds.metadata"])
def test_a_stale_sidecar_that_is_sealed_is_found(make: Mix, suffix: str) -> None:
    """The sidecar of another version of the shard has digests, but not these spans."""
    folder, old = make(), make("0.9.0", seed=8)
    shutil.copy(
        npy(old, 1).with_name(npy(old, 1).stem + suffix),
        npy(folder, 1).with_name(npy(folder, 1).stem + suffix),
    )
    seal(folder, manifest_of(folder))

    assert any(file.endswith(suffix) for file in files(folder, semantic=True))


def test_a_swapped_vocabulary_is_found_by_the_texts(make: Mix) -> None:
    """With two bytes exchanged the ids decode to other texts."""
    folder = make()
    whole = json.loads(tokenizer_json())
    vocabulary = whole["model"]["vocab"]
    vocabulary["a"], vocabulary["o"] = vocabulary["o"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    lie = manifest_of(folder)
    lie["content"]["tokenizer"]["sha256"] = recount._sha((folder / "tokenizer.json").read_bytes())
    seal(folder, lie)

    assert set() == kinds(folder, read_data=True)
    assert "text" in everything(folder)


def test_swapped_merges_are_found_by_encoding_again(make: Mix) -> None:
    """A tokenizer that merges what this one did not still decodes every id to the same text."""
    folder = make()
    whole = json.loads(tokenizer_json())
    vocabulary = whole["model"]["vocab"]
    spare = next(token for token, id_ in vocabulary.items() if id_ == 0)
    del vocabulary[spare]
    vocabulary["ag"] = 0
    whole["model"]["merges"] = [["a", "g"]]
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    lie = manifest_of(folder)
    lie["content"]["tokenizer"]["sha256"] = recount._sha((folder / "tokenizer.json").read_bytes())
    seal(folder, lie)

    assert {"tokenizer"} == everything(folder)


def test_findings_of_one_kind_are_counted_beyond_twenty(tmp_path: Path) -> None:
    """A shard full of damage does not fill the screen."""
    documents = some_documents(60, 1)
    folder = write(tmp_path / "tiny" / "1", documents=documents, shard_tokens=10_000)
    path = npy(folder)
    path.write_bytes(bytes(b ^ 1 for b in path.read_bytes()))

    found = [f for f in verify(folder, semantic=True).findings if f.kind == "span"]

    assert 21 == len(found)
    assert "and 41 more of this kind" == found[-1].what
