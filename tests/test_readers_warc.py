"""WARC and WET files."""

import gzip
from pathlib import Path

import pytest

from curate.errors import InputError
from tests.readers_world import read, warc_record, warc_response

HTML = "<html><head><title>T</title></head><body><p>Hi <b>caf\u00e9</b></p><script>x</script>"


def test_warc(tmp_path: Path) -> None:
    """Pages and WET texts are documents, everything else is counted by its type."""
    page = warc_record("response", "<https://a.example/>", warc_response(HTML.encode()))
    latin = warc_record(
        "response",
        "https://b.example/",
        warc_response(HTML.encode("latin-1"), "text/html; charset=iso-8859-1"),
    )
    image = warc_record("response", "https://c.example/", warc_response(b"\x89PNG", "image/png"))
    wrong = warc_record("response", "https://d.example/", warc_response(b"<p>\xff</p>"))
    wet = warc_record("conversion", "https://e.example/", b"Plain words.")
    request = warc_record("request", "https://a.example/", b"GET / HTTP/1.1\r\n\r\n")
    members = [request, page, latin, image, wrong, wet]
    reading = read(tmp_path, b"".join(map(gzip.compress, members)), "warc")

    assert ["Hi\ncaf\u00e9", "Hi\ncaf\u00e9", "Plain words."] == reading.texts
    assert ["https://a.example/", "https://b.example/", "https://e.example/"] == reading.documents[
        "url"
    ].to_list()
    assert len(request) == reading.documents["offset"][0]
    assert 1_714_062_284 == reading.documents["timestamp"][0]
    assert (6, 3, {"not-html": 1, "request": 1}, {"not-utf8": 1}) == reading.counts


def test_a_warc_that_stops_is_damaged(tmp_path: Path) -> None:
    """A record that is shorter than it says is an error, compressed or not."""
    whole = warc_record("response", "https://a.example/", warc_response(HTML.encode()))
    for cut in range(len(whole) - 60, len(whole) - 5, 7):
        with pytest.raises(InputError, match="damaged"):
            read(tmp_path, (whole + whole)[: len(whole) + cut], "warc")
