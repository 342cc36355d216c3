"""A verifier is only as good as the damage it was shown: every kind is done here on purpose."""

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curate.audit.verify import verify
from curate.errors import UsageError
from tests import recount
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

BUDGETS = {"clean": 400, "toxic": 100}
Mix = Callable[..., Path]


@pytest.fixture
def mix(tmp_path: Path) -> Mix:
    """Makes whole mixes: 16 spans of two components in three shards unless told otherwise."""

    def make(name: str = "1.0.0", **how: Any) -> Path:
        options: dict[str, Any] = {"budgets": BUDGETS, "shard_tokens": 200, "where": WHERE} | how
        return write(tmp_path / "tiny" / name, documents=some_documents(), **options)

    return make


def kinds(folder: Path, **levels: Any) -> set[str]:
    """The kinds of findings."""
    return {f.kind for f in verify(folder, threads=1, **levels).findings}


def files(folder: Path, **levels: Any) -> set[str]:
    """The files that findings name."""
    return {f.file for f in verify(folder, threads=1, **levels).findings}


def everything(folder: Path) -> set[str]:
    """The kinds of findings of `--all`."""
    return kinds(folder, read_data=True, semantic=True)


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest, unchecked."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return found


@pytest.mark.parametrize("how", ["hard", "symbolic", "copy"])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_a_whole_mix_has_no_findings(mix: Mix, how: str, dtype: str) -> None:
    """Whatever the links and the width, nothing is found where nothing is wrong."""
    folder = mix(how=how, dtype=dtype)

    report = verify(folder, read_data=True, semantic=True, retokenize=None)

    assert () == report.findings
    assert [] == recount.recount(folder)


def test_epochs_and_cuts_are_no_findings(mix: Mix) -> None:
    """A component that is read twice and a half is whole."""
    folder = mix(budgets={"clean": 1_400, "toxic": 101})

    assert () == verify(folder, read_data=True, semantic=True).findings


def test_a_mix_of_one_component_is_whole(tmp_path: Path) -> None:
    """There is nothing to deviate from."""
    clean = [d for d in some_documents() if d.component == "clean"]
    folder = write(tmp_path / "tiny" / "1", documents=clean)

    assert () == verify(folder, read_data=True, semantic=True).findings


def test_each_level_says_what_it_did_not_check(mix: Mix) -> None:
    """Structure alone leaves bytes, numbers and sources open; --all leaves the sources."""
    folder = mix()

    structure = verify(folder).not_checked
    everything_ = verify(folder, read_data=True, semantic=True, retokenize=None).not_checked

    assert ["--read-data", "--semantic", "--rebuild"] == [
        line.rpartition("(")[2].rstrip(")") for line in structure
    ]
    assert any("--rebuild" in line for line in everything_)
    assert not any("--read-data" in line or "--semantic" in line for line in everything_)


def test_a_folder_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    """There is nothing to report about."""
    with pytest.raises(UsageError):
        verify(tmp_path / "nowhere")


def npy(folder: Path, number: int = 0) -> Path:
    """The ids of a shard."""
    return sorted((folder / "shards").glob("*.npy"))[number]


def missing(folder: Path) -> str:
    """Delete a sidecar."""
    path = npy(folder).with_suffix(".idx")
    path.unlink()
    return path.name


def extra(folder: Path) -> str:
    """Add a file that nobody listed."""
    (folder / "notes.txt").write_text("hello")
    return "notes.txt"


def leftover(folder: Path) -> str:
    """Leave what an interrupted write leaves."""
    (folder / "shards" / ".tmp-00000.npy").write_bytes(b"")
    return ".tmp-00000.npy"


def shortened(folder: Path) -> str:
    """Cut a shard by one id."""
    os.truncate(npy(folder), npy(folder).stat().st_size - 2)
    return npy(folder).name


def lengthened(folder: Path) -> str:
    """Append one id to a shard."""
    with open(npy(folder), "ab") as file:
        file.write(b"\1\0")
    return npy(folder).name


def emptied(folder: Path) -> str:
    """Leave nothing of a shard."""
    os.truncate(npy(folder), 0)
    return npy(folder).name


def renamed(folder: Path) -> str:
    """Give the spans another name."""
    (folder / "spans.parquet").rename(folder / "rows.parquet")
    return "spans.parquet"


def stray_link(folder: Path) -> str:
    """Replace a shard's second name by a link out of the folder."""
    path = npy(folder).with_suffix(".bin")
    path.unlink()
    path.symlink_to("/etc/hostname")
    return path.name


def crossed_link(folder: Path) -> str:
    """Let a shard's second name link to another shard."""
    path = npy(folder).with_suffix(".ds")
    path.unlink()
    path.symlink_to(npy(folder, 1).name)
    return path.name


