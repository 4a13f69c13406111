"""What speaks for an item in a conversation: one row of numbers an item.

Two families. *Conversation* features (``NAMES``) say how well an item continues what was
said: co-mention with what the person named, conversations that resemble this one, likeness
of content, words and people named. The ranker learns their weights from real dialogues.
*Request* features (``REQUESTS``) exist only when the person asked for something definite:
free words, "like X", "funnier". Everything is a matrix product over the whole catalogue,
a few milliseconds for twenty thousand items; nothing here is about films.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from catalog.items import Catalog
from tools.lexical import People, Words

Floats = npt.NDArray[np.float32]
Role = Literal["user", "agent"]

NAMES: Final = (
    "popularity",  # log of the conversations that name it
    "co_sum",  # share of the conversations about each named item that name it too, summed
    "co_cosine",  # the same, normalised by both popularities
    "co_max",  # best single named item
    "co_last",  # the item named last
    "co_liked",  # only what the person named or liked
    "overlap",  # conversations that share named items, rare items counting more
    "neighbours",  # conversations that read like this one
    "neighbours_lift",  # the same against its popularity
    "text",  # likeness of the last turns and the item
    "like_mean",  # likeness to what was named, on average
    "like_max",  # likeness to the closest named item
    "category",  # share of the named items' categories that it has
    "words",  # share of the last turns' telling words that its tags, premise, categories hold
    "named_people",  # a person named in the last turns made it
    "shared_people",  # people in common with what was named
    "year_gap",  # distance to the years of what was named, decades
    "year",  # decades before the newest item
    "known",  # how many items are named (same for all items: lets the ranker switch)
    "turns",  # how far the conversation is (same for all items)
)
REQUESTS: Final = (
    "about_text",  # likeness of the free words and the item, best of them
    "about_words",  # share of the free words' telling words that it holds
    "anchor_text",  # likeness to "like X"
    "anchor_talked",  # named together with X
    "anchor_category",  # categories in common with X
    "wish",  # how far it moves the way the soft wishes asked
    "popularity",
    "ranker",  # what the conversation ranker thinks
)
LAST_TURNS: Final = 4
LAST_WORDS: Final = 64
NEIGHBOURS: Final = 60


class Encoder(Protocol):
    def encode(self, texts: Sequence[str]) -> Floats: ...


class Wanted(NamedTuple):
    """A soft wish: ``direction`` 1 more, -1 less, against item row ``than`` where given."""

    scale: str
    direction: int
    than: int | None = None


@dataclass(frozen=True)
class Query:
    """What is known when items are ranked. Rows are catalogue rows, oldest first.

    ``turns``: (role, text) with titles written out; ``delexicalised``: the same turns with
    items as ``<m1>`` (``turns`` themselves where absent); ``liked``: named by the person without
    dislike; ``seen``: named or shown by the agent and not refused; ``anchors``: "like X";
    ``about``: free words to search by meaning; ``seed`` varies what is shown when nothing
    is known, so that not everyone gets the same five.
    """

    turns: tuple[tuple[Role, str], ...] = ()
    delexicalised: tuple[tuple[Role, str], ...] = ()
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    seen: tuple[int, ...] = ()
    anchors: tuple[int, ...] = ()
    about: tuple[str, ...] = ()
    wishes: tuple[Wanted, ...] = ()
    seed: int = 0

    @property
    def named(self) -> tuple[int, ...]:
        """Everything named and not disliked, the agent's first, so that the last is theirs."""
        return tuple(dict.fromkeys(self.seen + self.liked + self.anchors))

    @property
    def definite(self) -> bool:
        return bool(self.about or self.anchors or self.wishes)

    def text(self) -> str:
        """The last turns as one text for the encoder."""
        words = " ".join(text for _, text in self.turns[-LAST_TURNS:]).split()
        return " ".join(words[-LAST_WORDS:])


class Leave(NamedTuple):
    """Statistics leave this conversation out (training on the conversations they count)."""

    rows: tuple[int, ...]  #: every item it names
    dialogue: int  #: its place in ``Dialogues``; -1 if it is not there


class Dialogues(NamedTuple):
    """Real conversations as vectors ``(D, 384)`` and the items they name ``(D, N)``."""

    vectors: Floats
    items: sp.csr_matrix

    @classmethod
    def none(cls, n: int) -> Dialogues:
        return cls(np.zeros((0, 384), np.float32), sp.csr_matrix((0, n), dtype=np.float32))


