"""Who used what: a table of user, item, time and weight becomes related items and popularity.

Two items are related as far as the same people took both; an item is popular as far as people
took it. Every person counts alike (the latest ``BASKET`` items of each), weights only within
reason. Nothing but counts enters the catalogue: no user, no time.

The matrix product runs over blocks of items whose size follows from how many pairs they make,
and keeps the ``NEAREST`` strongest of each, so memory stays bounded for any number of rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from catalog import tables
from catalog.encodings import detect
from catalog.errors import BuildError
from catalog.headers import fold

Floats = npt.NDArray[np.float32]
BASKET: Final = 200  # latest items of one person that count
NEAREST: Final = 50  # related items kept for each item
PAIRS: Final = 20_000_000  # pairs in memory at a time
TOP: Final = 1_000.0  # the most popular item's count on the recommender's scale
LISTED: Final = 1_000  # unknown ids that are named
NAMES: Final = {
    "user": "user userid customer customerid member reader client person account session visitor "
    "buyer patron student nutzer kunde kundennummer benutzer",
    "item": "item itemid product productid article sku book bookid movie movieid asin isbn id "
    "artikel artikelnr artikelnummer produkt track course",
    "time": "time timestamp date datetime when at created ts day zeit datum",
    "weight": "weight rating quantity qty count score stars plays value amount menge anzahl",
}  # fmt: skip


class Interactions(NamedTuple):
    """What the interactions say.

    ``related``: ``(N, N)`` symmetric CSR of shared people; ``popularity``: ``(N,)``; ``unknown``:
    ids the catalogue lacks and how often each occurs, the commonest first; ``notes`` to print.
    """

    related: sp.csr_matrix
    popularity: Floats
    unknown: list[tuple[str, int]]
    notes: list[str]


def read(path: Path, ids: list[str]) -> Interactions:
    """Read a table of interactions against a catalogue's item ids.

    ``BuildError`` when the columns cannot be told, or no row names an item of the catalogue.
    """
    frame, notes = _scan(path)
    columns = roles(frame, ids, path)
    notes.append(
        "interactions: " + ", ".join(f"{use} is {name!r}" for use, name in columns.items())
    )
    known = pl.DataFrame({"item": ids, "row": np.arange(len(ids), dtype=np.int32)})
    chosen = frame.select(pl.col(name).alias(use) for use, name in columns.items())
    rows = len(frame)
    complete = chosen.filter(pl.col("user").is_not_null() & pl.col("item").is_not_null())
    if len(complete) < rows:
        notes.append(f"interactions: {rows - len(complete)} rows without user or item left out")
    strange = complete.join(known, on="item", how="anti")["item"].value_counts(sort=True)
    unknown = list(strange.head(LISTED).iter_rows())
    if len(strange):
        lost = int(strange["count"].sum())
        shown = ", ".join(repr(i) for i, _ in unknown[:3])
        notes.append(
            f"interactions: {lost} of {rows} rows name {len(strange)} items that the catalogue "
            f"lacks ({shown}{', …' if len(strange) > 3 else ''}); listed in unknown_items.csv"
        )
    held = complete.join(known, on="item", how="inner", maintain_order="left")
    if not len(held):
        raise BuildError(
            f"{path}: none of its {rows} rows names an item of the catalogue. Column "
            f"{columns['item']!r} must hold the catalogue's ids, such as {ids[0]!r}."
        )
    baskets, notes_ = _baskets(held)
    popularity = np.zeros(len(ids), dtype=np.float64)
    np.add.at(popularity, baskets.indices, baskets.data)
    related = together(baskets)
    return Interactions(*_scaled(related, popularity), unknown=unknown, notes=[*notes, *notes_])


def _scan(path: Path) -> tuple[pl.DataFrame, list[str]]:
    """All columns as text. CSV and Parquet through polars, which reads a million rows a second."""
    if not path.is_file():
        raise BuildError(f"{path} does not exist: --interactions is a table of user and item.")
    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            return tables.tidy(tables.texts(pl.read_parquet(path))), []
        if kind in (".csv", ".tsv", ".tab", ".txt"):
            from catalog.delimited import SNIFFED_LINES, sniff

            found = detect(path)
            with path.open(encoding=found.name, errors="replace", newline="") as file:
                head = [line for line, _ in zip(file, range(SNIFFED_LINES), strict=False)]
            delimiter = sniff(head, "\t" if kind in (".tsv", ".tab") else ",")
            frame = pl.read_csv(
                path,
                separator=delimiter,
                infer_schema=False,
                truncate_ragged_lines=True,
                encoding="utf8-lossy" if found.name.startswith("utf-8") else found.name,
            )
            return tables.tidy(frame), [f"interactions: {found.note}"] if found.note else []
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BuildError(f"{path} cannot be read ({error}).") from error
    table = tables.read(path)
    return table.df, [f"interactions: {len(table.rejected)} rows rejected"] * bool(table.rejected)


def roles(frame: pl.DataFrame, ids: list[str], path: Path) -> dict[str, str]:
    """Which column is the user, the item, the time, the weight: by heading, then by values."""
    found: dict[str, str] = {}
    for use, names in NAMES.items():
        accepted = names.split()
        for name in frame.columns:
            words = fold(name)
            hit = words.replace(" ", "") in accepted or words.split()[:1] == [accepted[0]]
            if hit and use not in found and name not in found.values():
                found[use] = name
    known = set(ids)
    sample = frame.head(5_000)
    shares = {
        name: sum(v in known for v in sample[name].drop_nulls()) / max(len(sample), 1)
        for name, dtype in sample.schema.items()
        if dtype == pl.String
    }
    likeliest = max(shares, key=lambda name: shares[name], default=None)
    if likeliest is not None and shares[likeliest] > shares.get(found.get("item", ""), 0.0):
        found = {use: name for use, name in found.items() if name != likeliest}
        found["item"] = likeliest
    rest = [name for name in shares if name not in found.values()]
    if "user" not in found and rest:
        found["user"] = min(rest, key=lambda name: sample[name].n_unique())
    for use in ("user", "item"):
        if use not in found:
            raise BuildError(
                f"{path} has no column that can be the {use}: call it {use!r}; it has "
                f"{', '.join(map(repr, frame.columns))}."
            )
    return {use: found[use] for use in ("user", "item", "time", "weight") if use in found}


def _baskets(held: pl.DataFrame) -> tuple[sp.csr_matrix, list[str]]:
    """People × items: the square root of each weight, so that a pair's product is a weight."""
    notes: list[str] = []
    if "weight" in held.columns:
        weight = held["weight"].str.replace(",", ".").cast(pl.Float64, strict=False)
        bad = int((weight.is_null() | ~weight.is_finite()).sum())
        weight = weight.fill_null(1.0).fill_nan(1.0).clip(0.0, 1e6)
        if bad:
            notes.append(f"interactions: {bad} weights are no numbers and count 1")
        held = held.with_columns(weight.alias("weight")).filter(pl.col("weight") > 0)
    else:
        held = held.with_columns(pl.lit(1.0).alias("weight"))
    if "time" in held.columns:
        number = pl.col("time").cast(pl.Float64, strict=False)
        numeric = held.head(1000).select(number.is_not_null().mean()).item() > 0.9
        held = held.sort(number if numeric else pl.col("time"), maintain_order=True)
    held = held.with_columns(pl.col("user").rank("dense").cast(pl.Int64).alias("user") - 1)
    held = held.group_by("user", "row", maintain_order=True).agg(pl.col("weight").sum())
    size = pl.len().over("user")
    place = pl.int_range(pl.len()).over("user")
    long = held.select(((size > BASKET) & (place == 0)).sum()).item()
    if long:
        notes.append(f"interactions: of {long} people with more, the latest {BASKET} items count")
        held = held.filter(place >= size - BASKET)
    mean = float(held["weight"].mean())  # type: ignore[arg-type]
    data = np.sqrt(np.minimum(held["weight"].to_numpy() / mean, 5.0)).astype(np.float32)
    shape = (int(held["user"].max()) + 1, int(held["row"].max()) + 1)  # type: ignore[arg-type]
    matrix = sp.csr_matrix((data, (held["user"].to_numpy(), held["row"].to_numpy())), shape=shape)
    return matrix, notes


