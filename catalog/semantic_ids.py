"""Semantic IDs: three codes an item, near items near IDs, no two items one ID.

Residual k-means: level 1 clusters the unit item vectors, every further level clusters what
the levels before left over, scaled back to length 1 (without that, half of a film catalogue
collides). The guarantee of uniqueness is then a small assignment problem inside each
(level 1, level 2) prefix whose items collide: items to free last-level codes at the least
total distance. Three tokens, none of them a mere counter.

The codebooks live in the text encoder's space, so queries are quantised by them too.
IDs are released: a catalogue keeps its codes, new items are inserted (``insert``).

    python -m catalog.semantic_ids audit catalog/data/movies
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from catalog.errors import SemanticIdError

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
TINY = 1e-8


class Assignment(NamedTuple):
    """Unique codes of a catalogue and what uniqueness cost.

    ``codes``: ``(N, L)`` uint8, unique rows. ``raw_collisions``: share of items whose nearest
    codes another item has too. ``moved``: share whose last code is not their nearest.
    ``extra_distance``: mean growth of the last level's squared distance over the moved items
    (unit residuals: 0 to 4). ``largest_bucket``: most items on one raw ID.
    """

    codes: Codes
    raw_collisions: float
    moved: float
    extra_distance: float
    largest_bucket: int


def fit(
    vectors: Floats,
    levels: int = 3,
    codes: int = 256,
    seed: int = 0,
    iterations: int = 30,
    slack: float | None = None,
) -> Floats:
    """Codebooks by residual k-means. Shape ``(levels, codes, d)`` float32.

    ``vectors``: ``(N, d)`` unit rows. ``slack``: when given, no cluster may take more than
    ``ceil(N / codes) * slack`` points while fitting (balanced k-means); ``None`` for plain.
    The same vectors and seed give the same codebooks.
    """
    if vectors.ndim != 2 or not len(vectors):
        raise SemanticIdError(f"Vectors have shape {vectors.shape}: (items, dimensions) is needed.")
    rng = np.random.default_rng(seed)
    residual = vectors.astype(np.float32)
    books = []
    for _ in range(levels):
        book = _kmeans(residual, codes, rng, iterations, slack)
        books.append(book)
        residual = _rest(residual, book, _distances(residual, book).argmin(axis=1))
    return np.stack(books)


def quantise(vectors: Floats, codebooks: Floats) -> Codes:
    """Nearest codes, level by level, not made unique: for queries. Shape ``(n, L)`` uint8."""
    residual = np.atleast_2d(vectors).astype(np.float32)
    columns = []
    for book in codebooks:
        nearest = _distances(residual, book).argmin(axis=1)
        columns.append(nearest.astype(np.uint8))
        residual = _rest(residual, book, nearest)
    return np.stack(columns, axis=1)


def assign(vectors: Floats, codebooks: Floats) -> Assignment:
    """Unique codes for a whole catalogue. ``SemanticIdError`` if a prefix overflows.

    Only prefixes with a collision are touched; in those, items get the last-level codes
    that minimise the sum of distances (Kuhn 1955, ``scipy.optimize.linear_sum_assignment``).
    """
    raw = quantise(vectors, codebooks)
    codes = raw.copy()
    distance = _last_distances(vectors, codebooks, raw)
    _, group, sizes = np.unique(raw, axis=0, return_inverse=True, return_counts=True)
    colliding = sizes[group.reshape(-1)] > 1
    crowded = np.unique(raw[colliding, :-1], axis=0)
    keys = _prefix_keys(raw)
    by_prefix = np.argsort(keys, kind="stable")
    for key in _prefix_keys(np.c_[crowded, np.zeros(len(crowded), np.uint8)]):
        lo, hi = np.searchsorted(keys[by_prefix], (key, key + 1))
        rows = by_prefix[lo:hi]
        if len(rows) > codebooks.shape[1]:
            raise SemanticIdError(_overflow(raw[rows[0], :-1].tolist(), len(rows), codebooks))
        which, chosen = linear_sum_assignment(distance(rows))
        codes[rows[which], -1] = chosen
    moved = np.flatnonzero(codes[:, -1] != raw[:, -1])
    extra = 0.0
    if len(moved):
        table, line = distance(moved), np.arange(len(moved))
        extra = float((table[line, codes[moved, -1]] - table[line, raw[moved, -1]]).mean())
    return Assignment(
        codes=codes,
        raw_collisions=float(colliding.mean()),
        moved=len(moved) / len(codes),
        extra_distance=extra,
        largest_bucket=int(sizes.max()),
    )


def insert(vectors: Floats, codes: Codes, codebooks: Floats) -> Codes:
    """Codes of new items beside an existing catalogue, whose codes never change.

    ``vectors``: ``(n, d)`` of the new items; ``codes``: ``(N, L)`` of the old. Each new item
    gets its nearest prefix and the nearest last code that is free there, in the given order.
    ``SemanticIdError`` when a prefix is full. Returns ``(n, L)`` uint8.
    """
    new = quantise(vectors, codebooks)
    taken: dict[bytes, set[int]] = {}
    wanted = {row[:-1].tobytes() for row in new}
    for row in codes:
        if (prefix := row[:-1].tobytes()) in wanted:
            taken.setdefault(prefix, set()).add(int(row[-1]))
    distance = _last_distances(np.atleast_2d(vectors), codebooks, new)
    for i, row in enumerate(new):
        used = taken.setdefault(row[:-1].tobytes(), set())
        if len(used) >= codebooks.shape[1]:
            raise SemanticIdError(_overflow(row[:-1].tolist(), len(used) + 1, codebooks))
        order = np.argsort(distance(np.array([i]))[0], kind="stable")
        row[-1] = next(int(code) for code in order if int(code) not in used)
        used.add(int(row[-1]))
    return new


def perplexity(column: npt.NDArray[np.integer[Any]], codes: int = 256) -> float:
    """``exp`` of the entropy of one level's codes: how many codes are used, evenly counted."""
    share = np.bincount(column, minlength=codes) / len(column)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def purity(codes: Codes, labels: list[list[str]], level: int) -> float:
    """Share of labelled items that carry the commonest label of their prefix.

    ``labels``: one list an item; prefixes are the first ``level`` codes.
    """
    groups: dict[bytes, list[list[str]]] = {}
    for row, names in zip(codes[:, :level], labels, strict=True):
        if names:
            groups.setdefault(row.tobytes(), []).append(names)
    hits = total = 0
    for members in groups.values():
        flat = [name for names in members for name in set(names)]
        hits += max(flat.count(name) for name in set(flat))
        total += len(members)
    return hits / max(total, 1)


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
        distance = _distances(points, centres)
        own = distance.argmin(axis=1) if cap is None else _capped(distance, cap)
        if np.array_equal(own, previous):
            break
        previous = own
        sums = np.zeros_like(centres)
        np.add.at(sums, own, points)
        sizes = np.bincount(own, minlength=k)
        full = sizes > 0
        centres[full] = sums[full] / sizes[full, None]
        empty = np.flatnonzero(~full)
        if len(empty) and len(points) > k:
            worst = np.argsort(-distance[np.arange(len(points)), own], kind="stable")
            centres[empty] = points[worst[: len(empty)]]
    return centres


