"""Registered domains: a quick look at most hosts, the Public Suffix List for the others."""

from pathlib import Path

import polars as pl
from publicsuffixlist import PSLFILE, PublicSuffixList

from curate.readers import domains

BEFORE = ("", "a.", "b.a.", "c.b.a.", "xn--a.", "A.", "-_1.")
"""What hosts have before a suffix."""


def test_every_rule_of_the_list() -> None:
    """Hosts that end as a rule of the list says have the domain that its library gives them."""
    lines = Path(PSLFILE).read_text("utf-8").splitlines()
    rules = [line.split()[0] for line in lines if line.strip() and not line.startswith("//")]
    suffixes = {rule.lstrip("!").replace("*", "any") for rule in rules} | {"unheard-of", "com.com"}
    encoded = {suffix.encode("idna").decode() for suffix in suffixes}
    hosts = [before + suffix for before in BEFORE for suffix in sorted(suffixes | encoded)]
    library = PublicSuffixList()

    assert len(hosts) > 50_000
    assert [library.privatesuffix(host) for host in hosts] == domains.registered(
        pl.Series([f"https://{host}/" for host in hosts])
    ).to_list()


def test_what_stands_around_a_host() -> None:
    """User, port and path change nothing; a host with an empty name has no domain."""
    urls = [
        "http://a.example.com:80/x.org",
        "http://u@example.com",
        "http://a..com/",
        "http://.com/",
        "http://example.com./",
        "http://example.com?q=a.org",
        "http://example.com#a.org",
        "http://1.2.3.4/",
        "http://1.2.3.com/",
        "",
        None,
    ]

    assert [
        "example.com",
        "example.com",
        None,
        None,
        "example.com",
        "example.com",
        "example.com",
        None,
        "3.com",
        None,
        None,
    ] == domains.registered(pl.Series(urls)).to_list()
