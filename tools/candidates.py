"""The retrieval prior: how likely each item is the next one this person wants to hear of.

An ensemble, learnt where there is data and plain where there is not: a small network
(``training.ranker``, one hidden layer, numpy here) weighs the conversation features; when
the person asked for something definite, request features are added with weights of their
own, so that "hopeful about grief" is answered by meaning, not by popularity. The result is
a distribution over the *allowed* items: softmax over the best 300, and a small share spread
over all others by popularity, so that the slate decoder may leave the list but rarely does.

    candidates = Candidates.open(catalog, encoder, store)
    prior = candidates.weights(query, allowed)
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from catalog.compact import moved_dialogues
from catalog.errors import ParleyError
from catalog.folder import unpack_vectors
from catalog.items import Catalog
from tools.feature_index import Features
from tools.features import (
    NAMES,
    NO_ROWS,
    REQUESTS,
    Bitmap,
    Dialogues,
    Encoder,
    Floats,
    Leave,
    Query,
    Ready,
    Rows,
    Store,
)
from tools.interests import interests

Weights = npt.NDArray[np.float64]
TOP: Final = 300
RANKER: Final = Path(__file__).parent.parent / "models" / "parley-small" / "ranker.npz"
#: Variety when nothing at all is known: noise on the log-weights, same for the same seed.
VARIETY: Final = 0.6
#: What likeness to something disliked costs, above an everyday likeness.
DISLIKE, EVERYDAY = 3.0, 0.35
#: What likeness to an interest of the person's adds, and how many candidates interests bring in.
TASTE, TASTED = 4.0, 150
#: What is left of the conversation's own order when a subject was asked for in words.
SUBJECT_FIRST = 0.4
SAID: Final = [NAMES.index("words"), NAMES.index("named_people")]


class RankerError(ParleyError):
    """The ranker file is missing, or made for other features."""


class Ranker(NamedTuple):
    """The learnt weights. ``hidden`` units over standardised features, one output.

    Shapes: ``mean, std`` (F,), ``w1`` (F, H), ``b1`` (H,), ``w2`` (H,), ``request`` (R,).
    ``tail`` is the share spread outside the best 300.
    """

    mean: Floats
    std: Floats
    w1: Floats
    b1: Floats
    w2: Floats
    request: Floats
    tail: float

    @classmethod
    def load(cls, path: Path = RANKER) -> Ranker:
        """Read ``ranker.npz``. ``RankerError`` if it is missing or of other features."""
        if not path.is_file():
            raise RankerError(f"{path} is missing: run `python -m training.ranker --out {path}`.")
        with np.load(path) as data:
            names, requests = tuple(data["names"].tolist()), tuple(data["requests"].tolist())
            if (names, requests) != (NAMES, REQUESTS):
                raise RankerError(
                    f"{path} was trained on {len(names)}+{len(requests)} other features than "
                    f"the {len(NAMES)}+{len(REQUESTS)} of tools.features: train it again."
                )
            arrays = {k: data[k].astype(np.float32) for k in cls._fields if k != "tail"}
            return cls(**arrays, tail=float(data["tail"]))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = self._asdict()
        np.savez(path, names=np.array(NAMES), requests=np.array(REQUESTS), **arrays)

    def scores(self, features: Floats) -> Floats:
        """Log-weights up to a constant. ``features``: (n, F); returns (n,)."""
        standard = np.clip((features - self.mean) / self.std, -6, 6)
        out: Floats = np.tanh(standard @ self.w1 + self.b1) @ self.w2
        return out


class Prior(NamedTuple):
    """``weights`` (N,) sum to 1, 0 where not allowed. ``top``: rows, likeliest first (<= 300).

    ``features``: conversation features of ``top``, ``(len(top), len(NAMES))``;
    ``requests``: request features of ``top``; ``about_vectors``: one row per free wish.
    """

    weights: Weights
    top: Rows
    features: Floats
    requests: Floats
    about_vectors: Floats

    def ranked(self, weights: Weights) -> Prior:
        """The prior with other weights ``(N,)``: scaled to sum to 1, candidates in new order."""
        total = weights.sum()
        order = np.argsort(-weights[self.top], kind="stable")
        return self._replace(
            weights=weights / total if total > 0 else weights,
            top=self.top[order],
            features=self.features[order],
            requests=self.requests[order],
        )

    def in_order(self, rows: Rows) -> Prior:
        """The prior of somebody who names the candidates: ``rows`` and nothing else, the
        k-th with a weight of 1/k."""
        weights = np.zeros_like(self.weights)
        shares = 1 / (1 + np.arange(len(rows)))
        weights[rows] = shares / shares.sum() if len(rows) else shares
        at = {int(row): k for k, row in enumerate(self.top)}
        found = [at.get(int(row), -1) for row in rows]
        return self._replace(
            weights=weights,
            top=rows,
            features=_taken(self.features, found),
            requests=_taken(self.requests, found),
        )

    def why(self, row: int) -> dict[str, float]:
        """The features of a row on the list, by name; empty for a row that is not on it."""
        at = np.flatnonzero(self.top == row)
        if not len(at):
            return {}
        named = dict(zip(NAMES, self.features[at[0]].tolist(), strict=True))
        return named | dict(zip(REQUESTS, self.requests[at[0]].tolist(), strict=True))


class Candidates:
    """Retrieval over one catalogue. Immutable after building; safe to share by threads."""

    def __init__(
        self, catalog: Catalog, encoder: Encoder | None, dialogues: Dialogues, ranker: Ranker
    ) -> None:
        self.catalog = catalog
        self.ranker = ranker
        self.features = Features(catalog, encoder, dialogues)

    @classmethod
    def open(cls, catalog: Catalog, encoder: Encoder, ranker: Path = RANKER) -> Candidates:
        """With the catalogue's own ``dialogues.npz`` (if it has one) and the released ranker."""
        return cls(catalog, encoder, load_dialogues(catalog)[0], Ranker.load(ranker))

    def grown(self, catalog: Catalog, rows: Rows) -> Candidates:
        """The same over the catalogue after a change of ``rows``; this one stays as it is."""
        out = copy.copy(self)
        out.catalog, out.features = catalog, self.features.grown(catalog, rows)
        return out

    def weights(
        self,
        query: Query,
        allowed: Bitmap | None = None,
        *,
        store: Store | None = None,
        ready: Ready | None = None,
        leave: Leave | None = None,
    ) -> Prior:
        """The prior over the catalogue for one query.

        ``allowed``: ``(N,)`` bool, items that may be recommended (None: all). ``store``:
        the dense index for free wishes (None: a plain product). ``ready``
        and ``leave`` are for training, see ``tools.features``. All weights are 0 when
        nothing is allowed: the caller decides what to say then.
        """
        n = len(self.catalog)
        may = self.catalog.alive if allowed is None else allowed
        if ready is None:
            self.features.encode(query)
        about = self._about(query)
        if not may.any():
            none = np.zeros(0, np.int64)
            empty = np.zeros((0, len(NAMES)), np.float32), np.zeros((0, len(REQUESTS)), np.float32)
            return Prior(np.zeros(n), none, *empty, about)
        requests = self.features.request(query, may, store)
        extra = NO_ROWS
        if query.definite:
            wanted = requests @ self.ranker.request
            extra = np.argpartition(-np.where(may, wanted, -np.inf), min(TOP, n - 1))[:TOP]
        tastes = interests(self.catalog.vectors[list(query.taste)]) if query.taste else None
        if tastes is not None:
            extra = np.union1d(extra, tastes.nearest(self.catalog.vectors, may, TASTED))
        pool = self.features.conversation(query, may, extra=extra, ready=ready, leave=leave)
        scores = self.ranker.scores(pool.features)
        asked = requests[pool.rows]
        # Who asks for "a film about chess" after naming one they like wants chess first.
        taste = SUBJECT_FIRST if query.about and query.named and not query.anchors else 1.0
        asked[:, REQUESTS.index("ranker")] = taste * scores
        if query.definite:
            scores = asked @ self.ranker.request
        elif query.seed and not query.named and not pool.features[:, SAID].any():
            noise = np.random.default_rng(query.seed).normal(size=n).astype(np.float32)
            scores = scores + VARIETY * noise[pool.rows]
        if query.disliked:
            vectors = self.catalog.vectors
            alike = (vectors[pool.rows] @ vectors[list(query.disliked)].T).max(1)
            scores = scores - DISLIKE * np.maximum(alike - EVERYDAY, 0)
        if tastes is not None:
            alike = tastes.likeness(self.catalog.vectors[pool.rows])
            scores = scores + TASTE * np.maximum(alike - EVERYDAY, 0)
        best = np.argsort(-scores, kind="stable")[:TOP]
        weights = self._spread(pool.rows[best], scores[best], may)
        return Prior(weights, pool.rows[best], pool.features[best], asked[best], about)

    def _spread(self, top: Rows, scores: Floats, may: Bitmap) -> Weights:
        """Softmax over ``top``, and the ranker's ``tail`` share over all else by popularity."""
        weights: Weights = np.where(may, self.catalog.popularity + 0.2, 0.0).astype(np.float64)
        weights[top] = 0.0
        rest = weights.sum()
        tail = self.ranker.tail if rest else 0.0
        weights *= tail / rest if rest else 0.0
        best = np.exp((scores - scores[0]).astype(np.float64))
        weights[top] = (1 - tail) * best / best.sum()
        return weights

    def _about(self, query: Query) -> Floats:
        vectors = [self.features.vector(text) for text in query.about]
        return np.stack(vectors) if vectors else np.zeros((0, 384), np.float32)


def _taken(table: Floats, places: list[int]) -> Floats:
    """Rows of a table by place; zeros for -1."""
    out = np.zeros((len(places), table.shape[1]), np.float32)
    for k, place in enumerate(places):
        if place >= 0:
            out[k] = table[place]
    return out


def load_dialogues(catalog: Catalog) -> tuple[Dialogues, dict[int, int]]:
    """The catalogue's conversations, and where each ReDial number stands among them."""
    path = catalog.path / "dialogues.npz" if catalog.path else None
    if path is None or not path.is_file():
        return Dialogues.none(len(catalog)), {}
    if catalog.stored is None:
        with np.load(path) as file:
            data = {name: file[name] for name in file.files}
    else:
        data = moved_dialogues(path, catalog)
    vectors = unpack_vectors(data["vectors"], data["scale"])
    shape = (len(vectors), len(catalog))
    ones = np.ones(len(data["items"]), dtype=np.float32)
    items = sp.csr_matrix((ones, data["items"], data["starts"]), shape=shape)
    numbers = {int(number): i for i, number in enumerate(data["number"])}
    return Dialogues(vectors, items), numbers
