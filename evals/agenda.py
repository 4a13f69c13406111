"""What a simulated person still has to say, and how they say it: wants, told one by one.

``Agenda`` is the speaking half of ``evals.simulator.AgendaUser``: it knows the goal and the words,
and nothing of what was shown.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

from agent.state import Wish
from catalog.filters import Clause
from catalog.items import Domain
from evals.dialogues import Goal, Persona
from evals.phrasing import Phrases

#: A phrase that needs no "a film ..." before it.
STANDS_ALONE = re.compile(
    r"^(an?|some|something|anything|nothing|no|not|please|i|it) |(one|ones|please|stuff)$"
)


@dataclass
class Want:
    """One thing to say: clauses on one facet, a wish, or a liked title."""

    kind: Literal["clause", "wish", "like"]
    field: str = ""
    clauses: tuple[Clause, ...] = ()
    wish: Wish | None = None
    title: str = ""
    passing: bool = False  # will be taken back later


class Agenda:
    """The wants of one person: ``agenda`` is unsaid, ``said`` is said (and not taken back)."""

    def __init__(self, goal: Goal, persona: Persona, domain: Domain, seed: int) -> None:
        self.goal, self.persona, self.domain = goal, persona, domain
        self.rng = random.Random(f"user-{seed}")
        self.say = Phrases(domain, persona, self.rng)
        self.agenda = self._agenda()
        self.said: list[Want] = []

    def _agenda(self) -> list[Want]:
        by_field: dict[str, list[Clause]] = {}
        for clause in self.goal.clauses:
            by_field.setdefault(clause.field, []).append(clause)
        wants = [Want("clause", name, tuple(cs)) for name, cs in by_field.items()]
        self.rng.shuffle(wants)
        if self.goal.dropped is not None:
            passing = Want("clause", self.goal.dropped.field, (self.goal.dropped,), passing=True)
            wants.insert(self.rng.randint(0, len(wants)), passing)
        likes = [Want("like", title=t) for t in self.goal.likes]
        wishes = [Want("wish", w.scale, wish=w) for w in self.goal.wishes]
        return (likes + wants if self.rng.random() < 0.6 else wants + likes) + wishes

    def _passing(self) -> Want | None:
        return next((w for w in self.said if w.passing), None)

    def _take_back(self) -> list[str]:
        want = self._passing()
        assert want is not None
        self._forget(want)
        parts = [self.say.pick("retract", f=self.say.label(want.field))]
        if self.agenda and self.rng.random() < 0.5:
            parts.append(self._added(self.agenda[0]))
        return parts

    def _forget(self, want: Want) -> None:
        self.said = [w for w in self.said if w is not want]

    def _how_many(self) -> int:
        """How many wants are told at once."""
        return 1 + sum(self.rng.random() < self.persona.disclosure * 0.7 for _ in range(2))

    def _tell(self, want: Want) -> None:
        self.agenda = [w for w in self.agenda if w is not want]
        self.said.append(want)

    def _phrase(self, want: Want) -> str:
        if want.kind == "clause":
            return self.say.clause(want.clauses)
        if want.kind == "wish" and want.wish is not None:
            return f"something {want.wish.said}"
        return self.say.pick("like", t=want.title)

    def _added(self, want: Want) -> str:
        self._tell(want)
        if want.kind == "like":
            return self.say.pick("like", t=want.title)
        if want.kind == "wish" and want.wish is not None:
            return self.say.pick("wish", more=want.wish.said)
        return self.say.pick("add", x=self._phrase(want))

    def _opening(self, count: int) -> str:
        wants = self.agenda[:count]
        phrases = []
        for want in wants:
            self._tell(want)
            if want.kind == "like":
                phrases.append(self.say.pick("like", t=want.title))
            else:
                phrases.append(self._phrase(want))
        clauses = [p for p, w in zip(phrases, wants, strict=True) if w.kind != "like"]
        likes = [p for p, w in zip(phrases, wants, strict=True) if w.kind == "like"]
        if not clauses:
            return self.say.join(likes)
        lead = clauses[0]
        if not STANDS_ALONE.search(lead):
            lead = f"{self.say.pick('something')} {lead}"
        opened = self.say.pick("open", x=self.say.join([lead, *clauses[1:]]))
        if self.persona.small_talk and self.rng.random() < self.persona.small_talk:
            opened = f"{self.say.pick('small_talk')}. {opened}"
        return self.say.join([opened, *likes])
