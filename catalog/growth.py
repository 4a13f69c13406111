"""A catalogue in memory taking up a change: what stays is shared, rows never move.

New items are further rows, an edited item keeps its row, a removed one keeps it too and is no
longer ``alive``. So everything indexed by row stays true, and who still reads the old
catalogue is not disturbed: this makes another one. At a million items some tenths of a second,
nearly all of it the copying of plain arrays.

    grown(catalog, change, fingerprint)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from catalog.errors import CatalogError
from catalog.items import Catalog, Floats
from catalog.postings import Postings, Triples, picked
from catalog.trie import SlateMask

Ints = npt.NDArray[np.int64]
FEW = 64  # edited rows that are put in one by one; more are gathered in one go
PIECES = 256  # pieces of a table after which it is copied into one


class Change(NamedTuple):
    """Items that came or were edited, as they are now, and ids that went.

    ``df``: ``(m,)`` rows in the catalogue's own columns, no id twice; ``vectors`` ``(m, 384)``
    float32 unit rows; ``codes`` ``(m, L)``; ``about_rows``: which of the ``m`` rows
    ``about_vectors`` belong to; ``scales`` name -> ``(m,)``. An id in ``removed`` that also
    stands in ``df`` came and went: it takes a row and is not alive.
    """

    df: pl.DataFrame
    vectors: Floats
    codes: npt.NDArray[np.uint8]
    about_rows: Ints
    about_vectors: Floats
    scales: dict[str, Floats]
    removed: tuple[str, ...] = ()


def grown(catalog: Catalog, change: Change, fingerprint: str) -> Catalog:
    """The catalogue after a change; the given one stays as it is.

    ``CatalogError`` when the change does not fit (other levels, an unknown id removed).
    """
    ids = change.df["id"].to_list()
    n = len(catalog)
    rows, total = places(catalog, ids)
    after = copy.copy(catalog)
    after.__dict__.pop("count", None)
    after.fingerprint = fingerprint
    fresh = [ids[k] for k in np.flatnonzero(rows >= n)]
    after.ids = catalog.ids + fresh
    after._rows = catalog._rows | {item: n + k for k, item in enumerate(fresh)}
    gone = [after._rows.get(item, -1) for item in change.removed]
    if change.codes.shape[1] != catalog.codes.shape[1] or -1 in gone:
        raise CatalogError(
            f"A change of {len(ids)} items does not fit this catalogue ({catalog.path}): it was "
            "made for another one. Rebuild it with `python -m catalog.build SOURCE --out DIR`."
        )
    after.alive = put(catalog.alive, rows, np.ones(len(rows), dtype=np.bool_), total)
    after.alive[gone] = False
    after.df = _table(catalog.df, change.df, rows)
    own = change.df["popularity"].to_numpy().astype(np.float32)
    after.popularity = put(catalog.popularity, rows, own, total)
    after.popularity[gone] = 0
    after.vectors, after.edited_vectors = _vectors(catalog, change.vectors, rows, total)
    after.codes = put(catalog.codes, rows, change.codes, total)
    after.mask = _mask(catalog, change.codes, rows, after.codes)
    after.scales = {
        name: put(values, rows, change.scales[name], total)
        for name, values in catalog.scales.items()
    }
    after.about_rows, after.about_vectors = _about(catalog, change, rows)
    after.related = _padded(catalog.related, total)
    if catalog.stored is not None:
        further = np.arange(total - n) + (catalog.stored.max(initial=-1) + 1)
        after.stored = np.concatenate([catalog.stored, further])
    after._holders = {
        facet: held.grown(total, rows, _held(after.df[facet]))
        for facet, held in catalog._holders.items()
    }
    changed = np.union1d(rows, np.array(gone, dtype=np.int64))
    after.changed = np.union1d(catalog.changed, changed)
    after._values = _counts(catalog, after, changed)
    return after


def places(catalog: Catalog, ids: list[str]) -> tuple[Ints, int]:
    """Row of each id, those without one numbered on; and how many rows there are then."""
    n = len(catalog)
    rows = np.array([catalog.place(item) for item in ids], dtype=np.int64)
    new = np.flatnonzero(rows < 0)
    rows[new] = n + np.arange(len(new))
    return rows, n + len(new)


def put(old: npt.NDArray[Any], rows: Ints, values: npt.NDArray[Any], total: int) -> Any:
    """A copy of ``old``, longer by what it lacks of ``total``, with ``values`` at ``rows``."""
    out = np.empty((total, *old.shape[1:]), dtype=old.dtype)
    out[: len(old)] = old
    out[rows] = values
    return out


def without(catalog: Catalog, keep: Ints) -> Catalog:
    """Only the rows ``keep``, renumbered; ``stored`` says where they came from."""
    place = np.full(len(catalog), -1, dtype=np.int64)
    place[keep] = np.arange(len(keep))
    about = place[catalog.about_rows]
    out = Catalog(
        df=catalog.df[keep],
        domain=catalog.domain,
        vectors=catalog.vectors[keep],
        about_rows=about[about >= 0],
        about_vectors=catalog.about_vectors[about >= 0],
        codes=catalog.codes[keep],
        codebooks=catalog.codebooks,
        scales={name: values[keep] for name, values in catalog.scales.items()},
        related=catalog.related[keep][:, keep].tocsr(),
        path=catalog.path,
        fingerprint=catalog.fingerprint,
        stored=keep,
    )
    return out


def _table(old: pl.DataFrame, new: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    """The items' table with rows replaced and added; untouched pieces are shared."""
    part = new.select(old.columns).cast(old.schema)
    n = len(old)
    edited = np.flatnonzero(rows < n)
    added = part[np.flatnonzero(rows >= n)]
    if len(edited) > FEW:
        order = np.arange(n)
        order[rows[edited]] = n + np.arange(len(edited))
        return pl.concat([pl.concat([old, part[edited]])[order], added])
    pieces, start = [], 0
    for k in edited[np.argsort(rows[edited])].tolist():
        pieces += [old[start : rows[k]], part[k : k + 1]]
        start = int(rows[k]) + 1
    table = pl.concat([*pieces, old[start:], added])
    return table.rechunk() if table.n_chunks() > PIECES else table


