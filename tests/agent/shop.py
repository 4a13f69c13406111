"""The lamp shop with an agent in it: real graph, real SQLite, and a plain recommender.

The slate comes from a small real class at the seam (most popular allowed first) and the
words from scripted or tiny models: what is tested with it is the manager, not the models.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.agent import Agent, Event
from agent.errors import LLMError
from agent.graph import Parts
from agent.llm import Completion, Request
from agent.profile import Held
from agent.realise import plain_sentence
from agent.recommending import Chosen, Recommender
from agent.respond import Writer
from agent.state import Beliefs, DialogueState, StateUpdate, Turn
from agent.talker import Brief
from agent.understand import understand
from agent.verify import Verifier
from catalog.filters import compile
from tests.agent.lamps import lamps
from tools.find_title import TitleLinker

CATALOG = lamps()
LINKER = TitleLinker(CATALOG)


class ByPopularity(Recommender):
    """Retrieval in its plainest form, under the same hard constraints."""

    def __init__(self) -> None:
        self.catalog = CATALOG

    def recommend(
        self,
        turns: Sequence[Turn],
        beliefs: Beliefs,
        n: int,
        exclude: frozenset[str],
        candidates: Sequence[str] = (),
        *,
        filling: bool = False,
        held: Held | None = None,
    ) -> Chosen:
        allowed = compile(CATALOG, beliefs.clauses)
        allowed[[CATALOG.row(i) for i in exclude if CATALOG.has(i)]] = False
        order = [r for r in np.argsort(-CATALOG.popularity, kind="stable") if allowed[r]]
        ids = tuple(CATALOG.ids[r] for r in order)
        ids = tuple(i for i in candidates if i in ids) if candidates else ids
        return Chosen(ids[:n], ids, (0.1,) * len(ids), len(ids), (), "retrieval")

    def about_scores(self, beliefs: Beliefs) -> dict[str, Any]:
        return {}


class Junk:
    """A model that only ever says what must not be shown."""

    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        written = [Completion("The best Oscar winner of 1999!", 7, 3, 0.0, True) for _ in requests]
        for k, completion in enumerate(written):
            if on_text:
                on_text(k, completion)
        return written


class Plain:
    """Writes the plain sentence of each brief, one after the other; passes every check.

    ``before`` is called with the place in the batch before each: to wait there, or to act.
    """

    def __init__(self, before: Callable[[int], None] = lambda k: None) -> None:
        self.before = before

    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        written = []
        for k, request in enumerate(requests):
            self.before(k)
            text = plain_sentence(Brief.model_validate_json(request.prompt))
            written.append(Completion(text, 7, 3, 0.0, True))
            if on_text:
                on_text(k, written[-1])
        return written


class Told(Writer):
    """A writer whose prompt is the brief itself, for ``Plain``."""

    def _prompt(self, brief: Brief, complaint: str) -> str:
        return brief.model_dump_json()


class Broken(Junk):
    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        raise LLMError("http://127.0.0.1:9 did not answer within 30 s: start the server.")


def read(text: str, state: DialogueState) -> StateUpdate:
    return understand(text, state, CATALOG, LINKER, arm="rules")


def agent(database: Path, llm: Any | None = None) -> Agent:
    parts = Parts(
        catalog=CATALOG,
        read=read,
        recommender=ByPopularity(),
        writer=(Told if isinstance(llm, Plain) else Writer)(llm or Junk(), Verifier(CATALOG)),
        slate_items=3,
    )
    return Agent(parts, database)


def say(a: Agent, thread: str, text: str) -> Turn:
    return done(a.turn(thread, text))


def done(events: Iterator[Event]) -> Turn:
    """The turn that these events end with."""
    last = [e for e in events if e.kind == "done"]
    assert len(last) == 1 and last[0].turn is not None
    return last[0].turn


def items(turn: Turn) -> list[str]:
    """What the turn's cards show."""
    return [str(u.item_id) for u in turn.units if u.item_id]
