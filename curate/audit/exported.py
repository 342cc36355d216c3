"""
Turn an export into findings: is it of this mix, are its bytes its own, are its values right.

Side arrays are derived again from spans.parquet by docs/format.md §6, so that a mask which was
shifted, or made of another mix, is found though its own digest fits:

    >>> derived("bucket:toxicity:0.25,0.5", np.array([0.1, 0.5]), np.array([2, 3]), bos=False)
    array([1, 0, 3, 3, 0], dtype=uint8)
"""

import json
import re
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.audit.findings import Finding, Outcome
from curate.audit.opened import Opened, collected

RECORD = "curate-export.json"
BLOCK_SPANS = 65_536
SIDES = {"mask": "u1", "bucket": "u1", "score": "<f2"}
FORMS = re.compile(
    r"mask:[^:<>=,]+(<|<=|>|>=)\s*[-+.0-9eE]+|bucket:[^:<>=,]+:[-+.0-9eE, ]+|score:[^:<>=,]+"
)
SIGNS = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def check(mix: Opened, folder: Path, *, spans: bool) -> Outcome:
    """Check the export in `folder`; its side arrays only if `spans` can be trusted."""
    found = Outcome()
    try:
        record = json.loads((folder / RECORD).read_bytes())
        files = {file["name"]: file for file in record["files"]}
        of, to, sides = dict(record["mix"]), record["to"], record["options"].get("side", [])
        shards = [(shard["name"], shard["sha256"]) for shard in record["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"is no record of an export: {type(error).__name__}"
        found.findings.append(Finding("export", str(folder / RECORD), "", what))
        return found
    found.findings += _files(folder, files)
    found.checked.append(f"export {folder}: whose it is, digests of {len(files):,} files")
    ours = [(shard["name"], shard["sha256"]) for shard in mix.shards]
    if of.get("content_id") != mix.manifest["content_id"] or shards != ours:
        what = f"is of {of.get('name')}@{of.get('version')} with other content, not of {mix.title}"
        found.findings.append(Finding("export", str(folder / RECORD), "", what))
    elif to != "sides":
        asked = f"curate export {mix.folder} --to {to} --out {folder} --check"
        found.not_checked.append(f"whether {folder} is what the mix gives ({asked})")
    elif not spans:
        found.not_checked.append(f"the values of {folder}: spans.parquet is damaged")
    else:
        found.findings += _sides(mix, folder, sides)
        found.checked.append(f"export {folder}: every value derived again from the spans")
    return found


def _files(folder: Path, told: dict[str, Any]) -> Iterator[Finding]:
    there = {path.name for path in folder.iterdir()} - {RECORD}
    for name in sorted(there - told.keys()):
        yield Finding("export", str(folder / name), "", f"is not in {RECORD}")
    for name, file in sorted(told.items()):
        if name not in there:  # nor can it be: a name that leads out of the folder
            yield Finding("export", str(folder / name), "", "is missing")
            continue
        with open(folder / name, "rb") as opened:
            digest = file_digest(opened, "sha256").hexdigest()
        if digest != file["sha256"]:
            what = f"its bytes are {digest[:16]}…, they were {str(file['sha256'])[:16]}…"
            yield Finding("export", str(folder / name), "", what)


def _sides(mix: Opened, folder: Path, sides: list[str]) -> Iterator[Finding]:
    tags = set(mix.tags())
    known = [text for text in sides if FORMS.fullmatch(text) and tag_of(text) in tags]
    for text in sorted({*sides} - {*known}) or ([] if sides else ["nothing"]):
        what = f"names the side array {text!r}, which cannot be made of this mix"
        yield Finding("export", str(folder / RECORD), "", what)
    for number, shard in enumerate(mix.shards):
        for text in known:
            path = folder / f"{shard['name']}.{text.partition(':')[0]}"
            if path.is_file():
                yield from _array(mix, number, text, path)
            else:
                yield Finding("export", str(path), "", "is missing")


def _array(mix: Opened, number: int, text: str, path: Path) -> Iterator[Finding]:
    """At most one finding: the first token of the shard whose value is another."""
    import polars as pl

    dtype = np.dtype(SIDES[text.partition(":")[0]])
    n_tokens, n_bytes = mix.shards[number]["n_tokens"], path.stat().st_size
    if n_bytes != n_tokens * dtype.itemsize:
        what = f"{n_bytes:,} bytes, its {n_tokens:,} tokens make {n_tokens * dtype.itemsize:,}"
        yield Finding("export", str(path), "", what)
        return
    values = np.memmap(path, dtype=dtype, mode="r")
    of_shard = mix.spans().filter(pl.col("shard") == number).select("n_tokens", tag_of(text))
    bos = "bos" in mix.content["tokenizer"]
    at = 0
    for rows in collected(of_shard).iter_slices(BLOCK_SPANS):
        if rows[tag_of(text)].null_count():
            yield Finding("export", str(path), "", f"spans of this shard have no {tag_of(text)}")
            return
        right = derived(text, rows[tag_of(text)].to_numpy(), rows["n_tokens"].to_numpy(), bos=bos)
        found = values[at : at + len(right)]
        wrong = np.flatnonzero(found != right)
        if len(wrong):
            first = int(wrong[0])
            what = f"is {found[first]}, the spans give {right[first]}"
            yield Finding("export", str(path), f"token {at + first:,}", what)
            return
        at += len(right)


def tag_of(text: str) -> str:
    """
    The tag that a side array is made of.

    >>> tag_of("mask:toxicity<0.5"), tag_of("bucket:t.insult:1,2"), tag_of("score:t")
    ('toxicity', 't.insult', 't')
    """
    return re.split(r"[:<>=]", text.partition(":")[2])[0].strip()


def derived(
    text: str, scores: npt.NDArray[Any], lengths: npt.NDArray[Any], *, bos: bool
) -> npt.NDArray[Any]:
    """The values of a side array for spans of these scores and lengths: shape (tokens,)."""
    kind, _, rest = text.partition(":")
    scores = scores.astype(np.float32)
    if kind == "mask":
        sign, limit = re.findall(r"([<>]=?)\s*([^<>=]+)$", rest)[0]
        return np.repeat(SIGNS[sign](scores, np.float32(limit)).astype("u1"), lengths)
    if kind == "bucket":
        edges = [np.float32(edge) for edge in rest.rpartition(":")[2].split(",")]
        values = 1 + sum(((edge <= scores).astype("u1") for edge in edges), np.zeros(1, "u1"))
    else:
        values = scores.astype("<f2")
    each = np.repeat(values, lengths)
    ends = np.cumsum(lengths)
    each[ends - 1] = 0
    if bos:
        each[ends - lengths] = 0
    return each
