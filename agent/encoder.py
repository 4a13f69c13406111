"""The encoder's reading of a turn: intent probabilities and labelled spans.

A thin seam: it says what the agent did before (half the meaning of "yes" or "comedy") in
the few words the network was trained with, and returns what the network saw. How that is
reconciled with the rules is ``agent.understand``'s business.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.state import DialogueState
from tools.turn_encoder import Span, TurnEncoder

if TYPE_CHECKING:
    from catalog.embed import Embedder
    from catalog.items import Catalog


class EncoderReading(NamedTuple):
    """``intents``: probability of each intent, summing to one. ``spans`` in text order."""

    intents: dict[str, float]
    spans: list[Span]

    @property
    def intent(self) -> str:
        return max(self.intents, key=lambda i: self.intents[i])


class Encoder:
    """Reads turns with ``models/parley-small/understander``."""

    def __init__(self, network: TurnEncoder) -> None:
        self._network = network

    @classmethod
    def load(cls, folder: Path, embedder: "Embedder") -> "Encoder":
        """Raises ``EncoderError`` when the weights are missing or of another format."""
        return cls(TurnEncoder.load(folder, embedder))

    def read(self, text: str, context: str) -> EncoderReading:
        """``context`` as ``context_of`` says it."""
        return EncoderReading(*self._network.read(context, text))


def context_of(state: DialogueState, catalog: "Catalog") -> str:
    """What the agent did last: "ask genre", "blocked", "shown" (items are on screen), "none"."""
    act = next((t.act for t in reversed(state.turns) if t.role == "agent"), None)
    if act == "ask" and state.beliefs.asked:
        name = state.beliefs.asked[-1]
        facet = next((f for f in catalog.domain.facets if f.name == name), None)
        return f"ask {facet.label if facet else name}"
    if act == "blocked":
        return "blocked"
    return "shown" if state.slate.item_ids else "none"
