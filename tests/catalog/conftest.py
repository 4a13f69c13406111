"""Catalogues for these tests: a hand-made one of known answers, and the bundled one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from catalog.items import Catalog, Domain, Facet

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "catalog" / "data" / "movies"

#: id, year, genres, directors, language
FILMS: list[tuple[str, int | None, list[str] | None, list[str] | None, list[str] | None]] = [
    ("one", 1999, ["Drama"], ["Ann Lee"], ["English"]),
    ("two", 2005, ["Drama", "Comedy"], ["Bo Kim"], ["Korean"]),
    ("three", 2010, ["Comedy"], ["Ann Lee", "Bo Kim"], None),
    ("four", None, ["Horror"], None, ["English"]),
    ("five", 2015, None, ["Cy Roe"], ["French"]),
    ("six", 2020, ["Horror", "Comedy", "Drama"], ["Cy Roe"], ["English"]),
]


def unit(n: int, seed: int = 0, dim: int = 384) -> np.ndarray:
    """Random unit rows. Shape ``(n, dim)`` float32."""
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(df: pl.DataFrame, domain: Domain, fingerprint: str = "test") -> Catalog:
    """A catalogue in memory around a table: random vectors, counted codes."""
    n = len(df)
    numbers = np.arange(n)
    return Catalog(
        df=df,
        domain=domain,
        vectors=unit(n),
        about_rows=np.zeros(0, dtype=np.int64),
        about_vectors=np.zeros((0, 384), dtype=np.float32),
        codes=np.stack([numbers % 7, numbers // 256, numbers % 256], axis=1).astype(np.uint8),
        codebooks=np.zeros((3, 256, 384), dtype=np.float32),
        scales={},
        related=sp.csr_matrix((n, n), dtype=np.float32),
        fingerprint=fingerprint,
    )


@pytest.fixture(scope="session")
def small() -> Catalog:
    facets = [
        Facet(name="year", role="date", kind="number", label="year", plural="years"),
        Facet(name="genres", role="category", kind="categories", label="genre", plural="genres"),
        Facet(name="directors", role="maker", kind="people", label="director", plural="directors"),
        Facet(name="language", role="language", kind="categories", label="language", plural="s"),
        Facet(name="premise", role="premise", kind="text", label="p", plural="p", filterable=False),
    ]
    columns = list(zip(*FILMS, strict=True))
    df = pl.DataFrame(
        {
            "id": columns[0],
            "title": [name.title() for name in columns[0]],
            "link": pl.Series([None] * len(FILMS), dtype=pl.String),
            "popularity": pl.Series([0.0] * len(FILMS), dtype=pl.Float32),
            "editorial": pl.Series([[]] * len(FILMS), dtype=pl.List(pl.String)),
            "year": pl.Series(columns[1], dtype=pl.Int32),
            "genres": pl.Series(columns[2], dtype=pl.List(pl.String)),
            "directors": pl.Series(columns[3], dtype=pl.List(pl.String)),
            "language": pl.Series(columns[4], dtype=pl.List(pl.String)),
            "premise": pl.Series([None] * len(FILMS), dtype=pl.String),
        }
    )
    domain = Domain(name="films", noun_one="film", noun_many="films", facets=facets)
    return make(df, domain)


@pytest.fixture(scope="session")
def bundle() -> Catalog:
    return Catalog.open(BUNDLE)
