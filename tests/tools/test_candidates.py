"""The retrieval prior: a checkerboard with known answers, then the real catalogue."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from catalog.embed import Embedder
from catalog.growth import Change, grown
from catalog.items import Catalog, Domain, Facet
from catalog.postings import picked
from tools import feature_index
from tools.candidates import RANKER, TOP, Candidates, Ranker, RankerError, load_dialogues
from tools.feature_index import Features, categories_after, category_matrix
from tools.features import NAMES, REQUESTS, Dialogues, Leave, Query, Wanted

N = 40
MOVIES = Path(__file__).parents[2] / "catalog" / "data" / "movies"


def checkerboard() -> Catalog:
    """Even items are named with even ones, odd with odd; item 0 is the most popular."""
    facets = [
        Facet(name="kind", role="category", kind="categories", label="kind", plural="kinds"),
        Facet(name="maker", role="maker", kind="people", label="maker", plural="makers"),
        Facet(name="year", role="date", kind="number", label="year", plural="years"),
        Facet(name="note", role="premise", kind="text", label="note", plural="notes"),
    ]
    df = pl.DataFrame(
        {
            "id": [f"i{k}" for k in range(N)],
            "title": [f"Thing {k}" for k in range(N)],
            "link": [None] * N,
            "popularity": [float(N - k) for k in range(N)],
            "editorial": [[] for _ in range(N)],
            "kind": [["even" if k % 2 == 0 else "odd"] for k in range(N)],
            "maker": [["Ada Holm" if k < 3 else "Ben Ruiz"] for k in range(N)],
            "year": [2000 + k for k in range(N)],
            "note": ["a lighthouse keeper" if k == 31 else None for k in range(N)],
        },
        schema_overrides={"link": pl.String, "editorial": pl.List(pl.String)},
    )
    vectors = np.random.default_rng(0).normal(size=(N, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    same = (np.arange(N)[:, None] + np.arange(N)) % 2 == 0
    return Catalog(
        df=df,
        domain=Domain(name="t", noun_one="thing", noun_many="things", facets=facets),
        vectors=vectors,
        about_rows=np.zeros(0, np.int64),
        about_vectors=np.zeros((0, 384), np.float32),
        codes=np.array([[k // 4, k % 4, k] for k in range(N)], dtype=np.uint8),
        codebooks=np.zeros((3, 256, 384), np.float32),
        scales={"size": np.linspace(0, 4, N).astype(np.float32)},
        related=sp.csr_matrix((same & ~np.eye(N, dtype=bool)).astype(np.float32) * 5),
    )


def plain_ranker(**weights: float) -> Ranker:
    """One nearly linear unit over the named features."""
    w1 = np.array([[weights.get(name, 0.0) * 1e-3] for name in NAMES], dtype=np.float32)
    heavy = {"about_words": 9.0, "popularity": 0.1, "ranker": 0.1}
    request = np.array([heavy.get(name, 1.0) for name in REQUESTS], dtype=np.float32)
    ones, zeros = np.ones(len(NAMES), np.float32), np.zeros(len(NAMES), np.float32)
    return Ranker(
        zeros, ones, w1, np.zeros(1, np.float32), np.array([1e3], np.float32), request, 0.05
    )


@pytest.fixture(scope="module")
def board() -> Candidates:
    return Candidates(
        checkerboard(), None, Dialogues.none(N), plain_ranker(co_sum=3.0, popularity=0.2)
    )


def test_co_mention_finds_its_own_colour(board: Candidates) -> None:
    allowed = np.ones(N, dtype=np.bool_)
    allowed[4] = False
    prior = board.weights(Query(liked=(4,)), allowed)
    assert [int(row) % 2 for row in prior.top[:15]] == [0] * 15
    assert prior.top[0] == 0  # of equals the most popular


def test_weights_are_a_distribution_over_what_is_allowed(board: Candidates) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        allowed = rng.random(N) < 0.3
        prior = board.weights(Query(liked=tuple(rng.integers(0, N, 3).tolist())), allowed)
        assert prior.weights.sum() == pytest.approx(1.0)
        assert (prior.weights[~allowed] == 0).all()
        assert (prior.weights[allowed] > 0).all()
        assert list(prior.top) == sorted(prior.top, key=lambda r: -prior.weights[r])


def test_nothing_allowed_is_all_zero(board: Candidates) -> None:
    prior = board.weights(Query(about=("x",)), np.zeros(N, dtype=np.bool_))
    assert prior.weights.sum() == 0 and len(prior.top) == 0


def test_words_of_a_premise_and_wishes_are_heard(board: Candidates) -> None:
    told = board.weights(Query(about=("a lonely lighthouse",)))
    assert told.top[0] == 31
    assert told.why(31)["about_words"] > 0.3
    wished = board.features.wish((Wanted("size", -1, 20),))
    assert wished[19] > 0 > wished[21] and wished[0] == pytest.approx(1.5)


def test_a_person_named_in_the_text_counts(board: Candidates) -> None:
    features = board.features.conversation(
        Query(turns=(("user", "anything by ada holm?"),)), np.ones(N, dtype=np.bool_)
    )
    column = features.features[:, NAMES.index("named_people")]
    assert column[:3].tolist() == [1, 1, 1] and not column[3:].any()


def test_leaving_a_conversation_out_removes_its_counts() -> None:
    """Counts that only this conversation made are gone, its answer cannot be read off."""
    catalog = checkerboard()
    catalog.related = sp.csr_matrix(([1.0, 1.0], ([3, 8], [8, 3])), shape=(N, N))
    vectors = np.eye(2, 384, dtype=np.float32)
    items = sp.csr_matrix(([1.0, 1.0, 1.0], ([0, 0, 1], [3, 8, 5])), shape=(2, N))
    features = Features(catalog, None, Dialogues(vectors, items))
    every, query = np.ones(N, dtype=np.bool_), Query(liked=(3,))
    ready = features.prepare([query], vectors[:1])[0]
    seen = features.conversation(query, every, ready=ready).features[8]
    left = features.conversation(query, every, ready=ready, leave=Leave((3, 8), 0)).features[8]
    for name in ("co_sum", "co_max", "overlap", "neighbours"):
        at = NAMES.index(name)
        assert seen[at] > 0.05 and left[at] < 0.01, name


def test_variety_only_when_nothing_is_known(board: Candidates) -> None:
    hello = (("user", "hello"),)
    first = board.weights(Query(turns=hello, seed=1)).top[:5].tolist()
    assert first != board.weights(Query(turns=hello, seed=2)).top[:5].tolist()
    assert first == board.weights(Query(turns=hello, seed=1)).top[:5].tolist()
    known = [board.weights(Query(liked=(4,), seed=s)).top.tolist() for s in (1, 2)]
    assert known[0] == known[1]


def test_a_ranker_of_other_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RankerError, match="missing"):
        Ranker.load(tmp_path / "none.npz")
    path = tmp_path / "ranker.npz"
    plain_ranker(popularity=1.0).save(path)
    assert Ranker.load(path).tail == pytest.approx(0.05)
    with np.load(path) as data:
        arrays = dict(data)
    np.savez(path, **(arrays | {"names": arrays["names"][:-1]}))
    with pytest.raises(RankerError, match="train it again"):
        Ranker.load(path)


@pytest.fixture(scope="module")
def films() -> Candidates:
    return Candidates.open(Catalog.open(MOVIES), Embedder())


def titles(candidates: Candidates, query: Query, k: int) -> list[str]:
    catalog = candidates.catalog
    rows = candidates.weights(query).top[:k]
    return [catalog.df["title"][int(row)] for row in rows]


def test_the_released_ranker_answers_by_meaning(films: Candidates) -> None:
    assert RANKER.is_file()
    assert "Shaun of the Dead" in titles(films, Query(about=("a funny zombie film",)), 20)
    assert "Arrival" in titles(films, Query(about=("first contact with aliens, language",)), 20)
    matrix = films.catalog.row("The Matrix")
    allowed = np.ones(len(films.catalog), dtype=np.bool_)
    allowed[matrix] = False
    prior = films.weights(Query(liked=(matrix,)), allowed)
    assert len(prior.top) == TOP and matrix not in prior.top
    assert "The Matrix Reloaded" in [films.catalog.df["title"][int(r)] for r in prior.top[:5]]
    assert prior.why(int(prior.top[0]))["co_sum"] > 0


def test_the_bundled_conversations_are_there(films: Candidates) -> None:
    dialogues, numbers = load_dialogues(films.catalog)
    assert len(numbers) == len(dialogues.vectors) > 2000
    assert dialogues.items.shape[1] == len(films.catalog)


def test_of_a_large_catalogue_only_new_rows_categories_are_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = checkerboard()
    before.holders("kind")
    old = category_matrix(before)
    df = pl.concat([before.df.head(1)] * 2).with_columns(
        id=pl.Series(["n0", "n1"]), kind=pl.Series([["odd"], ["even", "odd"]])
    )
    change = Change(
        df,
        before.vectors[:2],
        np.array([[9, 9, 9], [9, 9, 8]], dtype=np.uint8),
        np.zeros(0, dtype=np.int64),
        np.zeros((0, 384), dtype=np.float32),
        {name: values[:2] for name, values in before.scales.items()},
    )
    after = grown(before, change, "after")
    monkeypatch.setattr(feature_index, "LARGE", 1)
    found = categories_after(old, after, np.array([N, N + 1])).toarray()
    np.testing.assert_array_equal(found[:N], old.toarray())
    np.testing.assert_allclose(found[N:], category_matrix(after).toarray()[N:])
    edited = categories_after(old, after, np.array([3, N, N + 1])).toarray()
    np.testing.assert_array_equal(edited, category_matrix(after).toarray())


def test_rows_are_picked_in_the_order_given() -> None:
    df = pl.concat([pl.DataFrame({"k": [[0], [1, 2]]}), pl.DataFrame({"k": [[3], [], [4]]})])
    for rows in ([], [4], [1, 2, 3], [3, 0, 1, 4], [0] * 400):
        at = np.array(rows, dtype=np.int64)
        assert picked(df, at)["k"].to_list() == [df["k"].to_list()[row] for row in rows]
