"""
Turn a SentencePiece `.model` into a `tokenizer.json` that gives the same ids.

The file is a protocol buffer (sentencepiece_model.proto): pieces with scores and kinds, the
kind of model, and how text is normalised. BPE becomes merges in the order of the pieces' scores;
white space becomes U+2581 by normalisers, so nothing is split before. The result is compared with
the library's own ids before it is used.

Llama's and Mistral's are of this kind. Others are refused, because no tokenizer.json gives their
ids: Unigram (its pieces `</s>` and `<0x0A>` would be found in text that merely spells them), and
models that change text by a table of characters or remove white space (combining marks and a typed
U+2581 come out otherwise).
"""

import json
import struct
from collections.abc import Iterator
from typing import Any

from curate.errors import InputError, MissingExtraError
from curate.tokenizer.tiktoken import merges

BPE = 2
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
    why_not = {
        "it is not BPE": trainer.get(3) != BPE,
        "it has a table of characters": bool(normaliser.get(2)),
        "it has unused pieces": any(piece[2] == UNUSED for piece in pieces),
        "white space ends its words": bool(trainer.get(24)),
        "it removes white space": bool(normaliser.get(4, 1)),
        "it has pieces of the user's and a dummy prefix": bool(normaliser.get(3, 1))
        and any(piece[2] == USER_DEFINED for piece in pieces),
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
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": _decoder(normaliser),
        "model": _model(pieces, trainer),
    }
    converted = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    _check(converted, model, name)
    return converted


def _model(pieces: list[Piece], trainer: dict[int, Value]) -> dict[str, Any]:
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
        "byte_fallback": bool(trainer.get(35)),
        "ignore_merges": False,
        "vocab": {text: id_ for id_, (text, _, _) in enumerate(pieces)},
        "merges": pairs,
    }


def _normalisers(spec: dict[int, Value]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if spec.get(3, 1):
        found.append({"type": "Prepend", "prepend": " "})
    if spec.get(5, 1):
        found.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    return found


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
        if encoder.encode(text, add_special_tokens=False).ids != model.encode(text):
            raise InputError(
                f"{name} cannot be converted: a probe text gives other ids",
                hint="Give a tokenizer.json of it.",
            )
