"""Semantic IDs: three codes an item, near items near IDs, no two items one ID.

Residual k-means: level 1 clusters the unit item vectors, every further level clusters what
the levels before left over, scaled back to length 1 (without that, half of a film catalogue
collides). The guarantee of uniqueness is then a small assignment problem inside each
(level 1, level 2) prefix whose items collide: items to free last-level codes at the least
total distance. Three tokens, none of them a mere counter. Only when more items share a prefix
than there are codes does the catalogue get a fourth, which is one.

The codebooks live in the text encoder's space, so queries are quantised by them too.
IDs are released: a catalogue keeps its codes, new items are inserted (``insert``).
Everything goes in chunks: vectors may be float16 or memory-mapped, a million items need a few
hundred megabytes beside them.

    python -m catalog.semantic_ids audit catalog/data/movies [--picture FILE.svg]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment

from catalog.errors import SemanticIdError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
TINY = 1e-8
CHUNK = 1 << 14  #: rows worked on at a time: 25 MB of float32 vectors and 17 MB of distances
SAMPLE = 1 << 16  #: rows that codebooks are fitted on: 256 a code


class Assignment(NamedTuple):
    """Unique codes of a catalogue and what uniqueness cost.

    ``codes``: ``(N, L)`` uint8, unique rows; ``(N, L + 1)`` where a prefix overflowed.
    ``raw_collisions``: share of items whose nearest codes another item has too. ``moved``:
    share whose last code is not their nearest. ``extra_distance``: mean growth of the last
    level's squared distance over the moved items (unit residuals: 0 to 4).
    ``largest_bucket``: most items on one raw ID. ``overflowed``: items in prefixes that have
    more items than codes, told apart by the further code.
    """

    codes: Codes
    raw_collisions: float
    moved: float
    extra_distance: float
    largest_bucket: int
    overflowed: int = 0


def fit(
    vectors: npt.NDArray[Any],
    levels: int = 3,
    codes: int = 256,
    seed: int = 0,
    iterations: int = 30,
    slack: float | None = None,
    sample: int = SAMPLE,
) -> Floats:
    """Codebooks by residual k-means. Shape ``(levels, codes, d)`` float32.

    ``vectors``: ``(N, d)`` unit rows, float32 or float16. ``slack``: when given, no cluster
    may take more than ``ceil(N / codes) * slack`` points while fitting (balanced k-means);
    ``None`` for plain. ``sample``: with more items, so many drawn ones are fitted on.
    The same vectors and seed give the same codebooks.
    """
    if vectors.ndim != 2 or not len(vectors):
        raise SemanticIdError(f"Vectors have shape {vectors.shape}: (items, dimensions) is needed.")
    rng = np.random.default_rng(seed)
    if len(vectors) > sample:
        vectors = vectors[np.sort(rng.choice(len(vectors), sample, replace=False))]
    residual = vectors.astype(np.float32)
    books = []
    for _ in range(levels):
        book = _kmeans(residual, codes, rng, iterations, slack)
        books.append(book)
        residual = _rest(residual, book, _nearest(residual, book)[0])
    return np.stack(books)


def quantise(vectors: npt.NDArray[Any], codebooks: Floats) -> Codes:
    """Nearest codes, level by level, not made unique: for queries. Shape ``(n, L)`` uint8."""
    rows = np.atleast_2d(vectors)
    codes = np.empty((len(rows), len(codebooks)), dtype=np.uint8)
    for a in range(0, len(rows), CHUNK):
        residual = rows[a : a + CHUNK].astype(np.float32)
        for level, book in enumerate(codebooks):
            nearest = _distances(residual, book).argmin(axis=1)
            codes[a : a + CHUNK, level] = nearest
            if level + 1 < len(codebooks):
                residual = _rest(residual, book, nearest)
    return codes


def assign(vectors: npt.NDArray[Any], codebooks: Floats) -> Assignment:
    """Unique codes for a whole catalogue.

    Only prefixes with a collision are touched; in those, items get the last-level codes
    that minimise the sum of distances (Kuhn 1955, ``scipy.optimize.linear_sum_assignment``).
    A prefix with more items than codes keeps its items at their nearest last codes, at most
    256 each, and tells them apart by a further code, which all other items have as 0.
    ``SemanticIdError`` when even those run out.
    """
    raw = quantise(vectors, codebooks)
    size = codebooks.shape[1]
    codes = np.column_stack([raw, np.zeros(len(raw), dtype=np.uint8)])
    prefix = _prefix_keys(raw)
    order = np.argsort(prefix, kind="stable")
    shared, largest = _shared(prefix, raw[:, -1])
    overflowed = moved = 0
    extra = 0.0
    for rows, bounds in _crowded(prefix[order], order, shared):
        distance = _last_distances(vectors[rows], codebooks, raw[rows])
        for a, b in bounds:
            own = rows[a:b]
            if b - a > size:
                overflowed += b - a
                codes[own, -2:] = _stacked(distance[a:b], raw[own[0], :-1].tolist())
            else:
                codes[own, -2] = linear_sum_assignment(distance[a:b])[1]
        line = np.flatnonzero(codes[rows, -2] != raw[rows, -1])
        moved += len(line)
        own = rows[line]
        extra += float((distance[line, codes[own, -2]] - distance[line, raw[own, -1]]).sum())
    return Assignment(
        codes=codes if overflowed else codes[:, :-1].copy(),
        raw_collisions=float(shared.mean()),
        moved=moved / len(codes),
        extra_distance=extra / max(moved, 1),
        largest_bucket=largest,
        overflowed=overflowed,
    )


def insert(vectors: npt.NDArray[Any], codes: Codes, codebooks: Floats) -> Codes:
    """Codes of new items beside an existing catalogue, whose codes never change.

    ``vectors``: ``(n, d)`` of the new items; ``codes``: ``(N, L)`` of the old. Each new item
    gets its nearest prefix and the nearest last code that is free there, in the given order.
    When that prefix is full, a catalogue with a further code counts on there; one without
    takes the next nearest prefix that has room. ``SemanticIdError`` when no prefix below the
    item's first code has any. Returns ``(n, L)`` uint8.
    """
    levels = len(codebooks)
    vectors = np.atleast_2d(vectors)
    new = np.zeros((len(vectors), codes.shape[1]), dtype=np.uint8)
    new[:, :levels] = quantise(vectors, codebooks)
    inside = np.isin(codes[:, 0], new[:, 0])
    taken = {row.tobytes() for row in np.ascontiguousarray(codes[inside])}
    distance = _last_distances(vectors, codebooks, new[:, :levels])
    for i, row in enumerate(new):
        last = np.argsort(distance[i], kind="stable")
        further = codebooks.shape[1] if codes.shape[1] > levels else 1
        for counter in range(further):
            row[levels:] = counter
            if _place(row, levels - 1, last, taken):
                break
        else:
            row[levels:] = 0
            _elsewhere(row, vectors[i], codebooks, taken)
        taken.add(row.tobytes())
    return new


def _place(row: Codes, at: int, wanted: Ints, taken: set[bytes]) -> bool:
    """Write the first wanted code that is free at this level; False when none is."""
    for code in wanted:
        row[at] = code
        if row.tobytes() not in taken:
            return True
    return False


def _elsewhere(row: Codes, vector: npt.NDArray[Any], books: Floats, taken: set[bytes]) -> None:
    """The next nearest prefix with room, below the same first code."""
    home, levels = row[: len(books) - 1].copy(), len(books)
    if levels > 1:
        residual = vector[None].astype(np.float32)
        for level in range(levels - 2):
            residual = _rest(residual, books[level], row[level : level + 1])
        for code in np.argsort(_distances(residual, books[-2])[0], kind="stable"):
            row[levels - 2] = code
            rest = _rest(residual, books[-2], np.array([code]))
            if _place(row, levels - 1, np.argsort(_distances(rest, books[-1])[0]), taken):
                return
    raise SemanticIdError(
        f"No code is free near the prefix {home.tolist()} ({len(taken)} items share its first "
        "code): refit with `python -m catalog.build SOURCE --out DIR --fresh-ids`."
    )


def perplexity(column: npt.NDArray[np.integer[Any]], codes: int = 256) -> float:
    """``exp`` of the entropy of one level's codes: how many codes are used, evenly counted."""
    share = np.bincount(column, minlength=codes) / len(column)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def purity(codes: Codes, labels: list[list[str]], level: int) -> float:
    """Share of labelled items that carry the commonest label of their prefix.

    ``labels``: one list an item; prefixes are the first ``level`` codes.
    """
    padded = np.column_stack([codes[:, :level], np.zeros(len(codes), dtype=np.uint8)])
    table = pl.DataFrame({"prefix": _prefix_keys(padded), "label": labels})
    table = table.filter(pl.col("label").list.len() > 0)
    if not len(table):
        return 0.0
    flat = table.with_columns(pl.col("label").list.unique()).explode("label")
    most = flat.group_by("prefix", "label").len().group_by("prefix").agg(pl.col("len").max())
    return float(most["len"].sum()) / len(table)


