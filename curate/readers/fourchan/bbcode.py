"""
Turn the bodies of the FoolFuuka archives (4plebs, archived.moe) into text, a column at a time.

    >>> import polars as pl
    >>> bodies = [">>7\\n[spoiler]it[/spoiler] [b:lit]was[/b:lit]", "[fortune]x[/fortune]a"]
    >>> to_text(pl.Series(bodies)).to_list()
    ['>>7\\nit [b]was[/b]', 'a']

Asagi stores comments as plain text with tags in brackets, entities decoded. Tags go and their text
stays, as in the HTML they were made from; fortunes and ban notices go whole; `[math]` and `[eqn]`
stay, since the HTML has them too; a tag that a poster typed is stored as `[b:lit]` and becomes
`[b]` again. Tags as listed in Asagi's YotsubaAbstract and FoolFuuka's BBCode definitions.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_TAGS = "spoiler|code|b|i|u|s|o|sub|sup|moot|info|shiftjis|qstcolor|aa"
_WHOLE = (
    r"(?s)\[fortune(?: [^\]]*)?\].*?\[/fortune\]",
    r"(?s)\n*\[banned\].*?\[/banned\]",
)
_TAG = rf"\[/?(?:{_TAGS}|banned|fortune)(?:[ =][^\[\]]*)?\]"
_LITERAL = rf"\[(/?(?:{_TAGS}|banned|fortune|math|eqn)(?:[ =][^\[\]]*)?):lit\]"


def to_text(bodies: "pl.Series") -> "pl.Series":
    """Text of each body of a String column; null stays null."""
    places = bodies.str.contains("[", literal=True).fill_null(False).arg_true()
    if len(places):
        text = bodies.gather(places)
        for whole in _WHOLE:
            text = text.str.replace_all(whole, "")
        text = text.str.replace_all(_TAG, "").str.replace_all(_LITERAL, "[$1]")
        bodies = bodies.scatter(places, text)
    return as_it_is(bodies)


def as_it_is(bodies: "pl.Series") -> "pl.Series":
    """Text that needs no more than its outer line ends cut off."""
    return bodies.str.strip_chars("\n")
