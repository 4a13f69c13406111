"""Chroma under a bitmap: every way to answer gives the exact neighbours of the allowed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from catalog.errors import StoreError
from catalog.items import Catalog, Domain
from catalog.store import VectorStore
from tests.catalog.conftest import make, unit

N = 3000


def catalog(fingerprint: str = "a") -> Catalog:
    df = pl.DataFrame(
        {
            "id": [f"item {row}" for row in range(N)],
            "title": [f"Item {row}" for row in range(N)],
            "link": pl.Series([None] * N, dtype=pl.String),
            "popularity": pl.Series([0.0] * N, dtype=pl.Float32),
            "editorial": pl.Series([[]] * N, dtype=pl.List(pl.String)),
        }
    )
    domain = Domain(name="things", noun_one="thing", noun_many="things", facets=[])
    return make(df, domain, fingerprint)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chroma")


@pytest.fixture(scope="module")
def things() -> Catalog:
    return catalog()


@pytest.fixture(scope="module")
def store(things: Catalog, home: Path) -> VectorStore:
    return VectorStore.open(things, home)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9, 0.97, 1.0])
def test_neighbours_are_the_exact_ones_of_the_allowed(
    things: Catalog, store: VectorStore, share: float
) -> None:
    allowed = np.random.default_rng(5).random(N) < share
    query = unit(1, seed=9)[0]
    hits = store.query(query, 20, allowed)
    rows = np.flatnonzero(allowed)
    exact = rows[np.argsort(-(things.vectors[rows] @ query))][:20]
    assert allowed[hits.rows].all()
    assert len(hits.rows) == min(20, len(rows))
    assert len(set(hits.rows) & set(exact)) >= 0.9 * len(exact)
    assert hits.cosine == pytest.approx(things.vectors[hits.rows] @ query, abs=1e-4)
    assert (np.diff(hits.cosine) <= 1e-6).all()


def test_nothing_allowed_gives_nothing(store: VectorStore) -> None:
    assert len(store.query(unit(1)[0], 5, np.zeros(N, dtype=bool)).rows) == 0


def test_a_second_start_finds_the_collection_and_a_new_catalogue_replaces_it(
    things: Catalog, store: VectorStore, home: Path
) -> None:
    again = VectorStore.open(things, home)
    assert again._collection.id == store._collection.id
    other = VectorStore.open(catalog("b"), home)
    assert other._collection.id != store._collection.id
    assert other._collection.count() == N
    VectorStore.open(things, home)


def test_bad_queries_and_places_are_refused(
    things: Catalog, store: VectorStore, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="k >= 1"):
        store.query(unit(1)[0], 0)
    with pytest.raises(StoreError, match="allowed has shape"):
        store.query(unit(1)[0], 5, np.ones(3, dtype=bool))
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot use"):
        VectorStore.open(things, occupied)
