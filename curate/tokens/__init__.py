"""
Turn documents into a token pool: raw ids, and one row for each document.

    documents/<source>@<fp>/<part>.parquet  ──▶  tokens/<source>@<fp>/<tokenizer>@<fp>/<part>.ids
                                                                                       .parquet
Every row is [BOS] content EOS. What was declared names the folder:

    >>> from curate.tokenizer import load
    >>> sorted(declare(load("builtin:demo", eos="<|endoftext|>"), max_document_tokens=2048))
    ['eos', 'format', 'max_document_tokens', 'tokenizer']
"""

from typing import Any

from curate.errors import RecipeError
from curate.tokenizer import Tokenizer
from curate.tokens.encode import encode_part

__all__ = ["FORMAT", "declare", "encode_part"]

FORMAT = 1
"""Of the pool's bytes; a change of what is written for the same declaration raises it."""


def declare(tokenizer: Tokenizer, *, max_document_tokens: int | None) -> dict[str, Any]:
    """What decides the ids of a pool, canonical; the engine does not, so it is not here."""
    least = 3 if tokenizer.bos_id is None else 4
    if max_document_tokens is not None and max_document_tokens < least:
        raise RecipeError(
            f"max_document_tokens = {max_document_tokens:,} leaves no room for two content ids",
            hint=f"max_document_tokens = {least} is the least.",
        )
    declaration: dict[str, Any] = {
        "format": FORMAT,
        "tokenizer": tokenizer.sha256,
        "eos": {"token": tokenizer.eos_token, "id": tokenizer.eos_id},
    }
    if tokenizer.bos_id is not None:
        declaration["bos"] = {"token": tokenizer.bos_token, "id": tokenizer.bos_id}
    if max_document_tokens is not None:
        declaration["max_document_tokens"] = max_document_tokens
    return declaration
