"""
Turn a tiktoken encoding into a `tokenizer.json` that gives the same ids.

tiktoken joins, at each step, the neighbours whose union has the smallest rank. As merges: for
every entry, every pair of entries that make it up, in the order of the entries' ranks.

    >>> merges({b"a": 0, b"b": 1, b"ab": 2, b"aba": 3})
    [(b'a', b'b'), (b'ab', b'a')]

The splitting is written for Oniguruma and PCRE2: no possessive repeats (there, they change
speed only), and `$` becomes the end of the text.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from curate.errors import InputError, MissingExtraError, RecipeError, RemoteError

Ranks = Mapping[bytes, int]

_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+\z|\s+(?!\S)|\s"
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s+\z|\s*[\r\n]|\s+(?!\S)|\s"
)
O200K = _CASED + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

END = "<|endoftext|>"
_CL100K_SPECIAL = {
    END: 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|endofprompt|>": 100276,
}
KNOWN: dict[str, tuple[str, dict[str, int]]] = {
    "gpt2": (R50K, {END: 50256}),
    "r50k_base": (R50K, {END: 50256}),
    "p50k_base": (R50K, {END: 50256}),
    "cl100k_base": (CL100K, _CL100K_SPECIAL),
    "o200k_base": (O200K, {END: 199999, "<|endofprompt|>": 200018}),
    "qwen": (QWEN, {END: 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}),
}
"""Splitting and special tokens by encoding: a `.tiktoken` file holds neither."""


def convert_file(data: bytes, stem: str) -> bytes:
    """The tokenizer.json of a `.tiktoken` file; `stem` of its name says which encoding it is."""
    if stem not in KNOWN:
        raise RecipeError(
            f"{stem}.tiktoken does not say how text is split",
            details=[f"known by name: {', '.join(f'{name}.tiktoken' for name in KNOWN)}"],
            hint="Rename it to the encoding that it is, or give a tokenizer.json.",
        )
    splitting, special = KNOWN[stem]
    return convert(_ranks(data, f"{stem}.tiktoken"), splitting, special)


def convert_encoding(name: str) -> tuple[bytes, bytes]:
    """
    (tokenizer.json, a file that was not there) of an encoding that `tiktoken` knows by name.

    tiktoken downloads the ranks or finds them in its cache. Raises MissingExtraError,
    RecipeError for an unknown name, RemoteError, InputError if the conversion gives other ids.
    """
    try:
        import tiktoken
    except ImportError:
        raise MissingExtraError(
            f"tiktoken:{name} needs the package tiktoken",
            hint='pip install "curate-mix[tiktoken]"',
        ) from None
    if name not in tiktoken.list_encoding_names():
        raise RecipeError(
            f"tiktoken has no encoding {name!r}",
            details=[f"it has {', '.join(tiktoken.list_encoding_names())}"],
        )
    try:
        encoding = tiktoken.get_encoding(name)
    except (OSError, ValueError) as error:
        raise RemoteError(
            f"tiktoken cannot get the ranks of {name}: {type(error).__name__}",
            hint="Set TIKTOKEN_CACHE_DIR to a folder that has them, or give the file's path.",
        ) from error
    data = convert_loaded(encoding)
    return data, data


def convert_loaded(encoding: Any) -> bytes:
    """The tokenizer.json of a `tiktoken.Encoding`; InputError if it gives other ids."""
    data = convert(
        encoding._mergeable_ranks, translated(encoding._pat_str), encoding._special_tokens
    )
    _check(data, encoding)
    return data


def translated(pattern: str) -> str:
    """A tiktoken pattern without possessive repeats and with `$` as the end of the text."""
    return re.sub(r"([?*+]|\{\d+(?:,\d*)?\})\+", r"\1", pattern).replace("$", r"\z")


def convert(ranks: Ranks, splitting: str, special: Mapping[str, int]) -> bytes:
    """The tokenizer.json of ranks, splitting pattern and special tokens."""
    alphabet = byte_alphabet()

    def shown(entry: bytes) -> str:
        return "".join(alphabet[byte] for byte in entry)

    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
    split = {
        "type": "Split",
        "pattern": {"Regex": splitting},
        "behavior": "Isolated",
        "invert": False,
    }
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    vocabulary = {shown(entry): rank for entry, rank in sorted(ranks.items(), key=lambda i: i[1])}
    record = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id_, "content": token, **flags, "special": True}
            for token, id_ in sorted(special.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,  # tiktoken looks a whole word up before it merges
            "vocab": {**vocabulary, **special},
            "merges": [[shown(a), shown(b)] for a, b in merges(ranks)],
        },
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def merges(ranks: Ranks) -> list[tuple[bytes, bytes]]:
    """Every pair of entries that makes up an entry, by the rank of that, then of the pair."""
    found = []
    for entry, _ in sorted(ranks.items(), key=lambda item: item[1]):
        pairs = [
            (ranks[entry[:at]], ranks[entry[at:]], at)
            for at in range(1, len(entry))
            if entry[:at] in ranks and entry[at:] in ranks
        ]
        found += [(entry[:at], entry[at:]) for _, _, at in sorted(pairs)]
    return found


def byte_alphabet() -> dict[int, str]:
    """GPT-2's character for each byte: printable Latin-1 as itself, the others from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {byte: chr(byte) for byte in printable}
    rest = [byte for byte in range(256) if byte not in alphabet]
    return alphabet | {byte: chr(0x100 + n) for n, byte in enumerate(rest)}


def _ranks(data: bytes, name: str) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line:
            continue
        try:
            entry, rank = line.split()
            ranks[base64.b64decode(entry, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise InputError(f"{name}, line {number:,} is not an entry and a rank") from error
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise InputError(f"{name} lacks {len(missing)} of the 256 bytes: it is cut or no encoding")
    if len(set(ranks.values())) != len(ranks):
        raise InputError(f"{name} gives two entries one rank")
    return ranks


def _check(data: bytes, encoding: Any) -> None:
    """The conversion gives tiktoken's ids, for the probe and its beginnings up to white space."""
    import tokenizers

    from curate.tokenizer import PROBE_TEXT

    encoder = tokenizers.Tokenizer.from_str(data.decode())
    encoder.encode_special_tokens = True
    texts = [PROBE_TEXT, *(PROBE_TEXT[: m.end()] for m in re.finditer(r"\s+", PROBE_TEXT))]
    for text in texts:
        if encoder.encode(text, add_special_tokens=False).ids != encoding.encode_ordinary(text):
            raise InputError(
                f"tiktoken's {encoding.name} cannot be converted: the probe text gives other ids",
                hint="Give a tokenizer.json of it.",
            )
