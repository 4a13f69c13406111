"""Pictures of items: an https address stays one, a local file is copied into the catalogue.

A file must lie in the table's folder and be a picture by its first bytes, whatever it is called:
the page shows these files to people.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog.tables import SHOWN, Rejected

FOLDER: Final = "images"
MOST_BYTES: Final = 5_000_000
MOST_IN_ALL: Final = 2_000_000_000
STARTS: Final = ((b"\x89PNG\r\n\x1a\n", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"))


class Images(NamedTuple):
    """``column``: paths in the catalogue folder or https addresses; ``files``: what to copy."""

    column: pl.Series
    files: dict[str, Path]
    rejected: list[Rejected]


def gather(column: pl.Series, lines: npt.NDArray[np.int64], base: Path | None) -> Images:
    """Check every picture. ``base``: the folder of the table, ``None`` for a database."""
    out: list[str | None] = []
    files: dict[str, Path] = {}
    rejected: list[Rejected] = []
    total = 0
    for row, said in enumerate(column.to_list()):
        if said is None:
            out.append(None)
            continue
        if said.startswith("https://"):
            out.append(said)
            continue
        name, reason = _local(said, base)
        if name is not None and reason == "":
            path = _inside(said, base)
            if path is not None and name not in files:
                total += path.stat().st_size
                if total > MOST_IN_ALL:
                    name, reason = None, f"pictures of more than {MOST_IN_ALL} bytes in all"
                else:
                    files[name] = path
        if reason:
            why = f"{reason}; left empty"
            rejected.append(Rejected(int(lines[row]), "image", why, said[:SHOWN]))
        out.append(name)
    return Images(pl.Series("image", out, dtype=pl.String), files, rejected)


def _inside(said: str, base: Path | None) -> Path | None:
    """The file in the table's folder, or None."""
    if base is None:
        return None
    path = (base / said).resolve()
    return path if path.is_relative_to(base.resolve()) and path.is_file() else None


def _local(said: str, base: Path | None) -> tuple[str | None, str]:
    """The name in the catalogue, or why there is none."""
    if "://" in said:
        return None, "only https addresses are shown"
    path = _inside(said, base)
    if path is None:
        return None, "no such file in the table's folder"
    if path.stat().st_size > MOST_BYTES:
        return None, f"a picture of more than {MOST_BYTES} bytes"
    start = path.read_bytes()[:16]
    suffix = next((end for magic, end in STARTS if start.startswith(magic)), "")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        suffix = ".webp"
    if not suffix:
        return None, "neither PNG, JPEG, GIF nor WebP"
    return f"{FOLDER}/{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}{suffix}", ""
