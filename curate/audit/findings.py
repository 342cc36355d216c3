"""
Turn what a check saw into a report: what is wrong and where, what is whole, what was not looked at.

    >>> found = Finding("digest", "spans.parquet", "", "its bytes are not those of SHA256SUMS")
    >>> print(Report("tiny", "1.0.0", (found,), ("names",), ("digests",)).render())
    tiny@1.0.0: 1 finding
      digest    spans.parquet: its bytes are not those of SHA256SUMS
    checked: names
    not checked: digests
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(what is done, bytes ahead) → a context manager that yields `advance(n bytes)`."""

MAX_SHOWN = 20
"""Findings of one kind about one file that are listed; the rest are counted."""


@dataclass(frozen=True, order=True)
class Finding:
    """
    One thing that is not what it should be.

    `kind` is a word a program can compare, `file` a name within the mix folder, `where` the place
    in it (a line, a span, a row; may be empty), `what` a sentence with both numbers. No text of
    documents.
    """

    kind: str
    file: str
    where: str
    what: str

    def render(self) -> str:
        """One line for people."""
        place = f"{self.file}, {self.where}" if self.where else self.file
        return f"{self.kind:<9} {place}: {self.what}"


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A `Progress` that tells nobody."""
    yield lambda n: None


@dataclass
class Outcome:
    """What a level found: the lists of a Report, still growing."""

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Append another level's lists."""
        self.findings += other.findings
        self.checked += other.checked
        self.not_checked += other.not_checked
        self.whole += other.whole


@dataclass(frozen=True)
class Report:
    """What `verify` found in one mix; no findings means that all that was checked is right."""

    name: str
    version: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    not_checked: tuple[str, ...]
    whole: tuple[str, ...] = ()
    content_id: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "name": self.name,
            "version": self.version,
            "content_id": self.content_id,
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "checked": list(self.checked),
            "not_checked": list(self.not_checked),
            "whole": list(self.whole),
        }

    def render(self) -> str:
        """The report as people read it."""
        number = len(self.findings)
        head = "no findings" if self.ok else f"{number:,} finding{'s' * (number != 1)}"
        lines = [f"{self.name}@{self.version}: {head}"]
        lines += [f"  {finding.render()}" for finding in self.findings]
        if self.whole and not self.ok:
            lines += [f"still whole: {line}" for line in self.whole]
        lines += [f"checked: {line}" for line in self.checked]
        lines += [f"not checked: {line}" for line in self.not_checked]
        return "\n".join(lines)


def capped(findings: list[Finding]) -> list[Finding]:
    """The findings in order, at most MAX_SHOWN of a kind and file; a last one counts the others."""
    shown: list[Finding] = []
    counts: dict[tuple[str, str], int] = {}
    for finding in findings:
        group = (finding.kind, finding.file)
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= MAX_SHOWN:
            shown.append(finding)
    shown += [
        Finding(kind, file, "", f"and {count - MAX_SHOWN:,} more of this kind")
        for (kind, file), count in counts.items()
        if count > MAX_SHOWN
    ]
    return shown