class Features:
    """The feature matrix of one query over a catalogue; immutable, shared by all threads."""

    def __init__(self, catalog: Catalog, encoder: Encoder, dialogues: Dialogues) -> None:
        self.catalog = catalog
        self.dialogues = dialogues
        self.words = Words(catalog)
        self.people = People(catalog)
        self.categories = category_matrix(catalog)
        self.years = year_column(catalog)
        self.related = catalog.related.tocsr().astype(np.float32)
        self._by_item = dialogues.items.T.tocsr()
        self._encode = lru_cache(maxsize=512)(lambda text: encoder.encode([text])[0])

    def vector(self, text: str) -> Floats:
        """The encoder's vector of a text, remembered. Shape ``(384,)``; zeros for no text."""
        return self._encode(text) if text.strip() else np.zeros(384, np.float32)

    def conversation(
        self, query: Query, vector: Floats | None = None, leave: Leave | None = None
    ) -> Floats:
        """Conversation features. Shape ``(N, len(NAMES))`` float32.

        ``vector``: the last turns' vector where the caller has it already.
        """
        catalog, n = self.catalog, len(self.catalog)
        named = np.array(query.named, dtype=np.int64)
        popularity = catalog.popularity.copy()
        if leave is not None:
            popularity[list(leave.rows)] -= 1
        popularity = np.maximum(popularity, 0)
        last = self.vector(query.text()) if vector is None else vector
        out = np.zeros((n, len(NAMES)), dtype=np.float32)
        put = {name: out[:, i] for i, name in enumerate(NAMES)}
        put["popularity"][:] = np.log1p(popularity)
        if len(named):
            self._together(put, query, named, popularity, leave)
        self._neighbours(put, last, popularity, leave)
        put["text"][:] = catalog.vectors @ last
        text = " ".join(text for _, text in query.turns[-LAST_TURNS:])
        put["words"][:] = self.words.match(text)
        put["named_people"][:] = self.people.named(text)
        put["year"][:] = (self.years.max() - self.years) / 10
        put["known"][:] = np.log1p(len(named))
        put["turns"][:] = np.log1p(len(query.turns))
        return out

    def _together(
        self,
        put: dict[str, Floats],
        query: Query,
        named: npt.NDArray[np.int64],
        popularity: Floats,
        leave: Leave | None,
    ) -> None:
        counts = self._counts(named, leave)  # (named, N)
        share = counts / (popularity[named, None] + 4)
        put["co_sum"][:] = np.log1p(20 * share.sum(0))
        put["co_max"][:] = np.log1p(20 * share.max(0))
        put["co_last"][:] = np.log1p(20 * share[-1])
        lift = (counts / np.sqrt(popularity[named, None] + 4)).sum(0) / np.sqrt(popularity + 4)
        put["co_cosine"][:] = np.log1p(20 * lift)
        own = np.isin(named, query.liked + query.anchors)
        if own.any():
            put["co_liked"][:] = np.log1p(20 * share[own].sum(0))
        if self.dialogues.items.shape[0]:
            rare = 1 / np.log(popularity[named] + 3)
            weight = np.asarray(rare @ self._by_item[named]).ravel()
            if leave is not None and leave.dialogue >= 0:
                weight[leave.dialogue] = 0
            size = np.sqrt(np.diff(self.dialogues.items.indptr) + 1)
            put["overlap"][:] = np.log1p(weight**1.5 / size @ self.dialogues.items)
        vectors = self.catalog.vectors[named]
        alike = self.catalog.vectors @ vectors.T
        put["like_mean"][:] = alike.mean(1)
        put["like_max"][:] = alike.max(1)
        put["category"][:] = self.shared_categories(named)
        put["shared_people"][:] = np.log1p(self.people.shared(named))
        put["year_gap"][:] = np.abs(self.years - self.years[named].mean()) / 10

    def _counts(self, rows: npt.NDArray[np.int64], leave: Leave | None) -> Floats:
        """Co-mention counts of ``rows`` with every item, less the conversation left out."""
        counts: Floats = self.related[rows].toarray()
        if leave is not None:
            own = np.array(leave.rows, dtype=np.int64)
            inside = np.flatnonzero(np.isin(rows, own))
            counts[np.ix_(inside, own)] -= 1
            np.maximum(counts, 0, out=counts)
        return counts

    def _neighbours(
        self, put: dict[str, Floats], last: Floats, popularity: Floats, leave: Leave | None
    ) -> None:
        if not len(self.dialogues.vectors) or not last.any():
            return
        alike = self.dialogues.vectors @ last
        if leave is not None and leave.dialogue >= 0:
            alike[leave.dialogue] = -1
        k = min(NEIGHBOURS, len(alike))
        near = np.argpartition(-alike, k - 1)[:k]
        weight = np.exp(8 * (alike[near] - alike[near].max()))
        votes = np.asarray(weight @ self.dialogues.items[near]).ravel()
        put["neighbours"][:] = np.log1p(votes)
        put["neighbours_lift"][:] = np.log1p(20 * votes / np.sqrt(popularity + 4) / 8)

    def request(self, query: Query, ranker: Floats) -> Floats:
        """Request features. Shape ``(N, len(REQUESTS))``; ``ranker``: the scores, ``(N,)``."""
        catalog = self.catalog
        out = np.zeros((len(catalog), len(REQUESTS)), dtype=np.float32)
        put = {name: out[:, i] for i, name in enumerate(REQUESTS)}
        if query.about:
            vectors = np.stack([self.vector(text) for text in query.about])
            put["about_text"][:] = (catalog.vectors @ vectors.T).mean(1)
            put["about_words"][:] = np.mean([self.words.match(t) for t in query.about], axis=0)
        if query.anchors:
            rows = np.array(query.anchors, dtype=np.int64)
            put["anchor_text"][:] = (catalog.vectors @ catalog.vectors[rows].T).max(1)
            lift = self.related[rows].toarray().max(0) / np.sqrt(catalog.popularity + 4)
            put["anchor_talked"][:] = np.log1p(4 * lift)
            put["anchor_category"][:] = self.shared_categories(rows)
        put["wish"][:] = self.wish(query.wishes)
        put["popularity"][:] = np.log1p(catalog.popularity)
        put["ranker"][:] = ranker
        return out

    def wish(self, wishes: Sequence[Wanted]) -> Floats:
        """How far each item moves as asked, mean over wishes, in -2..1. Shape ``(N,)``.

        Against an item: one step further is enough, wrong way costs up to two. Without
        one: the upper (lower) part of the scale counts.
        """
        out = np.zeros(len(self.catalog), dtype=np.float32)
        known = [w for w in wishes if w.scale in self.catalog.scales]
        for wish in known:
            values = self.catalog.scales[wish.scale]
            start = 2.0 if wish.than is None else float(values[wish.than])
            out += np.clip(wish.direction * (values - start), -2, 1) / len(known)
        return out

    def shared_categories(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Likeness of each item's categories to those of ``rows``, 0..1. Shape ``(N,)``."""
        profile = self.categories[rows].sum(0)
        norm = float(np.linalg.norm(profile))
        scores: Floats = self.categories @ (profile / norm if norm else profile)
        return scores


def category_matrix(catalog: Catalog) -> Floats:
    """Unit rows over the values of the category facets, rare ones heavier. ``(N, V)``."""
    blocks = [np.zeros((len(catalog), 1), np.float32)]
    for facet in catalog.domain.facets:
        if facet.role != "category" or facet.kind != "categories":
            continue
        values = {value: i for i, value in enumerate(catalog.values(facet.name))}
        block = np.zeros((len(catalog), len(values)), dtype=np.float32)
        for row, held in enumerate(catalog.df[facet.name].to_list()):
            for value in held or ():
                block[row, values[value]] = 1
        blocks.append(block * np.log(len(catalog) / np.maximum(block.sum(0), 1)))
    matrix = np.concatenate(blocks, axis=1)
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Floats = (matrix / np.where(norms > 0, norms, 1)).astype(np.float32)
    return unit


def year_column(catalog: Catalog) -> Floats:
    """The date facet, missing values at its median. Shape ``(N,)``; zeros without one."""
    dates = [f.name for f in catalog.domain.facets if f.role == "date" and f.kind == "number"]
    if not dates:
        return np.zeros(len(catalog), np.float32)
    column = catalog.df[dates[0]].to_numpy().astype(np.float32)
    held = column[np.isfinite(column)]
    middle = float(np.median(held)) if len(held) else 0.0
    return np.where(np.isfinite(column), column, np.float32(middle)).astype(np.float32)
