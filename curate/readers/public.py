"""
Turn the name of a public dump into its files on this disk.

What is fetched is first listed, with sizes and digests as the host gives them; then each file is
downloaded, resumed where an earlier try stopped, and checked before it gets its name:

    >>> sorted(DUMPS)
    ['c4', 'c4-noblocklist', 'c4-realnewslike', 'c4-validation', 'pol']
    >>> DUMPS["c4"].license
    'ODC-BY-1.0'
    >>> numbers("0-2,7", 1024)
    [0, 1, 2, 7]

Hosts: datasets of the Hugging Face Hub (digests are the Hub's own LFS pointers) and records of
Zenodo (sizes and MD5 sums from its API, https://developers.zenodo.org/#records).
"""

import hashlib
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curate import files
from curate.errors import IntegrityError, RemoteError, UsageError

TRIES = 6
"""Attempts per file before giving up; the pause between them doubles from one second."""

CHUNK = 1 << 20
TIMEOUT = 60
"""Seconds without a byte after which a connection is taken for dead."""


@dataclass(frozen=True)
class Dump:
    """A public dump: where it lies and under which terms."""

    host: str  # "hub": a dataset of the Hub; "zenodo": a record
    at: str  # dataset or record
    name: str  # of a file; "{}" stands for its number in five digits
    n_files: int
    reader: str
    license: str
    about: str


DUMPS: dict[str, Dump] = {
    "c4": Dump(
        "hub", "allenai/c4", "en/c4-train.{}-of-01024.json.gz", 1024, "c4", "ODC-BY-1.0",
        "C4, English, as AllenAI publishes it",
    ),
    "c4-noblocklist": Dump(
        "hub", "allenai/c4", "en.noblocklist/c4-train.{}-of-01024.json.gz", 1024, "c4",
        "ODC-BY-1.0", "C4, English, without the word filter",
    ),
    "c4-realnewslike": Dump(
        "hub", "allenai/c4", "realnewslike/c4-train.{}-of-00512.json.gz", 512, "c4", "ODC-BY-1.0",
        "C4, pages of news sites",
    ),
    "c4-validation": Dump(
        "hub", "allenai/c4", "en/c4-validation.{}-of-00008.json.gz", 8, "c4", "ODC-BY-1.0",
        "C4, English, validation split",
    ),
    "pol": Dump(
        "zenodo", "3606810", "pol_0616-1119_labeled.tar.zst", 1, "4chan", "CC-BY-4.0",
        "Raiders of the Lost Kek: 3.3 M threads of /pol/, 2016-06 to 2019-11; grossly offensive",
    ),
}  # fmt: skip
"""Name → dump."""


@dataclass(frozen=True)
class File:
    """One file to fetch."""

    name: str
    url: str
    n_bytes: int
    algorithm: str  # of the digest: "sha256" or "md5"
    digest: str


def numbers(text: str, n_files: int) -> list[int]:
    """File numbers of "0-9,20": UsageError if they are none, or out of range."""
    found: set[int] = set()
    for piece in text.split(","):
        first, _, last = piece.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise UsageError(f"{piece!r} is no file number", hint="Write them as 0-9,20.")
        found |= set(range(int(first), int(last or first) + 1))
    if max(found, default=n_files) >= n_files:
        raise UsageError(f"there are files 0 to {n_files - 1:,}, not {max(found, default=0):,}")
    return sorted(found)


def listed(dump: Dump, wanted: list[int], *, endpoint: str | None = None) -> list[File]:
    """The files of a dump with their sizes and digests, as the host gives them; RemoteError."""
    names = [dump.name.format(f"{number:05d}") for number in wanted]
    if dump.host == "hub":
        return _on_the_hub(dump.at, names, endpoint)
    return _on_zenodo(dump.at, names, endpoint or "https://zenodo.org")


