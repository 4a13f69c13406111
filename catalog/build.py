"""Build a catalogue from anyone's table or from a source folder: one command, whole or not at all.

    python -m catalog.build books.csv --out DIR              # CSV, TSV, JSON lines, Parquet
    python -m catalog.build "sqlite:///shop.db?table=items" --out DIR
    python -m catalog.build SOURCE_FOLDER --out DIR          # domain.yaml and items.jsonl or .csv

A table's columns are guessed (``catalog.guess``); the guess is printed as the YAML that corrects
it (``--config``). Rows that cannot be used stand in ``rejected.csv`` with line and reason.
Vectors are kept beside DIR as they are made (``DIR.vectors``), so a killed build goes on where
it stopped; DIR is replaced in one step at the very end.

When DIR already holds a catalogue, its semantic IDs are kept: items keep their codes, new ones
are inserted. ``--fresh-ids`` fits new codebooks.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console

from catalog import folder, images, records, vectors
from catalog.config import Config
from catalog.embed import choose
from catalog.errors import BuildError, ParleyError
from catalog.finish import finish
from catalog.interactions import read as read_interactions
from catalog.items import Domain
from catalog.prepared import Prepared
from catalog.tables import Rejected, is_url
from catalog.watch import files_of, state, watch

Record = dict[str, Any]
OWN = {
    *("items.jsonl", "items.csv", "related.csv", "manifest.json", "vectors.npy", "segments.json"),
    *folder.DATA_FILES,
}


def build(
    source: Path | str,
    out: Path,
    seed: int = 0,
    fresh_ids: bool = False,
    cache: Path | None = None,
    threads: int = 1,
    *,
    config: Path | None = None,
    noun: str | None = None,
    interactions: Path | None = None,
    editorial: Path | None = None,
    given: Path | None = None,
    console: Console | None = None,
    ray: str | None = None,
    ray_workers: int = 2,
) -> Record:
    """Build and swap in a catalogue; returns its manifest. ``BuildError`` on a bad source.

    ``cache``: where vectors are kept between builds (default: beside ``out``). ``ray``: a Ray
    cluster that embeds what the cache lacks, with ``ray_workers`` encoders.
    """
    out = Path(out).resolve()
    with folder.locked(out):
        prepared = prepare(source, config, noun, interactions, editorial)
        if console is not None:
            report(prepared, console, out)
        cache = cache or out.with_name(f"{out.name}.vectors")
        if ray is not None and given is None:
            from catalog.embed_spread import fill

            fill(prepared, cache, ray, ray_workers)
        return finish(prepared, out, seed, fresh_ids, cache, threads, console, given=given)


def prepare(
    source: Path | str,
    config: Path | None = None,
    noun: str | None = None,
    interactions: Path | None = None,
    editorial: Path | None = None,
) -> Prepared:
    """Read a source of either kind."""
    if isinstance(source, Path) and source.is_dir():
        given = {"--config": config, "--noun": noun, "--editorial": editorial}
        for option, value in given.items():
            if value is not None:
                raise BuildError(
                    f"{source} is a source folder, {option} is for tables: its domain.yaml and "
                    "items say it all."
                )
        return from_folder(source, interactions)
    from catalog.from_table import from_table

    known = Config.read(config) if config else Config()
    return from_table(source, known, noun, interactions, editorial)


def from_folder(source: Path, interactions: Path | None = None) -> Prepared:
    """A source folder: ``domain.yaml`` beside the items, ``related.csv`` where there is one."""
    domain = Domain.read(source / "domain.yaml")
    items = records.read_items(source, domain)
    records.add_keywords(items, domain)
    df = records.table(items, domain)
    related = records.related(source / "related.csv", items)
    carry = {f.name: f for f in source.iterdir() if f.is_file() and f.name not in OWN}
    rejected: list[Rejected] = []
    if "image" in df.columns:
        pictures = images.gather(df["image"], np.arange(1, len(df) + 1), source)
        df, rejected = df.with_columns(pictures.column), pictures.rejected
        carry |= pictures.files
    notes: list[str] = []
    if interactions is not None:
        taken = read_interactions(interactions, df["id"].to_list())
        related, notes = taken.related, taken.notes
        df = df.with_columns(pl.Series("popularity", taken.popularity))
    return Prepared(
        df=df,
        domain=domain,
        texts=records.texts(items, domain),
        plain=records.texts(items, domain, without_editorial=True) if domain.scales else None,
        about=records.about(items, domain),
        scores=[record.get("scores") or {} for record in items],
        related=related,
        carry=carry,
        written={},
        rejected=rejected,
        notes=notes,
    )


def report(prepared: Prepared, console: Console, out: Path) -> None:
    """Say what was read, what was guessed and what was left out."""
    for note in prepared.notes:
        console.print(f"- {note}", markup=False, highlight=False)
    if prepared.guess:
        console.print(prepared.guess, markup=False, highlight=False)
    rows = [r for r in prepared.rejected if not r.column]
    cells_ = len(prepared.rejected) - len(rows)
    if prepared.rejected:
        for one in prepared.rejected[:10]:
            where = f"line {one.line}" + (f", {one.column}" if one.column else "")
            console.print(f"  {where}: {one.reason}: {one.value[:60]!r}", markup=False)
        console.print(
            f"{len(rows)} rows rejected, {cells_} cells left empty: all of them with line and "
            f"reason in {out / 'rejected.csv'}",
            markup=False,
        )


def main(
    source: Annotated[str, typer.Argument(help="a table, a database URL or a source folder")],
    out: Annotated[Path, typer.Option(help="the catalogue folder to write")],
    config: Annotated[Path | None, typer.Option(help="YAML that corrects the guess")] = None,
    noun: Annotated[str | None, typer.Option(help='what one item is called: "boot"')] = None,
    interactions: Annotated[
        Path | None, typer.Option(help="table of user, item, and perhaps time and weight")
    ] = None,
    editorial: Annotated[
        Path | None, typer.Option(help="editorial layer, JSON lines keyed by id")
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="build again whenever a file changes")
    ] = False,
    given: Annotated[
        Path | None,
        typer.Option("--vectors", help=".npy of vectors made elsewhere with the same encoder"),
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the codebooks")] = 0,
    fresh_ids: Annotated[bool, typer.Option(help="fit new semantic IDs even if OUT has some")] = (
        False
    ),
    cache: Annotated[Path | None, typer.Option(help="file of vectors already computed")] = None,
    threads: Annotated[int, typer.Option(help="threads of the encoder")] = 1,
    ray: Annotated[
        str | None, typer.Option(help="embed on a Ray cluster: local, auto or HOST:6379")
    ] = None,
    ray_workers: Annotated[int, typer.Option(min=1, help="encoders on that cluster")] = 2,
    encoder: Annotated[
        Path | None, typer.Option(help="folder of another text encoder (sentence-transformers)")
    ] = None,
) -> None:
    """Build the catalogue of SOURCE into OUT."""
    console = Console()
    place = source if is_url(source) else Path(source)

    def once(fresh: bool = False) -> None:
        started = time.monotonic()
        choose(encoder)
        manifest = build(
            place,
            out,
            seed,
            fresh,
            cache,
            threads,
            config=config,
            noun=noun,
            interactions=interactions,
            editorial=editorial,
            given=given,
            console=console,
            ray=ray,
            ray_workers=ray_workers,
        )
        size = sum(entry["bytes"] for entry in manifest["files"].values())
        ids = manifest["semantic_ids"]
        kept = f", {ids['kept']} kept and {ids['inserted']} inserted" if "kept" in ids else ""
        console.print(
            f"{out}: {manifest['items']} items{kept}; {size / 1e6:.1f} MB, "
            f"{vectors.duration(time.monotonic() - started)}",
            markup=False,
            highlight=False,
        )

    def complain(text: str) -> None:
        console.print(text, style="red", markup=False, highlight=False)

    try:
        paths = files_of(place, (config, interactions, editorial)) if watching else []
        before = state(paths)
        once(fresh_ids)
    except ParleyError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    if watching:
        console.print(f"watching {', '.join(map(str, paths))}; Ctrl-C ends it", markup=False)
        with contextlib.suppress(KeyboardInterrupt):
            watch(paths, once, complain, threading.Event(), built=before)


if __name__ == "__main__":
    typer.run(main)
