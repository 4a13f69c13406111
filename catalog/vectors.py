"""An item's text and its vector, with a cache so that a rebuild embeds only what changed.

The cache is one file to which rows are only ever appended, each with the hash of its text: a
build that is killed loses at most the rows of the last second, and a torn last row is cut off.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from catalog.embed import DIM, Embedder, Vectors, digest
from catalog.errors import EmbedError
from catalog.progress import Bar

MAX_WORDS = 180  # of the longest column; the encoder reads 256 WordPieces
CHUNK = 256  # new texts after which the cache is on disk
KEY = 12  # bytes of a text's hash
ROW = np.dtype([("key", f"V{KEY}"), ("vector", np.float16, (DIM,))])
HEAD_BYTES = 64


def head() -> bytes:
    """The first bytes of a cache file: of which encoder its vectors are."""
    return f"parley vectors 1 {digest()[:32]}".ljust(HEAD_BYTES - 1).encode() + b"\n"


FEW = 64  # texts that are encoded without a look at the cache
LONG = 60.0  # seconds of work beyond which it is said how long it will take


def item_text(record: dict[str, Any], columns: Sequence[str]) -> str:
    """What is embedded: the columns that have a value, each closed with a full stop."""
    parts = []
    for name in columns:
        value = record.get(name)
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
        words = text.split()[:MAX_WORDS]
        if words:
            parts.append(" ".join(words).rstrip(".") + ".")
    return " ".join(parts)


def embed(
    texts: Sequence[str],
    cache: Path | None = None,
    bar: Bar | None = None,
    threads: int = 1,
) -> Vectors:
    """Unit vectors of texts. Shape ``(n, 384)`` float32. ``cache``: a file of earlier results.

    Only texts that the cache lacks are encoded; they are appended as they come, so an
    interrupted build goes on where it stopped. The encoder is not even loaded when nothing is
    new. ``EmbedError`` when ``cache`` is another kind of file.
    """
    keys = [key_of(text) for text in texts]
    known = Cache(cache)
    todo = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
    if todo:
        new = sorted(todo, key=lambda key: len(todo[key]))
        encoder = Embedder(threads=threads)
        advance = None if bar is None else bar.advance
        if bar is not None:
            bar.begin(len(new))
            started = time.monotonic()
            sample = [todo[key] for key in new[:: max(1, len(new) // 32)][:32]]
            encoder.encode(sample)
            expected = (time.monotonic() - started) / len(sample) * len(new)
            if expected > LONG:
                bar.say(f"embedding {len(new)} texts will take about {duration(expected)}")
        for start in range(0, len(new), CHUNK):
            part = new[start : start + CHUNK]
            vectors = encoder.encode([todo[key] for key in part], progress=advance)
            known.add(part, vectors)
    return known.take(keys)


def embed_rows(
    texts: Sequence[str],
    cache: Path | None = None,
    bar: Bar | None = None,
    threads: int = 1,
) -> Vectors:
    """As ``embed``; a few texts are encoded without reading a large cache of earlier ones.

    They are added to it, so that a later build finds them. Rounded as the cache stores them.
    """
    if len(texts) > FEW:
        return embed(texts, cache, bar, threads)
    if not texts:
        return np.zeros((0, DIM), dtype=np.float32)
    found = _encoder(threads, digest()).encode(list(texts)).astype(np.float16).astype(np.float32)
    if cache is not None:
        append(cache, as_rows([key_of(text) for text in texts], found))
    return found


@lru_cache(maxsize=1)
def _encoder(threads: int, of: str) -> Embedder:
    """Loaded once a process: who updates again and again waits for it the first time only."""
    return Embedder(threads=threads)


def as_rows(keys: Sequence[bytes], vectors: Vectors) -> np.ndarray:
    """Rows of a cache file, the vectors rounded so that a cached build equals a fresh one."""
    rows = np.zeros(len(keys), dtype=ROW)
    rows["key"] = np.array(keys, dtype=f"V{KEY}")
    rows["vector"] = vectors.astype(np.float16)
    return rows


def append(path: Path, rows: np.ndarray) -> None:
    """Write rows at the end of a cache file, on disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if not file.tell():
            file.write(head())
        file.write(rows.tobytes())
        file.flush()
        os.fsync(file.fileno())


def key_of(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:KEY]


def duration(seconds: float) -> str:
    """ "40 seconds", "12 minutes", "5.1 hours"."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


class Cache:
    """Text hash -> float16 vector, in memory and, with a path, in an append-only file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows = np.zeros(0, dtype=ROW)
        self._fresh: list[np.ndarray] = []
        if path is not None and path.is_file() and path.stat().st_size:
            self._rows = self._read(path)
        self._at: dict[bytes, int] = {k.tobytes(): i for i, k in enumerate(self._rows["key"])}

    def _read(self, path: Path) -> np.ndarray:
        with path.open("r+b") as file:
            if file.read(HEAD_BYTES) != head():
                raise EmbedError(
                    f"{path} holds no vectors of this encoder: delete it, or name another file "
                    "with --cache."
                )
            whole = (path.stat().st_size - HEAD_BYTES) // ROW.itemsize
            file.truncate(HEAD_BYTES + whole * ROW.itemsize)  # a row torn by a crash
        if not whole:
            return np.zeros(0, dtype=ROW)
        return np.memmap(path, dtype=ROW, mode="r", offset=HEAD_BYTES, shape=(whole,))

    def __contains__(self, key: bytes) -> bool:
        return key in self._at

    def add(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Keep rows, on disk before this returns."""
        rows = as_rows(keys, vectors)
        base = len(self._at)
        self._at.update((key, base + i) for i, key in enumerate(keys))
        self._fresh.append(rows)
        if self._path is not None:
            append(self._path, rows)

    def take(self, keys: Sequence[bytes]) -> Vectors:
        """The vectors of keys, all known. Shape ``(n, 384)`` float32."""
        out = np.empty((len(keys), DIM), dtype=np.float32)
        at = np.fromiter((self._at[key] for key in keys), dtype=np.int64, count=len(keys))
        held = len(self._rows)
        old = np.flatnonzero(at < held)
        for start in range(0, len(old), 65_536):
            part = old[start : start + 65_536]
            out[part] = self._rows["vector"][at[part]]
        new = np.flatnonzero(at >= held)
        if len(new):
            out[new] = np.concatenate(self._fresh)["vector"][at[new] - held]
        return out
