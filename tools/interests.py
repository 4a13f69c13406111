"""Several interests instead of one average taste: kNN-Embed (El-Kishky et al., 2022), in small.

Who likes war films and musicals is not served by what lies between them. Liked items fall into a
few clusters; each is a query of its own and finds a share of the candidates, and an item counts
for its likeness to the interest it is nearest to, not to the mean of all.

    found = interests(catalog.vectors[liked])
    rows = found.nearest(catalog.vectors, allowed, 300)
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tools.features import Bitmap, Floats, Rows

MOST: Final = 6  # interests of one person
ALIKE: Final = 0.55  # cosine from which a liked item belongs to an interest that is there
ROUNDS: Final = 4


class Interests(NamedTuple):
    """``centres`` (k, d) unit rows; ``shares`` (k,) of the liked items, summing to 1."""

    centres: Floats
    shares: Floats

    def likeness(self, vectors: Floats) -> Floats:
        """Cosine with the nearest interest. ``vectors`` (n, d); returns (n,)."""
        found: Floats = (vectors @ self.centres.T).max(1)
        return found

    def nearest(self, vectors: Floats, allowed: Bitmap, count: int) -> Rows:
        """About ``count`` allowed rows: of each interest the nearest, as many as its share."""
        rows = np.flatnonzero(allowed)
        found = [np.zeros(0, np.int64)]
        for centre, share in zip(self.centres, self.shares, strict=True):
            most = min(max(1, round(count * float(share))), len(rows))
            if most:
                scores = vectors[rows] @ centre
                found.append(rows[np.argpartition(-scores, most - 1)[:most]])
        return np.unique(np.concatenate(found))


def interests(liked: Floats) -> Interests:
    """Clusters of liked items. ``liked`` (n, d) unit rows, best liked first; n >= 1.

    Leaders first (an item unlike all leaders begins an interest), then a few rounds of spherical
    k-means; no chance is involved, so the same history gives the same interests.
    """
    leaders = [0]
    for k in range(1, len(liked)):
        if len(leaders) < MOST and float((liked[leaders] @ liked[k]).max()) < ALIKE:
            leaders.append(k)
    centres = liked[leaders]
    for _ in range(ROUNDS):
        home = (liked @ centres.T).argmax(1)
        sums = np.stack([liked[home == k].sum(0) for k in range(len(centres))])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 0, sums / np.where(norms > 0, norms, 1), centres)
    home = (liked @ centres.T).argmax(1)
    shares = np.bincount(home, minlength=len(centres)) / len(liked)
    kept = shares > 0
    return Interests(centres[kept].astype(np.float32), shares[kept].astype(np.float32))
