"""The built catalogue folder: what lies in it, written whole or not at all.

    manifest.json      format version, counts, bytes and sha256 of every data file
    domain.yaml        facets, scales, words (hand-written; edit it and start again)
    items.parquet      id, title, link, popularity, editorial, one column a facet
    vectors.npz        int8 rows and a float16 scale each; unit float32 once loaded
    vectors.npy        instead of it above ``LARGE`` items: unit float32, memory-mapped
    semantic_ids.npz   codes (N, 3) uint8, codebooks (3, 256, 384) float16
    about.npz          vectors of what items are about, for those with such a text: rows, int8
    scales.npz         names, and (N, S) uint8 in fiftieths (0..200 for 0..4)
    related.npz        co-mention counts, scipy CSR
    (anything else the source carried along: NOTICE.md, editorial.jsonl, dialogues.npz)
    segments.json      what changed since, with segments/ (``catalog.segments``)

A folder is written beside its place and swapped in with one rename, so a reader sees the
old catalogue or the new one. Opening checks version, presence and sizes (an interrupted
copy); ``verify`` also hashes.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp

from catalog.errors import BuildError, CatalogError
from catalog.items import Catalog, Domain, Floats

FORMAT = 1
STEPS = 50  # scale values are stored in fiftieths
LARGE = 200_000  # items above which vectors are stored as they are used, and mapped
DATA_FILES = (
    "items.parquet",
    "vectors.npz",
    "about.npz",
    "semantic_ids.npz",
    "scales.npz",
    "related.npz",
)
DATA_SUFFIXES = (".npz", ".npy", ".parquet")
REBUILD = "Rebuild it with `python -m catalog.build SOURCE --out DIR`"
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class Packed(NamedTuple):
    """Vectors as int8 rows ``(n, d)`` and a float16 scale ``(n,)`` each."""

    rows: np.ndarray
    scale: np.ndarray


Shipped = Packed | Floats


def load(path: Path) -> Catalog:
    """Open a built folder. ``CatalogError`` names the path, what is wrong and the remedy."""
    from catalog import segments

    manifest = read_manifest(path)
    head = segments.read_head(path, manifest)
    mapped = "vectors.npy" in manifest["files"]
    check_sizes(path, manifest)
    domain = Domain.read(path / "domain.yaml")
    try:
        df = pl.read_parquet(path / "items.parquet")
        vectors: Floats
        if mapped:
            # Copy on write: what an edited item's vector is now is laid over it in memory.
            vectors = np.load(path / "vectors.npy", mmap_mode="c")
        else:
            with np.load(path / "vectors.npz") as data:
                vectors = unpack_vectors(data["rows"], data["scale"])
        with np.load(path / "about.npz") as data:
            about = data["items"].astype(np.int64), unpack_vectors(data["rows"], data["scale"])
        with np.load(path / "semantic_ids.npz") as data:
            codes, codebooks = data["codes"], data["codebooks"].astype(np.float32)
        with np.load(path / "scales.npz") as data:
            names = [str(name) for name in data["names"]]
            columns = data["values"].astype(np.float32) / STEPS
        related = sp.load_npz(path / "related.npz").tocsr()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise CatalogError(f"{path} is damaged ({error}). {REBUILD}.") from error
    n = manifest["items"]
    lengths = {len(df), len(vectors), len(codes), len(columns), related.shape[0]}
    if lengths != {n}:
        raise CatalogError(f"{path} disagrees on its size: {sorted(lengths | {n})}. {REBUILD}.")
    absent = [facet.name for facet in domain.facets if facet.name not in df.columns]
    if absent:
        raise CatalogError(
            f"{path / 'domain.yaml'} names facets without a column: {', '.join(absent)}. "
            f"Remove them, or rebuild: {REBUILD}."
        )
    base = Catalog(
        df=df,
        domain=domain,
        vectors=vectors,
        about_rows=about[0],
        about_vectors=about[1],
        codes=codes,
        codebooks=codebooks,
        scales={name: np.ascontiguousarray(columns[:, i]) for i, name in enumerate(names)},
        related=related,
        path=path,
        fingerprint=fingerprint(manifest),
    )
    return segments.opened(base, head)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, checked for version. ``CatalogError`` otherwise."""
    file = path / "manifest.json"
    if not path.is_dir() or not file.is_file():
        raise CatalogError(f"{path} is not a built catalogue: it has no manifest.json. {REBUILD}.")
    try:
        manifest: dict[str, Any] = json.loads(file.read_text("utf-8"))
        version, _, _ = manifest["format"], manifest["items"], manifest["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{file} cannot be read ({error!r}). {REBUILD}.") from error
    if version != FORMAT:
        raise CatalogError(f"{file} has format {version}, this Parley reads {FORMAT}. {REBUILD}.")
    return manifest


