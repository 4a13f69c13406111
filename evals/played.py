"""The user played by a language model: any OpenAI-compatible endpoint, or our own talker.

Same seat as ``AgendaUser``: it gets the persona, the goal in words and what a person would
see, nothing of the catalogue. An endpoint's model decides by itself what to say and when to
choose ([ACCEPT k], [GIVE UP] at the end of a message; see ``prompts/user.md``).

The embedded model has 12 million parameters and was never taught to play a user. It cannot
follow such instructions, so with ``--engine llm`` it only writes the words (it continues the
conversation in the person's place, seeded with what the agenda wants to say), while the agenda
decides. Read figures from it as a test of odd wording, not as an independent opinion.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.llm import LLM, BatchingLLM, EndpointLLM, Request, TransformersLLM
from agent.settings import Settings
from catalog.errors import ParleyError
from catalog.items import Catalog, Domain
from evals.dialogues import Goal, Persona
from evals.phrasing import Phrases
from evals.seen import View
from evals.simulator import BROKEN, LOST, AgendaUser, End, User, visibly_broken
from tools.small_model import load_small
from tools.tokens import AGENT, USER

if TYPE_CHECKING:
    from evals.simulate import MakeUser

SAID = {"terse": "very short", "plain": "short, plain", "chatty": "talkative"}
CHOSE = re.compile(r"\[\s*ACCEPT\s*#?(\d+)\s*\]", re.IGNORECASE)
GAVE_UP = re.compile(r"\[\s*GIVE[\s_]*UP\s*\]", re.IGNORECASE)
KEPT_CHARS = 600


class EngineError(ParleyError):
    """--engine names nothing that can play a user."""


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "prompts")
    return Environment(loader=loader, undefined=StrictUndefined, autoescape=False)  # plain text


class PlayedUser:
    """A model at an endpoint, in the person's seat. Counts what a person would mind."""

    def __init__(self, goal: Goal, persona: Persona, domain: Domain, seed: int, llm: LLM) -> None:
        self.goal, self.persona, self.domain, self.llm, self.seed = goal, persona, domain, llm, seed
        say = Phrases(domain, persona, random.Random(f"played-{seed}"))
        groups: dict[str, list[int]] = {}
        for k, clause in enumerate(goal.clauses):
            groups.setdefault(clause.field, []).append(k)
        self.wants = [say.clause([goal.clauses[k] for k in ks]) for ks in groups.values()]
        self.wants += [f"something {w.said}" for w in goal.wishes]
        self.wants += [f"you liked {t} before" for t in goal.likes]
        self.passing = say.clause([goal.dropped]) if goal.dropped else ""
        self.history: list[tuple[str, str]] = []
        self.views: list[View] = []
        self.frustration = 0.0
        self.ended: End | None = None
        self.chosen: tuple[int, int] | None = None

    def open(self) -> str:
        return self._next()

    def reply(self, view: View) -> str:
        self.views.append(view)
        self.history.append(("Recommender", _shown(view)[:KEPT_CHARS]))
        bad = sum(any(visibly_broken(c, k) for k in self.goal.clauses) for c in view.cards)
        if view.cards and bad == len(view.cards):
            self.frustration += BROKEN / 2
        elif not view.cards and "?" not in view.text:
            self.frustration += LOST
        return self._next()

    def _next(self) -> str:
        prompt = (
            _templates()
            .get_template("user.md")
            .render(
                noun=self.domain.noun_one,
                nouns=self.domain.noun_many,
                persona=self.persona.name,
                verbosity=SAID[self.persona.verbosity],
                wants=self.wants,
                passing=self.passing,
                patience=round(self.persona.patience / BROKEN + 1),
                history=self.history,
            )
        )
        request = Request(prompt, 160, 0.8, 0.95, self.seed + len(self.history), stop=("\nRec",))
        text = self.llm.generate([request])[0].text
        chosen, gave_up = CHOSE.search(text), GAVE_UP.search(text)
        said = GAVE_UP.sub("", CHOSE.sub("", text)).strip()
        said = re.sub(r"^(you|user|me)\s*:\s*", "", said, flags=re.IGNORECASE)
        if chosen:
            self._choose(int(chosen.group(1)) - 1)
        elif gave_up:
            self.ended = "gave_up"
        said = said or ("I'll take that one" if self.ended == "accepted" else "hm")
        self.history.append(("You", said))
        return said

    def _choose(self, place: int) -> None:
        """The card meant is on the last list that was shown."""
        for which in range(len(self.views) - 1, -1, -1):
            if self.views[which].cards:
                if 0 <= place < len(self.views[which].cards):
                    self.ended, self.chosen = "accepted", (which, place)
                return


class WordedUser(AgendaUser):
    """The agenda decides; the embedded talker writes the words, or fails to and is ignored.

    A draft must keep the content words of what was to be said, else the plain wording stands;
    ``kept`` and ``drafts`` count how often it did.
    """

    def __init__(self, goal: Goal, persona: Persona, domain: Domain, seed: int, llm: LLM) -> None:
        super().__init__(goal, persona, domain, seed)
        self.llm = llm
        self.drafts = self.kept = 0

    def open(self) -> str:
        return self._worded(super().open(), "")

    def reply(self, view: View) -> str:
        return self._worded(super().reply(view), view.text)

    def _worded(self, plain: str, heard: str) -> str:
        """The model goes on from the plain words: an afterthought, or nothing."""
        self.drafts += 1
        prompt = (f"{AGENT} {heard[-200:]} " if heard else "") + f"{USER} {plain}"
        if plain[-1:] not in ".?!":
            prompt += "."
        request = Request(
            prompt, 16, 0.8, 0.9, self.seed + self.drafts, frozenset(), stop=(".", "?", "!", "\n")
        )
        more = self.llm.generate([request])[0].text.strip(" ,.;:-")
        if not 2 <= len(more.split()) <= 12 or re.search(r"[<>\d]", more) or self.ended:
            return plain
        self.kept += 1
        return f"{plain.rstrip('.')}. {more}"


def _shown(view: View) -> str:
    """Text and cards as lines, as they stand on the page."""
    lines = [view.text] if view.text else []
    for k, card in enumerate(view.cards, start=1):
        facts = "; ".join(
            f"{name}: {', '.join(map(str, v[:3])) if isinstance(v, tuple) else v}"
            for name, v in card.facts.items()
        )
        lines.append(f"{k}. {card.title} ({facts}) {card.reason}")
    return "\n".join(lines)


def open_player(engine: str, model: str | None, settings: Settings) -> MakeUser:
    """What makes users for ``--engine``. ``EngineError`` says what it takes."""
    if engine == "llm":
        small = BatchingLLM(TransformersLLM(load_small(settings.model)))

        def worded(goal: Goal, persona: Persona, catalog: Catalog, seed: int) -> User:
            return WordedUser(goal, persona, catalog.domain, seed, small)

        return worded
    if not re.match(r"https?://", engine):
        raise EngineError(
            f"--engine {engine!r}: use agenda, llm, or the URL of an OpenAI-compatible server."
        )
    if not model:
        raise EngineError(f"--engine {engine} needs --engine-model, the name of a model there.")
    key = settings.endpoint_key.get_secret_value() if settings.endpoint_key else None
    endpoint = EndpointLLM(engine, model, api_key=key, timeout=settings.endpoint_timeout_s)

    def played(goal: Goal, persona: Persona, catalog: Catalog, seed: int) -> User:
        return PlayedUser(goal, persona, catalog.domain, seed, endpoint)

    return played
