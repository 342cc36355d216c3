"""
Turn a plan into the text that `curate plan` prints: exact numbers, arm by arm.

    >>> clean = {"name": "clean", "source": "c4", "n_tokens": 75, "share": "1/1", "epochs": "1/2",
    ...          "eligible": {"n_tokens": 150, "assumed": True}}
    >>> print(render({"recipe": "tiny", "version": "1.0.0", "layout": "interleaved", "seed": 7,
    ...               "assumed": {"c4": 150}, "arms": [{"name": "", "n_tokens": 75,
    ...               "components": [clean]}]}))
    tiny 1.0.0, seed 7, interleaved: 1 mix
    assumed, not counted (*): c4 150 tokens
    <BLANKLINE>
    tiny  75 tokens, 150 B at 2 bytes a token
      clean  75 tokens  100 %  0.5 epochs of 150* tokens in c4
    <BLANKLINE>
    disk: 150 B at 2 bytes a token, 300 B at 4 (vocabulary over 65,536), and sidecars
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any


def render(plan: Mapping[str, Any]) -> str:
    """The text of a plan, made or assumed; without a final newline."""
    n_mixes = len(plan["arms"]) + ("holdout" in plan)
    plural = "mixes" if n_mixes > 1 else "mix"
    version = f"{plan['recipe']} {plan['version']}, seed {plan['seed']}"
    lines = [f"{version}, {plan['layout']}: {n_mixes} {plural}"]
    if "assumed" in plan:
        stated = ", ".join(f"{name} {n:,} tokens" for name, n in plan["assumed"].items())
        lines.append(f"assumed, not counted (*): {stated}")
    for arm in plan["arms"]:
        lines += ["", *_arm(_mix_name(plan, arm["name"]), arm)]
    if "holdout" in plan:
        lines += ["", *_holdout(plan)]
    lines += _sources(plan)
    total = sum(arm["n_tokens"] for arm in plan["arms"])
    total += plan.get("holdout", {}).get("n_tokens", 0)
    disk = f"disk: {_bytes(2 * total)} at 2 bytes a token, {_bytes(4 * total)} at 4"
    return "\n".join([*lines, "", f"{disk} (vocabulary over 65,536), and sidecars"])


def _mix_name(plan: Mapping[str, Any], arm: str) -> str:
    return f"{plan['recipe']}-{arm}" if arm else str(plan["recipe"])


def _arm(name: str, arm: Mapping[str, Any]) -> list[str]:
    head = f"{name}  {arm['n_tokens']:,} tokens"
    if "n_spans" in arm:
        head += f", {arm['n_spans']:,} spans, {arm['n_shards']:,} shards"
    lines = [f"{head}, {_bytes(2 * arm['n_tokens'])} at 2 bytes a token"]
    parts = {component["name"]: component for component in arm["components"]}
    rows = [_numbers(component, parts) for component in arm["components"]]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    for row, component in zip(rows, arm["components"], strict=True):
        name_, tokens, share, epochs = (
            text.rjust(width) if n in (1, 3) else text.ljust(width)
            for n, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        pool = component["eligible"]
        mark = "*" if pool.get("assumed") else ""
        where = f"{pool['n_tokens']:,}{mark} tokens in {component['source']}"
        lines.append(f"  {name_}  {tokens} tokens  {share}  {epochs} epochs of {where}")
        lines += _notes(component)
    if "largest_deviation" in arm:
        worst = arm["largest_deviation"]
        off = f"{float(Fraction(worst['value'])):,.1f} tokens"
        lines.append(
            f"  never more than {off} off its share: {worst['component']} at {worst['at']:,}"
        )
    return lines


def _numbers(component: Mapping[str, Any], parts: Mapping[str, Any]) -> tuple[str, str, str, str]:
    share = percent(Fraction(component["share"]))
    of = component.get("of")
    if of and parts.get(of, {}).get("n_tokens"):
        share += f" ({percent(Fraction(component['n_tokens'], parts[of]['n_tokens']))} of {of})"
    epochs = f"{float(Fraction(component['epochs'])):.4g}"
    return component["name"], f"{component['n_tokens']:,}", share, epochs


def _notes(component: Mapping[str, Any]) -> list[str]:
    notes = []
    if component.get("residual"):
        unit, asked = component["unit"], component["requested"]
        notes.append(f"asked {asked:,} {unit}, residual {component['residual']:+,}")
    if "stands_for" in component:
        notes.append(f"in place of {component['stands_for']}")
    notes += [
        f"cut {cut['key']} to {cut['n_tokens']:,} of {cut['n_tokens_whole']:,} tokens"
        for cut in component.get("cut", [])
    ]
    notes += [
        f"dropped {dropped['n_documents']:,} documents: {dropped['clause']}"
        for dropped in component.get("dropped", [])
    ]
    if "n_unused" in component:
        notes.append(f"unused {component['n_unused']:,} documents")
    return [f"    {note}" for note in notes]


def _holdout(plan: Mapping[str, Any]) -> list[str]:
    held = plan["holdout"]
    groups = f" in {held['n_groups']:,} threads and URLs" if "n_groups" in held else ""
    lines = [f"{plan['recipe']}-holdout  {held['n_tokens']:,} tokens{groups}, never mixed"]
    for component in held["components"]:
        delivered = component.get("n_tokens")
        found = f", {delivered:,} delivered" if delivered is not None else ""
        lines.append(f"  {component['name']}: {component['requested']:,} tokens asked{found}")
    return lines


def _sources(plan: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, counts in plan.get("sources", {}).items():
        told = [
            f"{counts[f'n_{what}']:,} {what.replace('_', ' ')}"
            for what in ("read", "superseded", "empty", "held_out")
        ]
        lines.append(f"{name}: documents {', '.join(told)}")
    return ["", *lines] if lines else []


def percent(share: Fraction) -> str:
    """A share in percent to four places, marked where it is rounded: `25 %`, `≈33.3333 %`."""
    value = share * 100
    text = f"{float(value):.4f}".rstrip("0").rstrip(".")
    return f"{text} %" if Fraction(text) == value else f"≈{text} %"


def _bytes(count: int) -> str:
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count} B"
