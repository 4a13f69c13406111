"""From prepared items to the catalogue folder: vectors, semantic IDs, scales, and the swap."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from rich.console import Console

from catalog import folder, scales, semantic_ids, vectors
from catalog.embed import DIM, Vectors, digest
from catalog.errors import BuildError
from catalog.items import Catalog
from catalog.prepared import Prepared
from catalog.progress import Bar

Record = dict[str, Any]
BLOCK = 65_536  # rows of vectors worked on at a time
MOST_CHANGES = 50_000  # item ids that a manifest lists


class Ids(NamedTuple):
    codebooks: Vectors
    codes: npt.NDArray[np.uint8]
    facts: Record  # for the manifest


def finish(
    prepared: Prepared,
    out: Path,
    seed: int,
    fresh_ids: bool,
    cache: Path,
    threads: int,
    console: Console | None,
    *,
    reindex: bool = True,
    given: Path | None = None,
) -> Record:
    """Vectors, IDs, scales; then the folder, swapped in.

    ``reindex``: an item whose text changed gets the code of its new vector (else it keeps the
    old one). ``given``: a file of vectors made elsewhere, one row an item.
    """
    items = prepared.df["id"].to_list()
    old = Catalog.open(out) if (out / "manifest.json").is_file() else None
    with Bar(console) as bar:
        if given is not None:
            exact = given_vectors(given, len(items))
        else:
            exact = vectors.embed(prepared.texts, cache, bar, threads)
        stored = folder.ship(exact)
        loaded = folder.as_loaded(stored)
        kept = None if fresh_ids else old
        ids = semantic_ids_of(items, loaded, kept, seed, reindex)
        estimates = estimate_scales(prepared, loaded, exact, cache, threads)
        about_rows, about_texts = prepared.about
        about = vectors.embed(about_texts, cache, bar, threads)
    return write(
        Finished(
            prepared.df,
            stored,
            ids,
            estimates,
            np.array(about_rows, dtype=np.int32),
            folder.Packed(*folder.pack_vectors(about)),
            prepared.related,
            prepared.carry,
            prepared.written,
            {"name": prepared.domain.name, **changes(items, loaded, old)},
        ),
        out,
    )


class Finished(NamedTuple):
    """All that stands in a catalogue folder; ``facts`` go into its manifest."""

    df: pl.DataFrame
    vectors: folder.Shipped
    ids: Ids
    scales: scales.Estimates
    about_rows: npt.NDArray[np.int32]
    about: folder.Packed
    related: sp.csr_matrix
    carry: dict[str, Path]
    written: dict[str, str]
    facts: Record
    dialogues: dict[str, Any] | None = None  # arrays of dialogues.npz, rows renumbered


def write(done: Finished, out: Path) -> Record:
    """Write a folder and swap it in; returns its manifest."""
    n = len(done.df)
    small = n <= folder.LARGE  # beyond, time is dearer than disk

    def fill(new: Path) -> Record:
        done.df.write_parquet(new / "items.parquet", compression_level=15 if small else 3)
        folder.save_vectors(new, done.vectors)
        np.savez_compressed(
            new / "semantic_ids.npz",
            codes=done.ids.codes,
            codebooks=done.ids.codebooks.astype(np.float16),
        )
        np.savez_compressed(new / "scales.npz", **folder.pack_scales(done.scales.values, n))
        np.savez_compressed(
            new / "about.npz", items=done.about_rows, rows=done.about.rows, scale=done.about.scale
        )
        sp.save_npz(new / "related.npz", done.related, compressed=small)
        if done.dialogues is not None:
            np.savez_compressed(new / "dialogues.npz", **done.dialogues)
        for name, file in done.carry.items():
            (new / name).parent.mkdir(exist_ok=True)
            shutil.copy(file, new / name)
        for name, text in done.written.items():
            (new / name).write_text(text, "utf-8")
        return {
            **done.facts,
            "items": n,
            "encoder": digest(),
            "semantic_ids": done.ids.facts,
            "scales_r2": done.scales.r2,
        }

    return folder.write(out, fill)


def given_vectors(path: Path, n: int) -> Vectors:
    """Vectors made elsewhere with the same encoder, mapped. ``BuildError`` on another shape."""
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} is no .npy file of vectors ({error}).") from error
    if found.shape != (n, DIM):
        raise BuildError(f"{path} has shape {found.shape}: ({n}, {DIM}) is needed, a row an item.")
    out = np.empty((n, DIM), dtype=np.float32)
    for start in range(0, n, BLOCK):
        part = found[start : start + BLOCK].astype(np.float32)
        length = np.linalg.norm(part, axis=1, keepdims=True)
        if not np.isfinite(length).all() or not length.all():
            raise BuildError(f"{path} has rows that are zero or not finite: embed those again.")
        out[start : start + BLOCK] = part / length
    return out


def changes(items: list[str], loaded: Vectors, old: Catalog | None) -> Record:
    """The manifest's ``delta``: which items' vectors came, went or changed since ``old``."""
    if old is None:
        return {}
    now = set(items)
    known = [row for row, item in enumerate(items) if old.has(item)]
    before = [old.row(items[row]) for row in known]
    changed = [item for item in items if not old.has(item)]
    for start in range(0, len(known), BLOCK):
        here, there = known[start : start + BLOCK], before[start : start + BLOCK]
        same = (loaded[here] == old.vectors[there]).all(axis=1)
        changed += [items[row] for row, equal in zip(here, same, strict=True) if not equal]
    removed = [item for item in old.ids if item not in now]
    if len(changed) + len(removed) > MOST_CHANGES:
        return {}
    return {"delta": {"from": old.fingerprint, "changed": changed, "removed": removed}}


def estimate_scales(
    prepared: Prepared, items: Vectors, exact: Vectors, cache: Path, threads: int
) -> scales.Estimates:
    """Soft scales, where the domain has any."""
    if not prepared.domain.scales:
        return scales.Estimates({}, {})
    plain = exact if prepared.plain is None else vectors.embed(prepared.plain, cache, None, threads)
    facet = next((f.name for f in prepared.domain.facets if f.kind == "categories"), None)
    held = prepared.df[facet].to_list() if facet else [[]] * len(prepared.df)
    return scales.estimate(
        [scale.name for scale in prepared.domain.scales],
        prepared.scores,
        items,
        plain,
        [list(values or ()) for values in held],
    )


def semantic_ids_of(
    ids: list[str], items: Vectors, old: Catalog | None, seed: int, reindex: bool = False
) -> Ids:
    """Codes for all items: fitted, or the old ones kept and new items inserted."""
    if old is None:
        books = semantic_ids.fit(items, seed=seed).astype(np.float16).astype(np.float32)
        done = semantic_ids.assign(items, books)
        facts = {"seed": seed, **done._asdict()}
        del facts["codes"]
        return Ids(books, done.codes, {k: round(v, 5) for k, v in facts.items()})
    codes = np.zeros((len(ids), old.codes.shape[1]), dtype=np.uint8)
    known = np.array([i for i, item in enumerate(ids) if old.has(item)], dtype=np.int64)
    before = np.array([old.row(ids[i]) for i in known], dtype=np.int64)
    codes[known] = old.codes[before]
    place = np.ones(len(ids), dtype=np.bool_)
    place[known] = False
    if reindex:
        place[known[moved(items, known, old, before)]] = True
    fresh = np.flatnonzero(place)
    if len(fresh):
        codes[fresh] = semantic_ids.insert(items[fresh], codes[~place], old.codebooks)
    facts = folder.read_manifest(old.path)["semantic_ids"] if old.path else {}
    counts = {"kept": len(ids) - len(fresh), "inserted": len(fresh)}
    return Ids(old.codebooks, codes, facts | counts)


def moved(
    items: Vectors, known: npt.NDArray[np.int64], old: Catalog, before: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Which known items' vectors now belong under another prefix than their code has."""
    out = []
    for start in range(0, len(known), BLOCK):
        here, there = known[start : start + BLOCK], before[start : start + BLOCK]
        edited = np.flatnonzero((items[here] != old.vectors[there]).any(axis=1))
        if len(edited):
            nearest = semantic_ids.quantise(items[here[edited]], old.codebooks)
            prefix = nearest.shape[1] - 1
            gone = (nearest[:, :prefix] != old.codes[there[edited], :prefix]).any(axis=1)
            out.append(start + edited[gone])
    return np.concatenate(out) if out else np.zeros(0, dtype=np.int64)
