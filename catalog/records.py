"""A source folder as items: ``domain.yaml`` written by hand, ``items.jsonl`` or ``items.csv``.

The exact form, for importers and for people who want every word under their control: columns are
named after the facets, a CSV separates the values of a list with ``;``, and a value of a wrong
type is an error that stops the build. For a table as it is found, see ``catalog.guess``.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from catalog import keywords, vectors
from catalog.errors import BuildError
from catalog.items import Domain, Facet

Record = dict[str, Any]
LISTS = ("categories", "people")


def read_items(source: Path, domain: Domain) -> list[Record]:
    """All records, checked. ``BuildError`` names the file, the line and the bad value."""
    for name in ("items.jsonl", "items.csv"):
        if (source / name).is_file():
            return read_file(source / name, domain)
    raise BuildError(f"{source} has neither items.jsonl nor items.csv: it needs one.")


def read_file(path: Path, domain: Domain) -> list[Record]:
    """The records of one file, checked. ``BuildError`` names the item and the bad value."""
    if not path.is_file():
        raise BuildError(f"{path} does not exist: items stand in a .jsonl or a .csv file.")
    if path.suffix == ".jsonl":
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = [from_csv(row, domain) for row in csv.DictReader(file)]
    else:
        raise BuildError(f"{path} is neither .jsonl nor .csv: this catalogue is made of those.")
    if not records:
        raise BuildError(f"{path} has no items: at least one is needed.")
    seen: set[str] = set()
    for number, record in enumerate(records, start=1):
        where = f"{path.name} item {number}"
        if not isinstance(record.get("id"), str) or not record["id"]:
            raise BuildError(f"{where} has no id: give every item a short text of its own.")
        if record["id"] in seen:
            raise BuildError(f"{where} repeats the id {record['id']!r}: ids must differ.")
        seen.add(record["id"])
        if not isinstance(record.get("title"), str) or not record["title"].strip():
            raise BuildError(f"{where} ({record['id']!r}) has no title.")
        for facet in domain.facets:
            record[facet.name] = checked(record.get(facet.name), facet, where)
    return records


def from_csv(row: dict[str, str], domain: Domain) -> Record:
    """A CSV row with its facet columns as numbers and lists; empty cells are missing."""
    record: Record = {key: value for key, value in row.items() if key and value}
    for facet in domain.facets:
        text = record.get(facet.name)
        if text is None:
            continue
        if facet.kind in LISTS:
            record[facet.name] = [part.strip() for part in text.split(";") if part.strip()]
        elif facet.kind == "number":
            try:
                record[facet.name] = float(text)
            except ValueError as error:
                raise BuildError(
                    f"Item {row.get('id')!r}: {facet.name} is {text!r}, a number is needed."
                ) from error
    if "popularity" in record:
        record["popularity"] = float(record["popularity"])
    return record


def checked(value: Any, facet: Facet, where: str) -> Any:
    """A facet value of the right type, None when empty. ``BuildError`` otherwise."""
    if value is None or value == [] or value == "":
        return None
    if facet.kind == "number":
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif facet.kind in LISTS:
        if isinstance(value, list) and all(isinstance(v, str) and v for v in value):
            return list(dict.fromkeys(value))
    elif isinstance(value, str):
        return value
    need = {"number": "a finite number", "text": "a text", "link": "a text"}
    raise BuildError(
        f"{where}: {facet.name} is {value!r}, {need.get(facet.kind, 'a list of texts')} is needed."
    )


def add_keywords(records: list[Record], domain: Domain) -> None:
    """Fill the facet ``keywords`` from the keyword text, the premise and the themes."""
    if domain.keyword_text is None or all(f.name != "keywords" for f in domain.facets):
        return
    columns = [domain.keyword_text, "premise", "themes"]
    found = keywords.derive([vectors.item_text(record, columns) for record in records])
    for record, words in zip(records, found, strict=True):
        record["keywords"] = list(dict.fromkeys([*(record.get("keywords") or ()), *words])) or None


def texts(records: list[Record], domain: Domain, without_editorial: bool = False) -> list[str]:
    """What is embedded of each item; with ``without_editorial``, what the sources alone say."""
    columns = domain.vector_text or ["title", *(f.name for f in domain.facets)]
    out = []
    for record in records:
        hidden = set(record.get("editorial") or ()) - {"title"} if without_editorial else set()
        out.append(vectors.item_text(record, [name for name in columns if name not in hidden]))
    return out


def about(records: list[Record], domain: Domain) -> tuple[list[int], list[str]]:
    """Rows and texts of the items that have the first ``about_text`` column."""
    columns = domain.about_text
    chosen = [i for i, r in enumerate(records) if columns and r.get(columns[0])]
    return chosen, [vectors.item_text(records[i], columns) for i in chosen]


def table(records: list[Record], domain: Domain) -> pl.DataFrame:
    """The columnar form: one row an item, one column a facet."""
    columns: dict[str, pl.Series] = {
        "id": pl.Series([r["id"] for r in records], dtype=pl.String),
        "title": pl.Series([r["title"] for r in records], dtype=pl.String),
        "original_title": pl.Series([r.get("original_title") for r in records], dtype=pl.String),
        "link": pl.Series([r.get("link") for r in records], dtype=pl.String),
        "popularity": pl.Series(
            [float(r.get("popularity") or 0) for r in records], dtype=pl.Float32
        ),
        "editorial": pl.Series(
            [r.get("editorial") or [] for r in records], dtype=pl.List(pl.String)
        ),
    }
    if any(r.get("image") for r in records):
        columns["image"] = pl.Series([r.get("image") for r in records], dtype=pl.String)
    for facet in domain.facets:
        values = [record[facet.name] for record in records]
        if facet.kind == "number":
            whole = all(value is None or value.is_integer() for value in values)
            series = pl.Series(values, dtype=pl.Float64)
            columns[facet.name] = series.cast(pl.Int32) if whole else series
        else:
            dtype = pl.List(pl.String) if facet.kind in LISTS else pl.String
            columns[facet.name] = pl.Series(values, dtype=dtype)
    return pl.DataFrame(columns)


def related(path: Path, records: list[Record]) -> sp.csr_matrix:
    """The symmetric count matrix of ``related.csv``; pairs with unknown ids are left out."""
    rows = {record["id"]: row for row, record in enumerate(records)}
    pairs: list[tuple[int, int, float]] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                a, b = rows.get(line["a"]), rows.get(line["b"])
                if a is not None and b is not None and a != b:
                    pairs.append((a, b, float(line["count"])))
    a_rows, b_rows, counts = zip(*pairs, strict=True) if pairs else ((), (), ())
    shape = (len(records), len(records))
    half = sp.csr_matrix((np.array(counts, dtype=np.float32), (a_rows, b_rows)), shape=shape)
    return sp.csr_matrix(half + half.T)
