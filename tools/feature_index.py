"""The feature matrix of a query over a catalogue: everything as products over columns.

A few milliseconds for twenty thousand items, on one thread. First a cheap sum over the whole
catalogue picks the items worth scoring; only those are compared with each named item.
Counts can leave one conversation out, so that the ranker is trained on what it would see.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from catalog.items import Catalog
from tools.features import (
    DENSE,
    LAST_TURNS,
    NAMES,
    NEIGHBOURS,
    NO_ROWS,
    POOL,
    QUICK,
    REMEMBERED,
    REQUESTS,
    Bitmap,
    Dialogues,
    Encoder,
    Floats,
    Leave,
    Pool,
    Query,
    Ready,
    Rows,
    Store,
    Wanted,
)
from tools.lexical import People, Words

LARGE = 100_000  # items from which little is computed anew for a few more


class Features:
    """The feature matrix of one query over a catalogue; immutable, shared by all threads."""

    def __init__(self, catalog: Catalog, encoder: Encoder | None, dialogues: Dialogues) -> None:
        self.catalog = catalog
        self.dialogues = dialogues
        self.words = Words(catalog)
        self.people = People(catalog)
        self.categories = category_matrix(catalog)
        self.years = year_column(catalog)
        self.related = catalog.related.tocsr().astype(np.float32, copy=False)
        self._by_item = dialogues.items.T.tocsr()
        self._sizes = np.sqrt(np.diff(dialogues.items.indptr) + 1).astype(np.float32)
        self._encoder = encoder
        self._remembered: dict[str, Floats] = {}

    def grown(self, catalog: Catalog, rows: Rows) -> Features:
        """The same over the catalogue after a change of ``rows``; this one stays as it is."""
        out = copy.copy(self)
        out.catalog = catalog
        items = self.dialogues.items
        further = sp.csr_matrix((items.shape[0], len(catalog) - items.shape[1]), dtype=items.dtype)
        out.dialogues = self.dialogues._replace(items=sp.hstack([items, further], format="csr"))
        out.words = self.words.grown(catalog, rows)
        out.people = self.people.grown(catalog, rows)
        if self.categories.shape[1] > 1:
            out.categories = categories_after(self.categories, catalog, rows)
        out.years = year_column(catalog)
        out.related = catalog.related.tocsr().astype(np.float32, copy=False)
        out._by_item = out.dialogues.items.T.tocsr()
        return out

    def vector(self, text: str) -> Floats:
        """The encoder's vector of a text, remembered. Shape ``(384,)``.

        Zeros for no text, and where there is no encoder (training hands vectors in).
        """
        found = self._remembered.get(text)
        if found is None and text.strip() and self._encoder is not None:
            found = self._encoder.encode([text])[0]
            self.remember(text, found)
        return np.zeros(self.catalog.vectors.shape[1], np.float32) if found is None else found

    def encode(self, query: Query) -> None:
        """Encode all texts of a query in one batch, ahead of ``vector``."""
        texts = [t for t in (query.text(), *query.about) if t.strip() and t not in self._remembered]
        if texts and self._encoder is not None:
            for text, vector in zip(texts, self._encoder.encode(texts), strict=True):
                self.remember(text, vector)

    def remember(self, text: str, vector: Floats) -> None:
        """Keep the vector of a text that was encoded elsewhere, in a batch."""
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[text] = vector

    def conversation(
        self,
        query: Query,
        allowed: Bitmap,
        *,
        extra: Rows = NO_ROWS,
        ready: Ready | None = None,
        leave: Leave | None = None,
    ) -> Pool:
        """The items worth scoring, and their conversation features.

        A cheap sum over the whole catalogue picks the best ``POOL`` of the ``allowed``
        (``(N,)`` bool); ``extra`` rows join them where allowed. ``ready``: see ``prepare``;
        ``leave``: see ``Leave``.
        """
        named = np.array(query.named, dtype=np.int64)
        popularity = self.popularity(leave)
        ready = ready or self.ready(query)
        cheap = self.cheap(query, ready, leave)
        quick = np.sum([np.float32(w) * cheap[name] for name, w in QUICK.items()], axis=0)
        rows = np.flatnonzero(allowed)
        if len(rows) > POOL:
            best = rows[np.argpartition(-quick[rows], POOL)[:POOL]]
            rows = np.union1d(best, extra[allowed[extra]])
        out = np.zeros((len(rows), len(NAMES)), dtype=np.float32)
        put = {name: out[:, i] for i, name in enumerate(NAMES)}
        for name, column in cheap.items():
            put[name][:] = column[rows]
        put["neighbours_lift"][:] = np.log1p(
            3 * np.expm1(put["neighbours"]) / np.sqrt(popularity[rows] + 4)
        )
        if len(named):
            self._against(put, rows, query, named, popularity, leave)
        put["year"][:] = (self.years.max() - self.years[rows]) / 10
        put["known"][:] = np.log1p(len(named))
        put["turns"][:] = np.log1p(len(query.turns))
        return Pool(rows, out)

    def cheap(self, query: Query, ready: Ready, leave: Leave | None = None) -> dict[str, Floats]:
        """The features that are computed for every item, by name. Shapes ``(N,)``."""
        named = np.array(query.named, dtype=np.int64)
        popularity = self.popularity(leave)
        text = " ".join(text for _, text in query.turns[-LAST_TURNS:])
        return {
            "popularity": np.log1p(popularity),
            "co_sum": self._together(named, popularity, leave),
            "overlap": self._overlap(named, popularity, leave),
            "neighbours": self._neighbours(ready.vector, leave),
            "text": ready.text,
            "like_mean": ready.taste,
            "words": self.words.match(text),
            "named_people": self.people.named(text),
        }

    def popularity(self, leave: Leave | None) -> Floats:
        """How many conversations name each item, less the one left out. Shape ``(N,)``."""
        counts = self.catalog.popularity.copy()
        if leave is not None:
            counts[list(leave.rows)] -= 1
            np.maximum(counts, 0, out=counts)
        return counts

    def ready(self, query: Query) -> Ready:
        """Likenesses of one query."""
        last, taste = self.vector(query.text()), self.taste(query)
        return Ready(last, self._alike(last), self._alike(taste))

    def _alike(self, vector: Floats) -> Floats:
        """Likeness of every item to a vector. Shape ``(N,)``; no product for a zero vector."""
        if not vector.any():
            return np.zeros(len(self.catalog), dtype=np.float32)
        product: Floats = self.catalog.vectors @ vector
        return product

    def taste(self, query: Query) -> Floats:
        """The mean vector of what is named. Shape ``(384,)``; zeros when nothing is."""
        named = list(query.named)
        width = self.catalog.vectors.shape[1]
        mean: Floats = self.catalog.vectors[named].mean(0) if named else np.zeros(width, np.float32)
        return mean

    def prepare(self, queries: Sequence[Query], vectors: Floats) -> list[Ready]:
        """Likenesses of many queries in one product (training and evaluation, in blocks of 64).

        ``vectors``: ``(len(queries), 384)``, of their last turns.
        """
        tastes = np.stack([self.taste(query) for query in queries])
        text, taste = vectors @ self.catalog.vectors.T, tastes @ self.catalog.vectors.T
        return [Ready(*three) for three in zip(vectors, text, taste, strict=True)]

    def _together(self, named: Rows, popularity: Floats, leave: Leave | None) -> Floats:
        """``co_sum`` for every item. Shape ``(N,)``."""
        out = np.zeros(len(self.catalog), dtype=np.float32)
        own = set() if leave is None else set(leave.rows)
        for row in named:
            lo, hi = self.related.indptr[row : row + 2]
            share = 1 / (popularity[row] + 4)
            out[self.related.indices[lo:hi]] += self.related.data[lo:hi] * share
            if row in own:
                others = [r for r in own if r != row]
                out[others] -= share
        summed: Floats = np.log1p(20 * np.maximum(out, 0))
        return summed

    def _overlap(self, named: Rows, popularity: Floats, leave: Leave | None) -> Floats:
        """``overlap`` for every item. Shape ``(N,)``."""
        if not len(named) or not self.dialogues.items.shape[0]:
            return np.zeros(len(self.catalog), dtype=np.float32)
        weight = np.zeros(self.dialogues.items.shape[0], dtype=np.float32)
        for row in named:
            lo, hi = self._by_item.indptr[row : row + 2]
            weight[self._by_item.indices[lo:hi]] += 1 / np.log(popularity[row] + 3)
        if leave is not None and leave.dialogue >= 0:
            weight[leave.dialogue] = 0
        votes: Floats = self._by_item @ (weight**1.5 / self._sizes)
        return np.log1p(votes)

    def _neighbours(self, last: Floats, leave: Leave | None) -> Floats:
        """``neighbours`` for every item. Shape ``(N,)``."""
        if not len(self.dialogues.vectors) or not last.any():
            return np.zeros(len(self.catalog), dtype=np.float32)
        alike = self.dialogues.vectors @ last
        if leave is not None and leave.dialogue >= 0:
            alike[leave.dialogue] = -1
        k = min(NEIGHBOURS, len(alike))
        near = np.argpartition(-alike, k - 1)[:k]
        weight = np.zeros(len(alike), dtype=np.float32)
        weight[near] = np.exp(8 * (alike[near] - alike[near].max()))
        votes: Floats = self._by_item @ weight
        return np.log1p(votes)

    def _against(
        self,
        put: dict[str, Floats],
        rows: Rows,
        query: Query,
        named: Rows,
        popularity: Floats,
        leave: Leave | None,
    ) -> None:
        """The features of ``rows`` that compare each with each named item."""
        counts = self._counts(named, rows, leave)  # (named, rows)
        share = counts / (popularity[named, None] + 4)
        put["co_max"][:] = np.log1p(20 * share.max(0))
        put["co_last"][:] = np.log1p(20 * share[-1])
        lift = (counts / np.sqrt(popularity[named, None] + 4)).sum(0)
        put["co_cosine"][:] = np.log1p(20 * lift / np.sqrt(popularity[rows] + 4))
        own = np.isin(named, query.liked + query.anchors)
        if own.any():
            put["co_liked"][:] = np.log1p(20 * share[own].sum(0))
        put["like_max"][:] = (self.catalog.vectors[rows] @ self.catalog.vectors[named].T).max(1)
        put["category"][:] = self.shared_categories(named, rows)
        put["shared_people"][:] = np.log1p(self.people.shared(named, rows))
        put["year_gap"][:] = np.abs(self.years[rows] - self.years[named].mean()) / 10

    def _counts(self, named: Rows, rows: Rows, leave: Leave | None) -> Floats:
        """Co-mentions of ``named`` with ``rows``, less the conversation left out."""
        counts = np.zeros((len(named), len(rows)), dtype=np.float32)
        dense = np.zeros(len(self.catalog), dtype=np.float32)
        for i, row in enumerate(named):
            lo, hi = self.related.indptr[row : row + 2]
            dense[self.related.indices[lo:hi]] = self.related.data[lo:hi]
            counts[i] = dense[rows]
            dense[self.related.indices[lo:hi]] = 0
        if leave is not None:
            own = np.array(leave.rows, dtype=np.int64)
            counts[np.ix_(np.isin(named, own), np.isin(rows, own))] -= 1
            np.maximum(counts, 0, out=counts)
        return counts

    def request(self, query: Query, allowed: Bitmap, store: Store | None = None) -> Floats:
        """Request features but the ranker's, for every item. Shape ``(N, len(REQUESTS))``.

        ``store`` finds the closest of the ``allowed`` items for each free wish; the rest
        count as close as the last one found. Without it (training) a plain product does.
        """
        catalog = self.catalog
        out = np.zeros((len(catalog), len(REQUESTS)), dtype=np.float32)
        put = {name: out[:, i] for i, name in enumerate(REQUESTS)}
        if query.about:
            vectors = np.stack([self.vector(text) for text in query.about])
            alike = [self._dense(v, allowed, store) for v in vectors]
            put["about_text"][:] = np.mean(alike, axis=0)
            put["about_words"][:] = np.mean([self.words.match(t) for t in query.about], axis=0)
            tags = self.words.tags
            put["about_tags"][:] = np.mean([tags.match(t) for t in query.about], axis=0)
        if query.anchors:
            rows = np.array(query.anchors, dtype=np.int64)
            put["anchor_text"][:] = (catalog.vectors @ catalog.vectors[rows].T).max(1)
            every = np.arange(len(catalog))
            lift = self._counts(rows, every, None).max(0) / np.sqrt(catalog.popularity + 4)
            put["anchor_talked"][:] = np.log1p(4 * lift)
            put["anchor_category"][:] = self.shared_categories(rows, every)
        put["wish"][:] = self.wish(query.wishes)
        put["popularity"][:] = np.log1p(catalog.popularity)
        return out

    def _dense(self, vector: Floats, allowed: Bitmap, store: Store | None) -> Floats:
        """How well every item's subject matches a vector. Shape ``(N,)``.

        With a store, its hits and whatever has a text of its own about its subject; all
        other items count as the last hit does.
        """
        if store is None:
            return self.catalog.about(vector)
        rows, scores = store.query(vector, DENSE, allowed)
        out = np.full(len(self.catalog), scores[-1] if len(scores) else 0, dtype=np.float32)
        out[rows] = scores
        own = self.catalog.about_rows
        if len(own):
            out[own] = np.maximum(out[own], self.catalog.about_vectors @ vector)
        return out

    def wish(self, wishes: Sequence[Wanted]) -> Floats:
        """How far each item moves as asked, mean over wishes, in -2..1.5. Shape ``(N,)``.

        Against an item: a step and a half is enough, the wrong way costs up to two.
        Without one: the upper (lower) half of the scale counts.
        """
        out = np.zeros(len(self.catalog), dtype=np.float32)
        known = [w for w in wishes if w.scale in self.catalog.scales]
        for wish in known:
            values = self.catalog.scales[wish.scale]
            start = 2.0 if wish.than is None else float(values[wish.than])
            out += np.clip(wish.direction * (values - start), -2, 1.5) / len(known)
        return out

    def shared_categories(self, named: Rows, rows: Rows) -> Floats:
        """Likeness of the categories of ``rows`` to those of ``named``, 0..1. ``(rows,)``."""
        profile = np.asarray(self.categories[named].sum(0), dtype=np.float32).ravel()
        norm = float(np.linalg.norm(profile))
        whole = len(rows) == self.categories.shape[0]
        held = self.categories if whole else self.categories[rows]
        scores: Floats = held @ (profile / norm if norm else profile)
        return scores[rows] if whole else scores


def category_matrix(catalog: Catalog) -> sp.csr_matrix:
    """Unit rows over the values of the category facets, rare ones heavier. ``(N, V)``."""
    return _categories(catalog, 0)


def categories_after(old: sp.csr_matrix, catalog: Catalog, rows: Rows) -> sp.csr_matrix:
    """``category_matrix`` after a change of ``rows``.

    Where items only came to a large catalogue, with values that were known, the old rows stay
    as they are, weights of rare values included; all else is computed anew.
    """
    first, width = old.shape
    if first < LARGE or rows.min(initial=first) < first or not len(rows):
        return category_matrix(catalog)
    new = _categories(catalog, first)
    if new.shape[1] != width:
        return category_matrix(catalog)
    data = np.concatenate([old.data, new.data])
    indices = np.concatenate([old.indices, new.indices])
    starts = np.concatenate([old.indptr, new.indptr[1:] + old.indptr[-1]])
    return sp.csr_matrix((data, indices, starts), shape=(len(catalog), width))


def _categories(catalog: Catalog, first: int) -> sp.csr_matrix:
    """``category_matrix`` of the rows from ``first`` on."""
    n = len(catalog)
    rows: list[Rows] = []
    columns: list[Rows] = []
    weights: list[Floats] = []
    width = 1  # one column at least
    for facet in catalog.domain.facets:
        if facet.role != "category" or facet.kind != "categories":
            continue
        held = catalog.holders(facet.name)
        for column in range(len(held.vocabulary)):
            own = held.held(column)[0]
            rare = np.log(n / max(len(own), 1))
            own = own[own >= first]
            rows.append(own.astype(np.int64) - first)
            columns.append(np.full(len(own), width + column, dtype=np.int64))
            weights.append(np.full(len(own), rare, dtype=np.float32))
        width += len(held.vocabulary)
    if not rows:
        return sp.csr_matrix((n - first, width), dtype=np.float32)
    triples = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sp.csr_matrix(triples, shape=(n - first, width), dtype=np.float32)
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1), dtype=np.float32)).ravel()
    matrix.data /= np.repeat(np.where(norms > 0, norms, 1), np.diff(matrix.indptr))
    return matrix


def year_column(catalog: Catalog) -> Floats:
    """The date facet, missing values at its median. Shape ``(N,)``; zeros without one."""
    dates = [f.name for f in catalog.domain.facets if f.role == "date" and f.kind == "number"]
    if not dates:
        return np.zeros(len(catalog), np.float32)
    column = catalog.df[dates[0]].to_numpy().astype(np.float32)
    held = column[np.isfinite(column)]
    middle = float(np.median(held)) if len(held) else 0.0
    return np.where(np.isfinite(column), column, np.float32(middle)).astype(np.float32)
