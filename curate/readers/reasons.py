"""
Turn a reason code of a receipt into what it means.

Every record of an input is a document, or is skipped (it is not meant to be one) or rejected (it
could not be read; it is kept with its place in `<input>.rejected.jsonl.zst`) for one of these:

    >>> SKIPPED["blank"], REJECTED["not-utf8"]
    ('a line of white space', 'bytes that are not UTF-8')

`curate.readers.base.Tally` takes no others, and `docs/readers.md` lists them.
"""

SKIPPED = {
    "blank": "a line of white space",
    "no-text": "nothing to read: no character, or of 4chan none but white space",
    "image-only": "a post, or all posts of a thread, with a file and no words",
    "ghost": 'a post written on an archive, not on 4chan (`ghosts = "keep"` keeps them)',
    "no-posts": "a thread with an empty list of posts",
    "thread-list": "a thread in an answer of the API that has no text (`threads.json`)",
    "archive-list": "a thread in an answer of the API that has numbers alone (`archive.json`)",
    "board-list": "a board in an answer of the API (`boards.json`)",
    "not-html": "a WARC response that is no HTML page",
    "not-http": "a WARC response to something else than HTTP",
    "warcinfo": "a WARC record of that type",
    "request": "a WARC record of that type",
    "metadata": "a WARC record of that type",
    "resource": "a WARC record of that type",
    "revisit": "a WARC record of that type",
    "other-record": "a WARC record of another type",
}
"""Reason → meaning, of records that are not meant to be documents."""

REJECTED = {
    "not-utf8": "bytes that are not UTF-8",
    "not-json": "a line that is not JSON (NaN and 1e400 are not)",
    "cut-off": "a line of JSON that stops before its end",
    "not-an-object": "a line of JSON that is a number, a text or a list",
    "lone-surrogate": "JSON with half of a character (`\\ud800` alone)",
    "too-deep": "JSON nested more than 1,024 levels deep",
    "number-too-large": "JSON with a number beyond float64",
    "byte-order-mark": "a byte order mark elsewhere than at the start of the file",
    "too-long": "a line of more than 12 MiB, or a page of more than 16; its beginning is kept",
    "too-many-values": "a line of over 1,048,576 values or 100,000 objects, a page of 200,000 tags",
    "too-many-posts": "a thread, put together, of over 100,000 posts or 16 MiB; its first are kept",
    "wrong-type": "a value of another type than it must have, such as a number for the text",
    "no-text-key": "a record without the key or column of the text, or with null there",
    "no-posts-key": "a thread without the key `posts`",
    "no-post-number": "a post without a number, or a thread with one",
    "no-thread-number": "a row of a post that does not say to which thread it belongs",
    "not-a-rendered-thread": "a text that does not begin with the header of a post",
    "stray-quote": "a line of CSV with a quote that is never closed",
    "wrong-field-count": "a record of CSV with more or fewer fields than the others",
    "not-csv": "a record of CSV with characters after a closing quote",
    "unknown-charset": "a page in a character set that nobody knows",
    "not-in-charset": "a page with bytes that the character set it declares does not have",
}
"""Reason → meaning, of records that could not be read."""
