"""
Turn a SentencePiece `.model` into a `tokenizer.json` that gives the same ids.

The file is a protocol buffer (sentencepiece_model.proto): pieces with scores and kinds, the
kind of model, and how text is normalised. BPE becomes merges in the order of the pieces' scores,
Unigram keeps the scores; a table of characters is kept as it is, and white space is removed,
prefixed and written as U+2581 by normalisers. The result is compared with the library's own ids
before it is used.

A tokenizer.json knows no pieces that text cannot give. Text that spells one (`</s>`, `<0x0A>`) is
therefore cut where no other piece could lie, and a Unigram model is refused where there is no
such place:

    >>> border("</s>", pieces={"</", "/a", "s"}, fused=True)
    2

Two things the engine does not do as the library does. It adds Unigram's scores in double
precision: where two ways to cut a text are as good but for rounding, it may take the other one. And
it looks up whole graphemes of at most five bytes in a table of characters, by their beginning: of a
letter with two marks or a fraction with a joiner the last may be lost, and decomposed kana stay
apart.
"""

import base64
import json
import re
import struct
import unicodedata
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Any

from curate.errors import InputError, MissingExtraError
from curate.tokenizer.tiktoken import merges

UNIGRAM, BPE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPACE = "\u2581"

Value = int | bytes
Piece = tuple[str, float, int]  # text, score, kind


def convert(data: bytes, name: str) -> bytes:
    """
    The tokenizer.json of a `.model` file; `name` is for messages.

    Raises MissingExtraError without the package sentencepiece, InputError for a file that is
    damaged, of a kind that cannot be converted, or that the conversion gives other ids for.
    """
    try:
        import sentencepiece
    except ImportError:
        raise MissingExtraError(
            f"{name} needs the package sentencepiece",
            hint='pip install "curate-mix[sentencepiece]"',
        ) from None
    try:
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
        pieces, trainer, normaliser = _read(data)
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise InputError(
            f"{name} is not a SentencePiece model, or is cut",
            hint="A file of lines in base64 is tiktoken's: name it after its encoding, *.tiktoken.",
        ) from error
    kind = trainer.get(3, UNIGRAM)
    users = any(piece[2] == USER_DEFINED for piece in pieces)
    by_bytes = bool(trainer.get(35))
    given = {text for text, _, of in pieces if of in (NORMAL, USER_DEFINED, UNUSED)}
    spelt = [text for text, _, _ in pieces if text not in given] if kind == UNIGRAM else []
    closed = [text for text in spelt if border(text, given, fused=not by_bytes) is None]
    why_not = {
        "it is neither BPE nor Unigram": kind not in (UNIGRAM, BPE),
        "it has unused pieces": any(piece[2] == UNUSED for piece in pieces),
        "white space ends its words": bool(trainer.get(24)),
        "it has pieces of the user's and a dummy prefix": users and bool(normaliser.get(3, 1)),
        "it has pieces of the user's and removes white space": users and bool(normaliser.get(4, 1)),
        "it has pieces of the user's and is Unigram": users and kind == UNIGRAM,
        f"text can spell {', '.join(closed[:3])}": bool(closed),
    }
    if any(why_not.values()):
        raise InputError(
            f"{name} cannot be converted to the same ids",
            details=[reason for reason, holds in why_not.items() if holds],
            hint="Give the tokenizer.json that is used with the model, if there is one.",
        )
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    record = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id_, "content": text, **flags, "special": kind != USER_DEFINED}
            for id_, (text, _, kind) in enumerate(pieces)
            if kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "Sequence", "normalizers": _normalisers(normaliser)},
        "pre_tokenizer": _cut(spelt, given, fused=not by_bytes),
        "post_processor": None,
        "decoder": _decoder(normaliser),
        "model": (_unigram if kind == UNIGRAM else _bpe)(pieces, by_bytes),
    }
    converted = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    _check(converted, model, name)
    return converted


def border(text: str, pieces: set[str], *, fused: bool) -> int | None:
    """
    Where to cut `text` so that none of `pieces` lies across; None if everywhere one may.

    If neighbouring unknown characters are `fused` into one, one beside the border must be known.
    """
    for at in range(1, len(text)):
        beside = text[at - 1 : at + 1]
        known = not (fused and pieces.isdisjoint(beside))
        if known and not any(beside in piece for piece in pieces):
            return at
    return None


def apart(record: dict[str, Any], tokens: set[str]) -> dict[str, Any] | None:
    """
    The splitting of a Unigram tokenizer.json, and after it a cut inside of special pieces' texts.

    Such a model finds every piece of its vocabulary, those of special tokens and bytes too;
    `tokens` are special besides those that the record says are.
    """
    model, before = record["model"], record.get("pre_tokenizer")
    by_bytes = bool(model.get("byte_fallback"))
    added = record.get("added_tokens") or []
    spelt = tokens | {token["content"] for token in added if token["special"]}
    if by_bytes:
        spelt |= {f"<0x{byte:02X}>" for byte in range(256)}
    pieces = {piece for piece, _ in model["vocab"]}
    cut = _cut(spelt & pieces, pieces - spelt, fused=not by_bytes)
    if before is None or cut is None or before == cut:
        return cut or before
    return {"type": "Sequence", "pretokenizers": [before, cut]}


