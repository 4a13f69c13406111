"""What changed since a folder was built: small segments beside it, appended, never rewritten.

    segments.json            the base's fingerprint, and each segment's files, ids and fingerprint
    segments/00001.parquet   rows of ``items.parquet`` that came or were edited
    segments/00001.npz       their vectors, codes, scales, about-vectors
    vectors.npy              of large catalogues: new items' vectors follow at its end, so that
                             all lie in one piece; ``segments.json`` says how many count

A segment's files are written and synced first, then ``segments.json`` is replaced in one step:
killed at any moment, a reader sees the change or does not. Nothing that a reader may have open
is changed. A rebuilt folder starts without segments; ``catalog.update --compact`` makes one.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from catalog import folder
from catalog.errors import CatalogError
from catalog.growth import Change, grown, without
from catalog.items import Catalog, Floats

HEAD = "segments.json"
FOLDER = "segments"
FORMAT = 1


class Segment(NamedTuple):
    """One entry of ``segments.json``; ``fingerprint`` is the catalogue's with it."""

    name: str
    changed: tuple[str, ...]  #: ids that came or were edited
    removed: tuple[str, ...]
    files: dict[str, dict[str, Any]]
    fingerprint: str


class Head(NamedTuple):
    """``base``: fingerprint of the folder without segments. ``total``: rows of all together."""

    base: str
    segments: tuple[Segment, ...] = ()
    total: int = 0

    @property
    def fingerprint(self) -> str:
        return self.segments[-1].fingerprint if self.segments else self.base

    def after(self, fingerprint: str) -> tuple[Segment, ...] | None:
        """The segments that a catalogue of this fingerprint lacks; None if it is another one."""
        known = [self.base, *(s.fingerprint for s in self.segments)]
        if fingerprint not in known:
            return None
        return self.segments[known.index(fingerprint) :]