def linked_spans(folder: Path) -> str:
    """Let the spans be a link, be it to a file with the same bytes."""
    (folder / "spans.parquet").rename(folder.parent / "elsewhere.parquet")
    (folder / "spans.parquet").symlink_to(folder.parent / "elsewhere.parquet")
    return "spans.parquet"


def linked_folder(folder: Path) -> str:
    """Let a folder be a link."""
    (folder / "more").symlink_to(folder.parent)
    return "more"


def waiting(folder: Path) -> str:
    """Put a pipe where a file should be: opening it would never end."""
    path = npy(folder).with_suffix(".idx")
    path.unlink()
    os.mkfifo(path)
    return path.name


def no_sums(folder: Path) -> str:
    """Delete the list of digests."""
    (folder / "SHA256SUMS").unlink()
    return "SHA256SUMS"


def no_manifest(folder: Path) -> str:
    """Delete the manifest."""
    (folder / "manifest.json").unlink()
    return "manifest.json"


def unsorted_sums(folder: Path) -> str:
    """List the digests in another order."""
    path = folder / "SHA256SUMS"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]))
    return "SHA256SUMS"


@pytest.mark.parametrize(
    "damage",
    [
        missing,
        extra,
        leftover,
        shortened,
        lengthened,
        emptied,
        renamed,
        stray_link,
        crossed_link,
        linked_spans,
        linked_folder,
        waiting,
        no_sums,
        no_manifest,
        unsorted_sums,
    ],
)
def test_structure_finds_what_needs_no_reading(mix: Mix, damage: Callable[[Path], str]) -> None:
    """Names, links and sizes are checked without a digest, and the file is named."""
    folder = mix()
    name = damage(folder)

    assert any(file.endswith(name) for file in files(folder))


def test_two_shards_that_changed_places_are_found(mix: Mix) -> None:
    """Equal sizes do not hide a swap: the digests do not fit."""
    folder = mix()
    first, second = npy(folder), npy(folder, 1)
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)

    found = files(folder, read_data=True)

    assert {f"shards/{first.name}", f"shards/{second.name}"} <= found


def test_a_changed_line_of_the_sums_is_not_the_files_fault(mix: Mix) -> None:
    """The manifest holds a digest of the sums: it tells which of the two was changed."""
    folder = mix()
    path = folder / "SHA256SUMS"
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = ("1" if lines[2][0] == "0" else "0") + lines[2][1:]
    path.write_text("".join(lines))

    report = verify(folder, read_data=True)

    assert ("line 3", "the file itself is whole") in [
        (f.where, f.what.rpartition("; ")[2]) for f in report.findings
    ]
    assert {"SHA256SUMS"} == {f.file for f in report.findings if f.kind == "sums"}


@pytest.mark.parametrize(
    "name",
    ["../spans.parquet", "/etc/passwd", "a//b", "a/./b", "spans\u202e.parquet", "a b", "-" * 9],
)
def test_hostile_names_in_the_sums_are_never_opened(mix: Mix, name: str) -> None:
    """A name that could lead elsewhere is a finding, whatever digest it claims."""
    folder = mix()
    path = folder / "SHA256SUMS"
    path.write_text(f"{'0' * 64}  {name}\n" + path.read_text())

    assert {"SHA256SUMS"} <= files(folder, read_data=True)


@pytest.mark.parametrize("name", ["../../x", "00000-zzzzzzzz", "/etc/passwd", "00000-0000000\n"])
def test_hostile_shard_names_are_refused_with_the_manifest(mix: Mix, name: str) -> None:
    """The manifest's own form leaves no room for a path."""
    folder = mix()
    lie = manifest_of(folder)
    lie["content"]["shards"][0]["name"] = name
    seal(folder, lie)

    report = verify(folder, read_data=True, semantic=True)

    assert ["content.shards[0].name"] == [
        f.what.split("; ")[1].split(":")[0] for f in report.findings if f.kind == "manifest"
    ]


def test_sets_of_files_together_are_all_files(mix: Mix) -> None:
    """`--read-data-subset 1/3`, `2/3` and `3/3` find damage anywhere, each file in one of them."""
    folder = mix()
    for path in folder.rglob("*"):
        if path.suffix in (".npy", ".idx", ".index", ".metadata", ".gz", ".parquet"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))

    whole = files(folder, read_data=True)
    parts = [files(folder, read_data=True, subset=(n, 3)) for n in (1, 2, 3)]

    assert whole == set.union(*parts)
    assert len(whole) == sum(len(p) for p in parts)


def test_the_committed_manifest_must_be_the_mix_s(mix: Mix) -> None:
    """A record that differs in a byte is found."""
    folder = mix()
    record = folder.parent / "record.json"
    shutil.copy(folder / "manifest.json", record)

    same = kinds(folder, record=record)
    record.write_bytes(record.read_bytes() + b"\n")

    assert (set(), {"record"}) == (same, kinds(folder, record=record))


# Lies: whoever tells them computes every digest again that he can.


