"""A verifier is only as good as the damage it was shown: every kind is done here on purpose."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.audit import digests, structure
from curate.audit.opened import open_mix
from curate.audit.verify import verify
from curate.errors import UsageError
from tests import recount
from tests.audit.conftest import Mix
from tests.audit.damage import files, kinds, manifest_of, npy
from tests.tiny_files import seal
from tests.tiny_mix import (
    some_documents,
    write,
)


@pytest.mark.parametrize("how", ["hard", "symbolic", "copy"])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_a_whole_mix_has_no_findings(make: Mix, how: str, dtype: str) -> None:
    """Whatever the links and the width, nothing is found where nothing is wrong."""
    folder = make(how=how, dtype=dtype)

    report = verify(folder, read_data=True, semantic=True, retokenize=None)

    assert () == report.findings
    assert [] == recount.recount(folder)


def test_epochs_and_cuts_are_no_findings(make: Mix) -> None:
    """A component that is read twice and a half is whole."""
    folder = make(budgets={"clean": 1_400, "toxic": 101})

    assert () == verify(folder, read_data=True, semantic=True).findings


def test_a_mix_of_one_component_is_whole(tmp_path: Path) -> None:
    """There is nothing to deviate from."""
    clean = [d for d in some_documents() if d.component == "clean"]
    folder = write(tmp_path / "tiny" / "1", documents=clean)

    assert () == verify(folder, read_data=True, semantic=True).findings


def test_each_level_says_what_it_did_not_check(make: Mix) -> None:
    """Structure alone leaves bytes, numbers and sources open; --all leaves the sources."""
    folder = make()

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
def test_structure_finds_what_needs_no_reading(make: Mix, damage: Callable[[Path], str]) -> None:
    """Names, links and sizes are checked without a digest, and the file is named."""
    folder = make()
    name = damage(folder)

    assert any(file.endswith(name) for file in files(folder))


def test_two_shards_that_changed_places_are_found(make: Mix) -> None:
    """Equal sizes do not hide a swap: the digests do not fit."""
    folder = make()
    first, second = npy(folder), npy(folder, 1)
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)

    found = files(folder, read_data=True)

    assert {f"shards/{first.name}", f"shards/{second.name}"} <= found


def test_a_changed_byte_is_a_digest_and_nothing_else(make: Mix) -> None:
    """Size, name and links are right; only reading tells."""
    folder = make(how="copy")
    path = folder / "spans.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])

    assert set() == kinds(folder)
    assert {"digest"} == kinds(folder, read_data=True)


def test_a_changed_line_of_the_sums_is_not_the_files_fault(make: Mix) -> None:
    """The manifest holds a digest of the sums: it tells which of the two was changed."""
    folder = make()
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
def test_hostile_names_in_the_sums_are_never_opened(make: Mix, name: str) -> None:
    """A name that could lead elsewhere is a finding, whatever digest it claims."""
    folder = make()
    path = folder / "SHA256SUMS"
    path.write_text(f"{'0' * 64}  {name}\n" + path.read_text())

    assert {"SHA256SUMS"} <= files(folder, read_data=True)


@pytest.mark.parametrize("name", ["../../x", "00000-zzzzzzzz", "/etc/passwd", "00000-0000000\n"])
def test_hostile_shard_names_are_refused_with_the_manifest(make: Mix, name: str) -> None:
    """The manifest's own form leaves no room for a path."""
    folder = make()
    lie = manifest_of(folder)
    lie["content"]["shards"][0]["name"] = name
    seal(folder, lie)

    report = verify(folder, read_data=True, semantic=True)

    assert ["content.shards[0].name"] == [
        f.what.split("; ")[1].split(":")[0] for f in report.findings if f.kind == "manifest"
    ]


def test_sets_of_files_together_are_all_files(make: Mix) -> None:
    """`--read-data-subset 1/3`, `2/3` and `3/3` find damage anywhere, each file in one of them."""
    folder = make()
    for path in folder.rglob("*"):
        if path.suffix in (".npy", ".idx", ".index", ".metadata", ".gz", ".parquet"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))

    whole = files(folder, read_data=True)
    parts = [files(folder, read_data=True, subset=(n, 3)) for n in (1, 2, 3)]

    assert whole == set.union(*parts)
    assert len(whole) == sum(len(p) for p in parts)
    left = verify(folder, read_data=True, subset=(1, 3)).not_checked
    assert "the bytes of the other 2 sets of files" in left
    last = verify(folder, read_data=True, subset=(2, 2)).not_checked
    assert "the bytes of the other 1 sets of files" in last
    assert not any("sets of files" in w for w in verify(folder, read_data=True).not_checked)


def test_the_committed_manifest_must_be_the_mix_s(make: Mix) -> None:
    """A record that differs in a byte is found."""
    folder = make()
    record = folder.parent / "record.json"
    shutil.copy(folder / "manifest.json", record)

    same = kinds(folder, record=record)
    record.write_bytes(record.read_bytes() + b"\n")

    assert (set(), {"record"}) == (same, kinds(folder, record=record))


def test_a_file_that_goes_while_it_is_read_is_named(make: Mix) -> None:
    """Listed, and gone when its turn comes."""
    folder = make()
    mix = open_mix(folder)
    listing = structure.look(folder, mix)
    (folder / "spans.parquet").unlink()
    found = digests.digests(folder, ["spans.parquet"], listing, 1, lambda n: None)

    assert [("spans.parquet", "cannot be read")] == [
        (f.file, f.what) for f in digests.compare(folder, found, listing, mix)
    ]


def test_a_sidecar_that_is_gone_cannot_be_compared(make: Mix) -> None:
    """Missing by name, and as the answer to what the spans give."""
    folder = make()
    path = npy(folder).with_suffix(".idx")
    path.unlink()

    assert ("sidecar", "cannot be read") in [
        (f.kind, f.what)
        for f in verify(folder, semantic=True).findings
        if f.file.endswith(path.name)
    ]


def test_another_manifest_than_the_sums_name_is_found_by_reading(make: Mix) -> None:
    """A manifest that holds in itself, put in the place of the one that was sealed."""
    folder = make()
    sums = (folder / "SHA256SUMS").read_bytes()
    other = manifest_of(folder)
    other["origin"]["tool"]["version"] = "9"
    seal(folder, other)
    (folder / "SHA256SUMS").write_bytes(sums)

    assert [
        ("SHA256SUMS", "is not the digest of manifest.json"),
        ("manifest.json", "is not the manifest that SHA256SUMS was closed over"),
    ] == [(f.file, f.what) for f in verify(folder, read_data=True).findings]


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"model": {"vocab": {"a": "x"}}}'])
def test_a_tokenizer_that_is_none_is_named(make: Mix, text: str) -> None:
    """Its digest is the manifest's: only opening it tells."""
    folder = make()
    (folder / "tokenizer.json").write_text(text)
    lie = manifest_of(folder)
    lie["content"]["tokenizer"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    seal(folder, lie)

    assert ("tokenizer", "tokenizer.json is not a tokenizer") in [
        (f.kind, f.what) for f in verify(folder, semantic=True).findings
    ]


@pytest.mark.parametrize("subset", [(0, 3), (4, 3), (1, 0), (-1, 2)])
def test_a_subset_that_is_none_is_refused(make: Mix, subset: tuple[int, int]) -> None:
    """From 1 to as many as there are."""
    with pytest.raises(UsageError, match="no subset"):
        verify(make(), read_data=True, subset=subset)