def _cut(spelt: Collection[str], pieces: set[str], *, fused: bool) -> dict[str, Any] | None:
    """The splitting of text inside of what it must not be found as, where that is possible."""
    borders = {text: border(text, pieces, fused=fused) for text in spelt}
    found = sorted((text[:at], text[at:]) for text, at in borders.items() if at is not None)
    if not found:
        return None
    regex = "|".join(
        f"{re.escape(before)}(?={'|'.join(re.escape(after) for _, after in group)})"
        for before, group in groupby(found, key=lambda parts: parts[0])
    )
    pattern = {"Regex": regex}
    return {"type": "Split", "pattern": pattern, "behavior": "MergedWithPrevious", "invert": False}


def _unigram(pieces: list[Piece], byte_fallback: bool) -> dict[str, Any]:
    # The score of an unknown character follows from the least one, of text's pieces alone.
    least = min(score for _, score, kind in pieces if kind == NORMAL)
    return {
        "type": "Unigram",
        "unk_id": next((id_ for id_, piece in enumerate(pieces) if piece[2] == UNKNOWN), None),
        "vocab": [[text, score if kind == NORMAL else least] for text, score, kind in pieces],
        "byte_fallback": byte_fallback,
    }


def _bpe(pieces: list[Piece], byte_fallback: bool) -> dict[str, Any]:
    joinable = [(-score, id_, text) for id_, (text, score, kind) in enumerate(pieces)
                if kind == NORMAL]  # fmt: skip
    ranks = {text.encode(): rank for rank, (_, _, text) in enumerate(sorted(joinable))}
    unknown = next((text for text, _, kind in pieces if kind == UNKNOWN), None)
    pairs = []
    for a, b in merges(ranks):
        try:
            pairs.append([a.decode(), b.decode()])
        except UnicodeDecodeError:  # a border inside a character: never two pieces of a text
            continue
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": byte_fallback,
        "ignore_merges": False,
        "vocab": {text: id_ for id_, (text, _, _) in enumerate(pieces)},
        "merges": pairs,
    }


def _normalisers(spec: dict[int, Value]) -> list[dict[str, Any]]:
    """Those of normalizer.cc, in its order; white space is removed as the table left it."""
    space = SPACE if spec.get(5, 1) else " "
    found: list[dict[str, Any]] = []
    prefix = [{"type": "Prepend", "prepend": " "}] if spec.get(3, 1) else []
    extra = bool(spec.get(4, 1))
    if not extra:
        found += prefix
    if isinstance(table := spec.get(2), bytes) and table:
        charsmap = base64.b64encode(table).decode()
        found.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if extra:
        found += [_replaced({"Regex": r"\A +"}, ""), _replaced({"Regex": " {2,}"}, " "), *prefix]
    if space != " ":
        found.append(_replaced({"String": " "}, space))
    if extra:
        found.append(_replaced({"Regex": f"{space}+\\z"}, ""))
    return found


def _replaced(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _decoder(spec: dict[int, Value]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if spec.get(3, 1):
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _read(data: bytes) -> tuple[list[Piece], dict[int, Value], dict[int, Value]]:
    """Pieces, trainer specification and normaliser specification of a ModelProto."""
    pieces: list[Piece] = []
    trainer: dict[int, Value] = {}
    normaliser: dict[int, Value] = {}
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            fields = dict(_fields(value))
            text, score = fields.get(1, b""), fields.get(2, b"\0\0\0\0")
            if not isinstance(text, bytes) or not isinstance(score, bytes):
                raise ValueError("a piece is not text and a score")
            kind = fields.get(3, NORMAL)
            pieces.append((text.decode(), struct.unpack("<f", score)[0], int(kind)))
        elif number == 2 and isinstance(value, bytes):
            trainer = dict(_fields(value))
        elif number == 3 and isinstance(value, bytes):
            normaliser = dict(_fields(value))
    return pieces, trainer, normaliser


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of a message: whole numbers, or the bytes of everything else."""
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _number(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _number(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown kind of field {kind}")
        if at + length > len(data):
            raise ValueError("the file ends inside a field")
        yield tag >> 3, data[at : at + length]
        at += length


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _check(data: bytes, model: Any, name: str) -> None:
    """The conversion gives the library's ids for the probe, its lines and its words."""
    import tokenizers

    from curate.tokenizer import PROBE_TEXT

    encoder = tokenizers.Tokenizer.from_str(data.decode())
    encoder.encode_special_tokens = True
    texts = [PROBE_TEXT, *PROBE_TEXT.splitlines(), *PROBE_TEXT.split(" "), "", " ", "  a  b "]
    for text in texts:
        # The probe has a letter of two marks, of which a table may drop the second.
        if encoder.normalizer.normalize_str(text) != model.normalize(text):
            text = "".join(c for c in text if not unicodedata.combining(c))
        ids = encoder.encode(text, add_special_tokens=False).ids
        if ids != (right := model.encode(text)) and not as_good(ids, right, model):
            raise InputError(
                f"{name} cannot be converted: a probe text gives other ids",
                hint="Give a tokenizer.json of it.",
            )


def as_good(ids: list[int], right: list[int], model: Any) -> bool:
    """Whether ids are another way to cut the same text whose score differs by rounding alone."""
    if model.decode(ids) != model.decode(right):
        return False
    scores: list[list[float]] = [[model.get_score(id_) for id_ in of] for of in (ids, right)]
    # Single precision: each sum is off by at most 2^-24 of itself for each of its terms.
    bound = 2.0**-24 * sum(len(of) * sum(map(abs, of)) for of in scores)
    return abs(sum(scores[0]) - sum(scores[1])) <= bound
