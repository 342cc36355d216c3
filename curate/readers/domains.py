"""
Turn a column of URLs into the domains that somebody registered.

    >>> import polars as pl
    >>> urls = ["https://News.BBC.co.uk:443/a", "http://user@blog.example.com.", "ftp://10.0.0.1/x"]
    >>> registered(pl.Series(urls)).to_list()
    ['bbc.co.uk', 'example.com', None]

A registered domain is the public suffix and one label before it, by the Public Suffix List
(publicsuffix.org, ICANN section and private section) that comes with the `publicsuffixlist`
package. IP addresses and single labels have none. Hosts are compared in lower case.
"""

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from publicsuffixlist import PublicSuffixList

# Scheme, then all up to the path, query or fragment: user, host and port (RFC 3986 §3).
_AUTHORITY = r"^[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#]+)"
_HOST = re.compile(r"(?:[^@]*@)?([^:\[\]@\s]+)")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
# A usual address: no user, no port, names in lower case.
_USUAL = (
    r"^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[a-z0-9_-]+\.)*"
    r"(?<last_two>[a-z0-9_-]+\.(?<last>[a-z]+))(?:[/?#]|$)"
)

# In the list: rules are lines of one word, `*.` or `!` may come first; comments begin with `//`.
_PAIR = re.compile(r"^(?!//)!?(?:\*\.)?(?:[^\s.*]+\.)*([^\s.*]+\.[^\s.*]+)", re.MULTILINE)
_ALONE = re.compile(r"^\*\.([^\s.]+)$", re.MULTILINE)


def registered(urls: "pl.Series") -> "pl.Series":
    """Registered domain of each URL of a String column, null where there is none."""
    import polars as pl

    # Nine hosts in ten end in two names of which the list says nothing but the last.
    usual = urls.str.extract_groups(_USUAL).struct
    last_two, last = usual.field("last_two"), usual.field("last")
    pairs, names = _listed()
    listed = last_two.is_in(pairs) | last.is_in(names) | last_two.str.starts_with("xn--")
    domains = last_two.set(listed, None)
    rest = domains.is_null().arg_true()
    places = urls.gather(rest).str.extract(_AUTHORITY)
    known = places.drop_nulls().unique()
    found = pl.Series([domain_of(place) for place in known.to_list()], dtype=pl.String)
    return domains.scatter(
        rest, places.replace_strict(known, found, default=None, return_dtype=pl.String)
    )


@functools.lru_cache(maxsize=1 << 16)
def domain_of(authority: str) -> str | None:
    """Registered domain of `user@host:port`, or of a host alone."""
    found = _HOST.match(authority)
    host = found[1].lower().rstrip(".") if found else ""
    if not host or _IPV4.fullmatch(host):
        return None
    domain: str | None = _suffixes().privatesuffix(host)
    return domain


@functools.cache
def _suffixes() -> "PublicSuffixList":
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@functools.cache
def _listed() -> "tuple[pl.Series, pl.Series]":
    """The last two names of every rule of several names; `x` of rules for every name in `x`."""
    import polars as pl
    from publicsuffixlist import PSLFILE

    rules = Path(PSLFILE).read_text("utf-8").lower()
    pairs, alone = set(_PAIR.findall(rules)), set(_ALONE.findall(rules))
    return pl.Series(sorted(pairs)).implode(), pl.Series(sorted(alone)).implode()
