"""
Turn dumps into documents: 4chan threads and posts, C4 and other web text.

    >>> declaration = declare("c4", {}, where="recipe.toml [source.c4]")
    >>> declaration["reader"], declaration["format"] == FORMAT
    ('c4', True)
    >>> declare("4chan", {"dokument": "post"}, where="r.toml [source.pol]")
    Traceback (most recent call last):
      ...
    curate.errors.RecipeError: r.toml [source.pol]: unknown key dokument, did you mean document?
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate import fingerprint
from curate.errors import InputError
from curate.readers.options import FORMAT, declare

__all__ = ["FORMAT", "check_rejected", "declare", "joined_sha256", "read_input", "read_joined"]

KEPT_WHEN_FREED = (8 << 20) - 8_192
"""
Bytes of a block that is made and freed, without being touched, before an input is read.

glibc then keeps blocks up to this size when they are freed (mallopt(3), M_MMAP_THRESHOLD). If not,
it gives every block of lines back to the system, which hands it out again page by page: a tenth of
the time of reading. Of more it would keep too much of very long lines.
"""


def read_input(
    uri: str,
    declaration: Mapping[str, object],
    *,
    input_sha256: str,
    out: Path,
    part_bytes: int = 256 << 20,
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, Any]:
    """
    Read one file into documents parts in `out`, and write its receipt last → the receipt's facts.

    `uri` is a local path or an fsspec URL whose bytes must hash to `input_sha256` (else
    IntegrityError); `declaration` comes from `declare`; `progress(n)` is told of every `n` more
    bytes of the file. Damaged or hostile input raises InputError; nothing partial is ever taken for
    done, since the receipt comes last. What is written follows docs/format.md §3.1 and depends on
    the bytes of the file and the declaration alone.
    """
    return _read([(uri, input_sha256)], declaration, input_sha256, out, part_bytes, progress)


def read_joined(
    inputs: Sequence[tuple[str, str]],
    declaration: Mapping[str, object],
    *,
    out: Path,
    part_bytes: int = 256 << 20,
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, Any]:
    """
    Read several 4chan files as one, so that posts of a thread meet wherever they are.

    For sources with `join = true`. `inputs` are (uri, sha256) in any order; parts and receipt are
    named by `joined_sha256`. Counts are of all files together; `inputs` in the facts lists them.
    """
    in_order = sorted(set(inputs), key=lambda item: item[1])
    joint = joined_sha256([sha256 for _, sha256 in in_order])
    return _read(in_order, declaration, joint, out, part_bytes, progress)


def joined_sha256(sha256s: Sequence[str]) -> str:
    """What stands for the sha256 of files that are read as one: that of their sorted digests."""
    return fingerprint.digest(fingerprint.canonical(sorted(set(sha256s))))


def _read(
    inputs: list[tuple[str, str]],
    declaration: Mapping[str, Any],
    sha256: str,
    out: Path,
    part_bytes: int,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    from curate import store
    from curate.readers import parts
    from curate.readers.base import Tally
    from curate.readers.decompress import Stream
    from curate.readers.options import module_of

    bytearray(KEPT_WHEN_FREED)
    reader = module_of(declaration)
    name = sha256[:16]
    streams = [Stream(uri, digest, progress) for uri, digest in inputs]
    with Tally(name, out / f"{name}.rejected.jsonl.zst") as tally:
        written = parts.write(
            reader.read(streams, declaration, tally),
            reader.columns(declaration),
            out=out,
            input_sha256=sha256,
            part_bytes=part_bytes,
        )
    facts: dict[str, Any] = {
        "input": sha256,
        "n_bytes": sum(stream.n_bytes for stream in streams),
        "n_bytes_decompressed": sum(stream.n_bytes_decompressed for stream in streams),
        "n_records": tally.n_records,
        "n_documents": sum(part["n_documents"] for part in written),
        "skipped": dict(sorted(tally.skipped.items())),
        "rejected": dict(sorted(tally.rejected.items())),
        "n_bytes_rejected": tally.n_bytes_rejected,
        "parts": written,
    }
    if len(inputs) > 1:
        facts["inputs"] = [digest for _, digest in inputs]
    if tally.posts:
        facts["posts"] = dict(sorted(tally.posts.items()))
    if tally.notes.total():
        facts["notes"] = {k: n for k, n in sorted(tally.notes.items()) if n}
    store.write_receipt(out, name, facts)
    return facts


def check_rejected(facts: Mapping[str, Any], *, name: str, limit: Fraction) -> None:
    """InputError if more than `limit` of an input's records, or of its bytes, were rejected."""
    n_rejected = sum(facts["rejected"].values())
    of_records = Fraction(n_rejected, max(facts["n_records"], 1))
    of_bytes = Fraction(facts["n_bytes_rejected"], max(facts["n_bytes_decompressed"], 1))
    if of_records <= limit and of_bytes <= limit:
        return
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in facts["rejected"].items())
    worst = float(max(of_records, of_bytes))
    raise InputError(
        f"{name} has too many records that cannot be read",
        details=[
            f"{n_rejected:,} of {facts['n_records']:,} records ({reasons})",
            f"{facts['n_bytes_rejected']:,} of {facts['n_bytes_decompressed']:,} bytes",
            f"limit {float(limit):.3%}; they are in {facts['input'][:16]}.rejected.jsonl.zst",
        ],
        hint=f"Look at them, then raise --max-rejected above {worst:.3%}.",
    )
