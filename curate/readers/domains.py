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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from publicsuffixlist import PublicSuffixList

# Scheme, then all up to the path, query or fragment: user, host and port (RFC 3986 §3).
_AUTHORITY = r"^[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#]+)"
_HOST = re.compile(r"(?:[^@]*@)?([^:\[\]@\s]+)")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


def registered(urls: "pl.Series") -> "pl.Series":
    """Registered domain of each URL of a String column, null where there is none."""
    import polars as pl

    places = urls.str.extract(_AUTHORITY)
    known = places.drop_nulls().unique()
    domains = pl.Series([domain_of(place) for place in known.to_list()], dtype=pl.String)
    return places.replace_strict(known, domains, default=None, return_dtype=pl.String)


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
