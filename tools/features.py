"""What speaks for an item in a conversation: one row of numbers an item.

The words of retrieval: what is known (``Query``), what speaks for an item (``NAMES``,
``REQUESTS``), and what is handed in. ``tools.feature_index`` computes them.

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
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Bitmap = npt.NDArray[np.bool_]
NO_ROWS: Final = np.zeros(0, dtype=np.int64)
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
    "about_tags",  # share of the tags that stand in the free words that it has
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
POOL: Final = 300
DENSE: Final = 300  # items that the dense index returns for one free wish
REMEMBERED: Final = 2000  # texts whose vectors are kept
#: What picks the pool out of the whole catalogue, before the ranker orders it.
QUICK: Final = {
    "popularity": 0.25,
    "co_sum": 1.0,
    "overlap": 0.5,
    "neighbours": 1.0,
    "text": 1.0,
    "like_mean": 1.0,
    "words": 1.0,
    "named_people": 1.5,
}


class Encoder(Protocol):
    def encode(self, texts: Sequence[str]) -> Floats: ...


class Store(Protocol):
    """The dense index (``catalog.store.VectorStore``)."""

    def query(self, vector: Floats, k: int, allowed: Bitmap | None) -> tuple[Rows, Floats]: ...


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
    taste: tuple[int, ...] = ()  # liked in other conversations, best first (tools.interests)

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


class Pool(NamedTuple):
    """Items worth scoring: ``rows`` (P,) ascending, ``features`` (P, len(NAMES))."""

    rows: Rows
    features: Floats


class Ready(NamedTuple):
    """A query's likenesses, computed ahead: ``vector`` (384,) of its last turns; likeness of
    every item to it, ``text`` (N,), and to the mean of what is named, ``taste`` (N,)."""

    vector: Floats
    text: Floats
    taste: Floats