def read_head(path: Path, manifest: dict[str, Any] | None = None) -> Head:
    """The segments of a folder; none where there is no file. ``CatalogError`` on a bad one."""
    manifest = folder.read_manifest(path) if manifest is None else manifest
    base = folder.fingerprint(manifest)
    file = path / HEAD
    try:
        data = json.loads(file.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise CatalogError(f"{file} has format {data['format']}, this Parley reads {FORMAT}.")
        found = tuple(
            Segment(
                s["name"], tuple(s["changed"]), tuple(s["removed"]), s["files"], s["fingerprint"]
            )
            for s in data["segments"]
        )
        head = Head(data["base"], found, data["total"])
    except FileNotFoundError:
        return Head(base, (), manifest["items"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{file} cannot be read ({error!r}). {folder.REBUILD}.") from error
    if head.base != base:
        raise CatalogError(
            f"{file} belongs to another catalogue ({head.base}, this is {base}). {folder.REBUILD}."
        )
    return head


def read(path: Path, segments: tuple[Segment, ...]) -> Change | None:
    """Some segments as one change, later ones over earlier ones; None for none.

    ``CatalogError`` names the file that is missing or damaged.
    """
    changes = [_read(path, one) for one in segments]
    return merged(changes) if changes else None


def merged(changes: list[Change]) -> Change:
    """Changes in a row as one: ids in the order they first came, as the last one has them."""
    if len(changes) == 1:
        return changes[0]
    last: dict[str, tuple[int, int]] = {}  # insertion order is that of the first appearance
    removed: dict[str, None] = {}
    for c, change in enumerate(changes):
        for k, item in enumerate(change.df["id"].to_list()):
            last[item] = (c, k)
            removed.pop(item, None)
        removed |= dict.fromkeys(change.removed)
    starts = np.cumsum([0, *(len(change.df) for change in changes)])
    order = np.array([starts[c] + k for c, k in last.values()], dtype=np.int64)
    place = np.full(starts[-1], -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    about = np.concatenate(
        [start + c.about_rows for start, c in zip(starts, changes, strict=False)]
    )
    about = place[about]
    return Change(
        pl.concat([change.df for change in changes], how="vertical_relaxed")[order],
        np.concatenate([change.vectors for change in changes])[order],
        np.concatenate([change.codes for change in changes])[order],
        about[about >= 0],
        np.concatenate([change.about_vectors for change in changes])[about >= 0],
        {
            name: np.concatenate([change.scales[name] for change in changes])[order]
            for name in changes[0].scales
        },
        tuple(removed),
    )


def _read(path: Path, segment: Segment) -> Change:
    for name, entry in segment.files.items():
        folder.check_size(path / FOLDER / name, entry)
    file = path / FOLDER / segment.name
    try:
        df = pl.read_parquet(file.with_suffix(".parquet"))
        with np.load(file.with_suffix(".npz")) as data:
            arrays = {name: data[name] for name in data.files}
        return Change(
            df,
            stored_vectors(arrays),
            arrays["codes"],
            arrays["about_rows"].astype(np.int64),
            folder.unpack_vectors(arrays["about"], arrays["about_scale"]),
            {name: arrays["scales"][:, k] for k, name in enumerate(arrays["names"].tolist())},
            segment.removed,
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise CatalogError(f"{file} is damaged ({error}). {folder.REBUILD}.") from error


def stored_vectors(arrays: dict[str, Any]) -> Floats:
    """The vectors of a segment: packed as small catalogues have them, or as they are."""
    if "scale" in arrays:
        return folder.unpack_vectors(arrays["vectors"], arrays["scale"])
    plain: Floats = arrays["vectors"]
    return plain


def packed(path: Path, segment: Segment) -> tuple[list[str], folder.Packed]:
    """Ids and packed vectors of a segment of a small catalogue, to the byte."""
    with np.load(path / FOLDER / f"{segment.name}.npz") as data:
        return list(segment.changed), folder.Packed(data["vectors"], data["scale"])


def opened(base: Catalog, head: Head) -> Catalog:
    """A folder's catalogue with its segments. Small ones lose the rows of removed items."""
    assert base.path is not None
    change = read(base.path, head.segments)
    if change is None:
        return base
    after = grown(base, change, head.fingerprint)
    if len(after) != head.total:
        raise CatalogError(
            f"{base.path / HEAD} says {head.total} rows, there are {len(after)}. {folder.REBUILD}."
        )
    if isinstance(after.vectors, np.memmap) or after.alive.all():
        return after
    return without(after, np.flatnonzero(after.alive))


def append(path: Path, head: Head, change: Change, added: Floats) -> Head:
    """Write one more segment and make it count; under the folder's lock.

    ``added``: vectors of the items that were not there, in the order of ``change.df``; they
    follow at the end of a large catalogue's vectors.
    """
    number = int(head.segments[-1].name) + 1 if head.segments else 1
    name = f"{number:05d}"
    place = path / FOLDER
    place.mkdir(exist_ok=True)
    mapped = (path / "vectors.npy").is_file()
    arrays: dict[str, Any] = {"vectors": change.vectors}
    if not mapped:
        arrays["vectors"], arrays["scale"] = folder.pack_vectors(change.vectors)
    arrays["about"], arrays["about_scale"] = folder.pack_vectors(change.about_vectors)
    names = np.array(list(change.scales), dtype="U32")
    values = [change.scales[str(n)] for n in names]
    arrays |= {"codes": change.codes, "about_rows": change.about_rows, "names": names}
    arrays["scales"] = np.stack(values, axis=1) if values else np.zeros((len(change.df), 0))
    arrays["scales"] = arrays["scales"].astype(np.float32)
    with (place / f"{name}.npz").open("wb") as file:
        np.savez(file, **arrays)
        _synced(file)
    with (place / f"{name}.parquet").open("wb") as file:
        change.df.write_parquet(file)
        _synced(file)
    if mapped:
        _lengthen(path / "vectors.npy", head.total, added)
    files = {
        f.name: {"bytes": f.stat().st_size, "sha256": folder.sha256(f)}
        for f in (place / f"{name}.npz", place / f"{name}.parquet")
    }
    said = json.dumps([head.fingerprint, files, change.removed], sort_keys=True)
    mark = hashlib.sha256(said.encode()).hexdigest()[:16]
    own = Segment(name, tuple(change.df["id"]), change.removed, files, mark)
    after = Head(head.base, (*head.segments, own), head.total + len(added))
    write_head(path, after)
    return after


def write_head(path: Path, head: Head) -> None:
    """Replace ``segments.json`` in one step; from then on the segments count."""
    data = {
        "format": FORMAT,
        "base": head.base,
        "total": head.total,
        "segments": [segment._asdict() for segment in head.segments],
    }
    new = path / f".{HEAD}.tmp"
    with new.open("wb") as file:
        file.write(json.dumps(data, ensure_ascii=False).encode())
        _synced(file)
    new.replace(path / HEAD)
    folder.sync(path)


def _lengthen(file: Path, rows: int, added: Floats) -> None:
    """Put vectors after the first ``rows`` rows; what a killed update left there is cut off."""
    offset = int(np.load(file, mmap_mode="r").offset)
    with file.open("r+b") as out:
        end = offset + rows * added.shape[1] * added.itemsize
        if out.seek(0, os.SEEK_END) < end:
            raise CatalogError(f"{file} is shorter than its {rows} rows. {folder.REBUILD}.")
        out.truncate(end)
        out.seek(end)
        out.write(np.ascontiguousarray(added, dtype=np.float32).tobytes())
        _synced(out)


def _synced(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def verify(path: Path) -> None:
    """Hash every segment file. ``CatalogError`` names the first that differs."""
    for segment in read_head(path).segments:
        for name, entry in segment.files.items():
            folder.check_size(path / FOLDER / name, entry)
            if folder.sha256(path / FOLDER / name) != entry["sha256"]:
                raise CatalogError(
                    f"{path / FOLDER / name} has another sha256 than {HEAD}. {folder.REBUILD}."
                )
