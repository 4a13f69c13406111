"""Change a built catalogue: rows come, go and are edited, nothing else is touched.

    python -m catalog.update CATALOG --items new_rows.csv
    python -m catalog.update CATALOG --remove b-17 --remove b-18

The rows are read as the catalogue's own table was (its ``config.yaml``, or for a source folder
its ``domain.yaml``). A row whose id is there replaces that item. Only new and edited rows are
embedded; all others keep vector and semantic ID to the byte. The folder is swapped in one step,
so a running agent goes on with the old one until it notices, a few seconds later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
import typer
from rich.console import Console

from catalog import editorial, folder, images, records, scales, tables, vectors
from catalog.config import Config
from catalog.embed import Vectors
from catalog.errors import BuildError, CatalogError
from catalog.finish import Finished, changes, semantic_ids_of, write
from catalog.from_table import about_of, as_items, csv_text, texts_of, usual_mark
from catalog.items import Catalog
from catalog.progress import Bar
from catalog.shape import shape
from catalog.tables import Rejected

Ints = npt.NDArray[np.int64]
NEIGHBOURS = 10  # old items whose scales a new item's are taken from
KEPT = frozenset((*folder.DATA_FILES, "vectors.npy", "manifest.json", "rejected.csv"))


class Rows(NamedTuple):
    """New and edited items as they will stand in the catalogue."""

    df: pl.DataFrame
    texts: list[str]
    about: tuple[list[int], list[str]]
    scores: list[dict[str, float]]
    files: dict[str, Path]
    rejected: list[Rejected]
    notes: list[str]


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
) -> Report:
    """Bring rows of ``items`` into a built catalogue and take ``remove`` out of it.

    ``BuildError``: an id to remove is not there, no row can be used, or nothing would be left.
    """
    catalog = catalog.resolve()
    with folder.locked(catalog):
        old = Catalog.open(catalog)
        gone = set(remove or ())
        absent = sorted(i for i in gone if not old.has(i))
        if absent:
            raise BuildError(
                f"{catalog} has no item {absent[0]!r} to remove ({len(absent)} of {len(gone)} ids "
                "are not there): nothing was changed."
            )
        rows = read_rows(old, catalog, items) if items is not None else nothing(old)
        if gone & set(rows.df["id"]):
            both = sorted(gone & set(rows.df["id"]))[0]
            raise BuildError(f"{both!r} is among the rows and is to be removed: say one of both.")
        cache = cache or catalog.with_name(f"{catalog.name}.vectors")
        with Bar(console) as bar:
            fresh = vectors.embed(rows.texts, cache, bar, threads)
            about = vectors.embed(rows.about[1], cache, bar, threads)
        done = finished(old, catalog, rows, gone, fresh, about)
        write(done, catalog)
    new = rows.df["id"].to_list()
    return Report(
        [i for i in new if not old.has(i)],
        [i for i in new if old.has(i)],
        sorted(gone),
        rows.rejected,
        rows.notes,
    )


def nothing(old: Catalog) -> Rows:
    return Rows(old.df.clear(), [], ([], []), [], {}, [], [])


def read_rows(old: Catalog, catalog: Path, items: Path) -> Rows:
    """Rows of a file in the catalogue's own form. ``BuildError`` when none can be used."""
    config = catalog / "config.yaml"
    if config.is_file():
        rows = table_rows(old, catalog, items, Config.read(config))
    else:
        rows = source_rows(old, items)
    popularity = known_popularity(old, rows.df)
    return rows._replace(df=rows.df.with_columns(popularity.alias("popularity")))


def table_rows(old: Catalog, catalog: Path, items: Path, config: Config) -> Rows:
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
    for facet in old.domain.facets:
        if facet.name not in full.columns:
            full = full.with_columns(
                pl.lit(None, dtype=old.df.schema[facet.name]).alias(facet.name)
            )
    rows = as_items(shaped._replace(df=full), old.domain)
    said = full.select(pl.exclude(rows.columns))
    scores: list[dict[str, float]] = [{}] * len(rows)
    layer = catalog / "editorial.jsonl"
    if layer.is_file():
        own = set(rows["id"])
        read = editorial.read(layer, old.domain, own | set(old.ids))
        records_ = {item: record for item, record in read.records.items() if item in own}
        laid = editorial.lay(rows, old.domain, editorial.Layer(records_, []))
        rows, scores = laid.df, laid.scores
    whole = rows.hstack(said.get_columns())
    return Rows(
        rows,
        texts_of(whole, old.domain),
        about_of(whole, old.domain),
        scores,
        pictures.files,
        sorted([*table.rejected, *shaped.rejected, *pictures.rejected]),
        [*notes, *shaped.notes],
    )


def source_rows(old: Catalog, items: Path) -> Rows:
    """Rows in the exact form of a source folder's items."""
    found = records.read_file(items, old.domain)
    records.add_keywords(found, old.domain)
    df = records.table(found, old.domain)
    for name in old.df.columns:
        if name not in df.columns:
            df = df.with_columns(pl.lit(None, dtype=old.df.schema[name]).alias(name))
    return Rows(
        df,
        records.texts(found, old.domain),
        records.about(found, old.domain),
        [record.get("scores") or {} for record in found],
        {},
        [],
        [],
    )


def known_popularity(old: Catalog, df: pl.DataFrame) -> pl.Series:
    """An edited item keeps its popularity; a new one starts at the catalogue's median."""
    middle = float(np.median(old.popularity))
    values = [
        float(old.popularity[old.row(item)]) if old.has(item) else middle
        for item in df["id"].to_list()
    ]
    return pl.Series(values, dtype=pl.Float32)


