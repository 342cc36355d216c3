r"""
Turn a column of texts into lines of plain words, as the shipped model was trained on them.

Lower case, no punctuation but `*` and `$` (they stand in for letters of insults), apostrophes
dropped rather than turned into spaces, one line per text. So the model cannot tell where a text
was collected from how it is written:

    >>> import polars as pl
    >>> normalised(pl.Series(["It's\nYOU, \"fool\"!", "f**l"]), "words").to_list()
    ['its you   fool  ', 'f**l']
    >>> normalised(pl.Series(["It's\nYOU"]), "lines").to_list()
    ["It's YOU"]
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

NORMALISATIONS = ("lines", "words")
"""`lines` only joins lines by spaces; `words` also lowers case and drops punctuation."""

_DROPPED = ["'", "\u2019", "\u2018"]
_SPACES = [*'!"#%&()+,-./:;<=>?[\\]^_`{|}~@\n\r\t', *"\u201c\u201d\u2013\u2014\u2026"]


def normalised(texts: "pl.Series", how: str) -> "pl.Series":
    """`texts` (String, n rows) as n lines without a line break; nulls stay null."""
    if how == "lines":
        # fastText stops reading a line at the word `</s>`, so that a text could hide behind it.
        lines = texts.str.replace_all("\n", " ", literal=True)
        return lines.str.replace_all("</s>", "< /s>", literal=True)
    return texts.str.to_lowercase().str.replace_many(
        [*_DROPPED, *_SPACES], [""] * len(_DROPPED) + [" "] * len(_SPACES)
    )
