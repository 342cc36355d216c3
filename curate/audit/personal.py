"""
Turn the texts of a mix into counts of what looks like a person's data, by kind and component.

Patterns are counted, never shown: e-mail addresses, IPv4 addresses, telephone numbers in
international form, IBANs and card numbers whose check digits are right. Names, addresses and
whatever has no fixed form are not looked for; how many of the matches are a person's is unknown.

    >>> import polars as pl
    >>> texts = pl.Series(["a.b@example.org or +44 20 7946 0958.", "4111 1111 1111 1111"])
    >>> {kind: counts.to_list() for kind, counts in counted(texts).items() if counts.sum()}
    {'card': [0, 1], 'email': [1, 0], 'phone': [1, 0]}
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from curate.audit import textindex
from curate.audit.findings import Progress, silent
from curate.audit.opened import Opened, collected
from curate.audit.passage import vocabulary_and_words

if TYPE_CHECKING:
    import polars as pl

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
PATTERNS = {
    "card": r"\b[3-6][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3,4}\b",
    "email": r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
    "iban": r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
    "ipv4": rf"\b(?:{_OCTET}\.){{3}}{_OCTET}\b",
    "phone": r"\+[1-9][0-9]{0,2}(?:[ .()-]{0,2}[0-9]{1,4}){2,5}[0-9]{2}\b",
}
"""What is counted, as regular expressions of Rust's regex: linear in the text."""


def personal(mix: Opened, progress: Progress = silent) -> dict[str, Any]:
    """Kind → component → matches and spans with one; UsageError if ids cannot be decoded."""
    import polars as pl

    vocabulary, _ = vocabulary_and_words(mix, [])
    spans = collected(mix.spans().select("component", "n_tokens"))
    tables, first_row = [], 0
    with progress("reading texts", mix.content["n_tokens"] * mix.width) as advance:
        for number, shard in enumerate(mix.shards):
            rows = spans[first_row : first_row + shard["n_spans"]]
            for first, data, edges in textindex.decoded(mix, number, rows, vocabulary):
                raw = data.tobytes()
                texts = [raw[a:b].decode("utf-8", "replace") for a, b in pairwise(edges.tolist())]
                mine = rows["component"][first : first + len(texts)]
                tables.append(pl.DataFrame([mine]).with_columns(**counted(pl.Series(texts))))
            first_row += shard["n_spans"]
            advance(shard["n_tokens"] * mix.width)
    table = pl.concat(tables) if tables else pl.DataFrame()
    found: dict[str, Any] = {}
    for kind in PATTERNS if table.height else ():
        by_component = table.group_by("component").agg(
            pl.col(kind).sum().alias("n_matches"), (pl.col(kind) > 0).sum().alias("n_spans")
        )
        found[kind] = {
            component: {"n_matches": n_matches, "n_spans": n_spans}
            for component, n_matches, n_spans in by_component.sort("component").iter_rows()
        }
    return {"mix": mix.title, "content_id": mix.manifest["content_id"], "kinds": found}


def counted(texts: "pl.Series") -> "dict[str, pl.Series]":
    """Kind → matches in each text (UInt32), those whose check digits are wrong left out."""
    import polars as pl

    found = {}
    for kind, pattern in PATTERNS.items():
        if kind not in CHECKED:
            found[kind] = texts.str.count_matches(pattern)
            continue
        right = CHECKED[kind]
        matches = texts.str.extract_all(pattern).to_list()
        numbers = [sum(right(match) for match in each) for each in matches]
        found[kind] = pl.Series(numbers, dtype=pl.UInt32)
    return found


def is_card(text: str) -> bool:
    """Whether the digits satisfy Luhn's check (ISO/IEC 7812-1)."""
    digits = [int(c) for c in reversed(text) if c.isdecimal()]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the number is 1 modulo 97 (ISO 13616), its first four characters moved last."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


CHECKED = {"card": is_card, "iban": is_iban}
"""Kinds with check digits."""
