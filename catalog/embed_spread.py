"""Embed a catalogue's texts on a Ray cluster: fills the cache that a build then reads from.

    python -m catalog.build items.parquet --out DIR --ray auto --ray-workers 16

A build that is killed goes on where it stopped, with Ray or without: each chunk of vectors is on
disk before the next is taken, and a text that the cache holds is embedded by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catalog.embed import Embedder, Vectors
from catalog.mapping import cluster, spread
from catalog.prepared import Prepared
from catalog.vectors import CHUNK, Cache, key_of


class Embedding:
    """In a worker: texts to vectors."""

    def __init__(self) -> None:
        self._encoder = Embedder(threads=1)

    def __call__(self, texts: list[str]) -> Vectors:
        return self._encoder.encode(texts)


def fill(prepared: Prepared, cache: Path, address: str, workers: int) -> int:
    """Embed every text of a catalogue that ``cache`` lacks; how many those were.

    Raises:
        MappingError: the cluster cannot be used.
        EmbedError: the encoder is missing there, or ``cache`` is another kind of file.
    """
    known = Cache(cache)
    texts = [*prepared.texts, *(prepared.plain or ()), *prepared.about[1]]
    wanted = {key_of(text): text for text in texts}
    todo = sorted((t for k, t in wanted.items() if k not in known), key=len)
    chunks: Sequence[list[str]] = [todo[k : k + CHUNK] for k in range(0, len(todo), CHUNK)]
    if not chunks:
        return 0
    with cluster(address, workers):
        for place, vectors in spread(Embedding, (), chunks, workers):
            known.add([key_of(text) for text in chunks[place]], vectors)
    return len(todo)