def _vectors(
    catalog: Catalog, new: Floats, rows: Ints, total: int
) -> tuple[Floats, dict[int, Floats]]:
    """All vectors: copied where they are in memory, mapped further where they are in a file.

    Edited rows of a mapped file are written to this process's own pages, and remembered.
    """
    if not isinstance(catalog.vectors, np.memmap):
        out: Floats = put(catalog.vectors, rows, new, total)
        return out, {}
    n = len(catalog)
    edited = {int(r): new[k] for k, r in enumerate(rows) if r < n}
    held = catalog.edited_vectors | edited
    if total == n:
        mapped: Floats = catalog.vectors
    else:
        mapped = longer(catalog.vectors, total)
        edited = held
    for row, vector in edited.items():
        mapped[row] = vector
    return mapped, held


def longer(mapped: Floats, total: int) -> Floats:
    """The same file mapped up to row ``total``: an update wrote the rows at its end.

    ``CatalogError`` when the file ends before.
    """
    assert isinstance(mapped, np.memmap)
    name, offset = str(mapped.filename), int(mapped.offset)
    try:
        with open(name, "rb") as file:
            file.seek(0, 2)
            if file.tell() < offset + total * mapped.shape[1] * mapped.itemsize:
                raise CatalogError(
                    f"{name} ends before row {total} that its segments name. Rebuild it with "
                    "`python -m catalog.build SOURCE --out DIR`."
                )
            shape = (total, mapped.shape[1])
            rows: Floats = np.memmap(file, dtype=np.float32, mode="c", offset=offset, shape=shape)
            return rows
    except OSError as error:
        raise CatalogError(f"{name} cannot be mapped ({error}).") from error


def _mask(
    catalog: Catalog, new: npt.NDArray[np.uint8], rows: Ints, codes: npt.NDArray[np.uint8]
) -> SlateMask:
    """The slate mask: inserted into where items only came, sorted anew where codes changed."""
    n = len(catalog)
    old = rows < n
    if (catalog.codes[rows[old]] != new[old]).any():
        return SlateMask(codes)
    return catalog.mask.insert(codes[n:]) if len(codes) > n else catalog.mask


def _about(catalog: Catalog, change: Change, rows: Ints) -> tuple[Ints, Floats]:
    """About-vectors: of edited items the new ones, if any."""
    stay = ~np.isin(catalog.about_rows, rows)
    if stay.all() and not len(change.about_rows):
        return catalog.about_rows, catalog.about_vectors
    own = rows[change.about_rows]
    return (
        np.concatenate([catalog.about_rows[stay], own]),
        np.concatenate([catalog.about_vectors[stay], change.about_vectors]),
    )


def _padded(related: sp.csr_matrix, total: int) -> sp.csr_matrix:
    """Counts with empty rows and columns for new items; their data are shared."""
    n = related.shape[0]
    if total == n:
        return related
    more = np.full(total - n, related.indptr[-1], dtype=related.indptr.dtype)
    starts = np.concatenate([related.indptr, more])
    return sp.csr_matrix((related.data, related.indices, starts), shape=(total, total))


def _held(column: pl.Series) -> Callable[[Ints, dict[Any, int]], Postings]:
    """Postings of some rows of a column of values."""

    def make(rows: Ints, vocabulary: dict[Any, int]) -> Postings:
        triples = Triples(vocabulary)
        triples.add(picked(column.to_frame(), rows).to_series(), lambda value: (value,))
        return triples.postings(len(rows))

    return make


def _counts(before: Catalog, after: Catalog, rows: Ints) -> dict[str, dict[Any, int]]:
    """``Catalog.values`` of the facets that were counted already, brought up to date."""
    out: dict[str, dict[Any, int]] = {}
    for facet, held in before._values.items():
        counts = dict(held)
        for catalog, step in ((before, -1), (after, 1)):
            here = rows[rows < len(catalog)]
            column = picked(catalog.df.select(facet), here).to_series()
            column = column.filter(pl.Series(catalog.alive[here]))
            column = column.explode() if isinstance(column.dtype, pl.List) else column
            for value in column.drop_nulls().to_list():
                counts[value] = counts.get(value, 0) + step
        if counts != held:
            counts = dict(sorted(((v, c) for v, c in counts.items() if c > 0), key=lambda x: -x[1]))
        out[facet] = counts
    return out
