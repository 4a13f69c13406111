"""Search: items by meaning, among those that satisfy the constraints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from catalog.filters import Clause, compile
from catalog.items import Catalog
from tools.features import Encoder, Store


class Hit(NamedTuple):
    """An item found, and the cosine of its vector with the query's, -1..1."""

    row: int
    item_id: str
    score: float


def search(
    text: str,
    *,
    catalog: Catalog,
    store: Store,
    embedder: Encoder,
    clauses: Sequence[Clause] = (),
    exclude: Sequence[str] = (),
    k: int = 20,
) -> list[Hit]:
    """Find items whose content is close in meaning to ``text``, best first.

    Use it for a description ("a lighthouse keeper going mad"), not for a title (that is
    ``find_title``) and not for what a person would like (that is ``recommend``). ``clauses``
    are hard constraints on facets, ``exclude`` ids that must not come back; fewer than ``k``
    hits mean that no more items satisfy them. Raises ``FilterError`` on a bad clause.
    """
    allowed = compile(catalog, clauses)
    allowed[[catalog.row(item_id) for item_id in exclude if catalog.has(item_id)]] = False
    if not text.strip() or not allowed.any() or k < 1:
        return []
    vector = np.asarray(embedder.encode([text])[0], dtype=np.float32)
    rows, scores = store.query(vector, k, allowed)
    ids = catalog.ids
    return [Hit(int(r), ids[int(r)], float(s)) for r, s in zip(rows, scores, strict=True)]
