"""
Turn texts into a byte-level BPE tokenizer, the same bytes for the same texts.

No normaliser (what is decoded is the text), the 256 bytes as alphabet (nothing is unknown), and
special tokens after everything else, so that id 0 is never the end of a document:

    >>> from curate.tokenizer import from_bytes
    >>> data = train_tokenizer(["low lower lowest", "new newer newest"] * 3, n_vocab=264)
    >>> small = from_bytes(data, name="small", eos="<|endoftext|>")
    >>> small.n_vocab, small.eos_id
    (264, 262)
    >>> [small.decode([i]) for i in small.encode("lowest newest")]
    ['lo', 'we', 'st', ' ne', 'we', 'st']
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curate.errors import InputError, UsageError

SPECIAL_TOKENS = ("<|endoftext|>", "<|pad|>")
N_BYTES = 256


def train_tokenizer(
    texts: Iterable[str],
    *,
    n_vocab: int,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    min_frequency: int = 2,
    max_token_length: int | None = None,
) -> bytes:
    """
    Train byte-level BPE (GPT-2's splitting) with `n_vocab` entries: the bytes of a tokenizer.json.

    Counts do not depend on the order of `texts`, merges go by (count, then smaller ids), so the
    result depends neither on threads nor on the hash seed. Raises InputError where the texts
    have too few distinct pairs to fill the vocabulary.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    if len(set(special_tokens)) != len(special_tokens) or "" in special_tokens:
        raise UsageError("special tokens must be distinct and not empty")
    n_trained = n_vocab - len(special_tokens)
    if n_trained < N_BYTES:
        raise UsageError(
            f"a byte-level vocabulary needs at least {N_BYTES + len(special_tokens):,} entries, "
            f"not {n_vocab:,}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_trained,
        min_frequency=min_frequency,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=max_token_length,
    )
    tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab_size()
    if found < n_trained:
        raise InputError(
            f"the texts fill only {found + len(special_tokens):,} of {n_vocab:,} entries",
            hint=f"Give more text, or --n-vocab {found + len(special_tokens)}.",
        )
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in special_tokens])
    return str(tokenizer.to_str(pretty=False)).encode() + b"\n"


@dataclass
class Corpus:
    """The texts of documents parts, then of text files; counts what it gave."""

    parts: Sequence[Path]
    files: Sequence[Path] = ()
    one_in: int = 1  # by the first 8 bytes of the key, as a little-endian number
    n_documents: int = field(default=0, init=False)
    n_bytes: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[str]:
        import numpy as np

        from curate.tokens.batches import batches

        for part in self.parts:
            for batch in batches(part):
                frame = batch.frame[np.flatnonzero(batch.words % np.uint64(self.one_in) == 0)]
                self.n_documents += frame.height
                self.n_bytes += int(frame["n_bytes"].sum())
                yield from frame["text"].to_list()
        for path in self.files:
            data = path.read_bytes()
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{path} is not UTF-8: byte {error.start:,}") from error
            self.n_documents += 1
            self.n_bytes += len(data)
            yield text
