"""Of a built folder what an update must know, without opening the whole of it.

A million items open in seconds, most of them spent on what an update of one row never looks
at. This reads ids, popularity and codes, and leaves the rest where it is.
"""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog import folder, segments
from catalog.errors import CatalogError
from catalog.growth import Change, put
from catalog.items import Domain, Floats


class Known:
    """Items of a folder with its segments, by id: which there are, and what is kept of them.

    ``manifest``, ``head``, ``domain``, ``schema`` of the items' columns, ``codes`` ``(N, L)`` and
    ``popularity`` ``(N,)`` of all rows, removed ones included, ``change``: the segments as one.
    """

    def __init__(self, path: Path) -> None:
        """``CatalogError`` when the folder is missing or damaged."""
        self.path = path
        self.manifest = folder.read_manifest(path)
        self.head = segments.read_head(path, self.manifest)
        folder.check_sizes(path, self.manifest)
        self.domain = Domain.read(path / "domain.yaml")
        self.change: Change | None = segments.read(path, self.head.segments)
        try:
            file = path / "items.parquet"
            self.schema: dict[str, Any] = dict(pl.read_parquet_schema(file))
            base = pl.read_parquet(file, columns=["id", "popularity"])
            with np.load(path / "semantic_ids.npz") as data:
                codes = data["codes"]
                self.codebooks: Floats = data["codebooks"].astype(np.float32)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, pl.exceptions.PolarsError) as e:
            raise CatalogError(f"{path} is damaged ({e}). {folder.REBUILD}.") from e
        self._ids: pl.Series = base["id"]
        popularity = base["popularity"].to_numpy().astype(np.float32)
        self._own: dict[str, int] = {}  # rows of the segments' items
        self._gone: frozenset[str] = frozenset()
        if self.change is not None:
            items = self.change.df["id"].to_list()
            found = self._rows_in_base(items)
            new = [item for item in items if item not in found]
            fresh = {item: len(base) + k for k, item in enumerate(new)}
            self._own = found | fresh
            rows = np.array([self._own[item] for item in items], dtype=np.int64)
            total = len(base) + len(fresh)
            codes = put(codes, rows, self.change.codes, total)
            own = self.change.df["popularity"].to_numpy().astype(np.float32)
            popularity = put(popularity, rows, own, total)
            self._gone = frozenset(self.change.removed)
        self.codes: npt.NDArray[np.uint8] = codes
        self.popularity: Floats = popularity
        self._asked: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """Rows of all, removed ones included."""
        return len(self.codes)

    @property
    def mapped(self) -> bool:
        return "vectors.npy" in self.manifest["files"]

    def look_up(self, ids: list[str]) -> None:
        """Find these ids, so that ``has`` and ``row`` know them."""
        wanted = [item for item in ids if item not in self._own and item not in self._asked]
        found = self._rows_in_base(wanted)
        self._asked |= {item: found.get(item, -1) for item in wanted}

    def has(self, item: str) -> bool:
        return self.row(item) >= 0 and item not in self._gone

    def row(self, item: str) -> int:
        """Its row, of a removed item too; -1 where there never was one."""
        if item in self._own:
            return self._own[item]
        if item not in self._asked:
            self.look_up([item])
        return self._asked[item]

    @cached_property
    def ids(self) -> list[str]:
        """Ids of all items."""
        gone = self._gone
        base = [item for item in self._ids.to_list() if item not in gone]
        known = self._rows_in_base(list(self._own))
        return base + [item for item in self._own if item not in known and item not in gone]

    @property
    def count(self) -> int:
        return self.rows - len(self._gone)

    def _rows_in_base(self, ids: list[str]) -> dict[str, int]:
        if not ids:
            return {}
        wanted = pl.Series("id", ids, dtype=pl.String)
        rows = self._ids.is_in(wanted.implode()).arg_true()
        return dict(zip(self._ids.gather(rows).to_list(), rows.to_list(), strict=True))

    def vectors(self) -> Floats:
        """Vectors of all rows as they are loaded (a large catalogue's are mapped)."""
        stored = folder.as_loaded(folder.shipped(self.path))
        if self.change is None:
            return stored[: self.rows]
        if not self.mapped:
            rows = np.array([self._own[i] for i in self.change.df["id"]], dtype=np.int64)
            laid: Floats = put(stored, rows, self.change.vectors, self.rows)
            return laid
        return stored

    def scales(self, names: list[str]) -> dict[str, Floats]:
        """Scales of all rows; empty where the domain has none."""
        if not names:
            return {}
        with np.load(self.path / "scales.npz") as data:
            columns = data["values"].astype(np.float32) / folder.STEPS
            held = {str(name): columns[:, k] for k, name in enumerate(data["names"])}
        if self.change is not None:
            rows = np.array([self._own[i] for i in self.change.df["id"]], dtype=np.int64)
            for name, values in self.change.scales.items():
                held[name] = put(held[name], rows, values, self.rows)
        return held

    def likely_popularity(self, code: npt.NDArray[np.uint8]) -> float:
        """What to expect of an item that nobody has met: the mean log popularity of its kind.

        Its kind are the items that share its first two codes, where there are at least five,
        else its first, else all: the nearest by meaning, without a look at a vector. The mean
        of logs, as a few favourites say little of the next one.
        """
        for depth in (2, 1, 0):
            alike = (self.codes[:, :depth] == code[:depth]).all(axis=1)
            if depth == 0 or np.count_nonzero(alike) >= 5:
                return float(np.expm1(np.log1p(self.popularity[alike]).mean()))
        raise AssertionError("depth 0 always returns")