def finished(
    old: Catalog, path: Path, rows: Rows, gone: set[str], fresh: Vectors, about: Vectors
) -> Finished:
    """The new folder: unchanged items first, then edited and new ones."""
    replaced = set(rows.df["id"])
    keep = np.array(
        [row for row, item in enumerate(old.ids) if item not in gone and item not in replaced],
        dtype=np.int64,
    )
    ids = [old.ids[row] for row in keep] + rows.df["id"].to_list()
    if not ids:
        raise BuildError(f"{path} would be empty: a catalogue needs at least one item.")
    place = {item: row for row, item in enumerate(ids)}
    moved = np.array([place.get(item, -1) for item in old.ids], dtype=np.int64)
    parts = [old.df[keep], rows.df.select(old.df.columns)] if len(rows.df) else [old.df[keep]]
    df = pl.concat(parts, how="vertical_relaxed")
    stored = folder.joined(folder.shipped(path), keep, fresh)
    loaded = folder.as_loaded(stored)
    codes = semantic_ids_of(ids, loaded, old, 0, reindex=True)
    about_rows, about_packed = joined_about(path, moved, keep, rows, len(keep), about)
    manifest = folder.read_manifest(path)
    carry = {
        str(file.relative_to(path)): file
        for file in path.rglob("*")
        if file.is_file() and file.name not in KEPT and not _unused(file, path, df)
    }
    dialogues = carry.pop("dialogues.npz", None)
    facts = {"name": manifest["name"], **changes(ids, loaded, old)}
    estimates = scales.Estimates(joined_scales(old, keep, rows, fresh), manifest["scales_r2"])
    written = {}
    if rows.rejected:
        written["rejected.csv"] = csv_text(("line", "column", "reason", "value"), rows.rejected)
    return Finished(
        df,
        stored,
        codes,
        estimates,
        about_rows,
        about_packed,
        moved_counts(old.related, moved, len(ids)),
        carry | rows.files,
        written,
        facts,
        dialogues=None if dialogues is None else moved_dialogues(dialogues, moved),
    )


def _unused(file: Path, path: Path, df: pl.DataFrame) -> bool:
    """Is it a picture that no item has any more?"""
    name = str(file.relative_to(path))
    return name.startswith(f"{images.FOLDER}/") and (
        "image" not in df.columns or name not in set(df["image"])
    )


def joined_about(
    path: Path, moved: Ints, keep: Ints, rows: Rows, first: int, about: Vectors
) -> tuple[npt.NDArray[np.int32], folder.Packed]:
    """The about-vectors of unchanged items as they are stored, and those of the rows."""
    with np.load(path / "about.npz") as data:
        held, packed, scale = data["items"].astype(np.int64), data["rows"], data["scale"]
    stay = np.isin(held, keep)
    new_rows, new_scale = folder.pack_vectors(about)
    where = np.concatenate([moved[held[stay]], first + np.array(rows.about[0], dtype=np.int64)])
    return where.astype(np.int32), folder.Packed(
        np.concatenate([packed[stay], new_rows]), np.concatenate([scale[stay], new_scale])
    )


def joined_scales(old: Catalog, keep: Ints, rows: Rows, fresh: Vectors) -> dict[str, Any]:
    """Scales of unchanged items; of the rows, what is written or what their neighbours have."""
    out: dict[str, Any] = {}
    nearest = np.zeros((len(fresh), 0), dtype=np.int64)
    if old.scales and len(fresh):
        alike = fresh @ old.vectors.T
        nearest = np.argsort(-alike, axis=1)[:, :NEIGHBOURS]
    for name, values in old.scales.items():
        guess = values[nearest].mean(axis=1) if len(fresh) else np.zeros(0, np.float32)
        for row, scores in enumerate(rows.scores):
            guess[row] = scores.get(name, guess[row])
        out[name] = np.concatenate([values[keep], guess]).astype(np.float32)
    return out


def moved_counts(related: sp.csr_matrix, moved: Ints, n: int) -> sp.csr_matrix:
    """The related items under their new row numbers; an item that went takes its counts along."""
    coo = related.tocoo()
    a, b = moved[coo.row], moved[coo.col]
    stay = (a >= 0) & (b >= 0)
    return sp.csr_matrix((coo.data[stay], (a[stay], b[stay])), shape=(n, n))


def moved_dialogues(path: Path, moved: Ints) -> dict[str, Any]:
    """The bundled conversations' item rows under their new numbers."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    now = moved[arrays["items"]]
    lengths = np.diff(arrays["starts"])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    stay = now >= 0
    sizes = np.bincount(owner[stay], minlength=len(lengths))
    arrays["items"] = now[stay].astype(np.int32)
    arrays["starts"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return arrays


def main(
    catalog: Annotated[Path, typer.Argument(help="a built catalogue folder")],
    items: Annotated[Path | None, typer.Option(help="table of new and edited rows")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="id to take out; may be repeated")] = (
        None
    ),
    cache: Annotated[Path | None, typer.Option(help="file of vectors already computed")] = None,
    threads: Annotated[int, typer.Option(help="threads of the encoder")] = 1,
) -> None:
    """Add, edit and remove items of a built catalogue."""
    console = Console()
    try:
        if items is None and not remove:
            raise BuildError("Nothing to do: give --items FILE, --remove ID, or both.")
        done = update(catalog, items, remove, cache=cache, threads=threads, console=console)
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
