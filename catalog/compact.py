"""A folder with segments written anew as one without: the same items, to the byte.

``catalog.update`` does it by itself when segments have become a share of the catalogue, as every
opening must take them all up. The folder in use stays until the swap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog import folder, images, scales, segments
from catalog.finish import Finished, Ids, write
from catalog.items import Catalog

Ints = npt.NDArray[np.int64]
SHARE = 0.05  # of the items, changed since the folder was written
LEAST = 200  # changed items below which segments stay
MOST = 500  # segments of whatever size
KEPT = frozenset(
    (*folder.DATA_FILES, "vectors.npy", "manifest.json", "dialogues.npz", segments.HEAD)
)


def due(path: Path) -> bool:
    """Have the segments become a share of the catalogue?"""
    manifest = folder.read_manifest(path)
    held = segments.read_head(path, manifest).segments
    changed = sum(len(one.changed) + len(one.removed) for one in held)
    return len(held) > MOST or changed > max(LEAST, SHARE * manifest["items"])


def compact(path: Path) -> None:
    """Write the folder anew; under the folder's lock. Nothing to do without segments."""
    manifest = folder.read_manifest(path)
    head = segments.read_head(path, manifest)
    if not head.segments:
        return
    old = Catalog.open(path)
    keep = np.flatnonzero(old.alive)
    place = np.full(len(old), -1, dtype=np.int64)
    place[keep] = np.arange(len(keep))
    about = place[old.about_rows]
    pictures = set(old.df["image"][keep]) if "image" in old.df.columns else set()
    carry = {
        name: file
        for file in path.rglob("*")
        if file.is_file() and not _left(name := str(file.relative_to(path)), pictures)
    }
    dialogues = path / "dialogues.npz"
    write(
        Finished(
            old.df[keep],
            stored(path, head, old, keep),
            Ids(old.codebooks, old.codes[keep], manifest["semantic_ids"]),
            scales.Estimates({n: v[keep] for n, v in old.scales.items()}, manifest["scales_r2"]),
            about[about >= 0].astype(np.int32),
            folder.Packed(*folder.pack_vectors(old.about_vectors[about >= 0])),
            old.related[keep][:, keep].tocsr(),
            carry,
            {},
            {"name": manifest["name"], "delta": delta(head), "same_as": head.fingerprint},
            dialogues=moved_dialogues(dialogues, old) if dialogues.is_file() else None,
        ),
        path,
    )


def delta(head: segments.Head) -> dict[str, Any]:
    """What the segments changed, for an index that knows the folder as it was before any."""
    changed = {item for one in head.segments for item in one.changed}
    removed = {item for one in head.segments for item in one.removed}
    via = [one.fingerprint for one in head.segments]
    return {"from": head.base, "via": via, "changed": sorted(changed), "removed": sorted(removed)}


def stored(path: Path, head: segments.Head, old: Catalog, keep: Ints) -> folder.Shipped:
    """Vectors of the kept rows exactly as they are stored."""
    held = folder.shipped(path)
    if not isinstance(held, folder.Packed):
        return np.ascontiguousarray(old.vectors[keep])
    where = {item: row for row, item in zip(stored_rows(old), old.ids, strict=True)}
    rows = [held.rows, *(p.rows for _, p in parts(path, head))]
    scale = [held.scale, *(p.scale for _, p in parts(path, head))]
    source = np.arange(int(max(where.values())) + 1)
    start = len(held.rows)
    for ids, one in parts(path, head):
        for k, item in enumerate(ids):
            if item in where:
                source[where[item]] = start + k
        start += len(one.rows)
    take = source[stored_rows(old)[keep]]
    return folder.Packed(np.concatenate(rows)[take], np.concatenate(scale)[take])


def parts(path: Path, head: segments.Head) -> list[tuple[list[str], folder.Packed]]:
    return [segments.packed(path, one) for one in head.segments]


def stored_rows(catalog: Catalog) -> Ints:
    """Where each row stands in the folder's files and segments."""
    return np.arange(len(catalog)) if catalog.stored is None else catalog.stored


def moved_dialogues(path: Path, catalog: Catalog) -> dict[str, Any]:
    """The bundled conversations with this catalogue's row numbers; removed items are left out."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    rows = stored_rows(catalog)
    live = catalog.alive
    place = np.full(int(max(rows.max(), arrays["items"].max(initial=0))) + 1, -1, dtype=np.int64)
    place[rows[live]] = np.cumsum(live)[live] - 1
    now = place[arrays["items"]]
    lengths = np.diff(arrays["starts"])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    stay = now >= 0
    sizes = np.bincount(owner[stay], minlength=len(lengths))
    arrays["items"] = now[stay].astype(np.int32)
    arrays["starts"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return arrays


def _left(name: str, pictures: set[str | None]) -> bool:
    """Is it written anew, of a segment, or a picture that no item has any more?"""
    folder_, _, file = name.rpartition("/")
    if folder_ == images.FOLDER:
        return name not in pictures
    return folder_ == segments.FOLDER or file in KEPT or file.startswith(".")
