"""Items and the catalogue: columns in memory, opened from one built folder.

A catalogue is a table (one row an item, one column a facet), the vectors, the semantic
IDs with their mask, and a few derived signals. What the columns mean is said by
``domain.yaml`` beside them, so films, books and lamps are the same code. Twenty thousand
items open in under a second: parquet and npz, nothing is embedded or fitted here.

    catalog = Catalog.open("catalog/data/movies")
    catalog.item(catalog.row("Parasite (2019 film)")).title

``python -m catalog.build`` writes such a folder; its layout is in ``catalog/folder.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import CatalogError
from catalog.postings import Postings, Triples
from catalog.trie import SlateMask

YAML = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # libyaml is ten times faster
Floats = npt.NDArray[np.float32]
Kind = Literal["number", "categories", "people", "text", "link"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Facet(Frozen):
    """One column a person can talk about."""

    name: str  #: column name: "genres"
    role: str  #: what it does in a sentence, one of ``tools.tokens.ROLES``: "category"
    kind: Kind
    label: str  #: "genre"
    plural: str  #: "genres"
    unit: str | None = None  #: "minutes"
    ask: str | None = None  #: the question that asks for it, in words
    synonyms: dict[str, str] = Field(default_factory=dict)  #: lower-case surface -> value
    aliases_multi: dict[str, list[str]] = Field(default_factory=dict)  #: surface -> all of these
    filterable: bool = True  #: may a hard constraint rest on it?
    more: list[str] = Field(default_factory=list)  #: number: what asks for more, "heavier"
    less: list[str] = Field(default_factory=list)  #: number: what asks for less, "lighter"
    also: list[str] = Field(default_factory=list)  #: other words for the facet: "filmmaker"
    asked: list[str] = Field(default_factory=list)  #: patterns that ask for it: "who directed"
    phrase: str | None = None  #: how a value follows the noun: "in size {}"
    bounds: dict[str, str] = Field(default_factory=dict)  #: number: "in stock" -> ">= 1"


class Scale(Frozen):
    """A soft dimension from 0 to 4, and the words that ask for more or less of it."""

    name: str  #: "humour"
    label: str  #: "funny"
    more: list[str]  #: "funnier", "more humorous", ...
    less: list[str]


class Domain(Frozen):
    """What the catalogue is about: read from ``domain.yaml``."""

    name: str
    noun_one: str
    noun_many: str
    noun_also: list[str] = Field(default_factory=list)
    verbs: list[str] = Field(default_factory=list)  #: what one does with an item: "watch"
    done: list[str] = Field(default_factory=list)  #: and has done: "watched", "seen"
    facets: list[Facet]
    scales: list[Scale] = Field(default_factory=list)
    openers: list[str] = Field(default_factory=list)  #: example first messages
    vector_text: list[str] = Field(default_factory=list)  #: columns that make an item's vector
    about_text: list[str] = Field(default_factory=list)  #: columns that say what it is about
    keyword_text: str | None = None  #: source column that keywords are derived from; not stored

    @classmethod
    def read(cls, path: Path) -> Domain:
        """Parse ``domain.yaml``. ``CatalogError`` names the file and the bad entry."""
        try:
            return cls.model_validate(yaml.load(path.read_text("utf-8"), Loader=YAML))
        except OSError as error:
            raise CatalogError(f"{path} cannot be read ({error}): a catalogue needs it.") from error
        except (yaml.YAMLError, ValidationError) as error:
            raise CatalogError(f"{path} is not a valid domain description: {error}") from error


class Item(Frozen):
    """One item. A facet without a value is absent from ``values``; list facets are tuples."""

    id: str
    title: str
    values: dict[str, Any]
    link: str | None = None
    image: str | None = None  #: a path in the catalogue's folder, or an https address
    editorial: frozenset[str] = frozenset()  #: fields that rest on our editorial layer


class Catalog:
    """All items, columnar. Rows are 0..N-1 in the order of ``df``; ids are for keeping.

    A row whose item was removed while people talk stays, so that no other row moves: it is not
    ``alive``, has no id (``has``, ``row``) and passes no filter. ``len`` counts rows, ``count``
    items.

    Attributes: ``df`` (``id, title, link, popularity, editorial`` and one column a facet),
    ``domain``, ``vectors`` ``(N, 384)`` float32 unit rows (``Domain.vector_text``),
    ``about_vectors`` ``(M, 384)`` (``Domain.about_text``) of the items ``about_rows``
    ``(M,)``, ``codes`` ``(N, 3)`` uint8 unique,
    ``codebooks`` ``(3, 256, 384)`` float32, ``scales`` name -> ``(N,)`` float32 in 0..4
    (estimates unless "scales" is in the item's ``editorial``: order by them, claim nothing),
    ``popularity`` ``(N,)`` float32, ``related`` ``(N, N)`` CSR of co-mention counts,
    ``mask`` the slate mask, ``path`` the folder it came from, ``fingerprint`` its content hash,
    ``alive`` ``(N,)`` bool, ``stored`` where each row stands in the folder's files with its
    segments (``catalog.segments``), None for the same order.
    """

    def __init__(
        self,
        *,
        df: pl.DataFrame,
        domain: Domain,
        vectors: Floats,
        about_rows: npt.NDArray[np.int64],
        about_vectors: Floats,
        codes: npt.NDArray[np.uint8],
        codebooks: Floats,
        scales: dict[str, Floats],
        related: sp.csr_matrix,
        path: Path | None = None,
        fingerprint: str = "",
        stored: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.df = df
        self.domain = domain
        self.vectors = vectors
        self.about_rows = about_rows
        self.about_vectors = about_vectors
        self.codes = codes
        self.codebooks = codebooks
        self.scales = scales
        self.related = related
        self.path = path
        self.fingerprint = fingerprint
        self.stored = stored
        self.alive = np.ones(len(df), dtype=np.bool_)
        self.built = fingerprint  #: that of the folder as written, whatever was taken up since
        #: Rows that came, went or were edited since the folder was written (catalog.growth).
        self.changed: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.edited_vectors: dict[int, Floats] = {}  # laid over a mapped file's (catalog.growth)
        self.popularity: Floats = df["popularity"].to_numpy().astype(np.float32)
        self.mask = SlateMask(codes)
        self.ids: list[str] = df["id"].to_list()  #: item ids in row order
        self._rows = {item_id: row for row, item_id in enumerate(self.ids)}
        self._facets = {facet.name: facet for facet in domain.facets}
        self._values: dict[str, dict[Any, int]] = {}
        self._holders: dict[str, Postings] = {}
        if len(self._rows) != len(df):
            raise CatalogError(f"Ids repeat: {len(df)} items, {len(self._rows)} ids.")

    @classmethod
    def open(cls, path: str | Path) -> Catalog:
        """Open a built folder. ``CatalogError`` names the path, what is wrong, the remedy."""
        from catalog.folder import load

        return load(Path(path))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def count(self) -> int:
        """How many items there are: rows less those that were removed."""
        return int(np.count_nonzero(self.alive))

    def has(self, item_id: str) -> bool:
        row = self._rows.get(item_id)
        return row is not None and bool(self.alive[row])

    def row(self, item_id: str) -> int:
        """The row of an id. ``CatalogError`` if it is not in this catalogue."""
        row = self._rows.get(item_id)
        if row is None or not self.alive[row]:
            raise CatalogError(
                f"No item {item_id!r} in this catalogue ({self.count} items): "
                "look it up with tools.find_title."
            )
        return row

    def place(self, item_id: str) -> int:
        """The row of an id, of a removed item too; -1 where there never was one."""
        return self._rows.get(item_id, -1)

    def about(self, query: Floats) -> Floats:
        """How well each item's subject matches a query vector ``(384,)``: cosine, ``(N,)``.

        The better of the item's vector and, where it has one, its about-vector, which a long
        source text cannot dilute.
        """
        scores: Floats = self.vectors @ query
        if len(self.about_rows):
            other = self.about_vectors @ query
            scores[self.about_rows] = np.maximum(scores[self.about_rows], other)
        return scores

    def item(self, row_or_id: int | str) -> Item:
        """One item by row or id. ``CatalogError`` if there is no such row or id."""
        row = self.row(row_or_id) if isinstance(row_or_id, str) else int(row_or_id)
        if not 0 <= row < len(self):
            raise CatalogError(f"No row {row}: rows run from 0 to {len(self) - 1}.")
        record = self.df.row(row, named=True)
        values: dict[str, Any] = {}
        for name in self._facets:
            value = record[name]
            if isinstance(value, list):
                value = tuple(value)
            if value is not None and value != ():
                values[name] = value
        return Item(
            id=record["id"],
            title=record["title"],
            values=values,
            link=record["link"],
            image=record.get("image"),
            editorial=frozenset(record["editorial"] or ()),
        )

    def items(self, rows: Sequence[int]) -> list[Item]:
        return [self.item(int(row)) for row in rows]

    def facet(self, name: str) -> Facet:
        """A facet by name. ``CatalogError`` lists those there are."""
        if name not in self._facets:
            raise CatalogError(f"No facet {name!r}: this catalogue has {', '.join(self._facets)}.")
        return self._facets[name]

    def holders(self, facet: str) -> Postings:
        """Which rows, removed ones too, hold each value of a facet of texts."""
        if facet not in self._holders:
            triples = Triples()
            triples.add(self.df[facet], lambda value: (value,))
            self._holders[facet] = triples.postings(len(self))
        return self._holders[facet]

    def values(self, facet: str) -> dict[Any, int]:
        """Every value of a facet with the number of items that have it, commonest first."""
        if facet not in self._values:
            self.facet(facet)
            column = self.df[facet]
            if self.count < len(self):
                column = column.filter(pl.Series(self.alive))
            if isinstance(column.dtype, pl.List):
                column = column.explode()
            counts = column.drop_nulls().value_counts(sort=True)
            self._values[facet] = dict(zip(counts[facet], counts["count"], strict=True))
        return self._values[facet]
