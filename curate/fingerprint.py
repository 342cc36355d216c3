"""
Turn a declaration into the name of what it makes.

A fingerprint is the sha256 of a declaration in canonical JSON (RFC 8785); a digest is the
sha256 of bytes. What cannot be written in exactly one way (floats, sets, objects) is refused:

    >>> fingerprint({"reader": "c4", "format": 1})
    '8032c35ec1f9141e'
    >>> fingerprint({"share": 0.1})
    Traceback (most recent call last):
      ...
    TypeError: cannot fingerprint float at share: declare exact values (int, str, Fraction)
    >>> from fractions import Fraction
    >>> canonical({"b": Fraction(1, 10), "a": [1, True, "x"]})
    b'{"a":[1,true,"x"],"b":"1/10"}'
"""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any


def canonical(value: Any) -> bytes:
    """
    Canonical JSON (RFC 8785) of ints below 2**53, strings, booleans, Fractions, lists, mappings.

    Fractions become "numerator/denominator" (whole ones too: "3/1"). None, floats and all other
    types raise TypeError.
    """
    import rfc8785

    return rfc8785.dumps(_plain(value, ""))


def digest(data: bytes) -> str:
    """sha256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(declaration: Any) -> str:
    """First 16 hex digits of the sha256 of the canonical declaration: used in folder names."""
    return digest(canonical(declaration))[:16]


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"cannot fingerprint key {key!r} at {where or 'top'}: not a string")
        return {key: _plain(item, f"{where}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
    raise TypeError(
        f"cannot fingerprint {type(value).__name__} at {where or 'top'}: "
        "declare exact values (int, str, Fraction)"
    )
