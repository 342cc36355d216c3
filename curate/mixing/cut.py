"""
Turn a token budget into the sizes of the last two spans, so that it is met to the token.

Whole documents are taken while they fit; the next is cut to what remains, its first ids and EOS:

    >>> tail(previous=100, last=80, remains=30, least=3)
    (100, 30)

If the cut would leave less than two content ids, the document before gives up what is missing:

    >>> tail(previous=100, last=80, remains=1, least=3)
    (98, 3)

Where that document is too short for it, it is left out, and the last one has its tokens too:

    >>> tail(previous=3, last=80, remains=1, least=3)
    (0, 4)
"""


def tail(previous: int | None, last: int, remains: int, least: int) -> tuple[int, int]:
    """
    Tokens of the last whole document and of the one after it: (of `previous`, of `last`).

    `previous` and `last` are their sizes with EOS (None: there is none before), `remains` (at
    least 1, less than `last`) what is wanted beyond `previous`; `least` are the tokens of a span
    with two content ids. The two always sum to previous + remains. Two documents so short that
    nothing above helps share what there is, the longer half first: exactness comes first.
    """
    if previous is None or remains >= least:
        return previous or 0, remains
    both = previous + remains
    enough = min(least, last)
    if both - enough >= least:
        return both - enough, enough
    if both <= last:
        return 0, both
    shorter = min(last, both // 2)
    return both - shorter, shorter
