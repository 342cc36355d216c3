"""Documents of a few words, and what encoding them left in the pool."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from curate import document
from curate.tokenizer import Tokenizer, from_bytes
from curate.tokens import encode_part
from tests import tiny_files

END = "<|endoftext|>"
BYTES = from_bytes(tiny_files.tokenizer_json(), name="bytes", eos=END)

AWKWARD = (
    END, "<|pad|>", "|||IP_ADDRESS|||", " ", "  ", "\n", "\r\n", "\t", "\x00", "e\u0301", "\u00e9",
    "\u4f60\u597d", "\U0001f469\u200d\U0001f467", "\u0130", "\ufb01", "'s", "a", "Zebra", "12345",
    "<0x0A>", "\u0120", "\u2581", "!!!", "\u00a0", "\u2028", "\U00010348",
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
        st.lists(st.sampled_from(AWKWARD), min_size=1, max_size=12).map("".join),
    ),
    min_size=0,
    max_size=12,
)


def documents(folder: Path, texts: list[str]) -> Path:
    """A documents part with ids d0, d1, …; only the columns that tokenizing reads."""
    frame = pl.DataFrame(
        {"id": [f"d{n}" for n in range(len(texts))], "text": texts},
        schema={"id": pl.String, "text": pl.String},
    )
    path = folder / "documents.parquet"
    frame.with_columns(
        key=document.keys(frame["id"]),
        n_bytes=pl.col("text").str.len_bytes().cast(pl.UInt32),
    ).write_parquet(path)
    return path


def pool(folder: Path, part: str = "p", dtype: str = "uint16") -> tuple[Any, pl.DataFrame]:
    """(ids of each row, rows) of a pool part, cut by its own table."""
    ids = np.fromfile(folder / f"{part}.ids", np.dtype(dtype).newbyteorder("<"))
    rows = pl.read_parquet(folder / f"{part}.parquet")
    cut = [ids[o : o + n].tolist() for o, n in rows.select("offset", "n_tokens").iter_rows()]
    assert sum(map(len, cut)) == len(ids)
    return cut, rows


def encode(folder: Path, texts: list[str], tokenizer: Tokenizer = BYTES, **options: Any) -> Any:
    """Encode texts as one part: (ids of each row, rows, facts)."""
    limit = options.pop("max_document_tokens", None)
    facts = encode_part(
        documents(folder, texts),
        tokenizer,
        max_document_tokens=limit,
        out=folder,
        part="p",
        **options,
    )
    return *pool(folder, dtype=tokenizer.dtype), facts
