"""What a reply has to do: the briefs the small talker is taught on.

Reasons are drawn two ways. From a catalogue: an item, a person who said something true
of it, then ``agent.evidence`` decides the ties, as it does when serving. And from slot
sets alone, so that rare pairs of ties and catalogues with other columns are covered too.
Every other act needs no catalogue: its prompt is a set of slots.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from agent.briefs import EXTRA, make, nouns
from agent.evidence import Tie, choose, item_slots, ties
from agent.state import About, Beliefs, Evidence, Mention, Wish
from agent.talker import Brief
from catalog.filters import Clause
from catalog.items import Catalog, Facet, Item
from training.reply_grammar import Grammar

#: Fields a reason may be offered beside its own; serving offers those of ``EXTRA``.
FIELDS = ("title", "date", "maker", "people", "category", "premise", "amount")
ANSWERS = "date maker people category origin language amount audience tag mood premise".split()
PAIRS = ("maker_date", "category_date", "origin_language", "maker_people")
SIDES = ("date", "maker", "people", "category", "origin", "language", "amount", "audience")
CLAUSE_ROLES = ("category", "maker", "people", "tag", "mood", "origin", "language")
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
        self.facets = {f.name: f for f in catalog.domain.facets}
        self.weights = np.cumsum(np.sqrt(catalog.popularity.astype(np.float64) + 0.2))
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
        item = self.catalog.item(self._row())
        beliefs, about = self._person(item)
        chosen = choose(ties(self.catalog, item, beliefs, about), self.rng.randrange(3))
        ways = [f"ties.{tie.name}.{earned(tie)}" for tie in chosen]
        evidence = {e.slot: e for tie in chosen for e in tie.evidence}
        fields = item_slots(self.catalog, item)
        offered = self._offered(act, [tie.name for tie in chosen])
        evidence |= {s: fields[s] for s in offered if s in fields and s not in evidence}
        if self.rng.random() < WITH_NOUNS:
            evidence |= nouns(self.catalog)
        brief = make(act, evidence, [t.name for t in chosen])
        return Case(brief, "one" if len(ways) == 1 else "two", tuple(ways), evidence)

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

    def _row(self) -> int:
        point = self.rng.random() * self.weights[-1]
        return min(int(np.searchsorted(self.weights, point)), len(self.catalog) - 1)

    def _person(self, item: Item) -> tuple[Beliefs, dict[str, np.ndarray]]:
        """Someone who said things that this item answers, and some that it does not."""
        rng = self.rng
        kinds = rng.choices(
            (("clause",), ("clause", "clause"), ("mention",), ("about",), ("wish", "mention"),
             ("wish",), ("mention", "clause"), ("about", "mention"), ("about", "wish"),
             ("mention", "wish", "clause"), ()),
            weights=(5, 3, 6, 4, 4, 2, 4, 2, 1, 2, 1),
        )[0]  # fmt: skip
        clauses: list[Clause] = []
        mentions: list[Mention] = []
        wishes: list[Wish] = []
        about: list[About] = []
        vectors: dict[str, np.ndarray] = {}
        row = self.catalog.row(item.id)
        for kind in kinds:
            if kind == "clause" and (clause := self._clause(item)):
                clauses.append(clause)
            elif kind == "mention" and (other := self._neighbour(row)) is not None:
                named = self.catalog.item(other)
                mentions.append(Mention(item_id=named.id, said=named.title, attitude="like"))
            elif kind == "wish" and self.catalog.domain.scales:
                scale = rng.choice(self.catalog.domain.scales)
                up = rng.random() < 0.5
                said = rng.choice(scale.more if up else scale.less)
                wishes.append(Wish(scale=scale.name, direction=1 if up else -1, said=said))
            elif kind == "about":
                text = self._words(item)
                about.append(About(text=text))
                if rng.random() < 0.5:
                    vectors[text] = self.catalog.vectors[row]
        beliefs = Beliefs(
            clauses=tuple(clauses), mentions=tuple(mentions), wishes=tuple(wishes),
            about=tuple(about),
        )  # fmt: skip
        return beliefs, vectors

    def _clause(self, item: Item) -> Clause | None:
        facets = [
            f for f in self.facets.values()
            if f.filterable and f.kind in ("number", "categories", "people")
            and item.values.get(f.name) not in (None, (), "")
        ]  # fmt: skip
        if not facets:
            return None
        facet = self.rng.choice(facets)
        value = item.values[facet.name]
        if facet.kind == "number":
            op = self.rng.choice(("ge", "le"))
            steps = (0, 3) if facet.role == "audience" else (0, 5, 10, 20)
            off = self.rng.choice(steps) * (-1 if op == "ge" else 1)
            return Clause(field=facet.name, op=op, values=(max(float(value) + off, 0.0),))
        if self.rng.random() < 0.15 and (other := self._absent(facet, value)):
            return Clause(field=facet.name, op="none", values=(other,))
        held = value if isinstance(value, tuple) else (value,)
        count = 1 if self.rng.random() < 0.8 else 2
        return Clause(field=facet.name, op="any", values=tuple(held[:count]))

    def _absent(self, facet: Facet, value: Any) -> str | None:
        held = value if isinstance(value, tuple) else (value,)
        others = [str(v) for v in list(self.catalog.values(facet.name))[:50] if v not in held]
        return self.rng.choice(others) if others else None

    def _neighbour(self, row: int) -> int | None:
        """An item people talk of with this one, or one that shares a name, or any."""
        related = self.catalog.related
        linked = related.indices[related.indptr[row] : related.indptr[row + 1]]
        if len(linked) and self.rng.random() < 0.7:
            return int(self.rng.choice(list(linked)))
        other = self._row()
        return other if other != row else None

    def _words(self, item: Item) -> str:
        """Free words about the item, from its own tags: "something about grief"."""
        values = [
            str(v).lower() for f in self.facets.values()
            if f.role in ("tag", "mood", "category") and f.kind == "categories"
            for v in item.values.get(f.name, ())
        ]  # fmt: skip
        if not values:
            return "something else"
        picked = self.rng.sample(values, min(len(values), self.rng.choice((1, 1, 2))))
        frame = self.rng.choice(("{}", "something about {}", "a bit of {}", "{} and the like"))
        return frame.format(" and ".join(picked))

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
        for letter, most in (("c", (0, 0, 1, 1, 2, 2, 3)), ("u", (0, 0, 1, 1, 2)), ("m", (0, 0, 1, 1, 2))):
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
