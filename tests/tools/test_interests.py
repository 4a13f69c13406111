"""Several interests: each finds its own, none is what lies between them."""

import numpy as np

from tools.interests import MOST, interests

EYE = np.eye(8, dtype=np.float32)


def near(axis: int, rng: np.random.Generator, n: int) -> np.ndarray:
    rows = EYE[axis] + 0.2 * rng.normal(size=(n, 8)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_two_interests_by_their_shares() -> None:
    rng = np.random.default_rng(0)
    found = interests(np.concatenate([near(0, rng, 6), near(3, rng, 2)]))
    assert len(found.centres) == 2
    assert sorted(found.shares.tolist()) == [0.25, 0.75]
    table = np.concatenate([EYE, near(0, rng, 20), near(3, rng, 20)])
    allowed = np.ones(len(table), dtype=np.bool_)
    allowed[8:11] = False
    rows = found.nearest(table, allowed, 16)
    assert not set(rows.tolist()) & {8, 9, 10}
    assert sum(8 <= r < 28 or r == 0 for r in rows) == 12 and len(rows) == 16
    between = (EYE[0] + EYE[3]) / np.sqrt(2)
    mean = found.likeness(np.stack([EYE[0], EYE[3], between.astype(np.float32)]))
    assert mean[0] > mean[2] and mean[1] > mean[2]


def test_one_item_many_items_and_nothing_allowed() -> None:
    assert interests(EYE[:1]).shares.tolist() == [1.0]
    many = interests(EYE)
    assert len(many.centres) == MOST and abs(many.shares.sum() - 1) < 1e-6
    assert len(many.nearest(EYE, np.zeros(8, dtype=np.bool_), 5)) == 0
