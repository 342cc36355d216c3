"""Turns the heat of a post into scores as Perspective gives, and its words into entities."""

from __future__ import annotations

import re
from random import Random

ATTRIBUTES = (
    "TOXICITY",
    "SEVERE_TOXICITY",
    "INFLAMMATORY",
    "PROFANITY",
    "INSULT",
    "OBSCENE",
    "SPAM",
)
# How much of the heat each attribute shows; spam has nothing to do with it.
SHARES = {
    "TOXICITY": 0.97,
    "SEVERE_TOXICITY": 0.6,
    "INFLAMMATORY": 0.75,
    "PROFANITY": 0.7,
    "INSULT": 0.98,
    "OBSCENE": 0.55,
}
LABELS = {"name": "PERSON", "surname": "PERSON", "town": "GPE", "day": "DATE", "month": "DATE"}


def perspectives(rng: Random, heat: float) -> dict[str, float]:
    """Return scores in [0, 1]; sums and products come out the same on every machine."""
    common = rng.random()
    scores = {}
    for attribute in ATTRIBUTES:
        noise = rng.random() * rng.random() * (0.15 + 0.15 * common)
        hot = heat * SHARES.get(attribute, 0.0) * (0.85 + 0.3 * common)
        scores[attribute] = round(min(0.99, 0.02 + noise + hot), 3)
    return scores


def entities(text: str, words: dict[str, list[str]]) -> list[dict[str, str | int]]:
    """Return every invented name, town, day and month of `text` with its place in the text."""
    labels = {
        filler: label
        for name, label in LABELS.items()
        for filler in words[name]
        if "{" not in filler
    }
    pattern = re.compile(
        r"\b(?:" + "|".join(map(re.escape, sorted(labels, key=len, reverse=True))) + r")\b"
    )
    return [
        {
            "entity_text": m[0],
            "entity_label": labels[m[0]],
            "entity_start": m.start(),
            "entity_end": m.end(),
        }
        for m in pattern.finditer(text)
    ]