def fingerprint(manifest: dict[str, Any]) -> str:
    """A short hash of the data files' hashes: the same data, the same fingerprint."""
    parts = {k: v["sha256"] for k, v in sorted(manifest["files"].items())}
    if "domain" in manifest:  # words changed by a build are a change too
        parts["domain.yaml"] = manifest["domain"]
    text = json.dumps(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def verify(path: Path) -> None:
    """Hash every data file. ``CatalogError`` names the first that differs."""
    from catalog import segments

    for name, entry in read_manifest(path)["files"].items():
        check_size(path / name, entry)
        if sha256(path / name, entry["bytes"]) != entry["sha256"]:
            raise CatalogError(f"{path / name} has another sha256 than its manifest. {REBUILD}.")
    segments.verify(path)


def check_sizes(path: Path, manifest: dict[str, Any]) -> None:
    """``CatalogError`` when a data file is missing or was cut off."""
    mapped = "vectors.npy" in manifest["files"]
    for name in DATA_FILES:
        own = "vectors.npy" if mapped and name == "vectors.npz" else name
        check_size(path / own, manifest["files"].get(own))


def check_size(file: Path, entry: dict[str, Any] | None) -> None:
    if entry is None:
        raise CatalogError(f"{file.parent} has no {file.name} in its manifest. {REBUILD}.")
    if not file.is_file():
        raise CatalogError(f"{file} is missing. {REBUILD}.")
    size = file.stat().st_size
    longer = file.name == "vectors.npy" and size > entry["bytes"]  # segments' vectors follow
    if size != entry["bytes"] and not longer:
        raise CatalogError(
            f"{file} has {size} bytes, its manifest says {entry['bytes']}. {REBUILD}."
        )


def sha256(path: Path, first: int | None = None) -> str:
    """Of a file, or of its ``first`` bytes."""
    with path.open("rb") as file:
        if first is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while first > 0 and (part := file.read(min(first, 1 << 20))):
            digest.update(part)
            first -= len(part)
        return digest.hexdigest()


def pack_vectors(vectors: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows to int8 and a float16 scale a row. Cosine to the original is above 0.9995."""
    scale = (np.abs(vectors).max(axis=1, keepdims=True) / 127).astype(np.float16)
    scale = np.maximum(scale, np.float16(1e-6))
    rows = np.clip(np.rint(vectors / scale.astype(np.float32)), -127, 127).astype(np.int8)
    return rows, scale[:, 0]


def unpack_vectors(rows: np.ndarray, scale: np.ndarray) -> Floats:
    """The inverse of ``pack_vectors``, rows normalised to length 1. Shape ``(n, d)`` float32."""
    vectors = rows.astype(np.float32)
    scale = scale.astype(np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors)) * scale
    vectors *= (scale / np.maximum(length, 1e-12))[:, None]
    unit: Floats = vectors
    return unit


def save_vectors(new: Path, vectors: Shipped) -> None:
    """Write vectors into a folder."""
    if isinstance(vectors, Packed):
        np.savez_compressed(new / "vectors.npz", rows=vectors.rows, scale=vectors.scale)
    else:
        np.save(new / "vectors.npy", vectors)


def ship(vectors: Floats) -> Shipped:
    """Unit rows in the form they are stored in: packed, or as they are above ``LARGE``."""
    return vectors if len(vectors) > LARGE else Packed(*pack_vectors(vectors))


def shipped(path: Path) -> Shipped:
    """The vectors of a built folder exactly as they are stored."""
    if (path / "vectors.npy").is_file():
        mapped: Floats = np.load(path / "vectors.npy", mmap_mode="r")
        return mapped
    with np.load(path / "vectors.npz") as data:
        return Packed(data["rows"], data["scale"])


def as_loaded(vectors: Shipped) -> Floats:
    """Vectors as ``load`` gives them back: ids must belong to those."""
    return unpack_vectors(*vectors) if isinstance(vectors, Packed) else vectors


def put_file(file: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.tmp")
    new.write_bytes(content)
    sync(new)
    new.replace(file)


def pack_scales(scales: dict[str, Floats], n: int) -> dict[str, Any]:
    """The arrays of ``scales.npz`` for ``n`` items."""
    columns = [np.clip(np.rint(v * STEPS), 0, 4 * STEPS) for v in scales.values()]
    values = np.stack(columns, axis=1) if columns else np.zeros((n, 0))
    return {"names": np.array(list(scales), dtype="U32"), "values": values.astype(np.uint8)}


def write(out: Path, fill: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Fill a new folder and swap it into place at ``out``; returns its manifest.

    ``fill`` writes the files into the folder it is given and returns what the manifest
    shall say besides (at least ``items``). Until the swap the old folder stays in use;
    if ``fill`` fails or the process dies, it stays for good.
    """
    out = out.resolve()
    if out.exists() and not (out / "manifest.json").is_file() and any(out.iterdir()):
        raise BuildError(f"{out} is not empty and no catalogue: choose a new or empty folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(f"{out.name}.tmp-{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        facts = fill(new)
        files = {
            name: {"bytes": (new / name).stat().st_size, "sha256": sha256(new / name)}
            for name in sorted(p.name for p in new.iterdir() if p.suffix in DATA_SUFFIXES)
        }
        if (new / "domain.yaml").is_file():
            facts = facts | {"domain": sha256(new / "domain.yaml")}
        manifest = {"format": FORMAT, **facts, "files": files}
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        (new / "manifest.json").write_text(text, "utf-8")
        for file in new.rglob("*"):
            sync(file)
        sync(new)
        _swap(new, out)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # after the swap, this is the old catalogue
    return manifest


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One build or update of a folder at a time. ``BuildError`` when another is running."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BuildError(
                f"{out} is being built or updated by another process: wait for that one."
            ) from error
        for left in out.parent.glob(f"{out.name}.tmp-*"):  # of a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield


def _swap(new: Path, out: Path) -> None:
    """Put ``new`` at ``out``; what was there ends at ``new``. Atomic on Linux."""
    if not out.exists():
        new.rename(out)
    elif not _exchange(new, out):  # other systems: two renames, undone if the second fails
        old = out.with_name(f"{out.name}.old-{os.getpid()}")
        out.rename(old)
        try:
            new.rename(out)
        except OSError:
            old.rename(out)
            raise
        old.rename(new)
    sync(out.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two paths in one step (Linux renameat2); False where there is no such call."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    done = renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE)
    return bool(done == 0)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
