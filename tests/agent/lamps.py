"""A shop of eight invented lamps: the same code, no film in sight."""

import numpy as np
import polars as pl
import scipy.sparse as sp

from catalog.items import Catalog, Domain, Facet, Scale

FACETS = [
    Facet(name="kind", role="category", kind="categories", label="kind", plural="kinds",
          ask="Which kind?"),
    Facet(name="maker", role="maker", kind="people", label="maker", plural="makers"),
    Facet(name="price", role="amount", kind="number", label="price", plural="prices", unit="€"),
    Facet(name="year", role="date", kind="number", label="year", plural="years"),
    Facet(name="uses", role="tag", kind="categories", label="use", plural="uses"),
    Facet(name="note", role="premise", kind="text", label="note", plural="notes",
          filterable=False),
]  # fmt: skip
ROWS = [
    (
        "l1",
        "Aurora",
        ["Desk"],
        ["Ada Holm"],
        40.0,
        2019,
        ["reading"],
        "A lean arm with a warm head.",
    ),
    ("l2", "Borealis", ["Desk"], ["Ada Holm"], 60.0, 2021, ["reading"], None),
    ("l3", "Comet", ["Floor"], ["Ben Ruiz"], 120.0, 2015, ["ambience"], None),
    ("l4", "Dusk", ["Floor"], ["Ben Ruiz"], 90.0, 2022, ["ambience", "reading"], None),
    ("l5", "Ember", ["Bedside"], ["Ada Holm"], 25.0, 2018, ["sleep"], "A dim orb for the night."),
    ("l6", "Flare", ["Bedside"], [], None, 2020, ["sleep"], None),
    ("l7", "Glow", ["Pendant"], ["Cy Oduya"], 200.0, 2010, ["dining"], None),
    ("l8", "Halo", ["Pendant"], ["Cy Oduya"], 150.0, 2023, ["dining"], None),
]


def lamps() -> Catalog:
    names = ["id", "title", "kind", "maker", "price", "year", "uses", "note"]
    df = pl.DataFrame(ROWS, schema=names, orient="row").with_columns(
        link=pl.lit(None, dtype=pl.String),
        popularity=pl.Series([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 0.0]),
        editorial=pl.Series([[]] * 8, dtype=pl.List(pl.String)),
    )
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(8, 384)).astype(np.float32)
    vectors[1] = vectors[0] + 0.1 * vectors[1]  # Borealis is close to Aurora
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    related = sp.csr_matrix(([3.0, 3.0], ([0, 3], [3, 0])), shape=(8, 8), dtype=np.float32)
    domain = Domain(
        name="lamps",
        noun_one="lamp",
        noun_many="lamps",
        facets=FACETS,
        scales=[Scale(name="warmth", label="warm", more=["warmer"], less=["cooler"])],
        openers=["a lamp for reading"],
    )
    return Catalog(
        df=df,
        domain=domain,
        vectors=vectors,
        about_rows=np.array([0, 4]),
        about_vectors=vectors[[0, 4]],
        codes=np.array([[k // 4, k // 2, k] for k in range(8)], dtype=np.uint8),
        codebooks=rng.normal(size=(3, 256, 384)).astype(np.float32),
        scales={"warmth": np.linspace(0, 4, 8).astype(np.float32)},
        related=related,
    )