def _shared(prefix: Ints, last: Codes) -> tuple[npt.NDArray[np.bool_], int]:
    """Which items share their raw ID with another, and the most on one."""
    _, which, sizes = np.unique(prefix * 256 + last, return_inverse=True, return_counts=True)
    return sizes[which] > 1, int(sizes.max())


def _crowded(
    keys: Ints, order: Ints, shared: npt.NDArray[np.bool_]
) -> Iterator[tuple[Ints, list[tuple[int, int]]]]:
    """Rows of prefixes with a collision, some thousand at a time, and each prefix's part."""
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    ends = np.append(starts[1:], len(keys))
    hit = np.add.reduceat(shared[order].astype(np.int64), starts) > 0
    rows: list[Ints] = []
    bounds: list[tuple[int, int]] = []
    held = 0
    for a, b in zip(starts[hit].tolist(), ends[hit].tolist(), strict=True):
        rows.append(order[a:b])
        bounds.append((held, held + b - a))
        held += b - a
        if held >= CHUNK:
            yield np.concatenate(rows), bounds
            rows, bounds, held = [], [], 0
    if rows:
        yield np.concatenate(rows), bounds


def _stacked(distance: Floats, prefix: list[int]) -> Codes:
    """Last code and further code of a prefix with more items than codes. Shape ``(n, 2)``."""
    cap = 256
    if len(distance) > cap * distance.shape[1]:
        raise SemanticIdError(
            f"{len(distance)} items share the prefix {prefix}, {cap * distance.shape[1]} is the "
            "limit: their texts say nothing that tells them apart; give them some."
        )
    own = _capped(distance, cap)
    order = np.lexsort((distance[np.arange(len(own)), own], own))
    rank = np.empty(len(own), dtype=np.int64)
    starts = np.searchsorted(own[order], own[order])
    rank[order] = np.arange(len(own)) - starts
    return np.column_stack([own, rank]).astype(np.uint8)


