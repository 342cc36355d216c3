"""
Turn a list of texts into one array of ids and the offsets of each text in it.

Two engines do it. `tokenizers` is the reference: what it says is right by definition.
`fastokens` gives the same ids many times as fast wherever it has been compared, and is used for
a tokenizer only after the probe agrees (and, part by part, a sample: `curate.tokens.parity`).

    >>> from curate.tokenizer import load
    >>> engine = Reference(load("builtin:demo", eos="<|endoftext|>"))
    >>> ids, offsets = engine.encode(["one text", "", "and another"])
    >>> [engine.tokenizer.decode(ids[a:b].tolist()) for a, b in zip(offsets, offsets[1:])]
    ['one text', '', 'and another']
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from curate.errors import IntegrityError, MissingExtraError, UsageError
from curate.tokenizer import PROBE_TEXT, Tokenizer, added_tokens, outline, tiktoken
from curate.tokens.batches import BATCH_BYTES

EngineName = Literal["auto", "tokenizers", "fastokens"]
Ids = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]

LONG_TEXT = 1 << 20
"""Characters from which the reference, at some 150 bytes for each, gets a text in pieces."""

_CL100K_BEFORE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = (_CL100K_BEFORE, tiktoken.R50K, tiktoken.CL100K, tiktoken.O200K, tiktoken.QWEN)
"""
Patterns (dolma2 and Llama 3 have the first) in which, as in GPT-2's, white space after a letter
or digit always begins a new word, and no word that ends in one depends on what follows it.
"""

_CUT = re.compile(r"(?<=[0-9A-Za-z])(?=[ \n][A-Za-z])")


class EngineError(Exception):
    """The fast engine failed: the reference is to be used."""


class Engine(Protocol):
    """Something that encodes texts; `name` and `version` go to the receipt."""

    name: str
    version: str
    batch_bytes: int  # of text that it is best given at once

    def encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        """Ids of all texts back to back, and n + 1 offsets; no EOS, no BOS."""


class Reference:
    """Hugging Face `tokenizers`."""

    name = "tokenizers"
    batch_bytes = BATCH_BYTES

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.version = version("tokenizers")
        self.tokenizer = tokenizer
        self._encoder = tokenizer.encoder()
        self._may_cut = may_cut(tokenizer.json)

    def encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        """See `Engine.encode`; very long texts are cut where that provably changes no id."""
        if not self._may_cut or max(map(len, texts), default=0) <= LONG_TEXT:
            return self._encode(texts)
        found = [self._encode_long(text) for text in texts]
        return _joined(found)

    def _encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        encodings = self._encoder.encode_batch_fast(texts, add_special_tokens=False)
        return _joined([np.array(encoding.ids, dtype=np.uint32) for encoding in encodings])

    def _encode_long(self, text: str) -> Ids:
        pieces = cut_text(text, LONG_TEXT)
        return np.concatenate([self._encode([piece])[0] for piece in pieces])


class Fast:
    """`fastokens`; equal ids only with `split_special_tokens`, through the flat call."""

    name = "fastokens"
    batch_bytes = 8 << 20

    def __init__(self, tokenizer: Tokenizer) -> None:
        import fastokens

        self.version = version("fastokens")
        text = tokenizer.engine_json()
        try:
            self._encoder: Any = fastokens.Tokenizer.from_json_str(text)
        except ValueError:
            self._encoder = fastokens.Tokenizer.from_json_str(_dense(text))

    def encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        """See `Engine.encode`; EngineError where it gives up, at a limit of its own say."""
        with _rust("fastokens cannot encode a text"):
            ids, offsets = self._encoder.encode_batch_flat(texts, split_special_tokens=True)
        return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<u8").astype(np.int64)


def _dense(text: str) -> str:
    """A tokenizer.json whose missing ids have entries that no text gives, as fastokens wants."""
    record = json.loads(text)
    vocabulary = (record.get("model") or {}).get("vocab")
    if not isinstance(vocabulary, dict):
        return text
    missing = set(range(max(vocabulary.values(), default=0))).difference(vocabulary.values())
    vocabulary.update({f"\0{id_}": id_ for id_ in sorted(missing)})
    return json.dumps(record, ensure_ascii=False)


def choose(tokenizer: Tokenizer, name: EngineName) -> tuple[Engine, str]:
    """
    The engine to use, and why not the fast one ("" where it is, or was not asked for).

    `auto` takes fastokens if it is installed, reads this tokenizer and gives the probe's ids.
    """
    if name not in ("auto", "tokenizers", "fastokens"):
        raise UsageError(f"no engine {name!r}", hint="--engine auto, tokenizers or fastokens")
    if name == "tokenizers":
        return reference(tokenizer), ""
    fast, reason = _fast(tokenizer)
    if fast is not None:
        return fast, ""
    if name == "fastokens":
        if reason == "not installed":
            raise MissingExtraError("fastokens is not installed", hint="pip install fastokens")
        raise IntegrityError(
            f"fastokens cannot stand in for tokenizers with {tokenizer.name}: {reason}",
            hint="--engine tokenizers",
        )
    return reference(tokenizer), reason


@lru_cache(maxsize=2)
def reference(tokenizer: Tokenizer) -> Reference:
    """The reference engine, built once per process."""
    return Reference(tokenizer)


@lru_cache(maxsize=2)
def _fast(tokenizer: Tokenizer) -> tuple[Fast | None, str]:
    typed = [token["content"] for token in added_tokens(tokenizer.json)]
    try:
        with _rust("fastokens does not read this tokenizer"):
            fast = Fast(tokenizer)
        ids, _ = fast.encode([PROBE_TEXT])
        alone, _ = fast.encode(typed)
    except ImportError:
        return None, "not installed"
    except EngineError as error:
        return None, str(error)
    start = 0 if tokenizer.bos_id is None else 1
    if ids.tolist() != list(tokenizer.probe[start:-1]):
        return None, "the probe text gives other ids"
    # fastokens may take a text that is nothing but an entry for that entry, special or not.
    if not np.array_equal(alone, reference(tokenizer).encode(typed)[0]):
        return None, "the text of a special token gives other ids"
    return fast, ""


@contextmanager
def _rust(what: str) -> Iterator[None]:
    """Turn a failure or panic of Rust code into EngineError; a panic is no Exception."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        raise EngineError(f"{what}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise EngineError(f"{what}: it panics") from error


