"""What names, links and sizes alone can tell: each finding by itself, in its own words."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.audit import sums
from curate.audit.verify import verify
from tests.audit.conftest import Mix
from tests.audit.damage import manifest_of, npy
from tests.tiny_files import canonical, seal


def said(folder: Path) -> set[tuple[str, str, str]]:
    """(kind, end of the file's name, what) of the structure level."""
    return {(f.kind, f.file.rpartition("/")[2], f.what) for f in verify(folder).findings}


def relisted(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Other lines in SHA256SUMS."""
    path = folder / "SHA256SUMS"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def test_the_list_of_digests_has_to_be_there(make: Mix) -> None:
    """Nothing else is to blame: every file is whole."""
    folder = make()
    (folder / "SHA256SUMS").unlink()

    assert ("missing", "SHA256SUMS", "is not there") in said(folder)


def test_a_file_that_nobody_lists_any_more_is_still_missed(make: Mix) -> None:
    """A sidecar is deleted, with its line and all sums computed again: the shard wants it."""
    folder = make()
    path = npy(folder).with_suffix(".idx")
    path.unlink()
    seal(folder, manifest_of(folder))

    assert {("missing", path.name, "belongs to a shard of the manifest, but is not there")} == said(
        folder
    )


def test_files_that_are_listed_or_there_and_not_both_are_named(make: Mix) -> None:
    """One is deleted, one is added, one belongs to no shard."""
    folder = make()
    path = npy(folder).with_suffix(".idx")
    path.unlink()
    (folder / "notes.txt").write_text("hello")
    (folder / "shards" / "00009-00000000.idx").write_bytes(b"")
    found = said(folder)

    assert ("missing", path.name, "is in SHA256SUMS but not in the folder") in found
    assert ("extra", "notes.txt", "is in the folder but not in SHA256SUMS") in found
    assert ("extra", "00009-00000000.idx", "belongs to no shard of the manifest") in found


@pytest.mark.parametrize("name", ["spans.parquet", "manifest.json"])
def test_every_mix_has_its_spans_and_its_manifest(make: Mix, name: str) -> None:
    """Not listed and not there is not enough."""
    folder = make()
    if name == "spans.parquet":
        (folder / name).unlink()
        seal(folder, manifest_of(folder))
        assert ("missing", name, "every mix has one") in said(folder)
    else:
        (folder / name).unlink()
        assert "manifest" in {kind for kind, _, _ in said(folder)}


def test_links_say_where_they_may_not_lead(make: Mix) -> None:
    """Out of place, to something else, to something that is no plain file."""
    folder = make(how="symbolic")
    (folder / "more.bin").symlink_to("spans.parquet")
    (folder / "shards" / "notes").symlink_to("notes.npy")
    one, two = npy(folder), npy(folder, 1)
    one.with_suffix(".bin").unlink()
    one.with_suffix(".bin").symlink_to(two.name)
    two.rename(two.with_suffix(".old"))
    found = said(folder)

    assert ("link", "more.bin", "a symbolic link has no place here") in found
    assert ("link", "notes", "a symbolic link has no place here") in found
    assert (
        "link",
        one.with_suffix(".bin").name,
        f"links to something other than {one.name} beside it",
    ) in found
    for suffix in (".bin", ".ds"):
        what = f"links to {two.name}, which is not a plain file"
        assert ("link", two.with_suffix(suffix).name, what) in found


def test_a_shard_that_is_a_link_itself_is_no_plain_file(make: Mix) -> None:
    """`.npy` is the file, the other names are links to it."""
    folder = make(how="symbolic")
    path = npy(folder)
    path.rename(folder.parent / path.name)
    path.symlink_to(folder.parent / path.name)
    found = said(folder)

    assert ("link", path.name, "a symbolic link has no place here") in found
    what = f"links to {path.name}, which is not a plain file"
    assert ("link", path.with_suffix(".ds").name, what) in found


def test_what_is_no_file_is_named(make: Mix) -> None:
    """A pipe, which would never end."""
    folder = make()
    os.mkfifo(folder / "pipe")

    assert ("link", "pipe", "is neither a file nor a folder") in said(folder)


@pytest.mark.parametrize("suffix", [".npy", ".idx", ".ds.index"])
def test_sizes_follow_from_counts(make: Mix, suffix: str) -> None:
    """One byte more, sealed again: the counts imply another size."""
    folder = make(how="copy")
    path = npy(folder).with_suffix(suffix)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"\0")
    seal(folder, manifest_of(folder))

    assert ("size", path.name, f"{size + 1:,} bytes, but its counts imply {size:,}") in said(folder)


def test_digests_of_shards_are_in_two_places(make: Mix) -> None:
    """SHA256SUMS and manifest, for each of a shard's three names."""
    folder = make(how="copy")
    path = npy(folder)
    path.write_bytes(path.read_bytes()[::-1])
    path.with_suffix(".ds").write_bytes(path.read_bytes())
    seal(folder, manifest_of(folder))
    digests = {
        name for kind, name, what in said(folder) if kind == "digest" and "SHA256SUMS says" in what
    }

    assert {path.name, path.with_suffix(".ds").name} == digests


def test_another_tokenizer_is_not_the_manifest_s(make: Mix) -> None:
    """Sealed again, and still its digest stands in the content."""
    folder = make()
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes() + b"\n")
    seal(folder, manifest_of(folder))

    assert {("digest", "tokenizer.json", "is not the manifest's tokenizer")} == said(folder)


def test_totals_of_files_and_the_sums_are_the_manifest_s(make: Mix) -> None:
    """A file more than it was made over: number, bytes and lines differ."""
    folder = make()
    facts = manifest_of(folder)
    n, size = facts["files"]["n_files"], facts["files"]["n_bytes"]
    (folder / "notes.txt").write_text("hello")
    seal(folder, facts, keep_files=True)

    assert {
        ("size", ".", f"the folder has {n + 1:,} files, the manifest says {n:,}"),
        ("size", ".", f"the folder has {size + 5:,} bytes, the manifest says {size:,}"),
        ("sums", "SHA256SUMS", "its lines are not those the manifest was made over"),
    } == said(folder)


def test_the_last_line_is_the_manifest_s(make: Mix) -> None:
    """Another digest there, or none at all."""
    folder = make()
    relisted(folder, lambda lines: [*lines[:-1], "0" * 64 + lines[-1][64:]])
    other = said(folder)
    relisted(folder, lambda lines: lines[:-1])

    assert {("sums", "SHA256SUMS", "is not the digest of manifest.json")} == other
    assert ("sums", "SHA256SUMS", "is not that of manifest.json") in said(folder)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("{a}  a\n{b}  manifest.json", "line 2", "ends without a newline"),
        ("{a} a\n{b}  manifest.json\n", "line 1", "not `<sha256>  <name>`"),
        ("{a}  a\n{a}  a\n{b}  manifest.json\n", "line 2", "'a' is listed twice or lists itself"),
        (
            "{a}  SHA256SUMS\n{b}  manifest.json\n",
            "line 1",
            "'SHA256SUMS' is listed twice or lists itself",
        ),
        ("{a}  b\n{a}  a\n{b}  manifest.json\n", "", "lines are not sorted by name"),
        ("{b}  manifest.json\n{a}  a\n", "last line", "is not that of manifest.json"),
        ("", "last line", "is not that of manifest.json"),
    ],
)
def test_lines_of_the_sums_are_read_one_by_one(text: str, where: str, what: str) -> None:
    """A digest, two blanks, a name, a newline; sorted; each once; the manifest last."""
    _, found = sums.parse(text.format(a="a" * 64, b="b" * 64).encode())

    assert (where, what) in [(f.where, f.what) for f in found]


