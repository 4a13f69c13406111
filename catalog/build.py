"""Build a catalogue from a source folder: one command, whole or not at all.

A source folder holds ``domain.yaml`` (what the columns mean) and ``items.jsonl`` or
``items.csv`` with ``id``, ``title``, one column a facet, and optionally ``link``,
``popularity`` and ``scores`` (scale name -> 0..4). A CSV separates the values of a list
with ``;``. Optional beside them: ``related.csv`` (``a,b,count``); any other file is carried
along. Columns that are no facet (a plot text, say) may feed vectors and keywords
(``vector_text``, ``keyword_text`` in ``domain.yaml``) and are not stored.

    python -m catalog.build SOURCE --out DIR

When DIR already holds a catalogue, its semantic IDs are kept: items keep their codes,
new ones are inserted. ``--fresh-ids`` fits new codebooks (old models then know no IDs).
"""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
import typer
from rich.console import Console
from rich.progress import Progress

from catalog import folder, keywords, scales, semantic_ids, vectors
from catalog.embed import SHA256, Vectors
from catalog.errors import BuildError, CatalogError
from catalog.items import Catalog, Domain, Facet

Record = dict[str, Any]
LISTS = ("categories", "people")
OWN = {"items.jsonl", "items.csv", "related.csv", "manifest.json", *folder.DATA_FILES}


class Ids(NamedTuple):
    codebooks: Vectors
    codes: npt.NDArray[np.uint8]
    facts: Record  # for the manifest


def main(
    source: Annotated[Path, typer.Argument(help="folder with domain.yaml and items.jsonl or .csv")],
    out: Annotated[Path, typer.Option(help="the catalogue folder to write")],
    seed: Annotated[int, typer.Option(help="seed of the codebooks")] = 0,
    fresh_ids: Annotated[bool, typer.Option(help="fit new semantic IDs even if OUT has some")] = (
        False
    ),
    cache: Annotated[Path | None, typer.Option(help="npz of vectors already computed")] = None,
    threads: Annotated[int, typer.Option(help="threads of the encoder")] = 1,
) -> None:
    """Build the catalogue of SOURCE into OUT."""
    console = Console()
    try:
        manifest = build(source, out, seed, fresh_ids, cache, threads)
    except CatalogError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    console.print_json(json.dumps({k: v for k, v in manifest.items() if k != "files"}))
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    console.print(f"{out}: {manifest['items']} items, {size / 1e6:.1f} MB of data")


def build(
    source: Path,
    out: Path,
    seed: int = 0,
    fresh_ids: bool = False,
    cache: Path | None = None,
    threads: int = 1,
) -> Record:
    """Build and swap in a catalogue; returns its manifest. ``BuildError`` on a bad source."""
    domain = Domain.read(source / "domain.yaml")
    records = read_items(source, domain)
    add_keywords(records, domain)
    with Progress(transient=True) as progress:
        task = progress.add_task("embedding", total=len(records))
        exact = embed(records, domain, cache, threads, lambda n: progress.advance(task, n))
    rows, scale = folder.pack_vectors(exact)
    items = folder.unpack_vectors(rows, scale)  # ids must belong to the vectors as shipped
    old = Catalog.open(out) if (out / "manifest.json").is_file() and not fresh_ids else None
    ids = semantic_ids_of(records, items, old, seed)
    plain = embed(records, domain, cache, threads, without_editorial=True)
    categories = next((f.name for f in domain.facets if f.kind == "categories"), None)
    estimates = scales.estimate(
        [scale.name for scale in domain.scales],
        [record.get("scores") or {} for record in records],
        items,
        plain,
        [list(record.get(categories) or ()) if categories else [] for record in records],
    )

    def fill(new: Path) -> Record:
        table(records, domain).write_parquet(new / "items.parquet", compression_level=15)
        np.savez_compressed(new / "vectors.npz", rows=rows, scale=scale)
        np.savez_compressed(
            new / "semantic_ids.npz", codes=ids.codes, codebooks=ids.codebooks.astype(np.float16)
        )
        np.savez_compressed(
            new / "scales.npz", **folder.pack_scales(estimates.values, len(records))
        )
        np.savez_compressed(new / "about.npz", **about(records, domain, cache, threads))
        sp.save_npz(new / "related.npz", related(source / "related.csv", records))
        for file in source.iterdir():
            if file.is_file() and file.name not in OWN:
                shutil.copy(file, new / file.name)
        return {
            "name": domain.name,
            "items": len(records),
            "encoder": SHA256,
            "semantic_ids": ids.facts,
            "scales_r2": estimates.r2,
        }

    return folder.write(out, fill)


