"""
Turn results into stdout and progress into stderr.

Text that comes from outside may hold terminal escapes or bidirectional overrides; they never
reach the terminal:

    >>> clean("a\\x1b[31mb\\u202ec\\n")
    'a[31mbc\\n'
"""

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

QUIET_SECONDS = 30.0
"""Without a terminal, a running stage says one line per this many seconds."""


def clean(text: str) -> str:
    """`text` without control, surrogate and format characters other than newline and tab."""
    return "".join(
        c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )


def emit(result: dict[str, Any], *, as_json: bool, text: str) -> None:
    """Print a command's result: `text` for people, `result` as one JSON object for programs."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=True, sort_keys=False))
    else:
        click.echo(clean(text))


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    click.echo(clean(text), err=True)


@contextmanager
def bar(label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """
    Show progress over `total` units on stderr; yields `advance(n)`.

    On a terminal: a bar with rate and time left. Elsewhere: one line per half minute.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=label, unit=unit, unit_scale=True, file=sys.stderr) as shown:

            def advance(n: int) -> None:
                shown.update(n)

            yield advance
        return
    began = said = time.monotonic()
    done = 0

    def advance_quietly(n: int) -> None:
        nonlocal done, said
        done += n
        now = time.monotonic()
        if now - said >= QUIET_SECONDS:
            said = now
            rate = done / (now - began)
            left = f", {(total - done) / rate:,.0f} s left" if rate and total > done else ""
            note(f"{label}: {done:,} of {total:,} {unit}, {rate:,.0f} {unit}/s{left}")

    yield advance_quietly
