"""Change a built catalogue: rows come, go and are edited, nothing else is touched.

    python -m catalog.update CATALOG --items new_rows.csv
    python -m catalog.update CATALOG --remove b-17 --remove b-18
    python -m catalog.update CATALOG --compact

The rows are read as the catalogue's own table was (its ``config.yaml``, or for a source folder
its ``domain.yaml``). A row whose id is there replaces that item. Only new and edited rows are
embedded; all others keep vector and semantic ID to the byte. What changed is written beside the
catalogue as a segment (``catalog.segments``), a fraction of a second at a million items, and a
running agent takes up just that. When segments make up a share of the catalogue, or with
``--compact``, the folder is written anew and swapped in one step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import typer
from rich.console import Console

from catalog import (
    compact,
    editorial,
    folder,
    images,
    records,
    segments,
    semantic_ids,
    tables,
    vectors,
)
from catalog.config import Config
from catalog.embed import Vectors, choose, fits
from catalog.errors import BuildError, CatalogError
from catalog.from_table import about_of, as_items, csv_text, texts_of, usual_mark
from catalog.growth import Change
from catalog.known import Known
from catalog.progress import Bar
from catalog.shape import shape
from catalog.tables import Rejected

NEIGHBOURS = 10  # old items whose scales a new item's are taken from


class Rows(NamedTuple):
    """New and edited items as they will stand in the catalogue."""

    df: pl.DataFrame
    texts: list[str]
    about: tuple[list[int], list[str]]
    scores: list[dict[str, float]]
    files: dict[str, Path]
    rejected: list[Rejected]
    notes: list[str]
    popularity: list[float | None]  #: as the rows themselves say


class Report(NamedTuple):
    """What an update did: ids that came, were edited, went; what was left out."""

    added: list[str]
    edited: list[str]
    removed: list[str]
    rejected: list[Rejected]
    notes: list[str]


def update(
    catalog: Path,
    items: Path | None = None,
    remove: list[str] | None = None,
    *,
    cache: Path | None = None,
    threads: int = 1,
    console: Console | None = None,
    force: bool = False,
) -> Report:
    """Bring rows of ``items`` into a built catalogue and take ``remove`` out of it.

    ``force``: write the folder anew, without segments, whatever their share.
    ``BuildError``: an id to remove is not there, no row can be used, or nothing would be left.
    """
    catalog = catalog.resolve()
    with folder.locked(catalog):
        known = Known(catalog)
        gone = list(dict.fromkeys(remove or ()))
        known.look_up(gone)
        absent = sorted(i for i in gone if not known.has(i))
        if absent:
            raise BuildError(
                f"{catalog} has no item {absent[0]!r} to remove ({len(absent)} of {len(gone)} ids "
                "are not there): nothing was changed."
            )
        rows = read_rows(known, items) if items is not None else nothing(known)
        new = rows.df["id"].to_list()
        known.look_up(new)
        if both := sorted(set(gone) & set(new)):
            raise BuildError(
                f"{both[0]!r} is among the rows and is to be removed: say one of both."
            )
        added = [item for item in new if not known.has(item)]
        if known.count + len(added) == len(gone):
            raise BuildError(f"{catalog} would be empty: a catalogue needs at least one item.")
        if new or gone:
            cache = cache or catalog.with_name(f"{catalog.name}.vectors")
            with Bar(console) as bar:
                fresh = vectors.embed_rows(rows.texts, cache, bar, threads)
                about = vectors.embed_rows(rows.about[1], cache, bar, threads)
            write(known, rows, tuple(gone), fresh, about)
        if force or compact.due(catalog):
            compact.compact(catalog)
    edited = [item for item in new if item not in set(added)]
    return Report(added, edited, sorted(gone), rows.rejected, rows.notes)


def write(
    known: Known, rows: Rows, gone: tuple[str, ...], fresh: Vectors, about: Vectors
) -> segments.Head:
    """One more segment: the rows with their vectors, codes, scales and popularity."""
    new = rows.df["id"].to_list()
    places = np.array([known.row(item) for item in new], dtype=np.int64)
    stored = fresh if known.mapped else folder.unpack_vectors(*folder.pack_vectors(fresh))
    codes = codes_of(known, places, stored)
    expected = [
        known.likely_popularity(code) if not known.has(item) else float(known.popularity[place])
        for item, place, code in zip(new, places, codes, strict=True)
    ]
    popularity = [
        value if own is None else own for own, value in zip(rows.popularity, expected, strict=True)
    ]
    change = Change(
        rows.df.with_columns(pl.Series("popularity", popularity, dtype=pl.Float32)),
        fresh,
        codes,
        np.array(rows.about[0], dtype=np.int64),
        about,
        estimated_scales(known, rows, stored),
        gone,
    )
    for name, file in rows.files.items():
        folder.put_file(known.path / name, file.read_bytes())
    if rows.rejected:
        text = csv_text(("line", "column", "reason", "value"), rows.rejected)
        folder.put_file(known.path / "rejected.csv", text.encode())
    return segments.append(known.path, known.head, change, fresh[places < 0])


def codes_of(known: Known, places: npt.NDArray[np.int64], stored: Vectors) -> npt.NDArray[np.uint8]:
    """Semantic IDs: an edited item keeps its own while its vector belongs under its prefix."""
    codes = np.zeros((len(places), known.codes.shape[1]), dtype=np.uint8)
    if not len(places):
        return codes
    prefix = len(known.codebooks) - 1
    nearest = semantic_ids.quantise(stored, known.codebooks)[:, :prefix]
    old = known.codes[places]  # of new items a row that is not looked at
    keep = (places >= 0) & (old[:, :prefix] == nearest).all(axis=1)
    codes[keep] = old[keep]
    if not keep.all():
        taken = np.delete(known.codes, places[(places >= 0) & ~keep], axis=0)
        codes[~keep] = semantic_ids.insert(stored[~keep], taken, known.codebooks)
    return codes


def estimated_scales(known: Known, rows: Rows, stored: Vectors) -> dict[str, Any]:
    """Scales of the rows: what is written, or what their nearest neighbours have."""
    names = [scale.name for scale in known.domain.scales]
    held = known.scales(names)
    if not held or not len(stored):
        return {name: np.zeros(len(stored), dtype=np.float32) for name in held}
    nearest = np.argsort(-(stored @ known.vectors().T), axis=1)[:, :NEIGHBOURS]
    out = {}
    for name, values in held.items():
        guess = values[nearest].mean(axis=1)
        for row, scores in enumerate(rows.scores):
            guess[row] = scores.get(name, guess[row])
        out[name] = guess.astype(np.float32)
    return out


def nothing(known: Known) -> Rows:
    return Rows(pl.DataFrame(schema=known.schema), [], ([], []), [], {}, [], [], [])


def read_rows(known: Known, items: Path) -> Rows:
    """Rows of a file in the catalogue's own form. ``BuildError`` when none can be used."""
    config = known.path / "config.yaml"
    if config.is_file():
        return table_rows(known, items, Config.read(config))
    return source_rows(known, items)


