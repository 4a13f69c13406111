"""Vector search under a bitmap: Chroma holds the vectors, the catalogue's filter decides.

The collection is filled from ``catalog.vectors`` (nothing is embedded) the first time; when the
catalogue was rebuilt, only the vectors that came, went or changed are written. A filtered query
takes the cheapest exact-enough way for its bitmap:

* few items allowed: the matrix product over just those, exact;
* a part allowed: Chroma with ``ids=`` of the allowed;
* nearly all allowed: Chroma with some results to spare, the forbidden ones dropped.

    store = VectorStore.open(catalog, Path("~/.parley").expanduser())
    hits = store.query(vector, k=100, allowed=filters.compile(catalog, clauses))

Filling takes a millisecond an item. Over ``LARGE`` items that is not done at the start: until
``python -m catalog.store CATALOG --home HOME`` has filled the index, queries are answered by the
matrix product over all (a few tenths of a second at a million).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

from catalog.errors import StoreError
from catalog.items import Catalog
from catalog.progress import Bar

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
FEW = 2000  # allowed items up to which the matrix product is used
NEARLY_ALL = 0.95  # share of allowed items from which over-fetching is used
BATCH = 4000  # rows a Chroma call; SQLite limits the variables of one statement
SAME = 1e-5  # vectors that differ by less in every place are the same
LARGE = 200_000  # items above which the index is not filled at the start
log = logging.getLogger(__name__)
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

        ``home``: a folder for Chroma's files, the URL of a Chroma server, or a Chroma client.
        ``StoreError`` names the folder or server when Chroma cannot use it.
        """
        import chromadb
        import httpx

        server = isinstance(home, str) and home.startswith(("http://", "https://"))
        try:
            client: Any = _client(home) if isinstance(home, str | Path) else home
            return cls(catalog, _collection(client, catalog))
        except (OSError, ValueError, httpx.HTTPError, chromadb.errors.ChromaError) as error:
            if server:
                raise StoreError(
                    f"The Chroma server at {home} cannot be used ({error}): start it (chroma run), "
                    "or unset PARLEY_CHROMA_URL to keep the index in this process."
                ) from error
            raise StoreError(
                f"Chroma cannot use {home} ({error}): delete that folder, it is rebuilt from the "
                "catalogue, or name another."
            ) from error

    def grown(self, catalog: Catalog) -> VectorStore:
        """The same index over the catalogue after a change, brought up to date in place.

        The old store answers on: items that it does not know are left out.
        """
        if self._collection is not None:
            synchronise(self._collection, catalog, catalog.fingerprint)
        return VectorStore(catalog, self._collection)

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
            allowed = self._catalog.alive
        if allowed.shape != (n,):
            raise StoreError(f"allowed has shape {allowed.shape}: ({n},) is needed.")
        rows = np.flatnonzero(allowed)
        if len(rows) <= max(FEW, k) or self._collection is None:
            return self._exact(vector, k, rows)
        import httpx
        from chromadb.errors import ChromaError, NotFoundError

        try:
            if len(rows) >= NEARLY_ALL * n:
                hits = self._chroma(vector, min(k + (n - len(rows)), 2 * k + 50), None)
                keep = allowed[hits.rows]
                hits = Hits(hits.rows[keep][:k], hits.cosine[keep][:k])
            else:
                hits = self._chroma(vector, k, [self._catalog.ids[row] for row in rows])
        except NotFoundError:  # a rebuilt catalogue took this one's place during the query
            return self._exact(vector, k, rows)
        except (httpx.HTTPError, ChromaError) as error:  # a server that went away
            log.warning("the vector index does not answer, searching without it: %s", error)
            return self._exact(vector, k, rows)
        if len(hits.rows) < k:  # the graph search came back short: exact over the allowed
            return self._exact(vector, k, rows)
        return hits

    def _exact(self, vector: Floats, k: int, rows: Rows) -> Hits:
        vectors = self._catalog.vectors
        # Picking most rows of a large matrix copies it; the whole product is cheaper then.
        whole = 2 * len(rows) > len(vectors)
        cosine = (vectors @ vector)[rows] if whole else vectors[rows] @ vector
        if len(rows) > 4 * k:
            some = np.argpartition(-cosine, k)[: k + 1]
            rows, cosine = rows[np.sort(some)], cosine[np.sort(some)]
        best = np.argsort(-cosine, kind="stable")[:k]
        return Hits(rows[best], cosine[best])

    def _chroma(self, vector: Floats, k: int, ids: list[str] | None) -> Hits:
        result = self._collection.query(
            query_embeddings=[vector.tolist()], n_results=k, ids=ids, include=["distances"]
        )
        pairs = zip(result["ids"][0], result["distances"][0], strict=True)
        # a rebuilt catalogue may have written items that this one does not have
        held = [(self._catalog.row(i), 1 - d) for i, d in pairs if self._catalog.has(i)]
        rows = np.array([row for row, _ in held], dtype=np.int64)
        return Hits(rows, np.array([cosine for _, cosine in held], dtype=np.float32))