def test_a_name_that_leads_out_is_a_finding(make: Mix) -> None:
    """And is not among the names that are looked at."""
    listed, [finding] = sums.parse(f"{'a' * 64}  ../a\n{'b' * 64}  manifest.json\n".encode())

    assert "line 1" == finding.where
    assert ["manifest.json"] == list(listed)


def test_a_manifest_in_other_words_is_refused_by_its_parts(make: Mix) -> None:
    """Not canonical, another content, another id: three ways to have been touched."""
    folder = make()
    path = folder / "manifest.json"
    facts = manifest_of(folder)
    written = {
        "is not canonical JSON": json.dumps(facts, indent=1).encode(),
        "has another content than its content_id says": canonical(
            {**facts, "content": {**facts["content"], "seed": 8}}
        ),
        "is not what its id says": canonical({**facts, "version": "9"}),
        "is not JSON": b"{",
        "is not a JSON object": b"[]",
    }
    for words, data in written.items():
        path.write_bytes(data)
        assert any(words in what for kind, _, what in said(folder) if kind == "manifest"), words


def test_a_hold_out_may_have_all_that_was_read(make: Mix) -> None:
    """What is held out is not left out of it; of any other mix it is."""
    folder = make()
    facts = manifest_of(folder)
    for source in facts["origin"]["sources"].values():
        source["n_held_out"] = source["n_read"]
    seal(folder, facts)
    other = said(folder)
    facts["origin"]["arm"]["name"] = "holdout"
    seal(folder, facts)

    assert {"manifest"} == {kind for kind, _, _ in other}
    assert set() == said(folder)


def test_what_is_parsed_is_hashed_first(make: Mix) -> None:
    """A recount of damaged spans would find lies; it finds the damage, and says what is left."""
    folder = make(how="copy")
    path = folder / "spans.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    report = verify(folder, semantic=True)

    assert [("digest", "spans.parquet")] == [(f.kind, f.file) for f in report.findings]
    assert "the manifest's numbers: spans.parquet is damaged" in report.not_checked
    again = verify(folder, retokenize=3)
    assert [("digest", "spans.parquet")] == [(f.kind, f.file) for f in again.findings]
