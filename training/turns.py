"""User turns with labels, generated from a catalogue.

An ``Example`` is a turn, what the agent did before it, its intent, and spans with a slot
and an operator; ``None`` means "not labelled" (open corpora label parts only, see
``training.turn_corpora``). The generator fills the patterns of ``turn_patterns`` from the
catalogue's facets; a seventh of the patterns, chosen by hash, is kept for testing: a test
turn has a wording never trained on.

    python -m training.understander --corpora DIR   # uses this
"""

import hashlib
import random
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from training.turn_patterns import CLOSERS, FRAGMENTS, GREETINGS, JOINERS, OPENERS, WHOLE

if TYPE_CHECKING:
    from catalog.items import Catalog

_LETTER: Final = {
    "T": "title", "P": "person", "C": "category", "L": "place", "S": "scale", "SC": "scale",
    "N>": "number", "N<": "number", "N=": "number", "A": "about", "R": "ref", "F": "facet",
}  # fmt: skip
_SLOT: Final = re.compile(r"\[(nouns?|T|P|C|L|SC|S|A|R|F|N[<>=])(?::(\w+))?\]")


_CLAUSE: Final = re.compile(
    r"i\b|i'|we\b|\[[TPS]\]|big |no|not|only|make|could|please|do |how|if|give|it |must|what|my "
)


class Labelled(NamedTuple):
    start: int
    end: int
    slot: str
    operator: str | None


class Example(NamedTuple):
    """One turn. ``intent`` None: unlabelled. ``partial``: words outside spans are unlabelled."""

    text: str
    context: str  # what the agent did before: "none", "shown", "ask genre", "blocked"
    intent: str | None
    spans: tuple[Labelled, ...] = ()
    partial: bool = False


def in_test(key: str, share: int = 5) -> bool:
    """Is this dialogue (or pattern) held out? One in ``share``, by SHA-1 of its id."""
    return int(hashlib.sha1(key.encode()).hexdigest(), 16) % share == 0


# ----------------------------------------------------------------------- generator


