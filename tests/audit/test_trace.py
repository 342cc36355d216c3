"""Every token is traced back to the document it is of."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.find import find
from curate.audit.opened import Opened
from curate.audit.trace import trace
from curate.errors import UsageError
from tests.audit.conftest import DOCUMENTS, spans_of
from tests.tiny_files import ids_of


def test_every_token_is_traced_to_the_text_it_is_of(folder: Path, mix: Opened) -> None:
    """Token by token: the id in the file is the byte of the document at the place that is named."""
    texts = {d.id: d.text.encode() for d in DOCUMENTS}
    for token, id_ in enumerate(ids_of(folder).tolist()):
        found = trace(mix, token=token)
        place, span = found["place"], found["span"]
        text = texts[span["id"]]

        assert id_ == place["id"]
        assert token == span["token"] + place["of_span"]
        if id_ != 256:
            assert bytes([id_]) == text[slice(*place["text_bytes"])]


@settings(max_examples=60)
@given(token=st.integers(0, 499))
def test_a_traced_span_is_found_again(mix: Opened, token: int) -> None:
    """For every span s: s is in find(trace(s))."""
    span = trace(mix, token=token)["span"]

    assert span in find(mix, id_=span["id"])["spans"]
    assert span in find(mix, id_=f"key:{span['key']}")["spans"]


def test_a_shard_s_token_is_the_stream_s(mix: Opened) -> None:
    """Shard 1 begins where shard 0 ends."""
    n = mix.shards[0]["n_tokens"]

    assert trace(mix, token=n + 5) == trace(mix, shard=1, at=5)


def test_neighbours_are_those_of_the_stream(folder: Path, mix: Opened) -> None:
    """The first has none before it, the last none after it, across shards too."""
    rows = spans_of(folder)
    tokens = 0
    for number, row in enumerate(rows):
        found = trace(mix, token=tokens)
        before = rows[number - 1]["id"] if number else None
        after = rows[number + 1]["id"] if number + 1 < len(rows) else None
        tokens += row["n_tokens"]

        assert before == (found["previous"] or {}).get("id")
        assert after == (found["next"] or {}).get("id")


def test_text_is_shown_only_when_asked(mix: Opened) -> None:
    """A trace says where a token is from; the document is one more word."""
    plain, shown = trace(mix, token=10), trace(mix, token=10, show_text=True)
    [document] = [d for d in DOCUMENTS if d.id == shown["span"]["id"]]

    assert document.text == shown["text"]
    assert document.text not in json.dumps(plain)
    assert "text" not in plain and "text" not in plain["place"]


@pytest.mark.parametrize(
    "place", [{"token": 500}, {"token": -1}, {"shard": 3, "at": 0}, {"shard": 0, "at": 200}, {}]
)
def test_a_token_that_is_not_there_is_a_usage_error(mix: Opened, place: dict[str, int]) -> None:
    """The message says how many there are."""
    with pytest.raises(UsageError):
        trace(mix, **place)
