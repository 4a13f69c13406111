"""From beliefs to a slate: the agent's side of the semantic-ID generation tool.

Translates what is believed of a person into the tools' query (rows, not ids), compiles
their clauses to the bitmap, and hands both to ``tools.recommend``.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from zlib import crc32

import numpy as np

from agent.avoiding import avoidance
from agent.engines.slates import HttpSlates
from agent.profile import Held
from agent.state import Beliefs, Call, MoreLike, Turn
from agent.telemetry import SpannedSlates
from catalog.embed import Embedder
from catalog.filters import compile
from catalog.items import Catalog
from catalog.rules import CompiledRules
from catalog.store import VectorStore
from tools.adventure import DISCOUNT, OBSCURITY, felt
from tools.candidates import Candidates
from tools.features import Query, Wanted
from tools.recommend import recommend
from tools.slate_decoder import SlateEngine
from tools.slate_wire import Limits
from tools.small_model import LoadedModel
from tools.tokens import MENTIONS

KEPT_TURNS = 8
TRACED = 30  # candidates that the trace keeps
TASTES = 200  # liked items of a profile that count, the best liked first
REFUSED = 0.1  # what is left of the weight of an item refused in another conversation


class Chosen(NamedTuple):
    """A slate as the graph wants it: ids in rank order and what the trace shows."""

    item_ids: tuple[str, ...]
    candidates: tuple[str, ...]  # the prior's best, in its order
    weights: tuple[float, ...]  # their shares of the prior
    allowed_count: int
    calls: tuple[Call, ...]
    ordered_by: Literal["llm", "retrieval"]


class Recommender:
    """Chooses items for one catalogue. Safe to share between threads."""

    rules: CompiledRules | None = None  # the owner's; none in a plain shop
    rules_words: dict[str, Any] | None = None  # the same as written, for a server

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
        rules: CompiledRules | None = None,
    ) -> None:
        self.catalog = catalog
        self.rules = rules
        self.candidates = candidates
        self.engine = engine
        self.loaded = loaded
        self.store = store
        self.embedder = embedder
        self.alpha = alpha
        self.beam = beam
        self._embed = lru_cache(maxsize=512)(lambda text: embedder.encode([text])[0])

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
        """The slate for these beliefs; empty when no item is allowed.

        ``candidates``: choose among these ids only, the first likeliest (all where empty).
        ``filling``: the items join a slate that is there, so that no pin applies. ``held``:
        the person's profile, for what they like and refused in other conversations.
        """
        allowed = compile(self.catalog, beliefs.clauses)
        allowed[[self.catalog.row(i) for i in exclude if self.catalog.has(i)]] = False
        listed = [self.catalog.row(i) for i in candidates if self.catalog.has(i)]
        if self.rules is not None:
            allowed &= self.rules.allowed
        if candidates:
            allowed &= np.isin(np.arange(len(self.catalog)), listed)
        if not allowed.any():
            return Chosen((), (), (), 0, (), "retrieval")
        boost = self.rules.boost if self.rules else None
        if beliefs.avoid:
            spared = avoidance(self.catalog, beliefs.avoid, allowed, self._embed)
            allowed, boost = spared.allowed, spared.factors * (1.0 if boost is None else boost)
        query = self.query(turns, beliefs)
        engine = self.engine
        if isinstance(engine, HttpSlates):  # the server compiles the words, not N numbers
            fade = DISCOUNT * felt(beliefs.adventure, OBSCURITY)
            engine = engine.under(Limits(beliefs.clauses, self.rules_words, fade))
        if held is not None:
            query, boost = self.personal(query, held, boost)
        result = recommend(
            query,
            allowed,
            n,
            catalog=self.catalog,
            candidates=self.candidates,
            engine=SpannedSlates(engine),
            loaded=self.loaded,
            store=self.store,
            alpha=self.alpha,
            beam=self.beam,
            listed=listed,
            boost=boost,
            adventure=beliefs.adventure,
        )
        rows = result.rows
        if self.rules is not None and not filling:
            rows = self.rules.place(rows, allowed, result.prior.weights, n)
        ids, traced = self.catalog.ids, result.candidates[:TRACED]
        call = Call(
            node="recommend",
            role="slate",
            seconds=round(result.seconds, 4),
            prompt_tokens=result.prompt_tokens,
            tokens=result.tokens,
        )
        return Chosen(
            tuple(ids[r] for r in rows),
            tuple(ids[r] for r in traced),
            tuple(round(float(result.prior.weights[r]), 5) for r in traced),
            int(allowed.sum()),
            (call,) if result.ordered_by == "llm" else (),
            result.ordered_by,
        )

    def personal(
        self, query: Query, held: Held, boost: np.ndarray | None
    ) -> tuple[Query, np.ndarray | None]:
        """The query with the profile's taste in it, where the request names none of its own,
        and the factors on the prior with what was once refused behind the rest."""
        has, row = self.catalog.has, self.catalog.row
        if not query.named:
            taste = [row(i) for i in held.liked if has(i)][:TASTES]
            query = replace(query, taste=tuple(taste))
        refused = [row(i) for i in held.refused if has(i)]
        if refused:
            boost = np.ones(len(self.catalog)) if boost is None else boost.copy()
            boost[refused] *= REFUSED
        return query, boost

    def forbidden(self) -> list[int]:
        """Rows that the owner's rules never let be recommended."""
        return [] if self.rules is None else np.flatnonzero(~self.rules.allowed).tolist()

    def query(self, turns: Sequence[Turn], beliefs: Beliefs) -> Query:
        """What is believed, in the catalogue's row numbers; unknown ids are left out."""
        has, row = self.catalog.has, self.catalog.row
        held = [m for m in beliefs.mentions if has(m.item_id)]
        liked = tuple(row(m.item_id) for m in held if m.attitude == "like")
        kept = self._telling(turns)[-KEPT_TURNS:]
        first = crc32(turns[0].text.encode()) if turns else 0
        unsaid = tuple(w for t in turns if t.update for w in t.update.unsaid)
        return Query(
            turns=tuple((t.role, unsay(self.without_clauses(t), unsaid)) for t in kept),
            delexicalised=tuple(
                (t.role, unsay(self.delexicalised(t, beliefs), unsaid)) for t in kept
            ),
            liked=liked,
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
            # The adventurous get each of their interests, others what lies between them.
            taste=liked if beliefs.adventure > 0 and len(liked) > 1 else (),
        )

    @staticmethod
    def _telling(turns: Sequence[Turn]) -> list[Turn]:
        """The turns without clicks and their replies: "Forget: films from 2000" is no wish."""
        kept: list[Turn] = []
        silent = False
        for turn in turns:
            if turn.role == "user":
                action = turn.update.action if turn.update else None
                silent = action is not None and not isinstance(action, MoreLike)
            if not silent:
                kept.append(turn)
        return kept

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


def unsay(text: str, words: Sequence[str]) -> str:
    """The text without words that the person has taken back on the page."""
    for word in words:
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split()) if words else text


def plain_text(turn: Turn) -> str:
    """A turn without its cards: what was said, for the query."""
    if turn.role == "user":
        return turn.text
    return " ".join(u.text for u in turn.units if u.item_id is None) or turn.text