def together(baskets: sp.csr_matrix) -> sp.csr_matrix:
    """Item × item: how strongly the same people took both, the strongest ``NEAREST`` of each."""
    by_item = baskets.T.tocsr()
    sizes = np.diff(baskets.indptr)
    cost = by_item.astype(bool).astype(np.float64) @ sizes  # pairs each item makes
    edges = np.searchsorted(np.cumsum(cost), np.arange(PAIRS, cost.sum() + PAIRS, PAIRS))
    blocks = []
    start = 0
    for edge in [*edges.tolist(), by_item.shape[0]]:
        stop = min(max(int(edge), start + 1), by_item.shape[0])
        if stop <= start:
            continue
        blocks.append(_strongest((by_item[start:stop] @ baskets).tocsr(), start))
        start = stop
    half = sp.vstack(blocks).tocsr()
    return sp.csr_matrix(half.maximum(half.T), dtype=np.float32)


def _strongest(block: sp.csr_matrix, first: int) -> sp.csr_matrix:
    """Each row's largest ``NEAREST`` entries, without the item itself."""
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    keep = block.indices != rows + first
    rows, columns, data = rows[keep], block.indices[keep], block.data[keep]
    order = np.lexsort((-data, rows))
    rows, columns, data = rows[order], columns[order], data[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    top = place < NEAREST
    return sp.csr_matrix((data[top], (rows[top], columns[top])), shape=block.shape)


def _scaled(
    related: sp.csr_matrix, popularity: npt.NDArray[np.float64]
) -> tuple[sp.csr_matrix, Floats]:
    """Counts on the recommender's scale (at most ``TOP``), each pair's strength kept."""
    n = len(popularity)
    wide = sp.csr_matrix((n, n), dtype=np.float32)
    if related.nnz:
        coo = related.tocoo()
        wide = sp.csr_matrix((coo.data, (coo.row, coo.col)), shape=(n, n))
    top = float(popularity.max())
    if top <= TOP:
        return wide, popularity.astype(np.float32)
    scaled = np.expm1(np.log1p(popularity) * (np.log1p(TOP) / np.log1p(top)))
    shrink = np.sqrt(scaled / np.maximum(popularity, 1e-9))
    small = sp.diags(shrink) @ wide @ sp.diags(shrink)
    return sp.csr_matrix(small, dtype=np.float32), scaled.astype(np.float32)
