"""Which engine writes a part: the fast one behind its gate, the reference where they differ."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate import document
from curate.errors import IntegrityError, MissingExtraError
from curate.tokens import engines
from tests.tokens_world import BYTES, END, encode


class Lying(engines.Fast):
    """A fast engine that gives one wrong id for texts that say "wrong"."""

    wrong = 98

    def encode(self, texts: list[str]) -> Any:
        """As the real one, but for an id."""
        ids, offsets = super().encode(texts)
        ids = ids.copy()
        for text, at in zip(texts, offsets.tolist(), strict=False):
            if "wrong" in text:
                ids[at] = self.wrong
        return ids, offsets


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the lying engine in the place of the fast one."""
    engines._fast.cache_clear()
    monkeypatch.setattr(engines, "Fast", Lying)
    monkeypatch.setattr("curate.tokens.encode.Fast", Lying)
    yield
    engines._fast.cache_clear()


@pytest.mark.usefixtures("lying")
def test_a_mismatch_redoes_the_part(tmp_path: Path) -> None:
    """A sampled difference names the document, and the part is the reference's."""
    ids, _, facts = encode(tmp_path, ["right", "wrong"])

    assert [[*b"right", 256], [*b"wrong", 256]] == ids
    assert ("tokenizers", "the sample gives other ids") == (facts["engine"], facts["engine_reason"])
    assert {
        "n_documents": 2, "n_mismatches": 1, "documents": [document.key("d1").hex()],
    } == facts["parity"]  # fmt: skip


@pytest.mark.usefixtures("lying")
def test_a_long_document_is_compared_in_part(tmp_path: Path) -> None:
    """Of a text of more than 8,192 characters a stretch is compared, wherever its key says."""
    facts = encode(tmp_path, ["wrong " * 2_000])[2]

    assert [document.key("d0").hex()] == facts["parity"]["documents"]


@pytest.mark.usefixtures("lying")
@pytest.mark.parametrize("wrong", [257, 256], ids=["beyond", "end"])
def test_an_impossible_id_redoes_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    """A fast engine that gives an id that does not exist, or EOS inside, is not believed."""
    monkeypatch.setattr(Lying, "wrong", wrong)
    ids, _, facts = encode(tmp_path, ["right", "wrong"])

    assert [[*b"right", 256], [*b"wrong", 256]] == ids
    assert "tokenizers" == facts["engine"]


@pytest.mark.usefixtures("lying")
@pytest.mark.parametrize("failure", [ValueError, type("PanicException", (BaseException,), {})])
def test_a_failing_engine_redoes_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    """An error or a panic of the fast engine is a reason to use the reference."""

    class Failing:
        def encode_batch_flat(self, texts: list[str], **options: bool) -> None:
            raise failure("match limit")

    fast = engines.choose(BYTES, "fastokens")[0]
    monkeypatch.setattr(fast, "_encoder", Failing())
    ids, _, facts = encode(tmp_path, ["right"])

    assert [[*b"right", 256]] == ids
    assert facts["engine_reason"].startswith("fastokens cannot encode a text: ")


def test_an_id_beyond_the_vocabulary_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where even the reference gives an id that does not exist, the part fails."""

    def beyond(self: engines.Reference, texts: list[str]) -> Any:
        return np.array([257] * len(texts), np.uint32), np.arange(len(texts) + 1)

    monkeypatch.setattr(engines.Reference, "encode", beyond)
    with pytest.raises(IntegrityError, match="gave id 257"):
        encode(tmp_path, ["right"], engine="tokenizers")


@pytest.mark.usefixtures("lying")
def test_a_difference_outside_of_the_sample_is_written(tmp_path: Path) -> None:
    """The gate is probabilistic: a lie about a document that is not compared gets through."""
    texts = ["right"] * 99 + ["wrong"] + ["right"] * 100  # row 99 is not one of the eight
    ids, _, facts = encode(tmp_path, texts)

    assert "fastokens" == facts["engine"]
    assert [98, *b"rong", 256] == ids[99]


def test_an_engine_can_be_asked_for(tmp_path: Path) -> None:
    """The reference writes the same bytes, says so, and compares nothing."""
    fast = encode(tmp_path, ["one", "two"], engine="fastokens")[2]
    slow = encode(tmp_path, ["one", "two"], engine="tokenizers")[2]

    assert ("fastokens", "tokenizers") == (fast["engine"], slow["engine"])
    assert fast["ids_sha256"] == slow["ids_sha256"]
    assert 0 == slow["parity"]["n_documents"]


def test_an_engine_that_believes_a_typed_special_token_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A text that is nothing but a special token's must give the ids of its letters."""

    class Believing(engines.Fast):
        def encode(self, texts: list[str]) -> Any:
            if END in texts:
                return np.array([256], dtype=np.uint32), np.array([0, 1])
            return super().encode(texts)

    monkeypatch.setattr(engines, "Fast", Believing)
    engines._fast.cache_clear()
    engine, reason = engines.choose(BYTES, "auto")
    engines._fast.cache_clear()

    assert ("tokenizers", "the text of a special token gives other ids") == (engine.name, reason)


def test_without_the_fast_engine_the_reference_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where fastokens is not installed, the receipt says so; asking for it is an error."""
    engines._fast.cache_clear()
    monkeypatch.setitem(sys.modules, "fastokens", None)
    try:
        facts = encode(tmp_path, ["one"])[2]
        assert ("tokenizers", "not installed") == (facts["engine"], facts["engine_reason"])
        with pytest.raises(MissingExtraError):
            encode(tmp_path, ["one"], engine="fastokens")
    finally:
        engines._fast.cache_clear()
