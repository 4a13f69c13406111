"""What a reply has to do: the briefs the small talker is taught on.

Reasons are drawn two ways. From a catalogue: an item, a person who said something true
of it, then ``agent.evidence`` decides the ties, as it does when serving. And from slot
sets alone, so that rare pairs of ties and catalogues with other columns are covered too.
Every other act needs no catalogue: its prompt is a set of slots.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agent.briefs import EXTRA, make, nouns
from agent.evidence import Tie, choose, item_slots, ties
from agent.state import Evidence
from agent.talker import Brief
from catalog.items import Catalog
from training.reply_grammar import Grammar
from training.reply_grammar.persons import Persons

#: Fields a reason may be offered beside its own; serving offers those of ``EXTRA``.
FIELDS = ("title", "date", "maker", "people", "category", "premise", "amount")
SIDES = ("date", "maker", "people", "category", "origin", "language", "amount", "audience")
ANSWERS = (*SIDES, "tag", "mood", "premise")
PAIRS = ("maker_date", "category_date", "origin_language", "maker_people")
#: Share of reasons that may say "film"; serving always offers the nouns.
WITH_NOUNS = 0.85
#: How often each act is drawn; reasons are most of what is said and the hardest.
ACTS = {
    "recommend": 40,
    "why": 9,
    "intro": 9,
    "more": 5,
    "refine": 6,
    "answer": 7,
    "ask": 4,
    "chat": 9,
    "blocked": 3,
    "compare": 3,
    "unknown": 2,
    "accept": 1,
    "greet": 1,
    "undo": 0.7,
    "help": 0.7,
    "bye": 0.7,
}


class Case(NamedTuple):
    """One thing to say: the brief, the rule that says it, and how each tie was earned."""

    brief: Brief
    rule: str
    ties: tuple[str, ...] = ()  # rule prefixes: "ties.maker.asked"
    evidence: Mapping[str, Evidence] | None = None  # real texts, where a catalogue gave them


class Cases:
    """Draws cases; ``catalog`` is the source of true reasons."""

    def __init__(self, catalog: Catalog, grammar: Grammar, rng: random.Random) -> None:
        self.catalog = catalog
        self.grammar = grammar
        self.rng = rng
        self.persons = Persons(catalog, rng)
        self.earned = [
            f"ties.{tie}.{way}"
            for tie in grammar.sections("ties")
            for way in grammar.sections(f"ties.{tie}")
        ]

    def draw(self) -> Case:
        """A random case, acts in the shares of ``ACTS``."""
        act = self.rng.choices(list(ACTS), weights=list(ACTS.values()))[0]
        if act in ("recommend", "why"):
            return self.real_reason(act) if self.rng.random() < 0.5 else self.any_reason(act)
        return self.other(act)

    # -- reasons ---------------------------------------------------------------------

    def real_reason(self, act: str) -> Case:
        """A reason that holds of a real item for a person who could exist."""
        while True:
            item = self.catalog.item(self.persons.row())
            beliefs, about = self.persons.someone(item)
            chosen = choose(ties(self.catalog, item, beliefs, about), self.rng.randrange(3))
            if chosen[0].name != "popular" or self.rng.random() < 0.15:
                break  # items that answer nothing are rare on a slate
        ways = [f"ties.{tie.name}.{earned(tie)}" for tie in chosen]
        evidence = {e.slot: e for tie in chosen for e in tie.evidence}
        fields = item_slots(self.catalog, item)
        offered = self._offered(act, [tie.name for tie in chosen])
        evidence |= {s: fields[s] for s in offered if s in fields and s not in evidence}
        if self.rng.random() < WITH_NOUNS:
            evidence |= nouns(self.catalog)
        brief = make(act, evidence, [t.name for t in chosen])
        same = len({frozenset(e.slot for e in tie.evidence) for tie in chosen}) == 1
        return Case(brief, "one" if same else "two", tuple(ways), evidence)

    def any_reason(self, act: str) -> Case:
        """A reason as a set of slots, any one or two ties that can stand together."""
        first = self._earned()
        ways = [first]
        if self.rng.random() < 0.5:
            second = self._earned()
            if self._together(first, second):
                ways.append(second)
        slots = {s for way in ways for s in self.grammar.facts[f"{way}.slots"].split()}
        names = [way.split(".")[1] for way in ways]
        slots |= set(self._offered(act, names))
        if self.rng.random() < WITH_NOUNS:
            slots |= {"<noun>", "<nouns>"}
        brief = bare(act, slots, names)
        return Case(brief, "one" if len(ways) == 1 else "two", tuple(ways))

    def _earned(self) -> str:
        weights = [int(self.grammar.facts.get(f"{way}.weight", "3")) for way in self.earned]
        return self.rng.choices(self.earned, weights=weights)[0]

    def _together(self, first: str, second: str) -> bool:
        # One clause, one wish in words and one shared value a sentence; a title named may
        # serve both. Nothing stands beside "it is much talked about".
        mine = set(self.grammar.facts[f"{first}.slots"].split())
        both = mine & set(self.grammar.facts[f"{second}.slots"].split())
        names = {first.split(".")[1], second.split(".")[1]}
        alone = {"popular"} & names or first.endswith("given") or second.endswith("given")
        late = first.endswith("kept")  # exclusions are the weakest reasons and come last
        return len(names) == 2 and both <= {"<m1>"} and not alone and not late

    def _offered(self, act: str, names: Sequence[str]) -> list[str]:
        """Further fields: mostly those that serving offers, never a tie's own."""
        roles = self.rng.sample(FIELDS, self.rng.choice((0, 1, 1, 2, 2, 3, 4)))
        some = EXTRA if self.rng.random() < 0.6 else [f"<i1.{role}>" for role in roles]
        kept = [slot for slot in some if slot[4:-1] not in names]
        return [*kept, "<i1.title>"] if act == "why" else kept

    # -- everything else -----------------------------------------------------------------

    def other(self, act: str) -> Case:
        """A case of any act but the reasons."""
        match act:
            case "intro" | "more" | "refine":
                return self._list(act)
            case "answer":
                return self._answer()
            case "ask":
                slots = {"<q.facet>", "<noun>", "<nouns>"}
                slots |= {f"<q.o{k}>" for k in range(1, self.rng.choice((1, 2, 3, 3, 3, 4)) + 1)}
                return Case(bare(act, slots), "ask.plain")
            case "blocked":
                return self._blocked()
            case "compare":
                return self._compare()
            case "unknown":
                return self._unknown()
            case "chat":
                topic = self.rng.choice(self.grammar.sections("chat"))
                return Case(bare(act, {"<noun>", "<nouns>"}), f"chat.{topic}")
            case "accept":
                return Case(bare(act, {"<i1.title>"}), "accept.any")
        return Case(bare(act, {"<noun>", "<nouns>"}), f"{act}.any")

    def _list(self, act: str) -> Case:
        rng = self.rng
        single = rng.random() < 0.08
        slots = {"<noun>"} if single else {"<noun>", "<nouns>", "<count>"}
        for letter, most in (
            ("c", (0, 0, 1, 1, 2, 2, 3)),
            ("u", (0, 0, 1, 1, 2)),
            ("m", (0, 0, 1, 1, 2)),
        ):
            slots |= {f"<{letter}{k}>" for k in range(1, rng.choice(most) + 1)}
        return Case(bare(act, slots), f"list.{act}")

    def _answer(self) -> Case:
        draw = self.rng.random()
        if draw < 0.08:
            rule = self.rng.choice(PAIRS)
            slots = {f"<i1.{role}>" for role in rule.split("_")}
        elif draw < 0.18:
            rule, slots = "computed", {"<a1>"}
        else:
            rule = self.rng.choice(ANSWERS)
            slots = {f"<i1.{rule}>"}
        return Case(bare("answer", slots | {"<i1.title>"}), f"answer.{rule}")

    def _blocked(self) -> Case:
        count = self.rng.choice((0, 1, 1, 2, 2, 2, 3, 3))
        options = self.rng.choice((0, 1, 1, 2, 2)) if count else 0
        slots = {f"<c{k}>" for k in range(1, count + 1)} | {"<noun>", "<nouns>"}
        slots |= {f"<q.o{k}>" for k in range(1, options + 1)}
        rule = "empty" if not count else "offer" if options else "plain"
        return Case(bare("blocked", slots), f"blocked.{rule}")

    def _compare(self) -> Case:
        draw = self.rng.random()
        if draw < 0.3:
            return Case(bare("compare", {"<a1>", "<a2>"}), "compare.winner")
        if draw < 0.6:
            return Case(bare("compare", {"<a1>", "<a2>", "<a3>"}), "compare.winner_value")
        roles = self.rng.sample(SIDES, self.rng.choice((1, 2, 3, 3)))
        if self.rng.random() < 0.4:
            roles = ["date", "category", "maker"]
        slots = {f"<i{k}.{role}>" for k in (1, 2) for role in ("title", *roles)}
        return Case(bare("compare", slots), "compare.sides")

    def _unknown(self) -> Case:
        draw = self.rng.random()
        if draw < 0.4:
            return Case(bare("unknown", {"<u1>"}), "unknown.name")
        if draw < 0.45:
            return Case(bare("unknown", {"<q.facet>"}), "unknown.field_alone")
        return Case(bare("unknown", {"<q.facet>", "<i1.title>"}), "unknown.field")


def earned(tie: Tie) -> str:
    """How a tie was earned: its way in ``ties.yaml``.

    An exclusion stands in ``<c2>``: as ``<c1>`` the prompt could not be told from a wish
    for the very value, and "the one you asked for" would be false.
    """
    slots = {e.slot: e for e in tie.evidence}
    if tie.name == "about":
        role = next(s for s in slots if s.startswith("<i1."))
        return role[4:-1]
    if tie.name == "alike":
        return "shared" if "<i1.shared>" in slots else "named"
    if tie.name in ("talked", "wish", "popular"):
        return {"talked": "named", "wish": "said", "popular": "bare"}[tie.name]
    if "<m1>" in slots:
        return "link"
    if "<c2>" in slots:
        return "kept"
    return "asked" if "<c1>" in slots else "given"


def bare(act: str, slots: set[str], names: Sequence[str] = ()) -> Brief:
    """A brief of slots alone: each stands for itself."""
    return make(act, {s: Evidence(slot=s, text=s) for s in slots}, names)


def cases(catalog: Catalog, grammar: Grammar, rng: random.Random) -> Iterator[Case]:
    """Cases without end."""
    source = Cases(catalog, grammar, rng)
    while True:
        yield source.draw()
