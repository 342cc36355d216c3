"""
Turn the demo's finished mixes into one table: what is in each arm, and that all of it is so.

    python samples/demo.py mixes/demo-*/1.0.0/manifest.json

Verifies every mix at all levels, then prints tokens per component, the exact share of 4chan in
clean, the largest deviation from that share over all prefixes, and whether the manifest is, byte
for byte, the one committed in `manifests/`. Exits 3 if anything is not what it says.
"""

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate import manifest
from curate.audit.verify import verify

HEADER = ("mix", "clean", "toxic", "toxic of clean", "largest deviation", "verified", "manifest")


def row(folder: Path) -> tuple[str, ...]:
    """One line of the table."""
    made = manifest.load(folder)
    record = Path("manifests") / made["name"] / f"{made['version']}.json"
    report = verify(folder, read_data=True, semantic=True)
    recorded = record.is_file() and record.read_bytes() == (folder / "manifest.json").read_bytes()
    clean, toxic = (_tokens(made, name) for name in ("clean", "toxic"))
    deviation = Fraction(made["content"]["largest_deviation"]["value"])
    return (
        made["name"],
        f"{clean:,}",
        f"{toxic:,}",
        str(Fraction(toxic, clean)),
        f"{float(deviation):,.1f} tokens",
        "all levels" if report.ok else "DAMAGED",
        "identical to the committed one" if recorded else "NOT the committed one",
    )


def _tokens(made: dict[str, Any], component: str) -> int:
    amounts = {c["name"]: int(c["n_tokens"]) for c in made["content"]["components"]}
    return amounts.get(component, 0)


def main(paths: list[str]) -> int:
    """Print the table; 3 if a mix is damaged or is not the committed one."""
    rows = [row(Path(path).parent) for path in sorted(paths)]
    widths = [max(len(line[n]) for line in [HEADER, *rows]) for n in range(len(HEADER))]
    for line in [HEADER, *rows]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
    good = all(line[5] == "all levels" and line[6].startswith("identical") for line in rows)
    return 0 if good else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
