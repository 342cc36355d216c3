"""
Turn the name of a tokenizer into ids that stay what they were: pinned bytes, probe, width, EOS.

A tokenizer is a Hugging Face `tokenizer.json`; tiktoken encodings and SentencePiece models are
converted to one when loaded, so that every trainer can read what a mix was written with.

    >>> demo = load("builtin:demo", eos="<|endoftext|>")
    >>> demo.n_vocab, demo.dtype, demo.eos_id
    (4096, 'uint16', 4094)
    >>> ids = demo.encode("Typed in a post, <|endoftext|> is ordinary text.")
    >>> demo.eos_id in ids
    False
    >>> demo.decode(ids)
    'Typed in a post, <|endoftext|> is ordinary text.'
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import orjson

from curate.errors import InputError, IntegrityError, MissingExtraError, RecipeError, RemoteError
from curate.fingerprint import digest

if TYPE_CHECKING:
    import tokenizers

PROBE_TEXT = (
    "Hello, world! It's 2016, they're 1234567 words; don't  stop.\r\n"
    "\tTabs, three   spaces,\n\n\nthree lines. >>123 >greentext & <br> 100%\n"
    "caf\u00e9 cafe\u0301 \u00c5 \u212b \u1e9b\u0323 \ufb01 na\u00efve \u0130stanbul \u00df\n"
    "\u4f60\u597d\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \uc548\ub155 "
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u0645\u0631\u062d\u0628\u0627 "
    "\u0939\u093f\u0928\u094d\u0926\u0940\n"
    "\U0001f642\U0001f469\u200d\U0001f469\u200d\U0001f467 \u200b\u00a0\u2028\ufeff\ufffd\x00\x07\n"
    "<|endoftext|> </s> <s> <|im_start|> |||IP_ADDRESS||| [UNK] <0x0A> \u2581under \u0120G\n"
    "def f(x): return {'a': x**2}  # https://example.org/?q=1&r=%20\n"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
)
"""Fixed, never changed: scripts, white space, composition, typed special tokens, a long run."""

Width = Literal["uint16", "uint32"]

DEMO = Path(__file__).parent.parent / "models" / "demo-tokenizer.json"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer as declared and observed; equal bytes and equal EOS mean equal ids."""

    name: str  # for people and folder names: `[a-z0-9._-]+`
    sha256: str  # of `json`
    file_sha256: str  # of the file as obtained; the same where it is a tokenizer.json
    n_vocab: int  # largest id + 1
    dtype: Width  # uint16 iff n_vocab <= 65,536
    eos_token: str
    eos_id: int
    bos_token: str | None
    bos_id: int | None
    probe: tuple[int, ...]  # ids of PROBE_TEXT, with BOS (if configured) and EOS
    json: bytes = field(repr=False)  # tokenizer.json, as obtained or converted
    revision: str = field(default="", compare=False)  # the Hub's commit it was taken from

    def encoder(self) -> "tokenizers.Tokenizer":
        """
        The reference engine, set up: special tokens typed in text are text, nothing truncates.

        Call `encode_batch_fast(texts, add_special_tokens=False)`. Shared and not to be changed.
        """
        return _encoder(self.engine_json())

    def engine_json(self) -> str:
        """
        `json` as engines are given it: EOS and BOS are marked special where the file forgot to.

        An engine would turn them, typed in a text, into their ids, and a post could end a document.
        A Unigram model finds its special pieces all the same: text that spells one is cut there.
        """
        return _engine_json(self.json, self.eos_token, self.bos_token)

    def encode(self, text: str) -> list[int]:
        """Ids of one text, without EOS and BOS, by the reference engine."""
        ids: list[int] = self.encoder().encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens included; equals the normalised text, not always the text."""
        text: str = self.encoder().decode(list(ids), skip_special_tokens=False)
        return text

    def normalise(self, text: str) -> str:
        """`text` after the tokenizer's own normaliser (NFC for many, nothing for others)."""
        normaliser = self.encoder().normalizer
        return text if normaliser is None else str(normaliser.normalize_str(text))

    def check_probe(self, probe: Sequence[int]) -> None:
        """Raise IntegrityError unless the tokenizer gives the ids it gave when it was locked."""
        if tuple(probe) != self.probe:
            n_same = next(
                (n for n, (a, b) in enumerate(zip(probe, self.probe, strict=False)) if a != b),
                min(len(probe), len(self.probe)),
            )
            raise IntegrityError(
                f"tokenizer {self.name} does not give the ids it gave",
                details=[
                    f"the probe text gave {len(probe):,} ids and now gives {len(self.probe):,}",
                    f"the first {n_same:,} agree",
                ],
                hint="Use the file and the version of `tokenizers` of the lock, or lock again.",
            )


