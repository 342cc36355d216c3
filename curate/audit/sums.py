"""
Turn the lines of SHA256SUMS into names and digests, and say where they are not well formed.

    >>> good = f"{'0' * 64}  spans.parquet\\n{'1' * 64}  manifest.json\\n".encode()
    >>> listed, findings = parse(good)
    >>> sorted(listed), findings
    (['manifest.json', 'spans.parquet'], [])
    >>> [f.where for f in parse(b"0  ../../etc/passwd\\n")[1]]
    ['line 1', 'last line']
"""

import hashlib
import re
from pathlib import Path

from curate.audit.findings import Finding
from curate.errors import IntegrityError
from curate.files import inside

NAME = "SHA256SUMS"
MANIFEST = "manifest.json"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def parse(data: bytes) -> tuple[dict[str, str], list[Finding]]:
    """Name → digest of every well-formed line, and a finding for whatever is not (§5.4)."""
    listed: dict[str, str] = {}
    findings: list[Finding] = []
    lines = data.decode("utf-8", "replace").split("\n")
    if lines.pop():
        findings.append(Finding("sums", NAME, f"line {len(lines) + 1}", "ends without a newline"))
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        wrong = "not `<sha256>  <name>`" if match is None else _unsafe(match[2], listed)
        if wrong or match is None:
            findings.append(Finding("sums", NAME, f"line {number}", wrong))
        else:
            listed[match[2]] = match[1]
    names = list(listed)
    if not names or names[-1] != MANIFEST:
        findings.append(Finding("sums", NAME, "last line", f"is not that of {MANIFEST}"))
    plain = [name.encode() for name in names if name != MANIFEST]
    if plain != sorted(plain):
        findings.append(Finding("sums", NAME, "", "lines are not sorted by name"))
    return listed, findings


def _unsafe(name: str, listed: dict[str, str]) -> str:
    if name in listed or name == NAME:
        return f"{name!r} is listed twice or lists itself"
    try:
        inside(Path(), name)
    except IntegrityError as error:
        return error.message
    return ""


def without_manifest(listed: dict[str, str]) -> str:
    """sha256 of the lines but the manifest's, as `files.sums_sha256` has it."""
    ordered = sorted((name.encode(), sha) for name, sha in listed.items() if name != MANIFEST)
    text = b"".join(sha.encode() + b"  " + name + b"\n" for name, sha in ordered)
    return hashlib.sha256(text).hexdigest()
