"""The slate mask against brute force over sets of code tuples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import SlateError
from catalog.trie import SlateMask

CODE = st.integers(0, 3) | st.integers(0, 255)
TABLES = st.lists(st.tuples(CODE, CODE, CODE), min_size=1, max_size=40, unique=True)


def brute_force(
    codes: list[tuple[int, ...]], weights: list[float], gone: set[int], prefix: tuple[int, ...]
) -> dict[int, float]:
    """Next code -> weight behind it, by looking at every item."""
    sums: dict[int, float] = {}
    for row, code in enumerate(codes):
        if row not in gone and weights[row] > 0 and code[: len(prefix)] == prefix:
            step = code[len(prefix)]
            sums[step] = sums.get(step, 0.0) + weights[row]
    return sums


@settings(max_examples=200, deadline=None)
@given(TABLES, st.data())
def test_children_equal_brute_force(codes: list[tuple[int, ...]], data: st.DataObject) -> None:
    """Random catalogue, weights with zeros, emitted items and prefix: same codes, same sums."""
    n = len(codes)
    weights = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 8.0]), min_size=n, max_size=n))
    mask = SlateMask(codes)
    view = mask.narrow(weights)
    open_rows = [row for row in range(n) if weights[row] > 0]
    gone = data.draw(st.sets(st.sampled_from(open_rows))) if open_rows else set()
    for row in gone:
        view.emit(row)
    assert view.left == len(open_rows) - len(gone)
    near = data.draw(st.sampled_from(codes))
    prefix = near[: data.draw(st.integers(0, 2))]
    lo, hi = mask.node(prefix)
    want = brute_force(codes, weights, gone, prefix)
    if not want:
        with pytest.raises(SlateError):
            view.children(len(prefix), lo, hi)
        return
    kids = view.children(len(prefix), lo, hi)
    assert kids.tokens.tolist() == sorted(want)
    assert kids.weights == pytest.approx([want[code] for code in sorted(want)])
    for code, left, right in zip(kids.tokens, kids.los, kids.his, strict=True):
        inside = {codes[row] for row in mask.order[left:right]}
        assert inside == {c for c in codes if c[: len(prefix) + 1] == (*prefix, code)}


@settings(max_examples=100, deadline=None)
@given(TABLES, st.data())
def test_walking_the_mask_emits_each_allowed_item_once(
    codes: list[tuple[int, ...]], data: st.DataObject
) -> None:
    """Random walks under a random filter visit exactly the allowed items, none twice."""
    bits = data.draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes)))
    mask = SlateMask(codes)
    view = mask.narrow(bits)
    seen: list[int] = []
    while view.left:
        lo, hi = 0, len(mask)
        for level in range(mask.levels):
            kids = view.children(level, lo, hi)
            pick = data.draw(st.integers(0, len(kids.tokens) - 1))
            lo, hi = int(kids.los[pick]), int(kids.his[pick])
        assert hi == lo + 1
        row = int(mask.order[lo])
        view.emit(row)
        seen.append(row)
    assert sorted(seen) == [row for row, bit in enumerate(bits) if bit]
    with pytest.raises(SlateError, match="No allowed item"):
        view.children(0, 0, len(mask))


def test_prefix_sums_and_bits_form() -> None:
    mask = SlateMask([(1, 0, 0), (0, 2, 0), (0, 1, 5), (0, 1, 2)])
    assert mask.order.tolist() == [3, 2, 1, 0]
    assert mask.prefix([1, 2, 4, 8]).tolist() == [0, 8, 12, 14, 15]
    assert mask.allowed([1, 1, 1, 1]) == {0, 1}
    assert mask.allowed([0, 1, 1, 0], (0,)) == {1, 2}
    assert mask.allowed([0, 1, 1, 0], (0, 1)) == {5}


def test_a_weight_a_trillion_times_smaller_stays_reachable() -> None:
    mask = SlateMask([(0, 0, 0), (0, 0, 1), (1, 0, 0)])
    view = mask.narrow([1.0, 1.0, 1e-300])
    assert view.children(0, 0, 3).tokens.tolist() == [0, 1]
    view.emit(0)
    view.emit(1)
    assert view.children(0, 0, 3).tokens.tolist() == [1]


def test_fork_keeps_emissions_apart() -> None:
    view = SlateMask([(0, 0, 0), (0, 0, 1)]).narrow([1, 1])
    twin = view.fork()
    twin.emit(0)
    assert (view.left, twin.left) == (2, 1)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([(1, 2, 3), (1, 2, 3)], "share the semantic ID"),
        ([(1, 2, 256)], "0-255"),
        (np.zeros((0, 3), dtype=int), "shape"),
    ],
)
def test_bad_codes_are_refused(codes: object, said: str) -> None:
    with pytest.raises(SlateError, match=said):
        SlateMask(codes)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [[1, -1], [1, float("nan")], [1, float("inf")], [1]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(SlateError, match="Weights"):
        SlateMask([(0, 0, 0), (0, 0, 1)]).narrow(weights)


def test_emitting_what_is_not_allowed_is_refused() -> None:
    view = SlateMask([(0, 0, 0), (0, 0, 1)]).narrow([1, 0])
    with pytest.raises(SlateError, match="not allowed"):
        view.emit(1)
    view.emit(0)
    with pytest.raises(SlateError, match="not allowed"):
        view.emit(0)


def test_a_hundred_thousand_random_slate_items_hold_every_rule() -> None:
    """10 items a slate under random filters: none invalid, repeated or excluded."""
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 40, (4000, 3)), axis=0)
    mask = SlateMask(codes)
    emitted = 0
    for _ in range(1000):
        bits = rng.random(len(codes)) < rng.choice([0.003, 0.05, 0.9])
        view = mask.narrow(bits * rng.random(len(codes)))
        slate: list[int] = []
        while view.left and len(slate) < 10:
            lo, hi = 0, len(mask)
            for level in range(3):
                kids = view.children(level, lo, hi)
                pick = int(rng.integers(len(kids.tokens)))
                lo, hi = int(kids.los[pick]), int(kids.his[pick])
            slate.append(int(mask.order[lo]))
            view.emit(slate[-1])
        assert len(set(slate)) == len(slate) == min(10, int(bits.sum()))
        assert bits[slate].all()
        emitted += len(slate)
    assert emitted > 9000
