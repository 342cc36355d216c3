"""
Turn ids back into text and compare it with the digests by which documents are known.

A span's row holds the digest of its document's text. Where the ids decode to bytes with that
digest, the tokens are proven to be that text. A tokenizer that normalises (NFC) decodes to the
normalised text: then a difference proves something only if no other text has this normal form.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.audit.decode import Vocabulary
from curate.audit.findings import Finding
from curate.audit.opened import SPANS, Opened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

NFC_TARGETS = frozenset(b"K;`")
"""
ASCII characters that another character becomes under NFC: the kelvin sign, the Greek question mark
and the Greek varia. ASCII text without these is the NFC of itself alone.
"""

BLOCK = 2**22
"""Ids decoded at once, at least; a span is never divided."""


@dataclass
class Texts:
    """What was found out about the spans of one shard or of a mix."""

    proven: int = 0
    unprovable: int = 0  # the normaliser may have changed the text
    partial: int = 0  # cut, a piece, or with inserted ids: the row's digest is of more than these
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Texts") -> None:
        """Count another shard's spans as well."""
        self.proven += other.proven
        self.unprovable += other.unprovable
        self.partial += other.partial
        self.findings += other.findings

    def render(self) -> str:
        """One line for a report."""
        whole = f"{self.proven:,} spans decode to the text whose digest they state"
        rest = f"{self.unprovable:,} are of text that the tokenizer's normaliser may have changed"
        return f"{whole}; {rest}; {self.partial:,} are cut, pieces, or hold inserted ids"


def whole_documents(spans: "pl.DataFrame") -> "pl.Series":
    """Whether each span holds exactly the text of one document: Boolean of the same length."""
    import polars as pl

    plain = ~pl.col("cut") & (pl.col("first") == 0) & (pl.col("n_inserted") == 0)
    return spans.select(whole=plain)["whole"] & ~pieces(spans)


def pieces(spans: "pl.DataFrame") -> "pl.Series":
    """Whether each span is of a piece of a document: Boolean of the same length."""
    import polars as pl

    web = pl.when(pl.col("url").is_not_null()).then(
        # A web id is `<url>#<16 hex>`; a piece's has `#<k>` after that.
        pl.col("id").str.len_bytes() > pl.col("url").str.len_bytes() + 17
    )
    return spans.select(piece=web.otherwise(pl.col("id").str.contains("#", literal=True)))["piece"]


def check(
    mix: Opened, number: int, rows: "pl.DataFrame", first_row: int, vocabulary: Vocabulary
) -> Texts:
    """Decode shard `number` and compare every whole document with its digest and its length."""
    import numpy as np

    found = Texts()
    whole = whole_documents(rows).to_numpy()
    found.partial = int((~whole).sum())
    ids = mix.ids(number)
    lengths = rows["n_tokens"].to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    if not len(ends) or ends[-1] != len(ids):
        return found  # `tiling` says so
    contents, n_bytes = rows["content"].to_list(), rows["n_bytes"].to_list()
    has_bos = "bos" in mix.content["tokenizer"]
    for first, last in _blocks(ends):
        begin = int(ends[first] - lengths[first])
        data, edges = vocabulary.decode(np.asarray(ids[begin : int(ends[last - 1])]))
        raw = data.tobytes()
        lefts = edges[ends[first:last] - lengths[first:last] - begin + has_bos].tolist()
        rights = edges[ends[first:last] - 1 - begin].tolist()
        for row in np.flatnonzero(whole[first:last]).tolist():
            text = raw[lefts[row] : rights[row]]
            at = first + row
            same = hashlib.sha256(text).digest()[:16] == contents[at] and len(text) == n_bytes[at]
            if same:
                found.proven += 1
            elif vocabulary.normaliser and not _own_normal_form(text):
                found.unprovable += 1
            else:
                what = f"its ids decode to {len(text):,} bytes that are not the document's text"
                place = f"shard {number}, span {first_row + at}"
                found.findings.append(Finding("text", SPANS, place, what))
    return found


def _own_normal_form(text: bytes) -> bool:
    """Whether no other text has this one as its NFC."""
    return text.isascii() and not NFC_TARGETS.intersection(text)


def _blocks(ends: "npt.NDArray[np.int64]") -> Iterator[tuple[int, int]]:
    """Ranges of spans of about BLOCK ids, never dividing one."""
    import numpy as np

    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + BLOCK, side="right")))
        yield first, last
        first = last


def retokenize(
    mix: Opened, spans: "pl.DataFrame", vocabulary: Vocabulary, wanted: int | None, seed: int
) -> tuple[int, list[Finding]]:
    """
    Encode the decoded text of whole documents again and compare the ids.

    `wanted` documents drawn with `seed`, or all if None; returns how many were encoded, and
    findings. Needs no text but the mix's own: a normal form is its own normal form.
    """
    import numpy as np

    candidates = np.flatnonzero(whole_documents(spans).to_numpy())
    if wanted is not None and wanted < len(candidates):
        drawn = np.random.default_rng(seed).choice(len(candidates), wanted, replace=False)
        candidates = candidates[np.sort(drawn)]
    encoder = _encoder(mix)
    has_bos = "bos" in mix.content["tokenizer"]
    findings: list[Finding] = []
    for first in range(0, len(candidates), 1_000):
        lot = candidates[first : first + 1_000]
        rows = spans[lot]
        pieces = [
            mix.ids(shard)[start + has_bos : start + n - 1]
            for shard, start, n in rows.select("shard", "start", "n_tokens").iter_rows()
        ]
        texts = [
            vocabulary.decode(piece)[0].tobytes().decode("utf-8", "replace") for piece in pieces
        ]
        for row, piece, made in zip(
            lot.tolist(), pieces, encoder.encode_batch(texts, add_special_tokens=False), strict=True
        ):
            if made.ids != piece.tolist():
                what = "encoding its text again gives other ids"
                findings.append(Finding("tokenizer", SPANS, f"span {row}", what))
    return len(candidates), findings


def _encoder(mix: Opened) -> Any:
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(mix.folder / "tokenizer.json"))
    encoder.encode_special_tokens = True  # typed special tokens are ordinary text (§3.3)
    encoder.no_truncation()
    encoder.no_padding()
    return encoder
