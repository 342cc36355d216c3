"""
Turn an id into the key and group by which a document is known everywhere.

A document is one row: id, text, metadata. Tables of documents have the columns of `SCHEMA`,
in that order, then whatever else a reader adds (a reader's own columns carry a dot or its name).

    >>> key("4chan:pol/123").hex()
    '0c335105886e82c871d08856fefb593c'
    >>> web_id("https://a.example/", "Hello.")
    'https://a.example/#2d8bd7d9bb5f85ba'
    >>> piece_id("https://a.example/#2d8bd7d9bb5f85ba", 2)
    'https://a.example/#2d8bd7d9bb5f85ba#2'
"""

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

KEY_BYTES = 16

SCHEMA_NAMES: dict[str, str] = {
    "id": "String",  # see DESIGN: `4chan:board/thread[/post]`, `url#t`, `sha256:…`
    "key": "Binary",  # 16 bytes: `key(id)`
    "group": "Binary",  # 16 bytes: key of the thread id or the URL; what a hold-out keeps whole
    "text": "String",  # valid UTF-8, never empty
    "n_bytes": "UInt32",  # of the text in UTF-8
    "content": "Binary",  # 16 bytes: first 16 of sha256(text)
    "input": "String",  # first 16 hex digits of the input file's sha256
    "offset": "UInt64",  # first byte of the record in the decompressed input
    "n_posts": "UInt32",  # posts with text in this document; 1 for a web page
    "timestamp": "Int64",  # UTC seconds of the newest post or of the crawl; null if unknown
    "url": "String",  # null where there is none
    "registered_domain": "String",  # null where there is none
    "board": "String",  # null where there is none
    "thread": "Int64",  # null where there is none
    "license": "String",  # of this document where the dump says; else null (the source's holds)
    "language": "String",  # where the dump says; else null
}
"""Column name → polars type of a documents table (docs/format.md §3)."""


def schema() -> "dict[str, pl.DataType]":
    """`SCHEMA_NAMES` with polars types (polars is imported here, not above: it is heavy)."""
    import polars as pl

    return {name: getattr(pl, kind)() for name, kind in SCHEMA_NAMES.items()}


def key(identifier: str) -> bytes:
    """First 16 bytes of sha256 of the UTF-8 id."""
    return hashlib.sha256(identifier.encode()).digest()[:KEY_BYTES]


def keys(identifiers: "pl.Series") -> "pl.Series":
    """`key` over a String column: Binary column of the same length and name; nulls stay null."""
    import polars as pl

    encoded = identifiers.cast(pl.Binary).to_list()
    hashed = [None if i is None else hashlib.sha256(i).digest() for i in encoded]
    return pl.Series(identifiers.name, hashed, dtype=pl.Binary).bin.head(KEY_BYTES)


def key_words(keys_: "pl.Series") -> "npt.NDArray[np.uint64]":
    """A Binary column of n 16-byte keys as an (n, 2) uint64 array: little-endian halves a, b."""
    import polars as pl

    words: Any = keys_.bin.reinterpret(dtype=pl.Array(pl.UInt64, 2), endianness="little")
    array: npt.NDArray[np.uint64] = words.to_numpy().reshape(-1, 2)
    return array


def web_id(url: str, text: str) -> str:
    """Id of a web document: the URL and the first 16 hex digits of sha256 of its text."""
    return f"{url}#{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def text_id(text: str) -> str:
    """Id of a document that has nothing but its text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def thread_id(board: str, thread: int) -> str:
    """Id of a 4chan thread; post numbers are per board."""
    return f"4chan:{board}/{thread}"


def post_id(board: str, thread: int, post: int) -> str:
    """Id of a single 4chan post."""
    return f"4chan:{board}/{thread}/{post}"


def piece_id(identifier: str, piece: int) -> str:
    """Id of the k-th piece (from 1) of a document that was split."""
    return f"{identifier}#{piece}"
