"""Turns the lines of a post into the HTML of a 4chan comment, and into the text a reader sees.

>>> lines = [Line([link(7, "#p7")]), Line([Piece("text", "a < b")], green=True)]
>>> plain(lines)
'>>7\\n>a < b'
>>> html(lines)
'<a href="#p7" class="quotelink">&gt;&gt;7</a><br><span class="quote">&gt;a &lt; b</span>'
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#039;"}
WORD_LIMIT = 35
LONG = re.compile(rf"\S{{{WORD_LIMIT}}}(?=\S)")
BAN = '<br><br><b style="color:red;">(USER WAS BANNED FOR THIS POST)</b>'


@dataclass(frozen=True)
class Piece:
    """A run of one kind: text, spoiler, code, quotelink or deadlink."""

    kind: str
    text: str
    href: str = ""


@dataclass(frozen=True)
class Line:
    """Pieces between two line breaks; a green one starts with an arrow."""

    pieces: list[Piece]
    green: bool = False


def link(no: int, href: str, board: str = "") -> Piece:
    """Return a link to a post, with the third arrow if it leaves the board."""
    return Piece("quotelink", f">>>/{board}/{no}" if board else f">>{no}", href)


def inline(text: str, green: bool = False) -> Line:
    """Return a line of `text`, where what stands between tildes is a spoiler."""
    parts = text.split("~")
    pieces = [Piece("spoiler" if i % 2 else "text", part) for i, part in enumerate(parts) if part]
    return Line(pieces, green)


def escape(text: str) -> str:
    """Break long words after 35 characters and write the five entities."""
    broken = LONG.sub(lambda m: m[0] + "\0", text)
    return "".join(ENTITIES.get(c, c) for c in broken).replace("\0", "<wbr>")


def html(lines: list[Line]) -> str:
    """Return the value of `com`."""
    return "<br>".join(_line(line) for line in lines)


def plain(lines: list[Line]) -> str:
    """Return what is left when the markup is taken away."""
    return "\n".join(
        (">" if line.green else "") + "".join(p.text for p in line.pieces) for line in lines
    )


def _line(line: Line) -> str:
    if line.green:
        # The arrow counts as a character of the first word.
        first = Piece(line.pieces[0].kind, ">" + line.pieces[0].text, line.pieces[0].href)
        return f'<span class="quote">{"".join(map(_piece, [first, *line.pieces[1:]]))}</span>'
    return "".join(map(_piece, line.pieces))


def _piece(piece: Piece) -> str:
    text = escape(piece.text)
    match piece.kind:
        case "quotelink":
            return f'<a href="{piece.href}" class="quotelink">{text}</a>'
        case "deadlink":
            return f'<span class="deadlink">{text}</span>'
        case "spoiler":
            return f"<s>{text}</s>"
        case "code":
            return f'<pre class="prettyprint">{text}</pre>'.replace("\n", "<br>")
        case _:
            return text