def table_rows(known: Known, items: Path, config: Config) -> Rows:
    """Rows of a table whose columns mean what they meant when the catalogue was built."""
    table = tables.read(items)
    notes = list(table.notes)
    strange = [name for name in table.df.columns if name not in config.columns]
    if strange:
        notes.append(f"columns the catalogue does not know are left out: {', '.join(strange)}")
    absent = [name for name in config.columns if name not in table.df.columns]
    df = table.df.drop(strange).with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in absent
    )
    shaped = shape(table._replace(df=df), config, usual_mark(table))
    pictures = images.gather(shaped.df["image"], shaped.lines, items.parent)
    full = shaped.df.with_columns(pictures.column)
    for facet in known.domain.facets:
        if facet.name not in full.columns:
            full = full.with_columns(pl.lit(None, dtype=known.schema[facet.name]).alias(facet.name))
    rows = as_items(shaped._replace(df=full), known.domain)
    said = full.select(pl.exclude(rows.columns))
    scores: list[dict[str, float]] = [{}] * len(rows)
    layer = known.path / "editorial.jsonl"
    if layer.is_file():
        own = set(rows["id"])
        read = editorial.read(layer, known.domain, own | set(known.ids))
        records_ = {item: record for item, record in read.records.items() if item in own}
        laid = editorial.lay(rows, known.domain, editorial.Layer(records_, []))
        rows, scores = laid.df, laid.scores
    whole = rows.hstack(said.get_columns())
    counted = [c for c in config.columns.values() if c.use == "popularity"]
    popularity = rows["popularity"].to_list() if counted else [None] * len(rows)
    return Rows(
        rows,
        texts_of(whole, known.domain),
        about_of(whole, known.domain),
        scores,
        pictures.files,
        sorted([*table.rejected, *shaped.rejected, *pictures.rejected]),
        [*notes, *shaped.notes],
        popularity,
    )


def source_rows(known: Known, items: Path) -> Rows:
    """Rows in the exact form of a source folder's items."""
    found = records.read_file(items, known.domain)
    records.add_keywords(found, known.domain)
    df = records.table(found, known.domain)
    for name, dtype in known.schema.items():
        if name not in df.columns:
            df = df.with_columns(pl.lit(None, dtype=dtype).alias(name))
    return Rows(
        df,
        records.texts(found, known.domain),
        records.about(found, known.domain),
        [record.get("scores") or {} for record in found],
        {},
        [],
        [],
        [record.get("popularity") for record in found],
    )


def main(
    catalog: Annotated[Path, typer.Argument(help="a built catalogue folder")],
    items: Annotated[Path | None, typer.Option(help="table of new and edited rows")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="id to take out; may be repeated")] = (
        None
    ),
    cache: Annotated[Path | None, typer.Option(help="file of vectors already computed")] = None,
    threads: Annotated[int, typer.Option(help="threads of the encoder")] = 1,
    force: Annotated[
        bool, typer.Option("--compact", help="write the folder anew, without segments")
    ] = False,
    encoder: Annotated[
        Path | None, typer.Option(help="folder of the encoder it was built with, if another")
    ] = None,
) -> None:
    """Add, edit and remove items of a built catalogue."""
    console = Console()
    try:
        choose(encoder)
        fits(folder.read_manifest(catalog).get("encoder"), catalog)
        if items is None and not remove and not force:
            raise BuildError("Nothing to do: give --items FILE, --remove ID, or --compact.")
        done = update(
            catalog, items, remove, cache=cache, threads=threads, console=console, force=force
        )
    except CatalogError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(1) from error
    for note in done.notes:
        console.print(f"- {note}", markup=False)
    for one in done.rejected[:10]:
        where = f"line {one.line}" + (f", {one.column}" if one.column else "")
        console.print(f"  {where}: {one.reason}: {one.value[:60]!r}", markup=False)
    console.print(
        f"{catalog}: {len(done.added)} added, {len(done.edited)} edited, {len(done.removed)} "
        f"removed, {len(done.rejected)} rows or cells left out",
        markup=False,
    )


if __name__ == "__main__":
    typer.run(main)
