"""Vector search under a bitmap: Chroma holds the vectors, the catalogue's filter decides.

The collection is filled from ``catalog.vectors`` (nothing is embedded) the first time, and
again whenever the catalogue's fingerprint differs. A filtered query takes the cheapest
exact-enough way for its bitmap:

* few items allowed: the matrix product over just those, exact;
* a part allowed: Chroma with ``ids=`` of the allowed;
* nearly all allowed: Chroma with some results to spare, the forbidden ones dropped.

    store = VectorStore.open(catalog, Path("~/.parley").expanduser())
    hits = store.query(vector, k=100, allowed=filters.compile(catalog, clauses))
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalog.errors import StoreError
from catalog.items import Catalog

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
FEW = 2000  # allowed items up to which the matrix product is used
NEARLY_ALL = 0.95  # share of allowed items from which over-fetching is used
BATCH = 4000  # rows a Chroma call; SQLite limits the variables of one statement
#: half the build time of Chroma's defaults, same recall here (1.00 against the exact search)
CHEAP_GRAPH = {
    "ef_construction": 60,
    "max_neighbors": 12,
    "batch_size": BATCH,
    "sync_threshold": BATCH,
}
SEARCH_EF = 400  # HNSW beam at query time: recall@100 above .99 at 17 k items


class Hits(NamedTuple):
    """Nearest items, nearest first. Shapes: both ``(h,)`` with ``h <= k``."""

    rows: Rows
    cosine: Floats


class VectorStore:
    """A catalogue's vectors in a Chroma collection. Build it with ``open``."""

    def __init__(self, catalog: Catalog, collection: Any) -> None:
        self._catalog = catalog
        self._collection = collection

    @classmethod
    def open(cls, catalog: Catalog, home: str | Path | ClientAPI) -> VectorStore:
        """The collection of this catalogue, filled if absent or of another fingerprint.

        ``home``: a folder for Chroma's files, or a Chroma client (``HttpClient`` for a
        server). ``StoreError`` names the folder when Chroma cannot use it.
        """
        import chromadb
        from chromadb.config import Settings

        try:
            if isinstance(home, str | Path):
                folder = Path(home).expanduser()
                folder.mkdir(parents=True, exist_ok=True)
                settings = Settings(anonymized_telemetry=False, allow_reset=False)
                client: Any = chromadb.PersistentClient(path=str(folder), settings=settings)
            else:
                client = home
            return cls(catalog, _collection(client, catalog))
        except (OSError, ValueError, chromadb.errors.ChromaError) as error:
            raise StoreError(
                f"Chroma cannot use {home} ({error}): delete that folder, it is rebuilt from the "
                "catalogue, or name another."
            ) from error

    def query(
        self, vector: Floats, k: int = 100, allowed: npt.NDArray[np.bool_] | None = None
    ) -> Hits:
        """The ``k`` nearest allowed items to a unit vector ``(384,)``.

        ``allowed``: ``(N,)`` bool in row order, ``None`` for all. Fewer than ``k`` come back
        only when fewer are allowed. ``StoreError`` on a wrong shape or ``k < 1``.
        """
        n = len(self._catalog)
        if vector.shape != (self._catalog.vectors.shape[1],) or k < 1:
            raise StoreError(f"query needs a vector (384,) and k >= 1, got {vector.shape}, k={k}.")
        if allowed is None:
            allowed = np.ones(n, dtype=np.bool_)
        if allowed.shape != (n,):
            raise StoreError(f"allowed has shape {allowed.shape}: ({n},) is needed.")
        rows = np.flatnonzero(allowed)
        if len(rows) <= max(FEW, k):
            return self._exact(vector, k, rows)
        if len(rows) >= NEARLY_ALL * n:
            hits = self._chroma(vector, min(k + (n - len(rows)), 2 * k + 50), None)
            keep = allowed[hits.rows]
            hits = Hits(hits.rows[keep][:k], hits.cosine[keep][:k])
        else:
            hits = self._chroma(vector, k, [self._catalog.ids[row] for row in rows])
        if len(hits.rows) < k:  # the graph search came back short: exact over the allowed
            return self._exact(vector, k, rows)
        return hits

    def _exact(self, vector: Floats, k: int, rows: Rows) -> Hits:
        cosine = self._catalog.vectors[rows] @ vector
        best = np.argsort(-cosine, kind="stable")[:k]
        return Hits(rows[best], cosine[best])

    def _chroma(self, vector: Floats, k: int, ids: list[str] | None) -> Hits:
        result = self._collection.query(
            query_embeddings=[vector.tolist()], n_results=k, ids=ids, include=["distances"]
        )
        rows = np.array([self._catalog.row(i) for i in result["ids"][0]], dtype=np.int64)
        return Hits(rows, 1 - np.array(result["distances"][0], dtype=np.float32))


def _collection(client: Any, catalog: Catalog) -> Any:
    """The collection named by the fingerprint; a half-filled one is filled anew."""
    name = f"items-{catalog.fingerprint or 'unnamed'}"
    known = {collection.name for collection in client.list_collections()}
    if name in known:
        found = client.get_collection(name, embedding_function=None)
        if found.count() == len(catalog):
            return found
    for old in known:
        if old.startswith("items-"):
            client.delete_collection(old)
    fresh = client.create_collection(
        name,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_search": SEARCH_EF, "ef_construction": 100}},
    )
    for start in range(0, len(catalog), BATCH):
        stop = min(start + BATCH, len(catalog))
        fresh.add(ids=catalog.ids[start:stop], embeddings=catalog.vectors[start:stop])
    return fresh
