"""EASE against its definition, and a conversation left out against fitting without it."""

import numpy as np
import scipy.sparse as sp

from tools.ease import Ease


def conversations(seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    table = (rng.random((60, 12)) < 0.25).astype(np.float32)
    table[:, 11] = 0
    table[:30, 3] = table[:30, 2]  # 2 and 3 go together
    return sp.csr_matrix(table)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others() -> None:
    items = conversations()
    ease = Ease.fit(items, ridge=5.0)
    assert ease.place[11] == -1
    dense = np.asarray(items.todense())[:, :11].astype(np.float64)
    others = [k for k in range(11) if k != 3]
    gram = dense[:, others].T @ dense[:, others] + 5.0 * np.eye(10)
    expected = np.linalg.solve(gram, dense[:, others].T @ dense[:, 3])
    found = [ease.scores([k])[3] for k in others]
    assert np.allclose(found, expected, atol=1e-5)
    assert np.isclose(ease.scores([2, 5])[3], ease.scores([2])[3] + ease.scores([5])[3])


def test_leaving_a_conversation_out_is_fitting_without_it() -> None:
    items = conversations()
    whole = Ease.fit(items, ridge=5.0)
    for left in (0, 7, 40):
        kept = np.delete(np.arange(60), left)
        fresh = Ease.fit(items[kept], ridge=5.0)
        assert (fresh.place == whole.place).all()  # every item is still named twice
        own = items[left].indices
        assert np.allclose(whole.scores([2, 4], own), fresh.scores([2, 4]), atol=1e-6)


def test_unknown_items_score_nothing_and_nothing_known_is_no_error() -> None:
    ease = Ease.fit(conversations(), ridge=5.0)
    assert not ease.scores([]).any()
    assert not ease.scores([11]).any()
    assert ease.scores([2])[11] == 0
    none = Ease.fit(sp.csr_matrix((0, 5), dtype=np.float32))
    assert none.scores([1]).tolist() == [0.0] * 5
