"""An item's text and its vector, with a cache so that a rebuild embeds only what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catalog.embed import DIM, Embedder, Vectors

MAX_WORDS = 180  # of the longest column; the encoder reads 256 WordPieces
CHUNK = 1024  # the cache is saved after this many new texts


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
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
) -> Vectors:
    """Unit vectors of texts. Shape ``(n, 384)`` float32. ``cache``: an npz of earlier results.

    Only texts that the cache lacks are encoded; it is saved as they come, so an interrupted
    build goes on where it stopped. The encoder is not even loaded when nothing is new.
    """
    known = _read(cache)
    keys = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in texts]
    todo = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if todo:
        encoder = Embedder(threads=threads)
        new = sorted(todo, key=lambda key: len(todo[key]))
        for start in range(0, len(new), CHUNK):
            part = new[start : start + CHUNK]
            vectors = encoder.encode([todo[key] for key in part], progress=progress)
            # rounded as the cache stores them, so that a cached build equals a fresh one
            known.update(zip(part, vectors.astype(np.float16), strict=True))
            if cache is not None:
                _write(cache, known)
    out = np.stack([known[key] for key in keys]) if keys else np.zeros((0, DIM))
    return out.astype(np.float32)


def _read(cache: Path | None) -> dict[str, np.ndarray]:
    if cache is None or not cache.is_file():
        return {}
    with np.load(cache) as data:
        return dict(zip(data["keys"].tolist(), data["vectors"], strict=True))


def _write(cache: Path, known: dict[str, np.ndarray]) -> None:
    partial = cache.with_suffix(".partial.npz")
    vectors = np.stack(list(known.values()))
    np.savez(partial, keys=np.array(list(known)), vectors=vectors)
    partial.replace(cache)
