"""
Turn a mix folder into a report: what is not what it says, what is whole, what was not looked at.

Levels add up: structure always (names, links, sizes, the manifest's own arithmetic), `read_data`
every byte against its digest, `semantic` every number of the manifest counted again from shards and
spans, sidecars derived again, the laws of mixing checked again, `retokenize` texts encoded again.
Nothing is ever repaired.
"""

from collections.abc import Sequence
from pathlib import Path

from curate import manifest as manifests
from curate.audit import digests, exported, recount, structure
from curate.audit.findings import Finding, Outcome, Progress, Report, capped, silent
from curate.audit.opened import SPANS, Opened
from curate.errors import IntegrityError, UsageError


def verify(
    folder: Path,
    *,
    read_data: bool = False,
    subset: tuple[int, int] = (1, 1),
    semantic: bool = False,
    retokenize: int | None = 0,
    seed: int = 0,
    record: Path | None = None,
    exports: Sequence[Path] = (),
    threads: int | None = None,
    progress: Progress = silent,
) -> Report:
    """
    Check a mix; the report has no findings if all that was asked for is right.

    `subset` = (n, t) reads the n-th of t sets of files; `semantic` recounts;
    `retokenize` that many documents drawn with `seed` (None: all); `record` is a manifest that the
    mix's must equal, `exports` are folders made from it. UsageError if a folder is none or the
    subset none; whatever is wrong inside is a finding, never an exception.
    """
    _check_folders(folder, exports)
    if not 1 <= subset[0] <= subset[1]:
        raise UsageError(f"no subset {subset[0]}/{subset[1]}", hint="Say n/t with 1 ≤ n ≤ t.")
    threads = threads or digests.n_threads()
    audit = Outcome()
    mix = _open(folder, audit)
    listing = structure.look(folder, mix)
    audit.findings += listing.findings
    audit.checked.append("structure: names, links, sizes, the manifest's arithmetic")
    if record is not None:
        _compare_record(folder, record, audit)
    # Whatever is going to be parsed is hashed first: damage must not look like a lie.
    parsed = [n for n in listing.files if n.endswith(".parquet") or n == "tokenizer.json"]
    names = parsed if semantic or retokenize != 0 or exports else []
    if read_data:
        names = digests.subset(listing.files, listing, *subset)
    damaged = _read(folder, mix, listing, names, threads, progress, audit)
    _say_what_was_read(read_data, subset, len(damaged), len(names), audit)
    if not semantic and retokenize == 0:
        audit.not_checked.append("whether the manifest's numbers are the files' (--semantic)")
    elif mix is None or SPANS in damaged:
        what = manifests.FILE_NAME if mix is None else SPANS
        audit.not_checked.append(f"the manifest's numbers: {what} is damaged")
    else:
        vocabulary = "tokenizer.json" not in damaged
        audit.add(recount.check(mix, semantic, vocabulary, retokenize, seed, threads, progress))
    if mix is not None:
        for export in exports:
            audit.add(exported.check(mix, export, spans=SPANS not in damaged))
    audit.not_checked.append("whether the sources hold what was read from them (--rebuild)")
    manifest = mix.manifest if mix else {}
    return Report(
        name=manifest.get("name", folder.resolve().parent.name),
        version=manifest.get("version", folder.resolve().name),
        findings=tuple(capped(audit.findings)),
        checked=tuple(audit.checked),
        not_checked=tuple(audit.not_checked),
        whole=tuple(audit.whole),
        content_id=manifest.get("content_id", ""),
    )


def _check_folders(folder: Path, exports: Sequence[Path]) -> None:
    for path in (folder, *exports):
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder", hint="Name a mix folder, or mix@version.")
    if (folder / exported.RECORD).exists() and not (folder / manifests.FILE_NAME).exists():
        raise UsageError(
            f"{folder} is an export, not a mix",
            hint=f"Name the mix it was made from: curate verify MIX --export {folder}",
        )


def _open(folder: Path, audit: Outcome) -> Opened | None:
    """The mix, or None with a finding where its manifest is not what it says."""
    try:
        mix = Opened(folder, manifests.load(folder))
        mix.shards  # noqa: B018  reads the table that a long list is in
    except (IntegrityError, OSError) as error:
        details = [getattr(error, "message", str(error)), *getattr(error, "details", [])]
        audit.findings.append(Finding("manifest", manifests.FILE_NAME, "", "; ".join(details)))
        return None
    return mix


def _compare_record(folder: Path, record: Path, audit: Outcome) -> None:
    """The committed manifest must be the mix's, byte for byte."""
    try:
        same = record.read_bytes() == (folder / manifests.FILE_NAME).read_bytes()
    except OSError:
        same = False
    if not same:
        what = "is not the committed manifest, byte for byte"
        audit.findings.append(Finding("record", manifests.FILE_NAME, "", what))
    audit.checked.append(f"the committed manifest {record.name}")


def _read(
    folder: Path,
    mix: Opened | None,
    listing: structure.Listing,
    names: list[str],
    threads: int,
    progress: Progress,
    audit: Outcome,
) -> set[str]:
    """Hash the files of these names; returns those that are damaged, which are not parsed then."""
    with progress("reading", digests.bytes_of(names, listing)) as advance:
        found = digests.digests(folder, names, listing, threads, advance)
    wrong = list(digests.compare(folder, found, listing, mix))
    audit.findings += wrong
    return {finding.file for finding in wrong} & found.keys()


def _say_what_was_read(
    read_data: bool, subset: tuple[int, int], n_damaged: int, n_read: int, audit: Outcome
) -> None:
    if not read_data:
        audit.not_checked.append("whether every byte is the one that was written (--read-data)")
        return
    part = "all files" if subset == (1, 1) else f"set {subset[0]} of {subset[1]} of the files"
    audit.checked.append(f"digests: {part}, {n_read:,} names")
    audit.whole.append(f"{n_read - n_damaged:,} of {n_read:,} files read")
    if subset != (1, 1):
        audit.not_checked.append(f"the bytes of the other {subset[1] - 1} sets of files")
