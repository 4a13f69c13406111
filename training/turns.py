"""User turns with labels: generated from a catalogue, and read from open corpora.

An ``Example`` is a turn, what the agent did before it, its intent, and spans with a slot
and an operator; ``None`` means "not labelled" (open corpora label parts only). The
generator fills the patterns of ``turn_patterns`` from the catalogue's facets; a seventh
of the patterns, chosen by hash, is kept for testing: a test turn has a wording never
trained on. Corpora are split by hash of the dialogue id, 20 % for testing.

    python -m training.understander --corpora DIR   # uses this
"""

import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
        self.also = [*domain.noun_also, domain.noun_one]
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
                text += self.rng.choice([self.nouns, *[a for a in self.also if a.endswith("s")]]) if letter == "nouns" else self.rng.choice([a for a in self.also if not a.endswith("s")])  # fmt: skip
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
            word = pool[min(int(rng.expovariate(4 / len(pool))), len(pool) - 1)] if letter in "TP" else rng.choice(pool)  # fmt: skip
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
        year, minutes = (
            rng.randint(1940, 2023),
            rng.choice([80, 90, 95, 100, 110, 120, 130, 150, 180]),
        )
        decade = rng.choice(
            ["50s", "60s", "70s", "80s", "90s", "2000s", "nineties", "1980s", "eighties"]
        )
        length = rng.choice([f"{minutes} minutes", f"{minutes} min", "two hours", "an hour and a half", "2 hours", "three hours"])  # fmt: skip
        options = {
            "N>": [f"after {year}", f"newer than {year}", f"since {year}", f"{year} or later", f"from {year} on", f"post {year}"],
            "N<": [f"before {year}", f"older than {year}", f"{year} or earlier", f"until {year}", f"pre {year}"],
            "N=": [f"from the {decade}", f"in {year}", f"from {year}", f"between {year} and {year + 10}", f"the late {decade}", f"early {decade}", f"around {year}"],
        }[letter]  # fmt: skip
        if self.timed and rng.random() < 0.4:
            options = {
                "N>": [f"over {length}", f"longer than {length}", f"at least {length}"],
                "N<": [f"under {length}", f"less than {length}", f"at most {length}", f"shorter than {length}", f"max {length}"],
                "N=": [f"about {length}", f"{length} long"],
            }[letter]  # fmt: skip
        return rng.choice(options)

    def _noise(self, example: Example) -> Example:
        """A slip of the fingers now and then; length is kept so that spans stay true."""
        chars = list(example.text)
        if self.rng.random() < 0.15 and len(chars) > 6:
            n = self.rng.randrange(1, len(chars) - 2)
            if chars[n].isalpha() and chars[n + 1].isalpha():
                chars[n], chars[n + 1] = chars[n + 1], chars[n]
        return example._replace(text="".join(chars))


_REFS: Final = [
    "the first one", "the second", "the second one", "number 3", "the third", "the last one", "that one",
    "the first two", "this one", "the fourth one", "it", "number two", "the last two", "the middle one",
    "option 1", "#2", "the top one", "these", "both of them", "the other one",
]  # fmt: skip
_PLACES: Final = [
    "paris",
    "space",
    "the desert",
    "a small town",
    "new york",
    "the sea",
    "wartime",
    "the future",
    "the jungle",
    "tokyo",
    "a prison",
]
_WHO: Final = [
    "teacher",
    "detective",
    "mother",
    "boy",
    "soldier",
    "cook",
    "ghost",
    "robot",
    "nurse",
    "thief",
    "widow",
    "farmer",
    "lawyer",
]


# ------------------------------------------------------------------------- corpora


def read_corpora(folder: Path, *, test: bool) -> Iterator[Example]:
    """Open corpora with intent or slot labels; ``test`` chooses the held-out fifth."""
    yield from _moviebot(folder, test)
    yield from _snips(folder, test)
    yield from _sgd(folder, test)
    yield from _small_talk(folder, test)
    yield from _ccpe(folder, test)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _find(text: str, value: str, slot: str, operator: str | None) -> Labelled | None:
    at = text.lower().find(value.lower())
    return Labelled(at, at + len(value), slot, operator) if at >= 0 and value.strip() else None


_NEGATIVE: Final = re.compile(
    r"\b(?:no|not|never|avoid|ignore|hate|dislike|can'?t|don'?t|turn away|bored?|skip|aversion|rarely|"
    r"tired|wouldn'?t|little|steer|lost|enough|exclude|remove|hardly|seldom|almost never|fail)\b"
)


