"""
Turn a token's place into the document it comes from, its locator and its neighbours.

Only the rows around the token are read: of a million spans, a fraction of a second.
"""

from typing import Any

from curate.audit import decode
from curate.audit.opened import Opened, collected
from curate.audit.rows import first_tokens, span_facts
from curate.errors import UsageError


def trace(
    mix: Opened,
    *,
    token: int | None = None,
    shard: int | None = None,
    at: int | None = None,
    show_text: bool = False,
) -> dict[str, Any]:
    """
    The span that holds token `token` of the stream, or token `at` of shard number `shard`.

    `place` says which token of the span it is, its id, and which bytes of the decoded text it
    stands for (byte-level tokenizers). With `show_text` also the text. UsageError if the mix has no
    such token.
    """
    number, offset = _place(mix, token, shard, at)
    first_row = sum(s["n_spans"] for s in mix.shards[:number])
    row = first_row + _row_in_shard(mix, first_row, mix.shards[number]["n_spans"], offset)
    begun = max(row - 1, 0)
    around = collected(mix.spans().slice(begun, 3 if row else 2)).with_row_index("row", begun)
    firsts = first_tokens(mix)
    found = {r["row"]: span_facts(mix, r, firsts) for r in around.iter_rows(named=True)}
    span = found[row]
    ids = mix.ids(number)
    begin, end = span["tokens"]
    result: dict[str, Any] = {
        "mix": mix.title,
        "content_id": mix.manifest["content_id"],
        "token": firsts[number] + offset,
        "place": {
            "shard": mix.shards[number]["name"],
            "at": offset,
            "id": int(ids[offset]),
            "of_span": offset - begin,
            "byte": offset * mix.width,
        },
        "span": span,
        "previous": found.get(row - 1),
        "next": found.get(row + 1),
    }
    vocabulary = vocabulary_of(mix)
    if vocabulary is not None:
        data, edges = vocabulary.decode(ids[begin:end])
        skip = int(edges[1]) if "bos" in mix.content["tokenizer"] else 0
        inside = offset - begin
        result["place"]["text_bytes"] = [int(e) - skip for e in edges[inside : inside + 2]]
        if show_text:
            text = data[skip : int(edges[-2])].tobytes()
            piece = data[int(edges[inside]) : int(edges[inside + 1])].tobytes()
            result["text"] = text.decode("utf-8", "replace")
            result["place"]["text"] = piece.decode("utf-8", "replace")
    elif show_text:
        raise UsageError(f"{mix.title} has no byte-level tokenizer.json: its ids cannot be decoded")
    return result


def vocabulary_of(mix: Opened) -> decode.Vocabulary | None:
    """The vocabulary beside the mix, if it is there and byte-level."""
    path = mix.folder / "tokenizer.json"
    if not path.is_file():
        return None
    vocabulary = decode.read(path)
    return vocabulary if vocabulary.byte_level else None


def _place(mix: Opened, token: int | None, shard: int | None, at: int | None) -> tuple[int, int]:
    """Shard number and token within it."""
    if token is not None:
        if not 0 <= token < mix.content["n_tokens"]:
            last = mix.content["n_tokens"] - 1
            raise UsageError(f"{mix.title} has tokens 0 to {last:,}, not {token:,}")
        firsts = first_tokens(mix)
        shard = max(n for n, first in enumerate(firsts) if first <= token)
        return shard, token - firsts[shard]
    if shard is None or at is None:
        raise UsageError("say --token N, or --shard S with --token N")
    if not 0 <= shard < len(mix.shards):
        raise UsageError(f"{mix.title} has shards 0 to {len(mix.shards) - 1}, not {shard}")
    if not 0 <= at < mix.shards[shard]["n_tokens"]:
        last = mix.shards[shard]["n_tokens"] - 1
        raise UsageError(f"shard {shard} has tokens 0 to {last:,}, not {at:,}")
    return shard, at


def _row_in_shard(mix: Opened, first_row: int, n_rows: int, offset: int) -> int:
    import numpy as np

    rows = collected(mix.spans().select("start").slice(first_row, n_rows))
    starts = rows["start"].to_numpy()
    return int(np.searchsorted(starts, offset, side="right")) - 1