def _start(points: Floats, k: int, rng: np.random.Generator) -> Floats:
    """k-means++ (Arthur & Vassilvitskii 2007); with too few points, noisy copies fill up."""
    first = int(rng.integers(len(points)))
    chosen = [first]
    nearest = _distances(points, points[[first]])[:, 0]
    while len(chosen) < min(k, len(points)):
        total = float(nearest.sum())
        if total <= TINY:
            break
        pick = int(np.searchsorted(np.cumsum(nearest), rng.random() * total))
        chosen.append(min(pick, len(points) - 1))
        np.minimum(nearest, _distances(points, points[[chosen[-1]]])[:, 0], out=nearest)
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


def _distances(points: Floats, centres: Floats) -> Floats:
    """Squared Euclidean distances. Shape ``(n, k)``."""
    squares: Floats = (points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)
    return np.maximum(squares, 0)


def _rest(points: Floats, book: Floats, own: npt.NDArray[Any]) -> Floats:
    """What a level leaves over, scaled to length 1 (0 stays 0)."""
    rest = points - book[own]
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.where(length > TINY, rest / np.maximum(length, TINY), 0).astype(np.float32)


def _last_distances(vectors: Floats, codebooks: Floats, raw: Codes) -> Any:
    """A function from rows to their distances to all last-level codes, ``(len(rows), codes)``."""
    residual = vectors.astype(np.float32)
    for level in range(len(codebooks) - 1):
        residual = _rest(residual, codebooks[level], raw[:, level])
    return lambda rows: _distances(residual[rows], codebooks[-1])


def _prefix_keys(codes: Codes) -> npt.NDArray[np.int64]:
    keys = np.zeros(len(codes), dtype=np.int64)
    for level in range(codes.shape[1] - 1):
        keys = keys * 256 + codes[:, level].astype(np.int64)
    return keys


def _overflow(prefix: list[int], count: int, codebooks: Floats) -> str:
    return (
        f"{count} items share the prefix {prefix}, {codebooks.shape[1]} is the limit: "
        "refit with another seed or with slack=1.5 (balanced clusters)."
    )


app = typer.Typer(add_completion=False, help=__doc__)


@app.callback()
def _room() -> None:
    """Semantic IDs of a built catalogue."""


@app.command()
def audit(catalog: Annotated[Path, typer.Argument(help="a built catalogue folder")]) -> None:
    """Print collisions, codes used, perplexity and prefix purity; exit 1 if IDs are not unique."""
    from catalog.items import Catalog

    opened = Catalog.open(catalog)
    report = assign(opened.vectors, opened.codebooks)
    final = len(opened) - len(np.unique(opened.codes, axis=0))
    kept = float((report.codes == opened.codes).all(axis=1).mean())
    category = next(f.name for f in opened.domain.facets if f.kind == "categories")
    labels = [list(names or ()) for names in opened.df[category].to_list()]
    head = opened.popularity >= np.quantile(opened.popularity, 0.9)
    table = Table("level", "codes used", "perplexity", "head", "tail", f"purity ({category})")
    for level in range(opened.codes.shape[1]):
        column = opened.codes[:, level]
        table.add_row(
            str(level + 1),
            str(len(np.unique(column))),
            *(f"{perplexity(part):.1f}" for part in (column, column[head], column[~head])),
            f"{purity(opened.codes, labels, level + 1):.3f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"{len(opened)} items; raw collisions {report.raw_collisions:.2%}, largest raw bucket "
        f"{report.largest_bucket}; final collisions {final}\n"
        f"moved to another last code: {report.moved:.2%}, extra squared distance "
        f"{report.extra_distance:.4f} each; ids equal to a fresh assignment: {kept:.2%}"
    )
    raise typer.Exit(1 if final else 0)


if __name__ == "__main__":
    app()
