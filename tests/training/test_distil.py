"""The teacher moves weight within the list and nothing else."""

import numpy as np
import pytest
import scipy.sparse as sp

from tools.candidates import Prior
from tools.ease import Ease
from tools.features import Query
from training.distil import Teacher


def conversations(seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    table = (rng.random((60, 12)) < 0.25).astype(np.float32)
    table[:, 11] = 0
    table[:30, 3] = table[:30, 2]  # 2 and 3 go together
    return sp.csr_matrix(table)


def test_the_teacher_keeps_the_tail() -> None:
    weights = np.array([0.0, 0.1, 0.3, 0.2, 0.4, *[0.0] * 7])
    top = np.array([4, 2, 3])
    nothing = np.zeros((3, 0), np.float32)
    prior = Prior(weights, top, nothing, nothing, nothing)
    ease = Ease.fit(conversations(), ridge=5.0)
    taught = Teacher(ease, 3.0).weights(Query(liked=(2,)), prior)
    assert taught[1] == weights[1]
    assert taught[top].sum() == pytest.approx(weights[top].sum())
    assert taught[3] / taught[4] > weights[3] / weights[4]
    same = Teacher(ease, 0.0).weights(Query(liked=(2,)), prior)
    assert np.allclose(same, weights)
