"""The agenda-based user: a persona with a goal, talking to the agent turn by turn.

What is still unsaid is an agenda; each turn takes something off it, as an opening, an answer
or a critique of what was shown. The person sees a ``View`` (text and cards), judges cards
by the facts on them, gets annoyed, changes their mind, and chooses or gives up.

    user = AgendaUser(goal, persona, catalog.domain, seed=7)
    said = user.open()
    while (said := user.reply(view)) is not None: ...

It is given words, never the catalogue: ``tests/evals/test_simulator.py`` holds it to that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from zlib import crc32

from catalog.filters import Clause
from catalog.items import Domain
from evals.agenda import Agenda, Want
from evals.dialogues import Goal, Persona
from evals.seen import Card, View

BROKEN, REPEATED, LOST, EMPTY = 1.5, 1.0, 0.75, 0.5  # what each annoyance costs
End = Literal["accepted", "gave_up"]


class User(Protocol):
    """Anyone who can talk to the agent: see ``AgendaUser`` and ``evals.played.PlayedUser``."""

    frustration: float
    ended: End | None
    chosen: tuple[int, int] | None  # (which of the views so far, place of the card), 0-based

    def open(self) -> str: ...

    def reply(self, view: View) -> str:
        """The next thing said; ``ended`` is set when it is the last."""
        ...


@dataclass
class Reading:
    """What the person makes of the cards: indices by verdict."""

    broken: list[int] = field(default_factory=list)  # against something already said
    off: list[int] = field(default_factory=list)  # against something not said yet
    repeated: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    fit: list[int] = field(default_factory=list)


class AgendaUser(Agenda):
    """One simulated person in one conversation. Deterministic given ``seed`` and the views."""

    def __init__(self, goal: Goal, persona: Persona, domain: Domain, seed: int) -> None:
        super().__init__(goal, persona, domain, seed)
        self.seed = seed
        self.frustration = 0.0
        self.ended: End | None = None
        self.chosen: tuple[int, int] | None = None
        self.views: list[View] = []
        self._titles: set[str] = set()
        self._pressed: set[str] = set()  # wants said again because the reply ignored them
        self._asked_facts = 0
        self._looked = 0  # lists with something fitting on them

    # -------------------------------------------------------------------- turns

    def open(self) -> str:
        """The first thing said: vague, or the start of the agenda."""
        if self.rng.random() > 0.35 + 0.6 * self.persona.disclosure:
            return self.say.finish(self.say.pick("vague"))
        return self.say.finish(self._opening(self._how_many()))

    def reply(self, view: View) -> str:
        """The next thing said, having seen ``view``. Sets ``ended`` when it is the last."""
        self.views.append(view)
        parts = self._react(view)
        if self.frustration >= self.persona.patience and self.ended is None:
            self.ended = "gave_up"
            angry = self.frustration > 2 or self.rng.random() < 0.5
            parts = [self.say.pick("give_up" if angry else "give_up_mild")]
        self._titles |= {card.title for card in view.cards}
        text = self.say.join([p for p in parts if p])
        return self.say.finish(text or self.say.pick("more"))

    def _react(self, view: View) -> list[str]:
        if view.cards:
            return self._to_cards(view)
        if "?" in view.text:
            return self._to_question(view.text)
        return self._to_words(view.text)

    # -------------------------------------------------------------------- cards

    def _to_cards(self, view: View) -> list[str]:
        seen = self._read(view.cards)
        if seen.broken:
            self.frustration += BROKEN * min(1.0, 0.4 + len(seen.broken) / len(view.cards))
            return self._complain(view.cards, seen)
        if seen.repeated:
            self.frustration += REPEATED
        ignored = self._ignored(view)
        if ignored is not None:
            self.frustration += LOST
            self._pressed.add(ignored.field)
            return [self.say.pick("broke", x=self._phrase(ignored))]
        if seen.fit:
            self._looked += 1
            choice = self._choose(view, seen)
            if choice:
                return choice
        if self.goal.dropped is not None and self._passing() and self.rng.random() < 0.7:
            return self._take_back()
        if self.agenda:
            return self._critique(view.cards, seen)
        self.frustration += EMPTY if not seen.fit else 0.15
        return self._go_on(view.cards, seen)

    def _read(self, cards: tuple[Card, ...]) -> Reading:
        out = Reading()
        said = {w.field for w in self.said if w.kind == "clause" and not w.passing}
        for k, card in enumerate(cards):
            if card.title in self._titles:
                out.repeated.append(k)
                continue
            broken = [c for c in self.goal.clauses if visibly_broken(card, c)]
            if any(c.field in said for c in broken):
                out.broken.append(k)
            elif broken:
                out.off.append(k)
            elif self._knows(card.title):
                out.known.append(k)
            else:
                out.fit.append(k)
        return out

    def _ignored(self, view: View) -> Want | None:
        """Something just said that can be seen neither on the cards nor in the words.

        Told once; a careful person notices most of the time, others now and then.
        """
        notices = 0.8 if self.persona.decision == "careful" else 0.35
        heard = " ".join([view.text, *(c.reason for c in view.cards)]).lower()
        for want in self.said[-2:]:
            if want.kind != "clause" or want.passing or want.field in self._pressed:
                continue
            if any(want.field in card.facts for card in view.cards):
                continue
            words = {w for c in want.clauses for v in c.values for w in str(v).lower().split()}
            if not any(w in heard for w in words) and self.rng.random() < notices:
                return want
        return None

    def _knows(self, title: str) -> bool:
        """Has this person met the item before? Drawn per title: no list of items is needed."""
        return crc32(f"{self.seed}:{title}".encode()) % 1000 < 1000 * self.persona.knowledge

    def _unsure(self, card: Card) -> list[Want]:
        """What is still unsaid and cannot be seen on this card."""
        return [
            w
            for w in self.agenda
            if w.kind == "clause" and not w.passing and w.field not in card.facts
        ]

    def _choose(self, view: View, seen: Reading) -> list[str]:
        """Take one of the fitting cards, ask about it first, or neither (empty)."""
        place = self.rng.choice(seen.fit)
        card = view.cards[place]
        style = self.persona.decision
        if self._unsure(card) or (self._passing() and self.rng.random() < 0.6):
            return []
        open_wishes = any(w.kind == "wish" for w in self.agenda)
        if open_wishes and self.rng.random() < 0.7:
            return []
        if style == "comparer" and len(seen.fit) > 1 and self._asked_facts == 0:
            self._asked_facts += 1
            i, j = sorted(self.rng.sample(seen.fit, 2))
            if self.rng.random() < 0.25:
                return [self.say.pick("superlative_date")]
            return [self.say.pick("compare", i=self.say.place(i), j=self.say.place(j))]
        if style == "careful" and self._asked_facts < 2 and self.rng.random() < 0.6:
            self._asked_facts += 1
            return [self._question(place, card)]
        if style == "explorer" and self._looked < 2 and self.rng.random() < 0.6:
            return []
        return self._accept(place, card)

    def _accept(self, place: int, card: Card, back: int = 1) -> list[str]:
        self.ended = "accepted"
        self.chosen = (len(self.views) - back, place)
        return [self.say.pick("accept", i=self.say.pointed(place, card.title))]

    def _question(self, place: int, card: Card) -> str:
        spot = self.say.pointed(place, card.title)
        if self.rng.random() < 0.2:
            return self.say.pick("ask_why", i=spot)
        table = self.say.words["ask_fact"]
        asked = [f for f in self.domain.facets if f.role in table]
        facet = self.rng.choice(asked) if asked else None
        if facet is None:
            return self.say.pick("ask_why", i=spot)
        role = facet.role
        if role == "amount" and not (facet.unit or "").startswith("minute"):
            role = "amount_other"
        return self.say.fill(self.rng.choice(table[role]), i=spot, f=facet.label)

    def _complain(self, cards: tuple[Card, ...], seen: Reading) -> list[str]:
        """A constraint that was said is broken on a card: say it again, in other words."""
        card = cards[seen.broken[0]]
        said = {w.field for w in self.said}
        clause = next(
            c for c in self.goal.clauses
            if c.field in said and visibly_broken(card, c)
        )  # fmt: skip
        group = [c for c in self.goal.clauses if c.field == clause.field]
        words = self.say.clause(group)
        if len(seen.broken) < len(cards) and self.rng.random() < 0.4:
            spot = self.say.place(seen.broken[0])
            return [self.say.pick("reject", i=spot), self.say.pick("broke", x=words)]
        return [self.say.pick("broke", x=words)]

    def _critique(self, cards: tuple[Card, ...], seen: Reading) -> list[str]:
        """Say more of what is wanted, with a word on what was shown."""
        parts: list[str] = []
        if seen.known and self.rng.random() < 0.5:
            parts.append(self._known(cards, seen))
        elif self.rng.random() < 0.25:
            kind = "reaction_good" if seen.fit else "reaction_bad"
            parts.append(self.say.pick(kind))
        offending = [w for w in self.agenda if self._offended(w, cards, seen)]
        first = offending[0] if offending else self.agenda[0]
        if first.kind == "wish" and first.wish and seen.fit and self.rng.random() < 0.5:
            self._tell(first)
            spot = self.say.pointed(seen.fit[0], cards[seen.fit[0]].title)
            return [*parts, self.say.pick("like_card", i=spot, more=first.wish.said)]
        wants = [first, *(w for w in self.agenda if w is not first)][: self._how_many()]
        return parts + [self._added(w) for w in wants]

    def _offended(self, want: Want, cards: tuple[Card, ...], seen: Reading) -> bool:
        return want.kind == "clause" and any(
            visibly_broken(cards[k], c) for k in seen.off for c in want.clauses
        )

    def _go_on(self, cards: tuple[Card, ...], seen: Reading) -> list[str]:
        """Everything is said: see more, refuse, or point at what is known already."""
        draw = self.rng.random()
        if seen.known and draw < 0.6:
            return [self._known(cards, seen), *([] if draw < 0.3 else [self.say.pick("more")])]
        if draw < 0.2 and cards:
            place = self.rng.randrange(len(cards))
            return [self.say.pick("reject", i=self.say.pointed(place, cards[place].title))]
        if not seen.fit and draw < 0.5:
            return [self.say.pick("reject_all")]
        return [self.say.pick("more")]

    def _known(self, cards: tuple[Card, ...], seen: Reading) -> str:
        if len(seen.known) == len(cards):
            return self.say.pick("seen_all")
        place = seen.known[0]
        return self.say.pick("seen", i=self.say.pointed(place, cards[place].title))

    # -------------------------------------------------------------------- words

    def _to_question(self, text: str) -> list[str]:
        """Answer what was asked, as far as one can tell what it was."""
        offered = self._offered(text)
        if offered is not None:
            return offered
        field_ = self._asked(text)
        want = next((w for w in self.agenda if w.field == field_), None) if field_ else None
        if want is not None:
            self._tell(want)
            return [self.say.pick("answer", x=self._phrase(want))]
        if self.agenda and (field_ is None or self.rng.random() < 0.6):
            wants = self.agenda[: self._how_many()]
            lead = [self.say.pick("indifferent")] if field_ and self.rng.random() < 0.3 else []
            return lead + [self._added(w) for w in wants]
        if field_ is not None and not any(w.field == field_ for w in self.said):
            return [self.say.pick("indifferent")]
        return self._lost()

    def _asked(self, text: str) -> str | None:
        """The facet a question is about: the one with most of its cue words in the question."""
        question = max(re.findall(r"[^.!?]*\?", text), key=len, default=text).lower()
        question = question.replace("in the mood for", "")  # says nothing of moods
        words = set(re.findall(r"[a-z']+", question))
        best: tuple[int, str | None] = (0, None)
        for facet in self.domain.facets:
            cues = {str(c) for c in self.say.words["cues"].get(facet.role, ())}
            hits = len(words & (cues | {facet.label, facet.plural})) + 2 * (facet.label in question)
            if hits > best[0]:
                best = (hits, facet.name)
        return best[1]

    def _offered(self, text: str) -> list[str] | None:
        """An offer to give something up ("nothing fits; shall I drop the year?"), answered."""
        low = text.lower()
        if not any(str(t) in low for t in self.say.words["trouble"]):
            return None
        named = [w for w in self.said if w.kind == "clause" and self.say.label(w.field) in low]
        if not named:
            return None
        passing = next((w for w in named if w.passing), None)
        if passing is not None:
            self._forget(passing)
            return [self.say.pick("relax_yes", f=self.say.label(passing.field))]
        self.frustration += LOST
        want = self.rng.choice(named)
        if self.rng.random() < 0.15:
            return [self.say.pick("undo")]
        words = self.say.clause(want.clauses)
        if self.agenda:
            return [self._added(self.agenda[0])]
        return [self.say.pick("insist", x=words, f=self.say.label(want.field))]

    def _to_words(self, text: str) -> list[str]:
        """A reply without cards or a question: an answer, an apology, small talk."""
        last = next((v for v in reversed(self.views[:-1]) if v.cards), None)
        if last is not None and self._asked_facts and self.rng.random() < 0.75:
            chosen = self._from_before(last)
            if chosen:
                return chosen
        offered = self._offered(text)
        if offered is not None:
            return offered
        if any(str(t) in text.lower() for t in self.say.words["trouble"]):
            self.frustration += EMPTY
        if self.agenda:
            return [self._added(w) for w in self.agenda[: self._how_many()]]
        return self._lost()

    def _from_before(self, last: View) -> list[str]:
        """After an answer: take one of the cards of the list it was about."""
        back = len(self.views) - self.views.index(last)
        fit = [
            k
            for k, card in enumerate(last.cards)
            if not self._unsure(card)
            and not self._knows(card.title)
            and not any(visibly_broken(card, c) for c in self.goal.clauses)
        ]
        if not fit:
            return []
        place = self.rng.choice(fit)
        return self._accept(place, last.cards[place], back)

    def _lost(self) -> list[str]:
        """Nothing left to say that would help: say the main thing again."""
        self.frustration += LOST
        mine = [w for w in self.said if w.kind == "clause" and not w.passing]
        if mine and self.rng.random() < 0.8:
            return [self.say.pick("confused", x=self._phrase(self.rng.choice(mine)))]
        return [self.say.pick("more")]


def visibly_broken(card: Card, clause: Clause) -> bool:
    """Does a fact on the card contradict the clause? What is not on it contradicts nothing."""
    value: Any = card.facts.get(clause.field)
    if value is None:
        return False
    if clause.op == "ge":
        return float(value) < float(clause.values[0])
    if clause.op == "le":
        return float(value) > float(clause.values[0])
    held = set(value) if isinstance(value, tuple | list) else {value}
    wanted = set(clause.values)
    if clause.op == "none":
        return bool(held & wanted)
    return not (held & wanted)