class Generator:
    """Fills patterns from one catalogue. ``test`` chooses the held-out patterns."""

    def __init__(self, catalog: "Catalog", *, test: bool, seed: int = 0) -> None:
        self.rng = random.Random(f"{seed}-{test}")
        domain = catalog.domain
        self.noun, self.nouns = domain.noun_one, domain.noun_many
        self.many = [self.nouns, *(n for n in domain.noun_also if n.endswith("s"))]
        self.one_noun = [self.noun, *(n for n in domain.noun_also if not n.endswith("s"))]
        ranked = catalog.df.sort("popularity", descending=True)
        self.titles = ranked["title"].to_list()[:6_000]
        roles: dict[str, list[str]] = {}
        self.people: list[str] = []
        for facet in domain.facets:
            if facet.kind == "people":
                self.people += list(catalog.values(facet.name))[:4_000]
            if facet.kind == "categories":
                words = [str(v) for v in list(catalog.values(facet.name))[:400]]
                words += list(facet.synonyms)
                roles.setdefault(facet.role, []).extend(words)
        self.categories = roles.get("category", [])
        self.places = roles.get("language", []) + roles.get("origin", [])
        self.subjects = roles.get("tag", []) + roles.get("premise", [])
        self.moods = roles.get("mood", []) + [s.label for s in domain.scales]
        self.more = [w for s in domain.scales for w in [*s.more, *s.less]]
        self.facets = [f.label for f in domain.facets if f.filterable]
        self.timed = any((f.unit or "").startswith("minute") for f in domain.facets)
        self.fragments = {
            k: [p for p in v if in_test(p, 7) == test] or v[:1] for k, v in FRAGMENTS.items()
        }
        self.whole = {k: [p for p in v if in_test(p, 7) == test] or v[:1] for k, v in WHOLE.items()}

    def __iter__(self) -> Iterator[Example]:
        while True:
            yield self.one()

    def one(self) -> Example:
        """One example; the mix of intents follows what people do in a recommender chat."""
        kind = self.rng.choices(
            ["compose", "whole", "ref", "retract"], weights=[0.55, 0.3, 0.1, 0.05]
        )[0]
        if kind == "whole":
            return self._whole()
        if kind == "ref":
            return self._ref()
        if kind == "retract":
            parts = [("retract", self.rng.choice(self.fragments["retract"]))]
            if self.rng.random() < 0.3:
                parts.append(self._fragment())
            context = self.rng.choice(["shown", "shown", "none"])
            return self._build(
                parts, context, "critique" if context == "shown" else "recommend", ""
            )
        return self._compose()

    def _compose(self) -> Example:
        rng = self.rng
        parts = [
            self._fragment() for _ in range(rng.choices([1, 2, 3, 4], [0.45, 0.35, 0.15, 0.05])[0])
        ]
        context = rng.choices(
            ["none", "shown", f"ask {rng.choice(self.facets)}"], [0.45, 0.35, 0.2]
        )[0]
        intent = {"none": "recommend", "shown": "critique"}.get(context, "answer")
        if context == "shown" and all(
            k.split()[0] == "title" and k.split()[1] in ("seen", "dislike") for k, _ in parts
        ):
            intent = "reject"
        key, pattern = parts[0]
        phrase = key.split()[1] in ("want", "similar", "min", "max") and not _CLAUSE.match(pattern)
        return self._build(parts, context, intent, rng.choice(OPENERS if phrase else GREETINGS))

    def _fragment(self) -> tuple[str, str]:
        keys = [k for k in self.fragments if k != "retract" and not k.startswith("ref")]
        weights = [2.0 if k.startswith(("title", "category")) else 1.0 for k in keys]
        key = self.rng.choices(keys, weights)[0]
        return key, self.rng.choice(self.fragments[key])

    def _ref(self) -> Example:
        key = self.rng.choice([k for k in self.fragments if k.startswith("ref")])
        parts = [(key, self.rng.choice(self.fragments[key]))]
        intent = {"ref accept": "accept", "ref similar": "critique", "ref like": "accept"}.get(
            key, "reject"
        )
        if key == "ref similar" and self.rng.random() < 0.7:
            parts.append(("scale want", self.rng.choice(self.fragments["scale want"])))
        return self._build(parts, "shown", intent, self.rng.choice(["", "", "ok", "hmm", "well"]))

    def _whole(self) -> Example:
        intent = self.rng.choice(list(self.whole))
        pattern = self.rng.choice(self.whole[intent])
        context = "shown"
        if intent in ("greet", "recommend", "help", "chat"):
            context = self.rng.choice(["none", "none", "shown"])
        elif intent == "answer":
            context = f"ask {self.rng.choice(self.facets)}"
        elif intent == "relax":
            context = "blocked"
        elif intent in ("thanks", "bye", "undo", "reset"):
            context = self.rng.choice(["shown", "none", "blocked"])
        return self._build([("want", pattern)], context, intent, "")

    def _build(
        self, parts: list[tuple[str, str]], context: str, intent: str, opener: str
    ) -> Example:
        text, spans = opener, []
        for n, (key, pattern) in enumerate(parts):
            if n:
                text += self.rng.choice(JOINERS)
            elif text:
                text += " "
            operator = key.split(" ")[-1]
            operator = {"reject": "not"}.get(operator, operator)
            text, spans = self._fill(text, spans, pattern, operator)
        text += self.rng.choice(CLOSERS)
        return self._noise(Example(text, context, intent, tuple(spans)))

    def _fill(
        self, text: str, spans: list[Labelled], pattern: str, operator: str
    ) -> tuple[str, list[Labelled]]:
        place = 0
        for m in _SLOT.finditer(pattern):
            text += pattern[place : m.start()]
            place = m.end()
            letter, own = m.group(1), m.group(2)
            if letter.startswith("noun"):
                text += self.rng.choice(self.many if letter == "nouns" else self.one_noun)
                continue
            words = self._word(letter)
            slot = _LETTER[letter]
            said = own or operator
            if slot == "number" and said in ("want", "min", "max"):
                said = {"N>": "min", "N<": "max", "N=": "want"}[letter]
                said = "not" if pattern.startswith("nothing") else said
            spans.append(Labelled(len(text), len(text) + len(words), slot, said))
            text += words
        return text + pattern[place:], spans

    def _word(self, letter: str) -> str:
        rng = self.rng
        pools = {"T": self.titles, "P": self.people, "C": self.categories, "L": self.places,
                 "S": self.moods, "SC": self.more, "F": self.facets}  # fmt: skip
        if letter in pools:
            pool = pools[letter] or [self.noun]
            if letter in "TP":  # those that are talked about, mostly
                word = pool[min(int(rng.expovariate(4 / len(pool))), len(pool) - 1)]
            else:
                word = rng.choice(pool)
            if letter == "T":
                word = re.sub(r"\s*\([^)]*\)$", "", word)
                if rng.random() < 0.25 and word.startswith("The "):
                    word = word[4:]
            if letter == "P" and rng.random() < 0.35 and " " in word:
                word = word.split(" ")[-1]
            return word
        if letter == "R":
            return rng.choice(_REFS)
        if letter == "A":
            one, two = (
                rng.choice(self.subjects or [self.noun]),
                rng.choice(self.subjects or [self.noun]),
            )
            return rng.choice([one, one, f"{one} and {two}", f"a {one} in {rng.choice(_PLACES)}",
                               f"{one} after {two}", f"{rng.choice(self.moods)} {one}",
                               f"a {rng.choice(_WHO)} who finds {one}"])  # fmt: skip
        return self._number(letter)

    def _number(self, letter: str) -> str:
        rng = self.rng
        year, decade = rng.randint(1940, 2023), rng.choice(_DECADES)
        forms, amount = _YEARS, str(rng.choice([80, 90, 95, 100, 110, 120, 130, 150, 180]))
        if self.timed and rng.random() < 0.4:
            forms = _LENGTHS
            amount = rng.choice([f"{amount} minutes", f"{amount} min", *_HOURS])
        pattern = rng.choice(forms[letter])
        return pattern.format(y=year, z=year + 10, d=decade, m=amount)

    def _noise(self, example: Example) -> Example:
        """A slip of the fingers now and then; length is kept so that spans stay true."""
        chars = list(example.text)
        if self.rng.random() < 0.15 and len(chars) > 6:
            n = self.rng.randrange(1, len(chars) - 2)
            if chars[n].isalpha() and chars[n + 1].isalpha():
                chars[n], chars[n + 1] = chars[n + 1], chars[n]
        return example._replace(text="".join(chars))


