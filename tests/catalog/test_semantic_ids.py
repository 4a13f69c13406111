"""Semantic IDs: unique, the same for the same seed, and old ones never move."""

import numpy as np
import pytest

from catalog import semantic_ids
from catalog.errors import SemanticIdError
from tests.catalog.conftest import unit


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """300 points around 60 centres, so that there is something to cluster and to collide."""
    rng = np.random.default_rng(1)
    near = unit(60, dim=16)[rng.integers(60, size=300)] + 0.1 * rng.normal(size=(300, 16))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def books(vectors: np.ndarray) -> np.ndarray:
    return semantic_ids.fit(vectors, codes=16, seed=3)


def test_codes_are_unique_and_cost_is_reported(vectors: np.ndarray, books: np.ndarray) -> None:
    done = semantic_ids.assign(vectors, books)
    assert len(np.unique(done.codes, axis=0)) == len(vectors)
    assert 0 < done.raw_collisions < 1
    assert done.largest_bucket >= 2
    assert done.extra_distance >= 0
    raw = semantic_ids.quantise(vectors, books)
    assert (raw[:, :2] == done.codes[:, :2]).all()  # only the last code ever moves


def test_same_seed_same_ids_other_seed_other_ids(vectors: np.ndarray, books: np.ndarray) -> None:
    again = semantic_ids.fit(vectors, codes=16, seed=3)
    np.testing.assert_array_equal(again, books)
    assert not np.array_equal(semantic_ids.fit(vectors, codes=16, seed=4), books)


def test_equal_items_get_different_ids(books: np.ndarray, vectors: np.ndarray) -> None:
    twins = np.repeat(vectors[:1], 10, axis=0)
    codes = semantic_ids.assign(twins, books).codes
    assert len(np.unique(codes, axis=0)) == 10


def test_a_full_prefix_gets_a_further_code(books: np.ndarray, vectors: np.ndarray) -> None:
    """20 equal items and 16 codes: the other items' further code is 0, all IDs differ."""
    crowd = np.concatenate([vectors, np.repeat(vectors[:1], 20, axis=0)])
    done = semantic_ids.assign(crowd, books)
    assert done.codes.shape == (320, 4) and done.overflowed >= 20
    assert len(np.unique(done.codes, axis=0)) == 320
    home = (done.codes[:, :2] == done.codes[0, :2]).all(axis=1)
    assert home.sum() == done.overflowed and not done.codes[~home, 3].any()
    assert (done.codes[:, :2] == semantic_ids.quantise(crowd, books)[:, :2]).all()
    more = semantic_ids.insert(np.repeat(vectors[:1], 5, axis=0), done.codes, books)
    assert len(np.unique(np.concatenate([done.codes, more]), axis=0)) == 325
    assert (more[:, :2] == done.codes[0, :2]).all()


def test_more_twins_than_a_further_code_can_hold() -> None:
    """1,000 equal items under 3 levels of 2 codes: at most 256 a code, then a clear error."""
    books = semantic_ids.fit(unit(8, dim=16), codes=2)
    twin = unit(1, dim=16)
    done = semantic_ids.assign(np.repeat(twin, 500, axis=0), books)
    assert len(np.unique(done.codes, axis=0)) == 500
    with pytest.raises(SemanticIdError, match=r"600 items share the prefix .* 512 is the limit"):
        semantic_ids.assign(np.repeat(twin, 600, axis=0), books)


def test_inserting_keeps_old_ids_and_takes_free_ones(
    vectors: np.ndarray, books: np.ndarray
) -> None:
    old = semantic_ids.assign(vectors[:-20], books).codes
    new = semantic_ids.insert(vectors[-20:], old, books)
    everything = np.concatenate([old, new])
    assert len(np.unique(everything, axis=0)) == len(vectors)
    twin = semantic_ids.insert(vectors[:1], old, books)
    assert (twin[0, :2] == old[0, :2]).all() and twin[0, 2] != old[0, 2]


def test_inserting_into_a_full_prefix_takes_the_next_nearest(
    vectors: np.ndarray, books: np.ndarray
) -> None:
    full = semantic_ids.assign(np.repeat(vectors[:1], 16, axis=0), books).codes
    new = semantic_ids.insert(np.repeat(vectors[:1], 3, axis=0), full, books)
    assert (new[:, 0] == full[0, 0]).all() and (new[:, 1] != full[0, 1]).all()
    assert len(np.unique(np.concatenate([full, new]), axis=0)) == 19


def test_inserting_where_nothing_is_free_is_a_clear_error(
    vectors: np.ndarray, books: np.ndarray
) -> None:
    first = int(semantic_ids.quantise(vectors[:1], books)[0, 0])
    pairs = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2)
    full = np.column_stack([np.full(256, first), pairs]).astype(np.uint8)
    with pytest.raises(SemanticIdError, match=r"256 items share its first code.*fresh-ids"):
        semantic_ids.insert(vectors[:1], full, books)


def test_chunks_and_half_precision_change_nothing(
    vectors: np.ndarray, books: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = vectors.astype(np.float16)
    whole = semantic_ids.assign(half, books)
    monkeypatch.setattr(semantic_ids, "CHUNK", 7)
    np.testing.assert_array_equal(semantic_ids.assign(half, books).codes, whole.codes)
    assert len(np.unique(whole.codes, axis=0)) == len(vectors)


def test_codebooks_are_fitted_on_a_sample_of_many_items(vectors: np.ndarray) -> None:
    books = semantic_ids.fit(vectors, codes=16, seed=3, sample=100)
    assert books.shape == (3, 16, 16)
    done = semantic_ids.assign(vectors, books)
    assert len(np.unique(done.codes, axis=0)) == len(vectors)


def test_slack_balances_the_clusters(vectors: np.ndarray) -> None:
    plain = semantic_ids.quantise(vectors, semantic_ids.fit(vectors, 1, 16, seed=0))[:, 0]
    even = semantic_ids.quantise(vectors, semantic_ids.fit(vectors, 1, 16, seed=0, slack=1.2))[:, 0]
    assert semantic_ids.perplexity(even, 16) > semantic_ids.perplexity(plain, 16)


def test_fewer_items_than_codes() -> None:
    few = unit(5, dim=16)
    books = semantic_ids.fit(few, codes=256)
    assert books.shape == (3, 256, 16)
    assert len(np.unique(semantic_ids.assign(few, books).codes, axis=0)) == 5


def test_perplexity_and_purity_by_hand() -> None:
    assert semantic_ids.perplexity(np.array([0, 0, 1, 1]), 4) == pytest.approx(2)
    codes = np.array([[0, 0], [0, 1], [1, 0]], dtype=np.uint8)
    labels = [["Drama"], ["Drama", "War"], ["Comedy"]]
    assert semantic_ids.purity(codes, labels, 1) == 1
    assert semantic_ids.purity(codes, [["Drama"], ["War"], []], 1) == 0.5