def may_cut(data: bytes) -> bool:
    """
    Whether a text may be cut before white space between ASCII letters or digits, by its json.

    True where that is always a border of the splitting before BPE: GPT-2's and the known newer
    patterns, no normaliser but a Unicode form, and no added token that could lie across it.
    """
    record = outline(data).record
    normaliser = record.get("normalizer")
    if normaliser is not None and normaliser["type"] not in ("NFC", "NFD", "NFKC", "NFKD"):
        return False
    if not _splits_at_space(record.get("pre_tokenizer")):
        return False
    if (record.get("model") or {}).get("type") != "BPE":
        return False
    return not any(
        token["lstrip"] or token["rstrip"] or token["single_word"] or _CUT.search(token["content"])
        for token in added_tokens(data)
    )


def _splits_at_space(splitter: dict[str, Any] | None) -> bool:
    if splitter is None:
        return False
    if splitter["type"] == "ByteLevel":
        return bool(splitter["use_regex"]) and not splitter["add_prefix_space"]
    if splitter["type"] != "Sequence" or len(splitter["pretokenizers"]) != 2:
        return False
    first, second = splitter["pretokenizers"]
    return (
        first["type"] == "Split"
        and first["pattern"].get("Regex") in SPLITS
        and (first["behavior"], first["invert"]) in (("Removed", True), ("Isolated", False))
        and second["type"] == "ByteLevel"
        and not second["use_regex"]
        and not second["add_prefix_space"]
    )


def cut_text(text: str, n_characters: int) -> list[str]:
    """
    Pieces of about `n_characters`, cut before white space between ASCII letters or digits.

    >>> cut_text("one two three 4 five", 5)
    ['one two', ' three 4', ' five']
    """
    pieces = []
    start = 0
    while len(text) - start > n_characters:
        cut = _CUT.search(text, start + n_characters)
        if cut is None:
            break
        pieces.append(text[start : cut.start()])
        start = cut.start()
    pieces.append(text[start:])
    return pieces


def _joined(parts: list[Ids]) -> tuple[Ids, Offsets]:
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate([*parts, np.zeros(0, dtype=np.uint32)]), offsets