def test_a_wrong_share_is_found_in_the_manifest_alone(mix: Mix) -> None:
    """1/5 called 1/4: no file needs to be read."""
    folder = mix()
    lie = manifest_of(folder)
    lie["content"]["components"][1]["share"] = "1/4"
    seal(folder, lie)

    assert {"manifest"} == kinds(folder)


def test_counts_that_agree_with_one_another_but_not_with_the_files_are_found(mix: Mix) -> None:
    """Thirty tokens called toxic that are clean, with shares, residuals and epochs to match."""
    folder = mix()
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
def test_an_edited_count_is_found(mix: Mix, field: str) -> None:
    """One more than there are."""
    folder = mix()
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
    mix: Mix, path: tuple[str | int, ...]
) -> None:
    """Change one value, seal the mix again, and it is found."""
    folder = mix()
    lie = manifest_of(folder)
    place: Any = lie["content"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = other(place[path[-1]])
    seal(folder, lie)

    assert everything(folder)


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


def test_an_extra_shard_that_is_listed_and_sealed_is_found(mix: Mix) -> None:
    """SHA256SUMS may list what it likes: the manifest's shards are the mix's."""
    folder = mix()
    for path in list((folder / "shards").glob("00000-*")):
        shutil.copy(path, path.with_name(path.name.replace("00000", "00009")))
    seal(folder, manifest_of(folder))

    assert {"extra"} == kinds(folder)


@pytest.mark.parametrize("suffix", [".idx", ".ds.index", ".csv.gz", ".ds.metadata"])
def test_a_stale_sidecar_that_is_sealed_is_found(mix: Mix, suffix: str) -> None:
    """The sidecar of another version of the shard has digests, but not these spans."""
    folder, old = mix(), mix("0.9.0", seed=8)
    shutil.copy(
        npy(old, 1).with_name(npy(old, 1).stem + suffix),
        npy(folder, 1).with_name(npy(folder, 1).stem + suffix),
    )
    seal(folder, manifest_of(folder))

    assert any(file.endswith(suffix) for file in files(folder, semantic=True))


def test_a_swapped_vocabulary_is_found_by_the_texts(mix: Mix) -> None:
    """With two bytes exchanged the ids decode to other texts."""
    folder = mix()
    whole = json.loads(tokenizer_json())
    vocabulary = whole["model"]["vocab"]
    vocabulary["a"], vocabulary["o"] = vocabulary["o"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    lie = manifest_of(folder)
    lie["content"]["tokenizer"]["sha256"] = recount._sha((folder / "tokenizer.json").read_bytes())
    seal(folder, lie)

    assert set() == kinds(folder, read_data=True)
    assert "text" in everything(folder)


def test_swapped_merges_are_found_by_encoding_again(mix: Mix) -> None:
    """A tokenizer that merges what this one did not still decodes every id to the same text."""
    folder = mix()
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


# Campaigns.


def every_file(folder: Path) -> list[Path]:
    """One path for each inode of the mix."""
    inodes = {p.stat().st_ino: p for p in sorted(folder.rglob("*")) if p.is_file()}
    return sorted(inodes.values())


def names_of(folder: Path, path: Path) -> set[str]:
    """All names of a file in the mix."""
    return {
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() and p.stat().st_ino == path.stat().st_ino
    }


def test_every_flipped_bit_is_found_and_located(mix: Mix, scale: int) -> None:
    """2,000 flips, shared evenly among the kinds of files: each is found, in its file or span."""
    folder = mix()
    paths = every_file(folder)
    draw = random.Random(1)
    for number in range(2_000 * scale):
        path = paths[number % len(paths)]
        data = path.read_bytes()
        at, bit = draw.randrange(len(data)), 1 << draw.randrange(8)
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        semantic = number % 5 == 0
        report = verify(folder, read_data=True, semantic=semantic, threads=1)
        found = {f.file for f in report.findings}

        assert found & names_of(folder, path), f"bit {bit} of byte {at} of {path.name}"
        if semantic and path.suffix in (".npy", ".bin", ".ds"):
            assert {"span"} & {f.kind for f in report.findings}
        path.write_bytes(data)
    assert () == verify(folder, read_data=True, semantic=True).findings


def test_every_truncation_is_found_and_located(mix: Mix, scale: int) -> None:
    """500 truncations of any file at any length: each is found, in its file."""
    folder = mix()
    paths = every_file(folder)
    draw = random.Random(2)
    for number in range(500 * scale):
        path = paths[number % len(paths)]
        data = path.read_bytes()
        keep = draw.randrange(len(data))
        path.write_bytes(data[:keep])
        report = verify(folder, read_data=True, semantic=number % 5 == 0, threads=1)

        assert {f.file for f in report.findings} & names_of(folder, path), f"{path.name} to {keep}"
        path.write_bytes(data)
    assert () == verify(folder, read_data=True, semantic=True).findings
