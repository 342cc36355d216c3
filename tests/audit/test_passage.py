"""Passages are found in mixes of texts that were written for it."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.opened import Opened, open_mix
from curate.audit.passage import find_text
from curate.audit.texts import NFC_TARGETS
from tests.tiny_mix import web, write

POEM = (
    "It rained on Monday and the river rose, so that the ferry could not cross until the wind "
    "had turned and the lamps were lit along the far bank of the quiet town"
)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Opened]:
    """Makes mixes of given texts, with an index folder of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(*texts: str) -> Opened:
        documents = [web(text, page) for page, text in enumerate(texts)]
        return open_mix(write(tmp_path / "lib" / "1", documents=documents, shard_tokens=300))

    return make


def test_a_passage_is_found_whatever_its_case_and_signs(library: Callable[..., Opened]) -> None:
    """Words count, not commas, capitals or lines."""
    mix = library("Nothing here.", f"Before. {POEM}. After.", "Nor here, not a word of it.")
    found = find_text(mix, POEM.upper().replace(",", " –\n"))

    assert [True] == [match["exact"] for match in found["matches"]]
    assert "https://site1.example/1" == found["matches"][0]["span"]["url"]


def test_a_short_passage_is_compared_with_every_text(library: Callable[..., Opened]) -> None:
    """Three words need no index, and are whole words."""
    mix = library("The old mill. ", "An old millstone.", "THE OLD, OLD MILL")

    assert [["https://site0.example/0"]] == [
        [m["span"]["url"] for m in find_text(mix, "the old mill")["matches"]]
    ]


def test_a_changed_copy_is_near(library: Callable[..., Opened]) -> None:
    """Half of the passage, word by word, and the part that is shared."""
    words = POEM.split()
    mix = library(
        " ".join(words[:16]) + " and then something else entirely", "Unrelated words only."
    )
    [match] = find_text(mix, POEM)["matches"]

    # 16 words hold 12 of the passage's grams of five; all its words hold len − 4.
    assert (False, round(12 / (len(words) - 4), 4)) == (match["exact"], match["containment"])


def test_the_index_lies_outside_the_mix_and_is_made_once(
    library: Callable[..., Opened], tmp_path: Path
) -> None:
    """A mix is never written to; a second question finds the same without decoding it all."""
    mix = library(POEM, "Another text.")
    before = sorted(p.relative_to(mix.folder) for p in mix.folder.rglob("*"))
    steps: list[str] = []

    def progress(what: str, total: int) -> Any:
        from curate.audit.findings import silent

        steps.append(what)
        return silent(what, total)

    first = find_text(mix, POEM, progress=progress)
    second = find_text(mix, POEM, progress=progress)

    assert first == second
    assert ["indexing texts"] == steps
    assert before == sorted(p.relative_to(mix.folder) for p in mix.folder.rglob("*"))
    assert [] != list((tmp_path / "cache" / "curate" / "text").iterdir())


WORDS = st.sampled_from(["a", "b", "c", "rain", "river", "lamp", "old", "Ünï", "1", "it’s", "far"])


@settings(max_examples=40)
@given(
    texts=st.lists(st.lists(WORDS, min_size=1, max_size=40), min_size=1, max_size=8),
    data=st.data(),
)
def test_twelve_words_in_a_row_are_never_missed(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], data: st.DataObject
) -> None:
    """Whatever the texts, a run of twelve words of one of them is found in it, index or not."""
    place = tmp_path_factory.mktemp("lib")
    documents = [web(" ".join(words), page) for page, words in enumerate(texts)]
    mix = open_mix(write(place / "lib" / "1", documents=documents, shard_tokens=200))
    number = data.draw(st.integers(0, len(texts) - 1))
    start = data.draw(st.integers(0, max(0, len(texts[number]) - 12)))
    passage = " ".join(texts[number][start : start + 12])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        found = find_text(mix, passage)

    assert documents[number].url in [m["span"]["url"] for m in found["matches"] if m["exact"]]


def test_ascii_text_without_three_letters_is_nobody_else_s_normal_form() -> None:
    """All characters whose NFC is ASCII and that are not ASCII themselves: three targets."""
    strangers = (c for c in map(chr, range(128, 0x110000)) if not 0xD800 <= ord(c) < 0xE000)
    found = {unicodedata.normalize("NFC", c) for c in strangers}

    assert {chr(b) for b in NFC_TARGETS} == {c for c in found if c.isascii()}
