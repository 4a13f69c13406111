"""What every kind of source becomes before vectors and IDs are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl
import scipy.sparse as sp

from catalog.items import Domain
from catalog.tables import Rejected


class Prepared(NamedTuple):
    """Everything a catalogue is made of but vectors and IDs.

    ``texts``: what is embedded of each item; ``plain``: the same without the editorial layer,
    ``None`` where that makes no difference; ``about``: rows and texts of their subjects;
    ``scores``: written scale values an item; ``carry``: files copied into the folder under a
    name; ``written``: files written into it.
    """

    df: pl.DataFrame
    domain: Domain
    texts: list[str]
    plain: list[str] | None
    about: tuple[list[int], list[str]]
    scores: list[dict[str, float]]
    related: sp.csr_matrix
    carry: dict[str, Path]
    written: dict[str, str]
    rejected: list[Rejected]
    notes: list[str]
    guess: str = ""