_DECADES: Final = "50s 60s 70s 80s 90s 2000s nineties 1980s eighties".split()
_HOURS: Final = ["two hours", "an hour and a half", "2 hours", "three hours"]
_YEARS: Final = {
    "N>": ["after {y}", "newer than {y}", "since {y}", "{y} or later", "from {y} on", "post {y}"],
    "N<": ["before {y}", "older than {y}", "{y} or earlier", "until {y}", "pre {y}"],
    "N=": ["from the {d}", "in {y}", "from {y}", "between {y} and {z}", "the late {d}",
           "early {d}", "around {y}"],
}  # fmt: skip
_LENGTHS: Final = {
    "N>": ["over {m}", "longer than {m}", "at least {m}"],
    "N<": ["under {m}", "less than {m}", "at most {m}", "shorter than {m}", "max {m}"],
    "N=": ["about {m}", "{m} long"],
}
_REFS: Final = (
    "the first one|the second|the second one|number 3|the third|the last one|that one|"
    "the first two|this one|the fourth one|it|number two|the last two|the middle one|option 1|#2|"
    "the top one|these|both of them|the other one"
).split("|")
_PLACES: Final = (
    "paris|space|the desert|a small town|new york|the sea|wartime|the future|the jungle|"
    "tokyo|a prison"
).split("|")
_WHO: Final = (
    "teacher detective mother boy soldier cook ghost robot nurse thief widow farmer lawyer".split()
)