def _moviebot(folder: Path, test: bool) -> Iterator[Example]:
    intents = {"REVEAL": "recommend", "INQUIRE": "ask_fact", "REMOVE_PREFERENCE": "critique", "REJECT": "reject",
               "ACCEPT": "accept", "ACKNOWLEDGE": "chat", "DENY": "reject", "RESTART": "reset", "HI": "greet",
               "BYE": "bye", "UNK": "chat"}  # fmt: skip
    slots = {"genres": "category", "actors": "person", "directors": "person", "year": "number", "keywords": "about"}  # fmt: skip
    for row in _rows(folder / "moviebot_nlu.jsonl.gz"):
        text, acts = row["text"], row["acts"]
        if in_test(text) != test:
            continue
        said = " ".join(v for s, v in acts["slots"] if s == "modifier").lower()
        operator = (
            "ask"
            if acts["intent"] == "INQUIRE"
            else "dislike"
            if _NEGATIVE.search(said)
            else "like"
        )
        spans = [_find(text, v, slots[s], operator) for s, v in acts["slots"] if s in slots]
        shown = acts["intent"] not in ("REVEAL", "HI", "UNK")
        yield Example(text, "shown" if shown else "none", intents[acts["intent"]],
                      tuple(s for s in spans if s), partial=acts["intent"] == "INQUIRE")  # fmt: skip


def _snips(folder: Path, test: bool) -> Iterator[Example]:
    for n, row in enumerate(_rows(folder / "snips.jsonl.gz")):
        if row.get("split") != ("test" if test else "train") or n % 3:
            continue
        acts = row["acts"]
        names = {"object_name": "title", "movie_name": "title"}
        if acts["intent"] in ("SearchCreativeWork", "SearchScreeningEvent"):
            spans = [_find(row["text"], v, names[s], None) for s, v in acts["slots"] if s in names]
            yield Example(row["text"], "none", None, tuple(s for s in spans if s))
        else:
            yield Example(row["text"], "none", "chat", (), partial=True)


def _sgd(folder: Path, test: bool) -> Iterator[Example]:
    slots = {"genre": "category", "directed_by": "person", "starring": "person", "movie_name": "title",
             "title": "title", "movie_title": "title"}  # fmt: skip
    intents = {"REQUEST": "ask_fact", "SELECT": "accept", "REQUEST_ALTS": "more", "GOODBYE": "bye", "THANK_YOU": "thanks"}  # fmt: skip
    for row in _rows(folder / "sgd_accentor.jsonl.gz"):
        if not any(s.startswith(("Movies", "Media")) for s in row.get("services", ())):
            continue
        if (row.get("split") == "test" or in_test(row["dialogue_id"])) != test:
            continue
        for n, turn in enumerate(row["turns"]):
            acts = turn.get("acts") or []
            if turn["role"] != "user" or not acts or n > 6:
                continue
            spans = [
                _find(turn["text"], str(v), slots[a[1]], "want")
                for a in acts if len(a) > 2 and a[1] in slots for v in a[2]
            ]  # fmt: skip
            intent = next((intents[a[0]] for a in acts if a[0] in intents), None)
            yield Example(turn["text"], "shown", intent, tuple(s for s in spans if s), partial=True)


def _small_talk(folder: Path, test: bool) -> Iterator[Example]:
    named = {"greeting": "greet", "goodbye": "bye", "thank_you": "thanks", "what_can_i_ask_you": "help",
             "are_you_a_bot": "help", "what_is_your_name": "help", "who_made_you": "help"}  # fmt: skip
    skip = {
        "yes",
        "no",
        "maybe",
        "cancel",
        "repeat",
        "next_song",
        "play_music",
        "restaurant_suggestion",
    }
    for n, row in enumerate(_rows(folder / "clinc150.jsonl.gz")):
        intent = row["acts"]["intent"]
        if intent in skip or ("test" in row.get("split", "")) != test:
            continue
        if intent in named or n % 6 == 0:
            yield Example(row["text"], "none", named.get(intent, "chat"), (), partial=True)


def _ccpe(folder: Path, test: bool) -> Iterator[Example]:
    """Tastes told when asked: the intent is known, the words of the spans are not."""
    for row in _rows(folder / "ccpe.jsonl.gz"):
        if in_test(row["dialogue_id"]) != test:
            continue
        for turn in row["turns"]:
            if turn["role"] == "user" and turn.get("acts") and len(turn["text"]) < 300:
                yield Example(turn["text"], "ask", "answer", (), partial=True)


def read_redial(path: Path, names: dict[str, str]) -> Iterator[Example]:
    """Messages of a ReDial file with film markers replaced by titles: spans of slot "title"."""
    for row in _rows(path):
        known = {**names, **(row["movieMentions"] or {})}
        for message in row["messages"]:
            text, spans, place = "", [], 0
            for m in re.finditer(r"@(\d+)", message["text"]):
                name = re.sub(r"\s*\(\d{4}\)\s*$", "", known.get(m.group(1)) or "").strip()
                text += message["text"][place : m.start()]
                if name:
                    spans.append(Labelled(len(text), len(text) + len(name), "title", None))
                text += name
                place = m.end()
            text += message["text"][place:]
            if spans and len(text) < 300:
                yield Example(text, "none", None, tuple(spans), partial=True)
