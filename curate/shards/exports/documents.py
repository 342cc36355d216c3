"""
Turn the documents of a mix into rows: of ids (Parquet, Arrow) or of text (JSON lines).

Each row has the document's `id` and its `component` beside `input_ids` or `text`.
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.fingerprint import canonical
from curate.shards.exports.folder import Folder, OpenedShard, Source

if TYPE_CHECKING:
    import polars as pl

BLOCK_TOKENS = 1 << 24
"""Tokens turned into rows at once, and so into one file: 64 MiB of int32."""


ARROW_SCHEMA = (
    "/////wgBAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAMAAACwAAAAcAAAAAQA"
    "AABs////AAABDBQAAAAgAAAABAAAAAEAAAAYAAAACQAAAGlucHV0X2lkcwAAAGj///+c////AAABAhAAAAAgAAAA"
    "BAAAAAAAAAAHAAAAZWxlbWVudAAIAAwACAAHAAgAAAAAAAABIAAAANT///8AAAEFEAAAABwAAAAEAAAAAAAAAAkA"
    "AABjb21wb25lbnQAAADM////EAAUAAgABgAHAAwAAAAQABAAAAAAAAEFEAAAABgAAAAEAAAAAAAAAAIAAABpZAAA"
    "BAAEAAQAAAA="
)
"""
Of `id: string, component: string, input_ids: list<int32>`, as pyarrow serialises it, in base64.

polars would say large_list, whose 64-bit offsets TRL does not pack beside lists of its own.
"""


def write_parquet(source: Source, folder: Folder) -> None:
    """Parquet files with `input_ids`, a list of int32, as HF datasets and TRL read them."""
    for name, table, n_tokens in _tables(source):

        def write(path: Path, table: "pl.DataFrame" = table) -> None:
            table.write_parquet(
                path,
                compression="zstd",
                compression_level=3,
                row_group_size=16_384,
                metadata={"ARROW:schema": ARROW_SCHEMA},
            )

        folder.put_with(f"{name}.parquet", write)
        source.delivered(n_tokens)


def write_arrow(source: Source, folder: Folder) -> None:
    """Arrow IPC streams, as `datasets.Dataset.from_file` maps them."""
    import polars as pl

    for name, table, n_tokens in _tables(source):

        def write(path: Path, table: "pl.DataFrame" = table) -> None:
            # The string views of newer Arrow are unknown to many readers.
            table.write_ipc_stream(path, compat_level=pl.CompatLevel.oldest())

        folder.put_with(f"{name}.arrow", write)
        source.delivered(n_tokens)


def _blocks(shard: OpenedShard) -> Iterator[tuple[int, int]]:
    """(first, end) of neighbouring spans of about BLOCK_TOKENS in all."""
    starts = np.append(0, shard.ends[:-1])
    borders = np.flatnonzero(np.diff(starts // BLOCK_TOKENS)) + 1
    yield from pairwise([0, *borders.tolist(), len(starts)])


def _tables(source: Source) -> "Iterator[tuple[str, pl.DataFrame, int]]":
    """(name, rows, tokens) of every block: `<shard>-<block>`."""
    import polars as pl

    for shard in source.shards():
        known = source.spans(shard.number)
        lengths = np.diff(shard.ends, prepend=0)
        for number, (a, b) in enumerate(_blocks(shard)):
            ids = shard.ids[shard.ends[a] - lengths[a] : shard.ends[b - 1]].astype(np.int32)
            owners = np.repeat(np.arange(b - a, dtype=np.uint32), lengths[a:b])
            lists = (
                pl.DataFrame({"owner": owners, "input_ids": ids})
                .with_columns(pl.col("owner").set_sorted())
                .group_by("owner", maintain_order=True)
                .agg("input_ids")
            )
            table = known[a:b].with_columns(lists["input_ids"])
            yield f"{shard.number:05d}-{number:03d}", table, len(ids)


def write_tokenizer(source: Source, folder: Folder) -> None:
    """
    The mix's tokenizer.json and the tokenizer_config.json that AutoTokenizer wants beside it.

    It says which class opens the file and which tokens are EOS and BOS (transformers'
    PreTrainedTokenizerFast).
    """
    tokenizer = source.mix.tokenizer()
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "eos_token": tokenizer.eos_token,
        **({} if tokenizer.bos_token is None else {"bos_token": tokenizer.bos_token}),
    }
    folder.put("tokenizer.json", [tokenizer.json])
    folder.put("tokenizer_config.json", [canonical(told)])


def write_text(source: Source, folder: Folder) -> None:
    """
    One `<mix>.chunk.NN.jsonl` per shard: the ids decoded, without EOS and BOS.

    For trainers that tokenize themselves. The text is what the tokenizer kept of it: normalised,
    and where a document was cut within a character, U+FFFD is left of that.
    """
    import polars as pl

    tokenizer = source.mix.tokenizer()
    decode = tokenizer.encoder().decode_batch
    skip = 0 if tokenizer.bos_id is None else 1
    for shard in source.shards():
        known = source.spans(shard.number)

        def lines(shard: OpenedShard = shard, known: "pl.DataFrame" = known) -> Iterator[bytes]:
            starts = np.append(0, shard.ends[:-1])
            for a, b in _blocks(shard):
                pieces = [
                    shard.ids[start + skip : end - 1].tolist()
                    for start, end in zip(starts[a:b], shard.ends[a:b], strict=True)
                ]
                texts = decode(pieces, skip_special_tokens=False)
                text = BytesIO()
                known[a:b].with_columns(pl.Series("text", texts, dtype=pl.String)).select(
                    "text", "id", "component"
                ).write_ndjson(text)
                yield text.getvalue()

        folder.put(f"{source.mix.manifest['name']}.chunk.{shard.number:02d}.jsonl", lines())
        source.delivered(len(shard.ids))