def _kmeans(
    points: Floats, k: int, rng: np.random.Generator, iterations: int, slack: float | None
) -> Floats:
    """Lloyd's algorithm from a k-means++ start; empty clusters move to the worst-served points."""
    centres = _start(points, k, rng)
    cap = int(np.ceil(len(points) / k) * slack) if slack else None
    if cap is not None and cap * k < len(points):
        raise SemanticIdError(f"slack {slack} leaves no room for all points: use at least 1.")
    previous = np.full(len(points), -1)
    for _ in range(iterations):
        if cap is None:
            own, near = _nearest(points, centres)
        else:
            distance = _distances(points, centres)
            own = _capped(distance, cap)
            near = distance[np.arange(len(points)), own]
        if np.array_equal(own, previous):
            break
        previous = own
        member = sp.csr_matrix(
            (np.ones(len(own), dtype=np.float32), (own, np.arange(len(own)))), (k, len(own))
        )
        sums = member @ points
        sizes = np.bincount(own, minlength=k)
        full = sizes > 0
        centres[full] = sums[full] / sizes[full, None]
        empty = np.flatnonzero(~full)
        if len(empty) and len(points) > k:
            worst = np.argsort(-near, kind="stable")
            centres[empty] = points[worst[: len(empty)]]
    return centres


