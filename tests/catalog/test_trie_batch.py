"""The batched mask: equal to brute force, NumPy equal to torch, never open, never dead."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import SlateError
from catalog.trie import SlateMask
from catalog.trie_torch import TorchBatch, TorchTrie
from tests.catalog.test_trie import brute_force

CODE = st.integers(0, 2) | st.integers(0, 255)


@st.composite
def catalogues(draw: st.DrawFn) -> list[tuple[int, ...]]:
    levels = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[CODE] * levels), min_size=1, max_size=40, unique=True))


def some_weights(draw: Any, n: int) -> np.ndarray:
    """Bits or weights, among them some so small that sums would lose them."""
    if draw(st.booleans()):
        return np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    value = st.sampled_from([0.0, 1e-30, 0.5, 1.0, 8.0])
    return np.array(draw(st.lists(value, min_size=n, max_size=n)))


@settings(max_examples=150, deadline=None)
@given(catalogues(), st.data())
def test_a_step_equals_brute_force_and_torch(
    codes: list[tuple[int, ...]], data: st.DataObject
) -> None:
    """Requests with their own filters, exclusions and emissions; nodes of all of them at once."""
    draw, n, mask = data.draw, len(codes), SlateMask(codes)
    given = [some_weights(draw, n) for _ in range(draw(st.integers(1, 3)))]
    weights = [given[draw(st.integers(0, len(given) - 1))] for _ in range(draw(st.integers(1, 4)))]
    filters = {id(w): mask.filter(w) for w in given}
    rows = st.sets(st.integers(0, n - 1), max_size=n)
    gone = [draw(rows) for _ in weights]
    batch = mask.batch([filters[id(w)] for w in weights], [sorted(g) for g in gone])
    for owner, w in enumerate(weights):
        left = [row for row in range(n) if w[row] and row not in gone[owner]]
        assert batch.left[owner] == len(left)
        if left and draw(st.booleans()):
            row = draw(st.sampled_from(left))
            batch.emit([owner], mask.positions(row))
            gone[owner].add(row)
    level = draw(st.integers(0, mask.levels - 1))
    asked = []
    for owner, w in enumerate(weights):
        for code in codes[:6]:
            want = brute_force(codes, w.astype(float).tolist(), gone[owner], code[:level])
            if want:
                node = int(mask.path(mask.positions(codes.index(code)), level)[0])
                asked.append((owner, node, code[:level], want))
    if not asked:
        return
    owners, nodes = (np.array([a[i] for a in asked]) for i in (0, 1))
    step = batch.step(level, owners, nodes)
    twin = TorchBatch(batch).step(level, torch.from_numpy(owners), torch.from_numpy(nodes))
    np.testing.assert_array_equal(twin.weights.numpy(), step.weights)
    np.testing.assert_array_equal(twin.children.numpy(), step.children)
    np.testing.assert_array_equal(twin.logs(2.0).numpy() > -np.inf, step.logs(2.0) > -np.inf)
    for j, (owner, _, prefix, want) in enumerate(asked):
        assert set(np.flatnonzero(step.weights[j])) == set(want)
        for code, weight in want.items():
            assert step.weights[j, code] == pytest.approx(weight, abs=1e-11 * weights[owner].sum())
            child = int(step.children[j, code])
            below = mask.path(np.arange(n), level + 1) == child
            inside = {codes[row] for row in mask.order[below]}
            assert inside == {c for c in codes if c[: level + 1] == (*prefix, code)}


def random_slates(rng: np.random.Generator, mask: SlateMask, size: int, batch_size: int) -> int:
    """Decode a batch of random slates under random filters and exclusions; how many broke a rule.

    Every slate place is filled from ``left``, so a dead end would raise.
    """
    n = len(mask)
    bits = [rng.random(n) < rng.choice([0.01, 0.1, 0.9]) for _ in range(4)]
    for b in bits:
        b[rng.integers(n, size=3)] = True
    which = rng.integers(4, size=batch_size)
    excluded = [rng.integers(n, size=rng.integers(30)) for _ in range(batch_size)]
    filters = [mask.filter(b) for b in bits]
    batch = mask.batch([filters[w] for w in which], excluded)
    slates: list[list[int]] = [[] for _ in range(batch_size)]
    for _ in range(size):
        owners = np.flatnonzero(batch.left > 0)
        nodes = np.zeros(len(owners), dtype=np.int64)
        for level in range(mask.levels):
            step = batch.step(level, owners, nodes)
            noise = rng.random(step.weights.shape) * (step.weights > 0)
            nodes = step.children[np.arange(len(owners)), noise.argmax(axis=1)].astype(np.int64)
        batch.emit(owners, nodes)
        for owner, row in zip(owners, mask.order[nodes], strict=True):
            slates[owner].append(int(row))
    broken = 0
    for k, slate in enumerate(slates):
        room = int((bits[which[k]] & ~np.isin(np.arange(n), excluded[k])).sum())
        broken += (
            len(set(slate)) != min(size, room)
            or len(slate) != len(set(slate))
            or not bits[which[k]][slate].all()
            or bool(np.isin(slate, excluded[k]).any())
        )
    return broken


def test_two_thousand_random_slates_hold_every_rule() -> None:
    """The hundred thousand are ``python -m evals.bench.slate_mask``, and the slow test below."""
    rng = np.random.default_rng(0)
    mask = SlateMask(np.unique(rng.integers(0, 30, (3000, 3)), axis=0))
    assert sum(random_slates(rng, mask, 10, 200) for _ in range(10)) == 0


@pytest.mark.slow
def test_a_hundred_thousand_random_slates_hold_every_rule() -> None:
    rng = np.random.default_rng(1)
    mask = SlateMask(np.unique(rng.integers(0, 40, (20000, 3)), axis=0))
    assert sum(random_slates(rng, mask, 10, 500) for _ in range(200)) == 0


def test_inserting_while_others_decode_never_ends_in_a_dead_end() -> None:
    """Four threads decode on whatever mask is current while new items go in one by one."""
    rng = np.random.default_rng(2)
    keys = rng.permutation(8 * 8 * 8)
    codes = np.stack([keys // 64, keys // 8 % 8, keys % 8], axis=1)
    current = [SlateMask(codes[:200])]
    errors: list[BaseException] = []
    broken: list[int] = []
    done = threading.Event()

    def decode(seed: int) -> None:
        own = np.random.default_rng(seed)
        try:
            while not done.is_set():
                broken.append(random_slates(own, current[0], 5, 8))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=decode, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for k in range(200, len(codes)):
        current[0] = current[0].insert(codes[k : k + 1])
    done.set()
    for thread in threads:
        thread.join()
    assert not errors and broken and not any(broken)
    assert len(current[0]) == len(codes)


@settings(max_examples=60, deadline=None)
@given(catalogues(), st.integers(0, 40))
def test_insertion_equals_building_anew(codes: list[tuple[int, ...]], cut: int) -> None:
    cut = max(1, min(cut, len(codes)))
    grown, whole = SlateMask(codes[:cut]), SlateMask(codes)
    if cut < len(codes):
        grown = grown.insert(codes[cut:])
    for name in ("keys", "order", "parent"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(whole, name))
    for a, b in zip([*grown.firsts, *grown.kids], [*whole.firsts, *whole.kids], strict=True):
        np.testing.assert_array_equal(a, b)


def test_insertion_refuses_a_taken_code_and_other_levels() -> None:
    mask = SlateMask([(0, 0, 0), (0, 0, 1)])
    with pytest.raises(SlateError, match=r"share the semantic ID \[0, 0, 1\]"):
        mask.insert([(0, 0, 1)])
    with pytest.raises(SlateError, match="2 levels for a mask of 3"):
        mask.insert([(0, 5)])


def test_filters_of_equal_bits_are_kept_and_of_others_are_not() -> None:
    mask = SlateMask([(0, 0, 0), (0, 0, 1), (1, 0, 0)])
    bits = np.array([True, False, True])
    first = mask.filter(bits)
    assert mask.filter(bits.copy()) is first
    bits[0] = False  # the caller's array may change: the filter has its own copy
    assert mask.filter(bits) is not first
    assert first.allowed == 2 and mask.filter(bits).allowed == 1


def test_full_vocabulary_keeps_open_codes_only() -> None:
    mask = SlateMask([(3, 0, 0), (7, 0, 1), (9, 0, 0)])
    batch = mask.batch([mask.filter(np.array([True, True, False]))])
    step = batch.step(0, [0, 0], [0, 0])
    logits = np.zeros((2, 1000), dtype=np.float32)
    step.close(logits, 500)
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in logits] == [[503, 507]] * 2
    tensor = torch.zeros(2, 1000)
    zero = torch.zeros(2, dtype=torch.int64)
    TorchBatch(batch).step(0, zero, zero).close(tensor, 500)
    np.testing.assert_array_equal(tensor.numpy(), logits)
    with pytest.raises(SlateError, match="vocabulary of 700"):
        step.close(np.zeros((2, 700)), 500)


def test_bad_batches_are_refused() -> None:
    mask = SlateMask([(0, 0, 0), (0, 0, 1)])
    one = mask.filter(np.array([True, False]))
    with pytest.raises(SlateError, match="0 requests"):
        mask.batch([])
    with pytest.raises(SlateError, match="2 lists"):
        mask.batch([one], [[0], [1]])
    with pytest.raises(SlateError, match="Row 2"):
        mask.batch([one], [[2]])
    with pytest.raises(SlateError, match="not allowed"):
        mask.batch([one]).emit([0], mask.positions(1))
    with pytest.raises(SlateError, match="No allowed item"):
        mask.batch([one], [[0]]).step(0, [0], [0])
    with pytest.raises(SlateError, match="another mask"):
        TorchBatch(mask.batch([one]), TorchTrie(SlateMask([(0, 0, 0), (0, 0, 1)])))
