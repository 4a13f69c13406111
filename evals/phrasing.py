"""How a simulated person puts things: clauses as words, cards pointed at, slips of the keys.

All sentences stand in ``wording.yaml``; values and their everyday names come from the
catalogue's domain description. Nothing here knows an item.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from catalog.filters import Clause
from catalog.items import Domain, Facet
from evals.dialogues import Persona, Verbosity

WORDING = Path(__file__).parent / "wording.yaml"
#: Neighbours on a keyboard, for slips.
KEYS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o",
    "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "x",
}  # fmt: skip


@cache
def wording() -> dict[str, Any]:
    """``wording.yaml``, read once."""
    loaded: dict[str, Any] = yaml.safe_load(WORDING.read_text("utf-8"))
    return loaded


class Phrases:
    """Turns wants into words for one domain. All randomness comes from ``rng``."""

    def __init__(self, domain: Domain, persona: Persona, rng: random.Random) -> None:
        self.domain, self.persona, self.rng = domain, persona, rng
        self.facets = {f.name: f for f in domain.facets}
        self.words = wording()
        self._noun = rng.choice([domain.noun_one, *_singular(domain)])
        self._nouns = rng.choice([domain.noun_many, *_plural(domain)])

    def pick(self, name: str, **values: str) -> str:
        """A sentence of that kind, filled. Kinds split by verbosity follow the persona."""
        options = self.words[name]
        if isinstance(options, dict):
            options = options[self._verbosity()]
        return self.fill(self.rng.choice(options), **values)

    def _verbosity(self) -> Verbosity:
        """Mostly the persona's own; people are not always alike."""
        if self.rng.random() < 0.25:
            return self.rng.choice(["terse", "plain"])
        return self.persona.verbosity

    def fill(self, template: str, **values: str) -> str:
        return template.format(n=self._noun, ns=self._nouns, **values)

    # ------------------------------------------------------------------ clauses

    def clause(self, clauses: Sequence[Clause]) -> str:
        """One or two clauses on one facet (the ends of a decade) as a phrase."""
        facet = self.facets[clauses[0].field]
        table = self.words["clause"].get(facet.role, {})
        if len(clauses) == 2:
            low = min(float(c.values[0]) for c in clauses)
            if facet.role == "date" and "decade" in table:
                return self.fill(self.rng.choice(table["decade"]), v=self._decade(int(low)))
            return " and ".join(self.clause([c]) for c in clauses)
        clause = clauses[0]
        options = table.get("any" if clause.op == "all" else clause.op) or ["{v}"]
        if facet.kind == "number":
            return self._bound(facet, clause, options)
        value = " or ".join(self.surface(facet, str(v)) for v in clause.values)
        text = self.fill(self.rng.choice(options), v=value)
        return re.sub(r"\ba (?=[aeiou])", "an ", text)

    def _bound(self, facet: Facet, clause: Clause, options: list[str]) -> str:
        number = float(clause.values[0])
        unit = facet.unit or ""
        if facet.role == "date":
            words = f"{number:g}"
        elif unit.startswith("minute") and number % 60 == 0 and self.rng.random() < 0.6:
            hours = int(number // 60)
            words = "an hour" if hours == 1 else f"{hours} hours"
        elif unit.startswith("minute"):
            words = f"{number:g} {self.rng.choice(['minutes', 'min', 'mins'])}"
        else:
            words = f"{number:g} {unit}".strip()
        return self.fill(
            self.rng.choice(options),
            v=words,
            before=f"{number - 1:g}",
            after=f"{number + 1:g}",
            n_years=f"{number:g}",
        )

    def _decade(self, start: int) -> str:
        names = {20: "twenties", 30: "thirties", 40: "forties", 50: "fifties", 60: "sixties",
                 70: "seventies", 80: "eighties", 90: "nineties"}  # fmt: skip
        options = [f"{start}s"]
        if 1930 <= start < 2000:
            options += [f"{start % 100}s", f"'{start % 100}s", names[start % 100]]
        return self.rng.choice(options)

    def surface(self, facet: Facet, value: str) -> str:
        """A value as people say it: one of its synonyms now and then, lower case if a category."""
        names = [s for s, canonical in facet.synonyms.items() if canonical == value]
        if facet.role == "origin":  # synonyms are adjectives: "from korean" is no English
            names = [n for n in names if n.rstrip(".")[-2:] not in ("an", "sh", "se", "ch")]
        if facet.kind == "people":
            last = value.split()[-1]
            return last if " " in value and self.rng.random() < 0.15 and len(last) > 4 else value
        if names and self.rng.random() < 0.3:
            return self.rng.choice(names)
        return value if facet.role in ("origin", "language") else value.lower()

    def label(self, field: str) -> str:
        return self.facets[field].label

    # ------------------------------------------------------------------ pointing

    def place(self, index: int) -> str:
        """How the ``index``-th card (0-based) is pointed at."""
        places = self.words["places"]
        return str(self.rng.choice(places[min(index, len(places) - 1)].split("|")))

    def pointed(self, index: int, title: str) -> str:
        """By its place or by its name."""
        return title if self.rng.random() < 0.25 else self.place(index)

    # ------------------------------------------------------------------ finishing

    def join(self, parts: Sequence[str]) -> str:
        """Several things said in one turn."""
        text = parts[0] if parts else ""
        for part in parts[1:]:
            joiner = self.rng.choice(self.words["joiners"])
            if text and text[-1] in "?!.":
                joiner = " "
            text = text + joiner + part
        return text

    def finish(self, text: str) -> str:
        """Manners, fillers, a phone's spelling and slips of the keys, as the persona has them."""
        rng, persona = self.rng, self.persona
        if rng.random() < persona.politeness * 0.4 and "please" not in text:
            text = text.rstrip(".!") + rng.choice(self.words["polite_end"])
        if persona.verbosity == "chatty" and rng.random() < 0.3:
            text = rng.choice(self.words["filler"]) + text
        style = rng.random()
        if style < 0.45:
            text = text[:1].lower() + text[1:]
        elif style < 0.75:
            text = text[:1].upper() + text[1:]
            if text[-1:].isalnum() and rng.random() < 0.5:
                text += "."
        if persona.typos and rng.random() < 0.25 + persona.typos:
            text = self._shorten(text) if rng.random() < persona.typos else text
            text = slip(text, persona.typos, rng)
        return text

    def _shorten(self, text: str) -> str:
        for word, short in self.words["short_forms"].items():
            if self.rng.random() < 0.6:
                text = re.sub(rf"\b{re.escape(word)}\b", short, text, flags=re.IGNORECASE)
        return text


def slip(text: str, rate: float, rng: random.Random) -> str:
    """Slips of the keys in words of five letters or more: swapped, doubled, lost, neighbouring.

    ``rate`` is the share of such words that suffer; names and numbers may be hit as well.
    """
    words = text.split(" ")
    for k, word in enumerate(words):
        if len(word) < 5 or not word.isalpha() or rng.random() >= rate * 0.6:
            continue
        at = rng.randrange(1, len(word) - 1)
        kind = rng.random()
        if kind < 0.35:
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        elif kind < 0.6:
            word = word[:at] + word[at + 1 :]
        elif kind < 0.8:
            word = word[:at] + word[at] + word[at:]
        else:
            near = KEYS.get(word[at].lower(), word[at])
            word = word[:at] + rng.choice(near) + word[at + 1 :]
        words[k] = word
    return " ".join(words)


def _singular(domain: Domain) -> list[str]:
    return [n for n in domain.noun_also if not n.endswith("s")][:2]


def _plural(domain: Domain) -> list[str]:
    return [n for n in domain.noun_also if n.endswith("s")][:2]