def read_items(source: Path, domain: Domain) -> list[Record]:
    """All records, checked. ``BuildError`` names the file, the line and the bad value."""
    lines, plain = source / "items.jsonl", source / "items.csv"
    if lines.is_file():
        records = [json.loads(line) for line in lines.read_text("utf-8").splitlines() if line]
    elif plain.is_file():
        with plain.open(encoding="utf-8-sig", newline="") as file:
            records = [from_csv(row, domain) for row in csv.DictReader(file)]
    else:
        raise BuildError(f"{source} has neither items.jsonl nor items.csv: it needs one.")
    if not records:
        raise BuildError(f"{source} has no items: at least one is needed.")
    seen: set[str] = set()
    for number, record in enumerate(records, start=1):
        where = f"{source.name} item {number}"
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


def embed(
    records: list[Record],
    domain: Domain,
    cache: Path | None,
    threads: int,
    progress: Any = None,
    without_editorial: bool = False,
) -> Vectors:
    """Vectors of all items; with ``without_editorial``, of what the sources alone say."""
    columns = domain.vector_text or ["title", *(f.name for f in domain.facets)]
    texts = []
    for record in records:
        hidden = set(record.get("editorial") or ()) - {"title"} if without_editorial else set()
        texts.append(vectors.item_text(record, [name for name in columns if name not in hidden]))
    return vectors.embed(texts, cache, progress, threads)


def about(
    records: list[Record], domain: Domain, cache: Path | None, threads: int
) -> dict[str, Any]:
    """The arrays of ``about.npz``: items that have the first ``about_text`` column."""
    columns = domain.about_text
    chosen = [i for i, r in enumerate(records) if columns and r.get(columns[0])]
    texts = [vectors.item_text(records[i], columns) for i in chosen]
    rows, scale = folder.pack_vectors(vectors.embed(texts, cache, threads=threads))
    return {"items": np.array(chosen, dtype=np.int32), "rows": rows, "scale": scale}


def semantic_ids_of(records: list[Record], items: Vectors, old: Catalog | None, seed: int) -> Ids:
    """Codes for all items: fitted, or the old ones kept and new items inserted."""
    if old is None:
        books = semantic_ids.fit(items, seed=seed).astype(np.float16).astype(np.float32)
        done = semantic_ids.assign(items, books)
        facts = {"seed": seed, **done._asdict()}
        del facts["codes"]
        return Ids(books, done.codes, {k: round(v, 5) for k, v in facts.items()})
    codes = np.zeros((len(records), old.codes.shape[1]), dtype=np.uint8)
    fresh = [i for i, record in enumerate(records) if not old.has(record["id"])]
    known = [i for i, record in enumerate(records) if old.has(record["id"])]
    codes[known] = old.codes[[old.row(records[i]["id"]) for i in known]]
    if fresh:
        codes[fresh] = semantic_ids.insert(items[fresh], old.codes, old.codebooks)
    facts = folder.read_manifest(old.path)["semantic_ids"] if old.path else {}
    return Ids(old.codebooks, codes, facts | {"kept": len(known), "inserted": len(fresh)})


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


if __name__ == "__main__":
    typer.run(main)
