"""Soft scales for every item: written scores where there are any, estimates elsewhere.

One ridge regression a scale, from the item's vector and its categories to the written
score. The estimates order a slate ("lighter", "less violent"); they are never stated as
facts. How good they are is reported as cross-validated R² and kept in the manifest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
LOW, HIGH, MIDDLE = 0.0, 4.0, 2.0
FOLDS = 5
ALPHAS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
ENOUGH = 50  # written scores below which nothing is estimated


class Estimates(NamedTuple):
    """``values``: name -> ``(N,)`` float32 in 0..4; ``r2``: cross-validated, per scale."""

    values: dict[str, Floats]
    r2: dict[str, float]


def estimate(
    names: list[str],
    written: list[dict[str, float]],
    vectors: Floats,
    scored_vectors: Floats,
    categories: list[list[str]],
) -> Estimates:
    """Scales of all items.

    ``written``: one dict an item, empty where nobody scored it. ``vectors``: ``(N, d)`` of all
    items; ``scored_vectors``: ``(N, d)``, rows of scored items embedded *without* what was
    written about them, so that the fit sees what the unscored items offer.
    With fewer than ``ENOUGH`` scores a scale stays at its middle where none is written.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    labels = sorted({name for row in categories for name in row})
    one_hot = np.array([[name in row for name in labels] for row in categories], dtype=np.float32)
    one_hot = one_hot.reshape(len(written), len(labels))
    values: dict[str, Floats] = {}
    r2: dict[str, float] = {}
    for name in names:
        rows = np.array([i for i, scores in enumerate(written) if name in scores], dtype=np.int64)
        truth = np.array([written[i][name] for i in rows], dtype=np.float32)
        column = np.full(len(written), MIDDLE, dtype=np.float32)
        if len(rows) >= ENOUGH:
            features = np.hstack([scored_vectors[rows], one_hot[rows]])
            model = RidgeCV(alphas=ALPHAS)
            folds = KFold(FOLDS, shuffle=True, random_state=0)
            guess = cross_val_predict(model, features, truth, cv=folds)
            spread = float(((truth - truth.mean()) ** 2).sum())
            r2[name] = round(1 - float(((truth - guess) ** 2).sum()) / max(spread, 1e-9), 3)
            model.fit(features, truth)
            column = model.predict(np.hstack([vectors, one_hot])).astype(np.float32)
        column[rows] = truth
        values[name] = np.clip(column, LOW, HIGH)
    return Estimates(values, r2)
