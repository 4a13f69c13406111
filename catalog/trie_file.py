"""A slate mask on disk: one file, memory-mapped, never read half.

Ten million items are 100 MB that a server maps in no time and its workers share. The file is
a magic word, a JSON header (format, levels, arrays with their places and checksums) and the
arrays as they lie in memory. Opening checks the magic word, the header and the size always,
and the arrays' checksums unless told not to; every mismatch says what to do.

    save(mask, Path("mask.bin"))
    mask = load(Path("mask.bin"))
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from catalog.errors import SlateError
from catalog.trie import SlateMask

MAGIC = b"PARLEYSM"
FORMAT = 1
ALIGN = 64
REMEDY = "save it again with catalog.trie_file.save, or rebuild the catalogue"


def save(mask: SlateMask, path: Path) -> None:
    """Write a mask. The file appears whole: it is written beside its place and renamed."""
    arrays: dict[str, Any] = {"keys": mask.keys, "order": mask.order, "parent": mask.parent}
    places: dict[str, dict[str, Any]] = {}
    offset = 0
    array: Any
    for name, array in arrays.items():
        # Little-endian on disk, whatever this machine is.
        arrays[name] = array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        places[name] = {
            "dtype": array.dtype.str,
            "offset": offset,
            "bytes": array.nbytes,
            "crc32": zlib.crc32(memoryview(array).cast("B")),
        }
        offset += -(-array.nbytes // ALIGN) * ALIGN
    header = {"format": FORMAT, "items": len(mask), "levels": mask.levels, "arrays": places}
    head = json.dumps(header).encode()
    start = _start(len(head))
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(MAGIC + _number(len(head)) + _number(zlib.crc32(head)) + head)
        for name, array in arrays.items():
            file.seek(start + places[name]["offset"])
            file.write(memoryview(array).cast("B"))
        file.truncate(start + offset)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(path: Path, *, check: bool = True) -> SlateMask:
    """Map a saved mask. ``check=False`` skips the checksums (they read the whole file).

    ``SlateError`` when the file is missing, no mask, of another format, cut short, or damaged.
    """
    header, start = _header(path)
    arrays = {}
    for name, place in header["arrays"].items():
        kind = np.dtype(place["dtype"])
        count = place["bytes"] // kind.itemsize
        array: Any = np.memmap(path, kind, "r", start + place["offset"], (count,))
        if check and zlib.crc32(memoryview(array).cast("B")) != place["crc32"]:
            raise SlateError(f"{path}: the array {name!r} is damaged (checksum): {REMEDY}.")
        arrays[name] = array.view(np.ndarray)
    if {len(array) for array in arrays.values()} != {header["items"]}:
        raise SlateError(f"{path} disagrees on its {header['items']} items: {REMEDY}.")
    return SlateMask.of(arrays["keys"], arrays["order"], header["levels"], arrays["parent"])


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays start; checked against the file's size."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
            length, crc = (int.from_bytes(file.read(4), "little") for _ in range(2))
            head = file.read(length) if magic == MAGIC else b""
        size = path.stat().st_size
    except OSError as error:
        raise SlateError(f"{path} cannot be read ({error}): {REMEDY}.") from error
    if magic != MAGIC:
        raise SlateError(f"{path} is no slate mask (it starts with {magic!r}): {REMEDY}.")
    if len(head) != length or zlib.crc32(head) != crc:
        raise SlateError(f"{path} has a damaged header (checksum): {REMEDY}.")
    header: dict[str, Any] = json.loads(head)
    found = header["format"]
    if found != FORMAT:
        raise SlateError(f"{path} has format {found}, this Parley reads {FORMAT}: {REMEDY}.")
    start = _start(length)
    need = start + max(place["offset"] + place["bytes"] for place in header["arrays"].values())
    if size < need:
        raise SlateError(f"{path} has {size} bytes, {need} are needed (cut short): {REMEDY}.")
    return header, start


def _start(head: int) -> int:
    """Where the arrays start behind a header of ``head`` bytes."""
    return -(-(len(MAGIC) + 8 + head) // ALIGN) * ALIGN


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")
