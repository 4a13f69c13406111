"""A lamp shop's talkers for the tests of ``evals``: a real catalogue, a plain agent, dialogues."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from agent.agent import Event
from agent.recommending import Recommender
from agent.state import Beliefs, DialogueState, Slate, Trace, Turn, Unit
from catalog.filters import Clause
from catalog.items import Catalog
from evals.dialogues import Dialogue, Goal, Outcome, Persona
from tests.agent.lamps import lamps

PERSONA = Persona(name="tester", patience=3.0, knowledge=0.0, typos=0.0, politeness=0.0)
DESK = Clause(field="kind", op="any", values=("Desk",))
CHEAP = Clause(field="price", op="le", values=(100.0,))


@dataclass
class ShopAgent:
    """Shows the two most popular lamps it has not shown yet; understands nothing."""

    catalog: Catalog

    def __post_init__(self) -> None:
        self.states: dict[str, DialogueState] = defaultdict(DialogueState)
        # Asked only what it would ask itself; nothing of it ranks.
        nothing: Any = None
        self.parts = SimpleNamespace(
            recommender=Recommender(
                self.catalog, candidates=nothing, engine=nothing, loaded=nothing,
                store=nothing, embedder=nothing,
            )
        )  # fmt: skip

    def turn(self, thread: str, text: str, *, user: str = "anonymous") -> Iterator[Event]:
        state = self.states[thread]
        shown = set(state.beliefs.shown)
        order = np.argsort(-self.catalog.popularity, kind="stable")
        ids = tuple(i for r in order if (i := self.catalog.ids[int(r)]) not in shown)[:2]
        done = agent_turn("Here you are.", ids, act="recommend" if ids else "blocked")
        self.states[thread] = DialogueState(
            turns=[*state.turns, Turn(role="user", text=text), done],
            beliefs=Beliefs(shown=(*state.beliefs.shown, *ids)),
        )
        yield Event(kind="done", turn=done, text=done.text)

    def state(self, thread: str) -> DialogueState:
        return self.states[thread]


def agent_turn(
    text: str, ids: tuple[str, ...] = (), act: str = "recommend", reason: str = "A fine lamp."
) -> Turn:
    """An agent's turn with cards."""
    units = (Unit(text=text), *(Unit(text=reason, item_id=i) for i in ids))
    slate = Slate(item_ids=ids, reasons=units[1:]) if ids else None
    return Turn(
        role="agent", text=text, act=act, slate=slate, units=units, trace=Trace(total_s=0.5)
    )  # type: ignore[arg-type]


def dialogue(
    number: int = 0, *, success: bool = True, trial: int = 0, goal: str | None = None,
    ids: tuple[str, ...] = ("l1", "l2"), reply: str = "Here you are.", said: str = "a desk lamp",
) -> Dialogue:  # fmt: skip
    """A dialogue of two turns over the lamp shop."""
    return Dialogue(
        id=f"d{number}",
        run="test",
        index=number,
        trial=trial,
        seed=number,
        engine="agenda",
        persona=PERSONA,
        goal=Goal(id=goal or f"g{number}", clauses=(DESK,), matches=2),
        turns=(Turn(role="user", text=said), agent_turn(reply, ids)),
        allowed=(8,),
        outcome=Outcome(
            end="accepted" if success else "gave_up",
            success=success,
            turn=1,
            first_hit=1,
            frustrated=not success,
            frustration=0.0 if success else 3.0,
        ),
    )


__all__ = ["CHEAP", "DESK", "PERSONA", "ShopAgent", "agent_turn", "dialogue", "lamps"]