def _on_the_hub(dataset: str, names: list[str], endpoint: str | None) -> list[File]:
    import huggingface_hub

    api = huggingface_hub.HfApi(endpoint=endpoint)
    try:
        commit = api.dataset_info(dataset).sha
        found = api.get_paths_info(dataset, names, repo_type="dataset", revision=commit)
    except Exception as error:  # the Hub's client changed its HTTP library twice, errors and all
        raise RemoteError(
            f"cannot list {dataset} on the Hub ({type(error).__name__})",
            hint="Check the network (and HF_HUB_OFFLINE, HF_TOKEN), then run the same line again.",
        ) from None
    by_name = {item.path: item for item in found}
    made = []
    for name in names:
        item = by_name.get(name)
        pointer = getattr(item, "lfs", None)
        if pointer is None:
            raise RemoteError(f"{dataset} has no {name}")
        url = huggingface_hub.hf_hub_url(
            dataset, name, repo_type="dataset", revision=commit, endpoint=endpoint
        )
        made.append(File(name.rsplit("/", 1)[-1], url, pointer.size, "sha256", pointer.sha256))
    return made


def _on_zenodo(record: str, names: list[str], endpoint: str) -> list[File]:
    url = f"{endpoint}/api/records/{record}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 (https or a test)
            described = json.load(answer)
        by_name = {item["key"]: item for item in described["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RemoteError(
            f"cannot list record {record} of Zenodo ({type(error).__name__})",
            hint="Check the network, then run the same line again.",
        ) from None
    made = []
    for name in names:
        if name not in by_name:
            raise RemoteError(f"record {record} of Zenodo has no {name}")
        item = by_name[name]
        algorithm, _, digest = item["checksum"].rpartition(":")
        content = f"{url}/files/{name}/content"
        made.append(File(name, content, int(item["size"]), algorithm or "md5", digest))
    return made


def room(folder: Path) -> int:
    """Bytes free on the disk that holds `folder`, or will."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def is_here(file: File, folder: Path) -> bool:
    """Whether a file lies in `folder` in its full length; it got its name only after its check."""
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.n_bytes


def fetch(
    file: File,
    folder: Path,
    *,
    advance: Callable[[int], None] = lambda n: None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """
    Download a file into `folder` → its path, once its length and digest are right.

    What an earlier try left in `<name>.part` is kept and continued. RemoteError after TRIES
    failures, IntegrityError if the bytes are not what the host said they would be.
    """
    files.make_folder(folder)
    path, part = folder / file.name, folder / f"{file.name}.part"
    if is_here(file, folder):
        advance(file.n_bytes)
        return path
    advance(part.stat().st_size if part.exists() else 0)
    for attempt in range(TRIES):
        if attempt:
            pause(2.0 ** (attempt - 1))
        try:
            _continue(file, part, advance)
            break
        except (OSError, ValueError) as error:  # a broken answer is an http.client.HTTPException
            reason = f"{type(error).__name__}: {error}"
    else:
        raise RemoteError(
            f"{file.name} could not be fetched in {TRIES} tries",
            details=[reason, f"{part.stat().st_size if part.exists() else 0:,} bytes are kept"],
            hint="Run the same line again: it goes on where it stopped.",
        )
    with part.open("rb", buffering=0) as kept:
        digest = hashlib.file_digest(kept, file.algorithm).hexdigest()
    if digest != file.digest:
        files.remove(part)
        raise IntegrityError(
            f"{file.name} is not what its host says",
            details=[f"{file.algorithm} said {file.digest}", f"{file.algorithm} found {digest}"],
            hint="Run the same line again; if it happens twice, the host or the way is at fault.",
        )
    files.sync_file(part)
    files.rename(part, path)
    return path


def _continue(file: File, part: Path, advance: Callable[[int], None]) -> None:
    """Get what is missing of a file; ValueError if the host ends early or sends too much."""
    n_kept = part.stat().st_size if part.exists() else 0
    if n_kept > file.n_bytes:
        files.remove(part)
        n_kept = 0
    if n_kept == file.n_bytes:
        return
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={n_kept}-"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        if answer.status == 200 and n_kept:  # a host that does not know ranges starts afresh
            advance(-n_kept)
            n_kept = 0
        files.announce("write", part)
        with part.open("ab" if n_kept else "wb") as file_:
            while chunk := answer.read(CHUNK):
                file_.write(chunk)
                n_kept += len(chunk)
                advance(len(chunk))
    if n_kept != file.n_bytes:
        raise ValueError(f"{n_kept:,} of {file.n_bytes:,} bytes came")