def _start(points: Floats, k: int, rng: np.random.Generator) -> Floats:
    """k-means++ (Arthur & Vassilvitskii 2007); with too few points, noisy copies fill up."""
    chosen = [int(rng.integers(len(points)))]
    norms = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    while True:
        last = points[chosen[-1]]
        np.minimum(nearest, norms - 2 * (points @ last) + last @ last, out=nearest)
        np.maximum(nearest, 0, out=nearest)
        total = float(nearest.sum())
        if len(chosen) == min(k, len(points)) or total <= TINY:
            break
        pick = int(np.searchsorted(np.cumsum(nearest), rng.random() * total))
        chosen.append(min(pick, len(points) - 1))
    centres = points[chosen]
    if len(centres) < k:
        copies = points[rng.integers(len(points), size=k - len(centres))]
        noise = rng.normal(scale=0.5 / np.sqrt(points.shape[1]), size=copies.shape)
        centres = np.concatenate([centres, (copies + noise).astype(np.float32)])
    return centres.copy()


def _capped(distance: Floats, cap: int) -> npt.NDArray[np.int64]:
    """Nearest cluster with room: the closest ``cap`` points stay, the rest try their next."""
    open_distance = distance.copy()
    own: npt.NDArray[np.int64] = open_distance.argmin(axis=1).astype(np.int64)
    while True:
        sizes = np.bincount(own, minlength=distance.shape[1])
        over = np.flatnonzero(sizes > cap)
        if not len(over):
            return own
        for cluster in over:
            members = np.flatnonzero(own == cluster)
            far = members[np.argsort(open_distance[members, cluster], kind="stable")[cap:]]
            open_distance[far, cluster] = np.inf
            own[far] = open_distance[far].argmin(axis=1)


def _nearest(points: Floats, centres: Floats) -> tuple[Ints, Floats]:
    """Nearest centre of each point and its squared distance, in chunks. Shapes ``(n,)``."""
    own = np.empty(len(points), dtype=np.int64)
    near = np.empty(len(points), dtype=np.float32)
    for a in range(0, len(points), CHUNK):
        distance = _distances(points[a : a + CHUNK], centres)
        own[a : a + CHUNK] = distance.argmin(axis=1)
        near[a : a + CHUNK] = distance.min(axis=1)
    return own, near


def _distances(points: Floats, centres: Floats) -> Floats:
    """Squared Euclidean distances. Shape ``(n, k)``."""
    squares: Floats = points @ (-2 * centres.T)
    squares += np.einsum("ij,ij->i", points, points)[:, None]
    squares += np.einsum("ij,ij->i", centres, centres)
    return np.maximum(squares, 0, out=squares)


def _rest(points: Floats, book: Floats, own: npt.NDArray[Any]) -> Floats:
    """What a level leaves over, scaled to length 1 (0 stays 0)."""
    rest = points - book[own]
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.where(length > TINY, rest / np.maximum(length, TINY), 0).astype(np.float32)


def _last_distances(vectors: npt.NDArray[Any], codebooks: Floats, raw: Codes) -> Floats:
    """Distances to all last-level codes of items with these raw codes. Shape ``(n, codes)``."""
    residual = vectors.astype(np.float32)
    for level in range(len(codebooks) - 1):
        residual = _rest(residual, codebooks[level], raw[:, level])
    return _distances(residual, codebooks[-1])


def _prefix_keys(codes: Codes) -> Ints:
    """All codes but the last as one integer. Shape ``(n,)``."""
    keys = np.zeros(len(codes), dtype=np.int64)
    for level in range(codes.shape[1] - 1):
        keys = keys * 256 + codes[:, level].astype(np.int64)
    return keys


if __name__ == "__main__":
    from catalog.sid_audit import app

    app()
