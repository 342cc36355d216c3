r"""
Turn a column of texts into lines of plain words, as the shipped model was trained on them.

A to Z in lower case, no punctuation but `*` and `$` (they stand in for letters of insults),
apostrophes dropped rather than turned into spaces, one line per text. So the model cannot tell
where a text was collected from how it is written:

    >>> import polars as pl
    >>> normalised(pl.Series(["It's\nYOU, \"fool\"!", "f**l"]), "words")
    ['its you   fool  ', 'f**l']
    >>> normalised(pl.Series(["It’s “YOU”… É"]), "words")
    ['its  you   É']
    >>> normalised(pl.Series(["It's\nYOU"]), "lines")
    ["It's YOU"]

A mean of a few words says little. `marked` puts a mark before the words, which no text can hold:
one word of sixteen characters with its 29 pieces, so that a short line needs a strong word.

    >>> normalised(pl.Series(["It's_YOU"]), "marked")
    ['________________ its you']
"""

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

NORMALISATIONS = ("lines", "words", "marked")
"""
`lines` only joins lines by spaces; `words` also lower cases and drops punctuation; `marked` are
words after a mark.
"""

MARK = "_" * 16

_SPACED = "".join(sorted(set(string.punctuation) - set("*$'"))) + "\n\r\t\v\f\0"
_TABLE = bytes.maketrans(
    string.ascii_uppercase.encode() + _SPACED.encode(),
    string.ascii_lowercase.encode() + b" " * len(_SPACED),
)
_TYPOGRAPHIC = {mark: "" if mark in "‘’" else " " for mark in "‘’“”–—…"}


def normalised(texts: "pl.Series", how: str, *, end: str = "") -> list[str]:
    """`texts` (String, no nulls) as as many lines without a line break, `end` after each."""
    if how == "lines":
        # fastText stops reading a line at the word `</s>`, so that a text could hide behind it.
        lines = texts.str.replace_all("\n", " ", literal=True)
        lines = lines.str.replace_all("</s>", "< /s>", literal=True)
        return (lines + end).to_list()
    start = f"{MARK} ".encode() if how == "marked" else b""
    # `leftmost` is the quick way here, and the rest one pass in C over the bytes of each text.
    texts = texts.str.replace_many(list(_TYPOGRAPHIC), list(_TYPOGRAPHIC.values()), leftmost=True)
    last = end.encode()
    return [
        (start + text.encode().translate(_TABLE, b"'") + last).decode() for text in texts.to_list()
    ]
