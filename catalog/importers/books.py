"""Books as facts: titles, authors, years and ratings of goodbooks-10k, our own layer over them.

Reads ``books.csv`` (plain or gzipped) and writes a *source folder* for ``catalog.build``:
``items.jsonl`` and copies of the hand-written files of ``catalog/data/books``. Simple because
every column but one is taken as it stands: a title such as "The Hunger Games (The Hunger
Games, #1)" is split into title and series.

    python -m catalog.importers.books books.csv.gz --out SOURCE
    python -m catalog.build SOURCE --out catalog/data/books
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Annotated, Any, Final

import polars as pl
import typer
import yaml
from rich.console import Console

from catalog.errors import BuildError, CatalogError

Record = dict[str, Any]
OWN: Final = Path(__file__).parent.parent / "data" / "books"
COLUMNS: Final = ("title", "authors", "original_publication_year", "language_code",
                  "average_rating", "ratings_count")  # fmt: skip
SERIES: Final = re.compile(r"^(?P<title>.+?)\s*\((?P<series>[^()]+?),?\s*#(?P<number>[^()]+)\)\s*$")
#: Codes of the column to names; what is not here (a handful of books) stays unknown.
LANGUAGES: Final = {
    "eng": "English", "en": "English", "ara": "Arabic", "spa": "Spanish", "fre": "French",
    "ger": "German", "jpn": "Japanese", "ind": "Indonesian", "por": "Portuguese",
    "ita": "Italian", "per": "Persian", "nl": "Dutch", "pol": "Polish", "tur": "Turkish",
    "swe": "Swedish", "rum": "Romanian", "rus": "Russian", "fil": "Filipino", "vie": "Vietnamese",
    "nor": "Norwegian", "dan": "Danish", "mul": "several languages",
}  # fmt: skip
RATINGS_A_POINT: Final = 5_000  # of ``popularity``, so that books and films are on one scale
MOST_AUTHORS: Final = 2  # later names are translators, illustrators and narrators


def main(
    source: Annotated[Path, typer.Argument(help="books.csv or books.csv.gz of goodbooks-10k")],
    out: Annotated[Path, typer.Option(help="source folder to write, outside the repository")],
    own: Annotated[Path, typer.Option(help="folder with our own files about books")] = OWN,
) -> None:
    """Import the book catalogue's source."""
    console = Console()
    try:
        layer = read_layer(own / "editorial.jsonl")
        records = [to_item(row, read_genres(own / "authors.yaml")) for row in read_rows(source)]
    except CatalogError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    items = with_layer(unique(records), layer)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "items.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    for name in ("domain.yaml", "NOTICE.md", "editorial.jsonl", "authors.yaml"):
        shutil.copy(own / name, out / name)
    genred = sum(1 for item in items if item.get("genres"))
    console.print(f"{len(items)} books written to {out}: {genred} with a genre, {len(layer)} ours")


def read_rows(path: Path) -> list[Record]:
    """All rows of the CSV. ``BuildError`` names what is missing."""
    if not path.is_file():
        raise BuildError(f"{path} is missing: give the path of goodbooks-10k's books.csv.")
    frame = pl.read_csv(path, infer_schema_length=None)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise BuildError(
            f"{path} lacks the column {missing[0]!r}: is it goodbooks-10k's books.csv?"
        )
    return frame.select(COLUMNS).to_dicts()


def read_genres(path: Path) -> dict[str, list[str]]:
    """Author -> genres, from the hand-written table of genre -> authors."""
    genres: dict[str, list[str]] = {}
    for genre, names in yaml.safe_load(path.read_text("utf-8")).items():
        for name in names:
            genres.setdefault(plain(name), []).append(genre)
    return genres


def read_layer(path: Path) -> dict[str, Record]:
    """Our own records by item id. ``BuildError`` names a line without id or twice there."""
    layer: dict[str, Record] = {}
    if not path.is_file():
        raise BuildError(f"{path} is missing: it holds our own records of well-known books.")
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        record = json.loads(line)
        if not record.get("id") or record["id"] in layer:
            raise BuildError(f"{path}:{number} has no id of its own: {record.get('id')!r}.")
        layer[record["id"]] = record
    return layer


def plain(name: str) -> str:
    return " ".join(name.split())


def to_item(row: Record, genres: dict[str, list[str]]) -> Record:
    """One row as an item: facts, and its first author's usual genres."""
    whole = plain(row["title"])
    match = SERIES.match(whole)
    title = match["title"] if match else whole
    authors = [plain(name) for name in str(row["authors"]).split(",")][:MOST_AUTHORS]
    item: Record = {
        "id": f"{title} ({authors[0]})",
        "title": title,
        "authors": authors,
        "popularity": round(row["ratings_count"] / RATINGS_A_POINT, 2),
        "rating": row["average_rating"],
    }
    if match:
        item["series"] = [match["series"].strip(" ,")]
    if row["original_publication_year"] is not None:
        item["year"] = float(row["original_publication_year"])
    code = str(row["language_code"] or "")
    if language := LANGUAGES.get("en" if code.startswith("en") else code):
        item["language"] = [language]
    if usual := genres.get(authors[0]):
        item["genres"] = usual
        item["editorial"] = ["genres"]
    return item


def unique(records: list[Record]) -> list[Record]:
    """The same title by the same author is told apart by its year, then by a number."""
    seen: set[str] = set()
    for record in records:
        base = record["id"]
        if base in seen and "year" in record:
            record["id"] = f"{base} {record['year']:.0f}"
        number = 2
        while record["id"] in seen:
            record["id"] = f"{base} {number}"
            number += 1
        seen.add(record["id"])
    return records


def with_layer(items: list[Record], layer: dict[str, Record]) -> list[Record]:
    """Items with our own fields over the facts. ``BuildError`` for a record without a book."""
    known = {item["id"] for item in items}
    if lost := [i for i in layer if i not in known]:
        raise BuildError(f"editorial.jsonl has {lost[0]!r}, which is no book of the source.")
    for item in items:
        record = {k: v for k, v in layer.get(item["id"], {}).items() if k not in ("id", "title")}
        if record:
            item |= record
            item["editorial"] = sorted({*item.get("editorial", ()), *record} - {"scores"})
            item["editorial"] += ["scales"] if "scores" in record else []
    return items


if __name__ == "__main__":
    typer.run(main)