def load(file: str, *, eos: str, bos: str | None = None, revision: str | None = None) -> Tokenizer:
    """
    Load a tokenizer by name and look up its EOS and BOS by text.

    `file` is `builtin:demo`, a path to a `tokenizer.json`, a `.tiktoken` or a SentencePiece
    `.model`, `tiktoken:<encoding>`, or `hf://<org>/<name>[@<revision>]/tokenizer.json`; of the Hub
    the commit `revision` is taken, if given, whatever the name says or the Hub has by now.
    Raises RecipeError (name or token not understood), InputError (damaged file), RemoteError.
    """
    if file.startswith("hf://"):
        path, name, commit = _from_hub(file, revision)
        data, obtained = _converted(path, file)
    else:
        (name, data, obtained), commit = _obtain(file), ""
    made = from_bytes(data, name=name, eos=eos, bos=bos, file_sha256=digest(obtained))
    return replace(made, revision=commit)


def from_bytes(
    data: bytes, *, name: str, eos: str, bos: str | None = None, file_sha256: str | None = None
) -> Tokenizer:
    """A tokenizer from the bytes of its `tokenizer.json`; see `load`."""
    text = _text(data, name)
    try:
        told = outline(data)
        plain = _encoder(text)
    except Exception as error:  # the Rust side raises bare Exception, strange records whatever
        raise InputError(f"tokenizer {name} is not a tokenizer.json: {error}") from error
    if dropout := told.record["model"].get("dropout"):
        raise InputError(
            f"tokenizer {name} has BPE dropout {dropout}: its ids are random",
            hint='Set "dropout": null in the file.',
        )
    n_vocab = max([told.n_ids, *(id_ + 1 for id_ in plain.get_added_tokens_decoder())])
    if not n_vocab:
        raise InputError(f"tokenizer {name} has no vocabulary")
    eos_id = _token_id(plain, told, eos, name, "eos")
    bos_id = None if bos is None else _token_id(plain, told, bos, name, "bos")
    if bos_id == eos_id:
        raise RecipeError(
            f"[tokenizer] eos and bos are both {eos!r}",
            hint="Leave out bos: a reader that is told of a BOS cuts only where it follows EOS.",
        )
    encoder = _encoder(_engine_json(data, eos, bos))
    content: list[int] = encoder.encode(PROBE_TEXT, add_special_tokens=False).ids
    return Tokenizer(
        name=name,
        sha256=digest(data),
        file_sha256=file_sha256 or digest(data),
        n_vocab=n_vocab,
        dtype="uint16" if n_vocab <= 65_536 else "uint32",
        eos_token=eos,
        eos_id=eos_id,
        bos_token=bos,
        bos_id=bos_id,
        probe=(*([] if bos_id is None else [bos_id]), *content, eos_id),
        json=data,
    )


@dataclass(frozen=True)
class Outline:
    """A tokenizer.json but for its vocabulary and merges, which are nearly all of it."""

    record: dict[str, Any]  # not to be changed
    n_ids: int  # largest id of the model's vocabulary + 1; added tokens may lie above


@lru_cache(maxsize=8)
def outline(data: bytes) -> Outline:
    """
    What a tokenizer.json declares, parsed once for all who ask.

    Raises ValueError, KeyError, TypeError or AttributeError where `data` is not one.
    """
    record = orjson.loads(data)
    model = record["model"]
    vocabulary = model.pop("vocab")
    model.pop("merges", None)
    if isinstance(vocabulary, dict):
        return Outline(record, max(vocabulary.values(), default=-1) + 1)
    return Outline(record, len(vocabulary))


def added_tokens(data: bytes) -> tuple[dict[str, Any], ...]:
    """The `added_tokens` of a tokenizer.json: dicts with `id`, `content`, `special` and flags."""
    return tuple(outline(data).record.get("added_tokens") or [])


def _obtain(file: str) -> tuple[str, bytes, bytes]:
    """(name, tokenizer.json bytes, bytes of the file as obtained)."""
    if file.startswith("builtin:"):
        if file != "builtin:demo":
            raise RecipeError(
                f"no such tokenizer {file!r}", hint='The one shipped: "builtin:demo".'
            )
        data = _read(DEMO)
        return "demo", data, data
    if file.startswith("tiktoken:"):
        from curate.tokenizer.tiktoken import convert_encoding

        encoding = file.removeprefix("tiktoken:")
        data, obtained = convert_encoding(encoding)
        return _name(encoding), data, obtained
    path = Path(file)
    if path.is_dir():
        raise RecipeError(
            f"{file} is a folder, not a tokenizer file",
            hint=f"file = {json.dumps(str(path / 'tokenizer.json'))}",
        )
    return _name(path.stem), *_converted(path, file)


