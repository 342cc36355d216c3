"""
Turn tags of documents into arrays beside the ids: one value for each token of a shard, in order.

    mask:toxicity<0.9        uint8, 1 where a token counts for the loss; label masks of OLMo-core
    bucket:toxicity:0.25,0.75  uint8, 0 for EOS and BOS, else 1 + number of edges the score reaches
    score:toxicity           little-endian float16, 0 for EOS and BOS: rewards, weights

A file has the name of its shard and ends in `.mask`, `.bucket` or `.score`. Numbers are compared as
float32, as scores are kept. A document without a score is refused, not guessed.

    >>> parse("bucket:toxicity:0.25,0.75")
    Side(kind='bucket', tag='toxicity', sign='>=', numbers=(0.25, 0.75))
    >>> parse("mask:toxicity<0.9").sign
    '<'
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.errors import UsageError
from curate.shards.exports.folder import Folder, OpenedShard, Source
from curate.shards.gather import as_bytes

DTYPES = {"mask": "u1", "bucket": "u1", "score": "<f2"}

PATTERN = re.compile(
    r"(?P<score>score):(?P<of>[^:<>=,]+)"
    r"|(?P<mask>mask):(?P<by>[^:<>=,]+?)\s*(?P<sign><=|>=|<|>)\s*(?P<limit>[-+.0-9eE]+)"
    r"|(?P<bucket>bucket):(?P<over>[^:<>=,]+):(?P<edges>[-+.0-9eE, ]+)"
)

BLOCK_SPANS = 65_536


@dataclass(frozen=True)
class Side:
    """One array: `numbers` are the limit of a mask or the edges of buckets."""

    kind: str
    tag: str
    sign: str = ">="
    numbers: tuple[float, ...] = ()

    def values(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """The value of each span's tokens, shape as `scores`."""
        numbers = np.array(self.numbers, dtype=np.float32)
        if self.kind == "score":
            return scores.astype(DTYPES["score"])
        if self.kind == "bucket":
            return (1 + np.searchsorted(numbers, scores, side="right")).astype("u1")
        compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
        kept: npt.NDArray[np.uint8] = compare[self.sign](scores, numbers[0]).astype("u1")
        return kept


def parse(text: str) -> Side:
    """Read `mask:TAG<NUMBER`, `bucket:TAG:NUMBER,…` or `score:TAG`; UsageError for others."""
    found = PATTERN.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        if found["score"]:
            return Side("score", found["of"].strip())
        if found["mask"]:
            return Side("mask", found["by"].strip(), found["sign"], (float(found["limit"]),))
        edges = tuple(float(edge) for edge in found["edges"].split(","))
        if list(edges) != sorted(set(edges)):
            raise ValueError(text)
        return Side("bucket", found["over"].strip(), numbers=edges)
    except ValueError:
        raise UsageError(
            f"cannot read the side array {text!r}",
            hint='It looks like "mask:toxicity<0.9", "bucket:toxicity:0.25,0.75" (edges rising) '
            'or "score:toxicity".',
        ) from None


def write_sides(source: Source, folder: Folder) -> None:
    """For each shard a file for each side array, as many values as the shard has tokens."""
    sides = [parse(text) for text in source.sides]
    if not sides or len({side.kind for side in sides}) != len(sides):
        raise UsageError(
            "name one side array or more, each of another kind",
            hint='--side "mask:toxicity<0.9" --side "score:toxicity"',
        )
    _check_tags(source, sides)
    for shard in source.shards():
        for side in sides:
            folder.put(f"{shard.name}.{side.kind}", _array(source, shard, side))
        source.delivered(len(shard.ids))


def _check_tags(source: Source, sides: list[Side]) -> None:
    import polars as pl

    schema = source.mix.spans().collect_schema()
    for side in sides:
        if side.tag not in schema or not schema[side.tag].is_numeric():
            known = [name for name, kind in schema.items() if kind.is_float()]
            raise UsageError(
                f"{source.mix.title} has no score {side.tag!r}",
                details=[f"its scores are {', '.join(known) or 'none'}"],
            )
        n_null = source.mix.spans().select(pl.col(side.tag).null_count()).collect().item()
        if n_null:
            raise UsageError(
                f"{n_null:,} spans have no {side.tag}, so their tokens would have no value",
                hint=f"Build the mix with `{side.tag} is not null` in each component's where.",
            )


def _array(source: Source, shard: OpenedShard, side: Side) -> Iterator[memoryview]:
    first, end = source.mix.first_spans[shard.number : shard.number + 2].tolist()
    column = source.mix.spans().slice(first, end - first).select(side.tag).collect()[side.tag]
    values = side.values(column.to_numpy().astype(np.float32))
    lengths = np.diff(shard.ends, prepend=0)
    starts = shard.ends - lengths
    for at in range(0, len(values), BLOCK_SPANS):
        block = slice(at, at + BLOCK_SPANS)
        tokens = np.repeat(values[block], lengths[block])
        if side.kind != "mask":
            begin = starts[at]
            tokens[shard.ends[block] - 1 - begin] = 0
            if "bos" in source.mix.content["tokenizer"]:
                tokens[starts[block] - begin] = 0
        yield as_bytes(tokens)
