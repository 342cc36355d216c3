"""
Turn a request to take documents down into new versions of the mixes that hold them.

    request ──places──▶ which spans go ──substitutes──▶ what fills them ──patch──▶ version + 1

Every arm of a sweep is patched together, with the same documents in the same places, so that what
was constant stays constant. The old version is marked superseded, and later builds of the recipe
leave the documents out (`removals`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files, manifest
from curate.errors import IntegrityError, UsageError
from curate.fingerprint import canonical
from curate.run import places, removals
from curate.run.patch import SPANS, Replacement, patch
from curate.run.patched import (
    DROPPED,
    deviation_of,
    dropped_of,
    log_of,
    lost_of,
    origin_of,
    with_amounts,
)
from curate.run.seal import seal
from curate.run.substitutes import WORK, Banned, Piece, Slot, fill, written

if TYPE_CHECKING:
    import polars as pl

    from curate.audit.opened import Opened
    from curate.run.job import Job

WHERE_COLUMNS = ("component", "shard", "start", "n_tokens")
REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Request:
    """
    What is to be taken down, and how.

    `ids` are document ids, or `key:` and 32 hex digits; `reason` is a code without blanks. `close`
    shortens instead of filling; `version` is that of the new mixes (the parent's, its last number
    one higher, if None); `link` is how shards get their further names.
    """

    ids: Sequence[str]
    reason: str
    close: bool = False
    version: str | None = None
    link: str = "hard"


@dataclass(frozen=True)
class Patched:
    """One mix of the answer."""

    mix: str
    version: str
    folder: Path
    n_documents: int
    n_spans: int
    n_tokens: int
    n_shards: int  # that are written anew
    content_id: str  # "" of a dry run


@dataclass
class Answer:
    """What was done, or (with nothing written) what would be."""

    mixes: list[Patched] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)  # ids that no mix holds
    warnings: list[str] = field(default_factory=list)


def siblings(mix: "Opened") -> list["Opened"]:
    """All mixes of the same recipe text and version beside a mix, itself included, by name."""
    from curate.audit.opened import Opened

    found = []
    version = mix.manifest["version"]
    for path in sorted(
        mix.folder.resolve().parent.parent.glob(f"*/{version}/{manifest.FILE_NAME}")
    ):
        other = Opened(path.parent, manifest.load(path.parent))
        if other.origin["recipe"]["sha256"] == mix.origin["recipe"]["sha256"]:
            found.append(other)
    return found


def remove(
    mixes: Sequence["Opened"],
    request: Request,
    *,
    job: "Job | None",
    recipe: Path | None,
    secret: Path,
    record: Path | None = None,
    dry_run: bool = False,
    note: bool = True,
) -> Answer:
    """
    Take documents out of mixes of one recipe and version.

    `job` gives the pools that places are filled from: None only with `close`. Beside `recipe` lies
    what was taken down before; what is now is added (with `note`) for later builds. `secret` is the
    file of the HMAC's key, `record` the folder of committed manifests. Raises UsageError for
    requests that do not make sense, InfeasibleError if too few documents are unused,
    IntegrityError if a version is taken.
    """
    _check(mixes, request, job)
    version = request.version or next_version(mixes[0].manifest["version"])
    wanted = places.wanted_of(request.ids, mixes, job)
    gone = {mix.manifest["name"]: places.rows_of(mix, wanted) for mix in mixes}
    answer = Answer(not_found=places.not_found(request.ids, gone.values()))
    answer.warnings = _warnings(mixes, gone, request)
    if not dry_run:
        key = removals.secret_of(secret, create=True)
        before = removals.Matcher(key, frozenset(), frozenset())
        if recipe is not None:
            was = mixes[0].manifest["version"]
            before = removals.matcher(recipe, was, secret, patch=True)
        banned = wanted.banned(mixes, before)
        staged = _stage(mixes, gone, banned, request, version, job, key)
        if recipe is not None and note:
            _note(recipe, wanted, request.reason, mixes[0].manifest["version"], key)
        for mix, made in zip(mixes, staged, strict=True):
            _place(mix, version, made, request.reason, record)
    for mix in mixes:
        answer.mixes.append(_patched(mix, gone[mix.manifest["name"]], version))
    return answer


def _stage(
    mixes: Sequence["Opened"],
    gone: Mapping[str, "pl.DataFrame"],
    banned: Banned,
    request: Request,
    version: str,
    job: "Job | None",
    key: bytes,
) -> list[dict[str, Any]]:
    """Write every mix beside its place, manifest last; returns the manifests."""
    for mix in mixes:
        there = mix.folder.resolve().parent / version
        if there.exists() and _parent_id(there) != mix.manifest["id"]:
            raise _taken(there)
    import polars as pl

    fills: dict[tuple[str, Slot], list[Piece]] = {}
    if not request.close and job is not None:
        fills = _fills(mixes, gone, banned, job)
    lost = lost_of(mixes, gone)
    staged = []
    for mix in mixes:
        rows = gone[mix.manifest["name"]]
        close = request.close or mix.is_holdout or job is None
        change = Replacement(rows["row"].to_list(), None, None)
        added: list[list[dict[str, Any]]] = [[] for _ in change.gone]
        if not close and job is not None and rows.height:
            arm = mix.origin["arm"]["name"]
            change, added = _filled(mix, job, rows, [fills[arm, slot] for slot in _slots(rows)])
        staging = _staging(mix, version)
        content = patch(mix, change, staging, link=request.link)
        log = log_of(
            mix, rows, added, version=version, reason=request.reason, close=close, secret=key
        )
        origin = origin_of(mix, content, lost, log)
        spans = pl.read_parquet(staging / SPANS, columns=["key", *WHERE_COLUMNS])
        _list_dropped(staging, dropped_of(mix, spans, lost))
        content["largest_deviation"] = deviation_of(mix, content, spans, log)
        content = with_amounts(content, origin)
        made = seal(
            staging,
            name=mix.manifest["name"],
            version=version,
            content=content,
            origin=origin,
        )
        there = mix.folder.resolve().parent / version
        if there.exists() and manifest.load(there)["id"] != made["id"]:
            raise _taken(there)
        staged.append(made)
    return staged


def _parent_id(folder: Path) -> str:
    """Of which mix a version is a patch; "" if of none."""
    parent = manifest.load(folder)["origin"].get("parent", {"id": ""})
    identity: str = parent["id"]
    return identity


def _taken(folder: Path) -> IntegrityError:
    return IntegrityError(f"{folder} exists already", hint="Name another --version.")


def next_version(version: str) -> str:
    """
    The version after: its last number one higher.

    >>> next_version("1.0.9"), next_version("2")
    ('1.0.10', '3')
    """
    head, dot, last = version.rpartition(".")
    if not last.isdecimal():
        raise UsageError(f"no version follows {version!r}", hint="Name one with --version.")
    return f"{head}{dot}{int(last) + 1}"


def _check(mixes: Sequence["Opened"], request: Request, job: "Job | None") -> None:
    if not request.ids:
        raise UsageError("there is nothing to remove: no ids")
    if REASON.fullmatch(request.reason) is None:
        raise UsageError(f"a reason is one word of letters, digits, . _ -, not {request.reason!r}")
    same = {(m.origin["recipe"]["sha256"], m.manifest["version"]) for m in mixes}
    if len(same) != 1:
        raise UsageError("these mixes are not of one recipe and version", hint="Patch them apart.")
    if job is None and not request.close:
        raise UsageError(
            "places cannot be filled without the store",
            hint="Name --recipe and --store, or add --close to shorten the mixes.",
        )
    if job is not None:
        from curate.fingerprint import digest

        if digest(job.recipe.text.encode()) != mixes[0].origin["recipe"]["sha256"]:
            raise IntegrityError(
                f"{job.recipe.path} is not the recipe that these mixes were built from",
                hint="Check out the recipe of that version, or add --close.",
            )


def _fills(
    mixes: Sequence["Opened"],
    gone: Mapping[str, "pl.DataFrame"],
    banned: Banned,
    job: "Job",
) -> dict[tuple[str, Slot], list[Piece]]:
    """What fills the places of all arms (a hold-out is closed up: it is whole groups)."""
    arms = {mix.origin["arm"]["name"]: mix for mix in mixes if not mix.is_holdout}
    slots = {arm: _slots(gone[mix.manifest["name"]]) for arm, mix in arms.items()}
    if not any(slots.values()):
        return {}
    used = {arm: mix.spans().select("key", "epoch").collect() for arm, mix in arms.items()}
    return fill(job, slots, used, banned, job.store.root / WORK)


def _slots(rows: "pl.DataFrame") -> list[Slot]:
    return [Slot(*row) for row in rows.select("component", "epoch", "key", "n_tokens").iter_rows()]


def _filled(
    mix: "Opened", job: "Job", rows: "pl.DataFrame", pieces: list[list[Piece]]
) -> tuple[Replacement, list[list[dict[str, Any]]]]:
    """The replacement of these rows, and what the log says came for each of them."""
    new, ids = written(mix, job, rows, pieces)
    came: dict[int, list[dict[str, Any]]] = {row: [] for row in rows["row"]}
    for row, key, epoch, n_tokens in new.select("for_row", "key", "epoch", "n_tokens").iter_rows():
        came[row].append({"key": key.hex(), "epoch": epoch, "n_tokens": n_tokens})
    return Replacement(rows["row"].to_list(), new, ids), list(came.values())


def _staging(mix: "Opened", version: str) -> Path:
    return mix.folder.resolve().parent / f"{files.TEMPORARY_PREFIX}{version}"


def _list_dropped(staging: Path, table: "pl.DataFrame | None") -> None:
    if table is not None:
        with files.replacing(staging / DROPPED) as temporary:
            table.write_parquet(
                temporary, compression="zstd", compression_level=3, row_group_size=131_072
            )


def _place(
    mix: "Opened", version: str, made: dict[str, Any], reason: str, record: Path | None
) -> None:
    """
    Move a finished version to its place, note it, and mark the one before.

    What an interrupted call had placed already is the same, and stays.
    """
    folder = mix.folder.resolve().parent / version
    if folder.exists():
        files.remove(_staging(mix, version))
    else:
        files.rename(_staging(mix, version), folder)
    if record is not None:
        path = record / mix.manifest["name"] / f"{version}.json"
        files.write_bytes(path, manifest.to_bytes(made))
    old = folder.parent / f"{mix.manifest['version']}.superseded.json"
    files.write_bytes(old, canonical({"by": version, "reason": reason}) + b"\n")


def _note(recipe: Path, wanted: places.Wanted, reason: str, after: str, key: bytes) -> None:
    """Tell later builds of the recipe."""
    entries = [
        removals.Entry(removals.keyed(key, kind, value), kind, reason, after)
        for kind, values in (("id", wanted.keys), ("text", wanted.contents))
        for value in values
    ]
    removals.add(removals.path_of(recipe), entries)


def _warnings(
    mixes: Sequence["Opened"], gone: Mapping[str, "pl.DataFrame"], request: Request
) -> list[str]:
    """What the one who asks should know."""
    found = []
    named = {mix.manifest["name"] for mix in mixes}
    left_out = {mix.manifest["name"] for mix in siblings(mixes[0])} - named
    if left_out and any(rows.height for rows in gone.values()):
        names = ", ".join(sorted(left_out))
        found.append(f"not patched: {names}; what was the same in all arms now differs")
    if any("estimates" in mix.manifest for mix in mixes):
        found.append("the new versions have no estimates: those of the parents are not theirs")
    if request.close:
        found.append("shortened, not filled: budgets are no longer met to the token")
    return found


def _patched(mix: "Opened", rows: "pl.DataFrame", version: str) -> Patched:
    folder = mix.folder.resolve().parent / version
    there = (folder / manifest.FILE_NAME).is_file()
    return Patched(
        mix=mix.manifest["name"],
        version=version,
        folder=folder,
        n_documents=rows["document"].n_unique(),
        n_spans=rows.height,
        n_tokens=int(rows["n_tokens"].cast(int).sum()),
        n_shards=rows["shard"].n_unique(),
        content_id=manifest.load(folder)["content_id"] if there else "",
    )
