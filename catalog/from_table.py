"""A stranger's table as everything a catalogue is made of: read, guessed, shaped, worded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import scipy.sparse as sp
import yaml

from catalog import editorial as editorial_layer
from catalog import images, tables, vectors
from catalog.config import Config, to_yaml
from catalog.guess import guess_config
from catalog.interactions import read as read_interactions
from catalog.items import Domain
from catalog.prepared import Prepared
from catalog.shape import Shaped, shape
from catalog.tables import Table
from catalog.wording import domain_of

TEXT_ROWS = 50_000  # rows whose texts are put together at a time


def from_table(
    source: Path | str,
    given: Config,
    noun: str | None = None,
    interactions: Path | None = None,
    editorial: Path | None = None,
) -> Prepared:
    """Read and guess a table. ``BuildError`` names the source or the config entry at fault."""
    if noun is not None:
        given = given.model_copy(update={"noun": noun, "nouns": None})
    table = tables.read(source, given.encoding, given.delimiter)
    usual = usual_mark(table)
    guess = guess_config(table.df, str(source), usual, given)
    shaped = shape(table, guess.config, usual)
    base = None if tables.is_url(source) else Path(source).parent
    pictures = images.gather(shaped.df["image"], shaped.lines, base)
    shaped = shaped._replace(df=shaped.df.with_columns(pictures.column))
    domain = domain_of(guess.config, shaped.df, shaped.names, shaped.summaries)
    config = guess.config.model_copy(update={"openers": domain.openers})
    rejected = [*table.rejected, *shaped.rejected, *pictures.rejected]
    notes = [*table.notes, *shaped.notes]
    written: dict[str, str] = {}
    df = as_items(shaped, domain)
    related = sp.csr_matrix((len(df), len(df)), dtype="float32")
    if interactions is not None:
        taken = read_interactions(interactions, df["id"].to_list())
        related, notes = taken.related, [*notes, *taken.notes]
        df = df.with_columns(pl.Series("popularity", taken.popularity))
        if taken.unknown:
            written["unknown_items.csv"] = csv_text(("item", "rows"), taken.unknown)
    said = shaped.df.select(pl.exclude(df.columns))
    scores: list[dict[str, float]] = [{}] * len(df)
    carry = dict(pictures.files)
    if editorial is not None:
        layer = editorial_layer.read(editorial, domain, set(df["id"]))
        df, domain, scores, disagreements = editorial_layer.lay(df, domain, layer)
        rejected += [r._replace(column=f"editorial {r.column}".strip()) for r in layer.rejected]
        notes.append(f"editorial layer: {len(layer.records)} items, {len(layer.rejected)} faults")
        notes += [f"editorial layer, a fact is kept: {text}" for text in disagreements[:20]]
        carry["editorial.jsonl"] = editorial
    rejected.sort()
    head = (
        f"What Parley made of {Path(str(source)).name} ({len(df)} items). To correct it, "
        "save this as\na file, change what is wrong, and build again with --config FILE."
    )
    shown = to_yaml(config, guess.reasons, head)
    written |= {
        "domain.yaml": domain_yaml(domain),
        "config.yaml": shown,
        "rejected.csv": csv_text(("line", "column", "reason", "value"), rejected),
    }
    whole = df.hstack(said.get_columns())
    return Prepared(
        df=df,
        domain=domain,
        texts=texts_of(whole, domain),
        plain=texts_of(whole, domain, plain=True) if domain.scales else None,
        about=about_of(whole, domain),
        scores=scores,
        related=related,
        carry=carry,
        written=written,
        rejected=rejected,
        notes=notes,
        guess=shown,
    )


def usual_mark(table: Table) -> str:
    """The decimal mark of the file as a whole: a file cut at semicolons mostly writes 1,5."""
    from catalog.cells import decimal_mark, figure

    found = []
    for name, dtype in table.df.schema.items():
        if dtype == pl.String:
            sample = table.df[name].drop_nulls().head(200).to_list()
            found += [f.figures for t in sample if (f := figure(t)) is not None]
    return decimal_mark(found, "," if table.delimiter == ";" else ".")


def as_items(shaped: Shaped, domain: Domain) -> pl.DataFrame:
    """The columns of ``items.parquet``."""
    own = ["id", "title", "link", "image"]
    facets = [facet.name for facet in domain.facets]
    return shaped.df.select(
        *own,
        pl.lit(None, dtype=pl.String).alias("original_title"),
        "popularity",
        pl.lit(pl.Series([[]], dtype=pl.List(pl.String))).first().alias("editorial"),
        *facets,
    )


def texts_of(df: pl.DataFrame, domain: Domain, plain: bool = False) -> list[str]:
    """What is embedded of each item; ``plain``: without what the editorial layer says."""
    columns = [name for name in domain.vector_text if name in df.columns]
    out: list[str] = []
    for part in df.select(*dict.fromkeys([*columns, "editorial"])).iter_slices(TEXT_ROWS):
        for record in part.iter_rows(named=True):
            hidden = set(record["editorial"] or ()) - {"title"} if plain else ()
            out.append(vectors.item_text(record, [c for c in columns if c not in hidden]))
    return out


def about_of(df: pl.DataFrame, domain: Domain) -> tuple[list[int], list[str]]:
    """Rows and texts of the items that have the first ``about_text`` column."""
    columns = [name for name in domain.about_text if name in df.columns]
    if not columns:
        return [], []
    rows = df[columns[0]].is_not_null().arg_true().to_list()
    records = df.select(columns)[rows].iter_rows(named=True)
    return rows, [vectors.item_text(record, columns) for record in records]


def domain_yaml(domain: Domain) -> str:
    """The domain as a file; the config is what people edit."""
    data = domain.model_dump(exclude_defaults=True)
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=100)
    return "# Made by catalog.build from config.yaml: correct that, and build again.\n" + text


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue()
