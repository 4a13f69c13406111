"""From beliefs to a slate: the agent's side of the semantic-ID generation tool.

Translates what is believed of a person into the tools' query (rows, not ids), compiles
their clauses to the bitmap, and hands both to ``tools.recommend``.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple
from zlib import crc32

import numpy as np

from agent.state import Beliefs, Turn
from catalog.embed import Embedder
from catalog.filters import compile
from catalog.items import Catalog
from catalog.store import VectorStore
from tools.candidates import Candidates
from tools.features import Query, Wanted
from tools.recommend import recommend
from tools.slate_decoder import SlateEngine
from tools.small_model import LoadedModel
from tools.tokens import MENTIONS

KEPT_TURNS = 8


class Chosen(NamedTuple):
    """A slate as the graph wants it: ids in rank order and what the trace shows."""

    item_ids: tuple[str, ...]
    candidates: tuple[str, ...]
    allowed_count: int
    model_calls: int
    ordered_by: Literal["llm", "retrieval"]


class Recommender:
    """Chooses items for one catalogue. Safe to share between threads."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        candidates: Candidates,
        engine: SlateEngine,
        loaded: LoadedModel,
        store: VectorStore,
        embedder: Embedder,
        alpha: float = 1.0,
        beam: int = 6,
    ) -> None:
        self.catalog = catalog
        self.candidates = candidates
        self.engine = engine
        self.loaded = loaded
        self.store = store
        self.alpha = alpha
        self.beam = beam
        self._embed = lru_cache(maxsize=512)(lambda text: embedder.encode([text])[0])

    def recommend(
        self, turns: Sequence[Turn], beliefs: Beliefs, n: int, exclude: frozenset[str]
    ) -> Chosen:
        """The slate for these beliefs; empty when no item is allowed."""
        allowed = compile(self.catalog, beliefs.clauses)
        allowed[[self.catalog.row(i) for i in exclude if self.catalog.has(i)]] = False
        if not allowed.any():
            return Chosen((), (), 0, 0, "retrieval")
        result = recommend(
            self.query(turns, beliefs),
            allowed,
            n,
            catalog=self.catalog,
            candidates=self.candidates,
            engine=self.engine,
            loaded=self.loaded,
            store=self.store,
            alpha=self.alpha,
            beam=self.beam,
        )
        ids = self.catalog.ids
        return Chosen(
            tuple(ids[r] for r in result.rows),
            tuple(ids[r] for r in result.candidates),
            int(allowed.sum()),
            1,
            result.ordered_by,
        )

    def query(self, turns: Sequence[Turn], beliefs: Beliefs) -> Query:
        """What is believed, in the catalogue's row numbers; unknown ids are left out."""
        has, row = self.catalog.has, self.catalog.row
        held = [m for m in beliefs.mentions if has(m.item_id)]
        kept = list(turns[-KEPT_TURNS:])
        first = crc32(turns[0].text.encode()) if turns else 0
        return Query(
            turns=tuple((t.role, self.without_clauses(t)) for t in kept),
            delexicalised=tuple((t.role, self.delexicalised(t, beliefs)) for t in kept),
            liked=tuple(row(m.item_id) for m in held if m.attitude == "like"),
            disliked=tuple(row(m.item_id) for m in held if m.attitude in ("dislike", "reject")),
            seen=tuple(row(m.item_id) for m in held if m.attitude in ("seen", "neutral")),
            anchors=tuple(row(m.item_id) for m in held if m.relative),
            about=tuple(a.text for a in beliefs.about),
            wishes=tuple(
                Wanted(
                    w.scale,
                    w.direction,
                    row(w.relative_to) if w.relative_to and has(w.relative_to) else None,
                )
                for w in beliefs.wishes
            ),
            seed=first,
        )

    def delexicalised(self, turn: Turn, beliefs: Beliefs) -> str:
        """The turn's text with the titles that were understood as ``<m1>``, ``<m2>``..."""
        text = plain_text(turn)
        if turn.role == "user":
            for k, mention in enumerate(beliefs.mentions[: len(MENTIONS)]):
                pattern = rf"(?<!\w){re.escape(mention.said)}(?!\w)"
                text = re.sub(pattern, MENTIONS[k], text, flags=re.IGNORECASE)
        return text

    def without_clauses(self, turn: Turn) -> str:
        """A turn for the encoder, less the words that became hard constraints.

        The mask already holds those; left in, "a French film" would find "French for
        Beginners". Categories stay: among films listed as horror, "horror" finds the real ones.
        """
        text = plain_text(turn)
        for clause in turn.update.add if turn.update else ():
            if clause.said and self.catalog.facet(clause.field).role != "category":
                said = rf"(?<!\w){re.escape(clause.said)}(?!\w)"
                text = re.sub(said, " ", text, flags=re.IGNORECASE)
        return " ".join(text.split())

    def about_scores(self, beliefs: Beliefs) -> dict[str, np.ndarray]:
        """For each free-text wish, every item's cosine with it, ``(N,)``."""
        return {a.text: self.catalog.about(self._embed(a.text)) for a in beliefs.about}

    def prior(self, turns: Sequence[Turn], beliefs: Beliefs | None = None) -> np.ndarray:
        """Retrieval alone: the prior over all items, shape (N,). For benchmarks."""
        held = beliefs or Beliefs()
        return self.candidates.weights(self.query(turns, held)).weights


def plain_text(turn: Turn) -> str:
    """A turn without its cards: what was said, for the query."""
    if turn.role == "user":
        return turn.text
    return " ".join(u.text for u in turn.units if u.item_id is None) or turn.text