def _converted(path: Path, file: str) -> tuple[bytes, bytes]:
    """The tokenizer.json that a file is or is converted to, and the bytes of the file."""
    obtained = _read(path)
    if path.suffix == ".tiktoken":
        from curate.tokenizer.tiktoken import convert_file

        return convert_file(obtained, path.stem), obtained
    if path.suffix == ".model":
        from curate.tokenizer.sentencepiece import convert

        return convert(obtained, file), obtained
    return obtained, obtained


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.") or "tokenizer"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RecipeError(
            f"no tokenizer file {path}",
            hint='Give a path, "hf://org/name/tokenizer.json", "tiktoken:gpt2" or "builtin:demo".',
        ) from None
    except OSError as error:
        raise InputError(f"cannot read tokenizer {path}: {error.strerror}") from error


def _from_hub(file: str, commit: str | None) -> tuple[Path, str, str]:
    """Download (or find in the cache) `hf://org/name[@revision]/path`: (path, name, commit)."""
    match = re.fullmatch(r"hf://([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)", file)
    if match is None:
        raise RecipeError(
            f"cannot read tokenizer name {file!r}",
            hint='It looks like "hf://org/name/tokenizer.json" or "hf://org/name@revision/…".',
        )
    repository, revision, inside = match.groups()
    revision = commit or (unquote(revision) if revision else None)
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise MissingExtraError(
            "hf:// tokenizers need huggingface-hub", hint="pip install huggingface-hub"
        ) from error
    try:
        found = Path(hf_hub_download(repository, inside, revision=revision))
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise RecipeError(
            f"the Hub has no {repository}" + (f" at {revision}" if revision else ""),
            hint="Check the name; for a private one, set HF_TOKEN.",
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise RemoteError(
            f"cannot download {file} and it is not in the cache",
            hint="Download it where there is a network, then give its path.",
        ) from error
    except errors.EntryNotFoundError as error:
        raise RecipeError(f"{repository} has no file {inside}") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise RemoteError(f"cannot download {file}: {type(error).__name__}") from error
    # The cache is laid out as …/snapshots/<commit>/<path in the repository>.
    return found, _name(repository.rpartition("/")[2]), found.parents[inside.count("/")].name


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"tokenizer {name} is not a tokenizer.json: byte {error.start:,} is not UTF-8",
            hint="Name SentencePiece files *.model and tiktoken files *.tiktoken.",
        ) from error


def _token_id(
    encoder: "tokenizers.Tokenizer", told: Outline, token: str, name: str, role: str
) -> int:
    found: int | None = encoder.token_to_id(token)
    if found is not None:
        added = {t["content"]: t["id"] for t in told.record.get("added_tokens") or []}
        if added.get(token, found) != found:  # the engine numbers added tokens as it likes
            raise InputError(
                f"tokenizer {name} says that {token!r} has the id {added[token]:,}, "
                f"and is read so that it has {found:,}",
                hint="Its vocabulary has gaps: number the added tokens right after the others.",
            )
        return found
    special = [t.content for t in encoder.get_added_tokens_decoder().values() if t.special]
    raise RecipeError(
        f"[tokenizer] {role} = {token!r}: {name} has no such token",
        details=[f"its special tokens are {', '.join(map(repr, special[:12]))}"] if special else [],
        hint=f"{role} = {json.dumps(special[0])}" if special else "",
    )


@lru_cache(maxsize=8)
def _engine_json(data: bytes, *tokens: str | None) -> str:
    text = data.decode()
    unigram = outline(data).record["model"].get("type") == "Unigram"
    forgotten = [t for t in added_tokens(data) if t["content"] in tokens and not t["special"]]
    if not unigram and not forgotten:
        return text
    record = json.loads(text)
    for added in record.get("added_tokens") or []:
        added["special"] = added["special"] or added["content"] in tokens
    if unigram:
        from curate.tokenizer.sentencepiece import apart

        record["pre_tokenizer"] = apart(record, {token for token in tokens if token})
    return json.dumps(record, ensure_ascii=False)


@lru_cache(maxsize=8)
def _encoder(text: str) -> "tokenizers.Tokenizer":
    import tokenizers

    encoder = tokenizers.Tokenizer.from_str(text)
    encoder.no_truncation()
    encoder.no_padding()
    encoder.encode_special_tokens = True
    return encoder