def _collection(client: Any, catalog: Catalog) -> Any | None:
    """This catalogue's collection, brought up to date; None where filling it would take long.

    The collection is named after the catalogue's folder. When the folder was rebuilt, only what
    changed is written: the manifest's ``delta`` says what, else the vectors are compared.
    """
    key = str(catalog.path.resolve()) if catalog.path else catalog.fingerprint or "unnamed"
    name = f"catalog-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    known = {collection.name for collection in client.list_collections()}
    for old in known:
        if old.startswith("items-"):  # as earlier versions named them, one for each build
            client.delete_collection(old)
    now = catalog.fingerprint or "unnamed"
    if name in known:
        found = client.get_collection(name, embedding_function=None)
        held = (found.metadata or {}).get("fingerprint")
        if held == now and found.count() == catalog.count:
            return found
    elif len(catalog) > LARGE:
        return None
    else:
        found = create(client, name)
    synchronise(found, catalog, now)
    return found


def create(client: Any, name: str) -> Any:
    """A new collection; one that another replica has just made is taken."""
    hnsw = {"space": "cosine", "ef_search": SEARCH_EF, "ef_construction": 100}
    return client.get_or_create_collection(
        name,
        embedding_function=None,
        metadata={"fingerprint": ""},
        configuration={"hnsw": hnsw},
    )


def synchronise(
    found: Any, catalog: Catalog, now: str, progress: Callable[[int], None] | None = None
) -> None:
    """Make a collection hold exactly this catalogue's vectors, writing as little as possible.

    Interrupted, it goes on where it stopped: the fingerprint is written last.
    """
    held_state = (found.metadata or {}).get("fingerprint")  # "" while half written, and when new
    change = delta(catalog, held_state) if held_state else None
    if change is not None:
        gone = [i for i in {*change.removed, *change.changed} if not catalog.has(i)]
        rows = [catalog.row(i) for i in change.changed if catalog.has(i)]
    else:
        gone, same = [], ~catalog.alive
        for start in range(0, found.count(), BATCH):
            page = found.get(include=["embeddings"], limit=BATCH, offset=start)
            gone += [item for item in page["ids"] if not catalog.has(item)]
            held = [k for k, item in enumerate(page["ids"]) if catalog.has(item)]
            at = [catalog.row(page["ids"][k]) for k in held]
            apart = np.abs(np.asarray(page["embeddings"])[held] - catalog.vectors[at])
            same[at] = apart.max(axis=1, initial=0) < SAME
        rows = np.flatnonzero(~same).tolist()
    found.modify(metadata={"fingerprint": ""})
    for start in range(0, len(gone), BATCH):
        found.delete(ids=gone[start : start + BATCH])
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        found.upsert(
            ids=[catalog.ids[row] for row in part],
            embeddings=np.ascontiguousarray(catalog.vectors[part]),
        )
        if progress is not None:
            progress(len(part))
    if change is not None and found.count() != catalog.count:  # another state than it said
        synchronise(found, catalog, now, progress)
    else:
        found.modify(metadata={"fingerprint": now})


class Delta(NamedTuple):
    """What was changed since the catalogue whose fingerprint was ``before``: item ids."""

    before: str
    changed: list[str]
    removed: list[str]


def delta(catalog: Catalog, held: str | None = None) -> Delta | None:
    """The change that led to this catalogue from the one of fingerprint ``held``.

    By its segments, and by what its manifest tells of the last build. None where neither knows
    that one. ``held`` None: from the one before the last build, else from before any segment.
    """
    if catalog.path is None:
        return None
    from catalog import segments
    from catalog.folder import read_manifest

    manifest = read_manifest(catalog.path)
    head = segments.read_head(catalog.path, manifest)
    said = manifest.get("delta")
    lacking, start = head.after(held or head.base), held or head.base
    changed: list[str] = []
    removed: list[str] = []
    if said and (lacking is None or held is None):
        start = said["from"] if held is None else held
        if start not in (said["from"], *said.get("via", ())):
            return None
        changed, removed = list(said["changed"]), list(said["removed"])
        lacking = head.segments
    if lacking is None or not (lacking or changed or removed):
        return None
    for one in lacking:
        changed += one.changed
        removed += one.removed
    return Delta(start, list(dict.fromkeys(changed)), list(dict.fromkeys(removed)))


def main(
    catalog: Annotated[Path, typer.Argument(help="a built catalogue folder")],
    home: Annotated[Path, typer.Option(envvar="PARLEY_HOME", help="folder of the index")],
) -> None:
    """Fill the index of a catalogue ahead of time; goes on where it was interrupted."""
    import chromadb

    opened = Catalog.open(catalog)
    client = _client(home)
    with Bar(Console(), "indexing") as bar:
        bar.begin(len(opened))
        key = hashlib.sha256(str(catalog.resolve()).encode()).hexdigest()[:16]
        try:
            found = client.get_collection(f"catalog-{key}", embedding_function=None)
        except chromadb.errors.NotFoundError:
            found = create(client, f"catalog-{key}")
        synchronise(found, opened, opened.fingerprint, bar.advance)


def _client(home: str | Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False, allow_reset=False)
    if isinstance(home, str) and home.startswith(("http://", "https://")):
        url = urlsplit(home)
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 8000)
        return chromadb.HttpClient(str(url.hostname), port, ssl=secure, settings=settings)
    folder = Path(home).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return chromadb.PersistentClient(path=str(folder), settings=settings)


if __name__ == "__main__":
    typer.run(main)
