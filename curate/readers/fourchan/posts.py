"""
Turn the many names for the parts of a post into one table.

A table of posts has the columns of `SCHEMA`, a row per post in the order of the dump; rows of equal
`record` are one thread as the dump tells it.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING

from curate.readers.base import Declaration
from curate.readers.options import salt

if TYPE_CHECKING:
    import polars as pl

PERSPECTIVES = (
    "TOXICITY",
    "SEVERE_TOXICITY",
    "INFLAMMATORY",
    "PROFANITY",
    "INSULT",
    "OBSCENE",
    "SPAM",
)
"""Scores of "Raiders of the Lost Kek" (Zenodo 3606810), in [0, 1]."""


def tag(perspective: str) -> str:
    """Column of a score: `perspective.severe_toxicity` for `SEVERE_TOXICITY`."""
    return f"perspective.{perspective.lower()}"


def schema(declaration: Declaration) -> "dict[str, pl.DataType]":
    """Columns and types of a table of posts."""
    import polars as pl

    return {
        "record": pl.UInt32(),  # number of the thread within the table
        "offset": pl.UInt64(),  # first byte of the record of the dump that holds the post
        "board": pl.String(),
        "thread": pl.Int64(),
        "no": pl.Int64(),
        "time": pl.Int64(),  # UTC seconds; null if unknown
        "subject": pl.String(),  # text, null if none
        "body": pl.String(),  # text, null if none
        "image": pl.Boolean(),  # whether the post has (or had) a file
        **columns({**declaration, "document": "post"}),
    }


def columns(declaration: Declaration) -> "dict[str, pl.DataType]":
    """What documents get beyond the usual: country, flag, poster, Perspective scores."""
    import polars as pl

    kinds: dict[str, pl.DataType] = {"country": pl.String(), "flag": pl.String()}
    if declaration["identities"] == "hash":
        kinds["poster"] = pl.String()
    for name in PERSPECTIVES:
        kinds[tag(name)] = pl.Float32()
        if declaration["document"] == "thread":
            kinds[f"{tag(name)}.mean"] = pl.Float32()
    return kinds


def pseudonyms(identities: "pl.Series") -> "pl.Series":
    """First 16 hex digits of HMAC-SHA256 of each identity under the salt; null stays null."""
    import polars as pl

    secret = salt()
    hashed = [
        None if i is None else hmac.new(secret, i.encode(), hashlib.sha256).hexdigest()[:16]
        for i in identities.to_list()
    ]
    return pl.Series(identities.name, hashed, dtype=pl.String)
