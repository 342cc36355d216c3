"""Threads as text: each form by hand, and that every thread can be told apart again."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.readers.fourchan.serialise import parse, texts, without_quotelinks

KINDS = ("plain", "local-ids", "gpt-4chan", "chat")


def serialised(
    threads: list[list[tuple[int, str]]], kind: str, *, dangling: str = "mark"
) -> list[str]:
    rows = [(k, no, text) for k, thread in enumerate(threads) for no, text in thread]
    said = pl.DataFrame(
        rows, schema={"record": pl.UInt32, "no": pl.Int64, "text": pl.String}, orient="row"
    )
    declaration = {"serialisation": kind, "dangling": dangling}
    return texts(said, declaration)["text"].to_list()


THREAD = [(70, "A cat?"), (75, ">>70\nYes.\n>a cat"), (76, ">>75 >>12\nNo.")]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("plain", "A cat?\n\n\n>>70\nYes.\n>a cat\n\n\n>>75 >>12\nNo."),
        (
            "local-ids",
            "--- 1\nA cat?\n--- 2\n>>1\nYes.\n>a cat\n--- 3\n>>2 >>?\nNo.",
        ),
        (
            "gpt-4chan",
            "--- 70\nA cat?\n--- 75\n>>70\nYes.\n>a cat\n--- 76\n>>75 >>12\nNo.\n-----",
        ),
        (
            "chat",
            "--- user\nA cat?\n--- assistant\n>>70\nYes.\n>a cat\n--- assistant\n>>75 >>12\nNo.",
        ),
    ],
)
def test_the_forms(kind: str, expected: str) -> None:
    """One small thread in each form, as a person would write it down."""
    assert [expected] == serialised([THREAD], kind)


@pytest.mark.parametrize(
    ("dangling", "expected"), [("keep", ">>2 >>12"), ("mark", ">>2 >>?"), ("drop", ">>2 ")]
)
def test_dangling_references(dangling: str, expected: str) -> None:
    """A reference to a post that is not there is kept, marked or dropped."""
    (text,) = serialised([THREAD], "local-ids", dangling=dangling)

    assert f"--- 3\n{expected}\nNo." in text


def test_references_stay_within_their_thread() -> None:
    """The same number in another thread is another post; >>>/g/7 and >>>7 are no quotelinks."""
    first = [(7, "one"), (8, ">>7 >>>/g/7 >>>7")]
    second = [(9, "two"), (10, ">>7 >>9")]

    assert [
        "--- 1\none\n--- 2\n>>1 >>>/g/7 >>>7",
        "--- 1\ntwo\n--- 2\n>>? >>1",
    ] == serialised([first, second], "local-ids")


def test_references_beside_odd_characters() -> None:
    """The control character that marks references inside is an ordinary one in a post."""
    thread = [(7, "\x1f>>7\x1f\x1e1"), (8, "\x1f"), (9, ">>8>>7>>8\x1f>>5")]

    assert ["--- 1\n\x1f>>1\x1f\x1e1\n--- 2\n\x1f\n--- 3\n>>2>>1>>2\x1f>>?"] == serialised(
        [thread], "local-ids"
    )


def test_lines_that_look_like_headers_are_escaped() -> None:
    """A typed separator gets a backslash, and so does a typed backslash before one."""
    thread = [(1, "--- 5\n-----\n\\--- 5\n---- 5\n--- a b")]
    (text,) = serialised([thread], "gpt-4chan")

    assert "--- 1\n\\--- 5\n\\-----\n\\\\--- 5\n---- 5\n--- a b\n-----" == text
    assert [("1", thread[0][1])] == parse(text, "gpt-4chan")


def test_empty_lines_inside_a_plain_post() -> None:
    """Two empty lines in a row are broken up; lines of spaces grow by one, so it can be undone."""
    (text,) = serialised([[(1, "a\n\nb\n\n\nc\n \nd"), (2, "e")]], "plain")

    assert "a\n\nb\n\n \nc\n  \nd\n\n\ne" == text
    assert [("", "a\n\nb\n\n\nc\n \nd"), ("", "e")] == parse(text, "plain")


LINE = st.sampled_from(
    [
        "",
        " ",
        "  ",
        "a",
        ">>7",
        ">a",
        "--- 7",
        "--- user",
        "-----",
        "\\--- 7",
        "\\\\-----",
        "---",
        "\\",
    ]
) | st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n"), max_size=6)
POST = (
    st.lists(LINE, min_size=1, max_size=7)
    .map("\n".join)
    .map(lambda text: text.strip("\n"))
    .filter(lambda text: text.strip() != "")
)


@pytest.mark.parametrize("kind", KINDS)
@given(posts=st.lists(POST, min_size=1, max_size=5))
def test_a_thread_can_be_told_apart_again(kind: str, posts: list[str]) -> None:
    """parse(serialise(thread)) == thread, whatever was posted."""
    thread = list(enumerate(posts, start=100))
    (text,) = serialised([thread], kind, dangling="keep")
    labels = {
        "plain": [""] * len(posts),
        "local-ids": [str(k) for k in range(1, len(posts) + 1)],
        "gpt-4chan": [str(no) for no, _ in thread],
        "chat": ["user", *["assistant"] * (len(posts) - 1)],
    }[kind]

    assert list(zip(labels, posts, strict=True)) == parse(text, kind)


def test_quotelinks_can_be_dropped() -> None:
    """Lines of quotelinks go whole, others lose them, and other boards' links stay."""
    said = pl.DataFrame({"text": [">>7 >>8\nYes >>9 or >>>/g/7", ">>7", ">>7\n>greentext"]})

    assert ["Yes  or >>>/g/7", None, ">greentext"] == without_quotelinks(said)["text"].to_list()
