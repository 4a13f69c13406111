"""A history from elsewhere into a profile: rated films, read books, any table of rated things.

    python -m agent.importing letterboxd-export.zip --user NAME
    python -m agent.importing goodreads_library_export.csv --user NAME --catalog books/

Known by their columns: Letterboxd's export (the zip, or one CSV out of it), Goodreads' export,
and any other table with a title and, where there are some, a rating, a year and a maker; what
its columns are for is guessed as for a catalogue (catalog.guess). Titles are matched with the
year and the maker by ``TitleLinker.named``; what is not in the catalogue is listed, not dropped.
"""

import io
import re
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from weakref import WeakKeyDictionary

import polars as pl
import typer
from rich.console import Console

from agent.errors import AgentError
from agent.profile import Known, Opinion, item_key
from catalog.errors import BuildError, ParleyError
from catalog.guess import guess_config
from catalog.items import Catalog
from catalog.tables import read
from tools.find_title import TitleLinker

LIKED, DISLIKED = 0.7, 0.4  # of the highest rating; between them an item is merely known
MOST_ROWS: Final = 50_000
MOST_UNPACKED: Final = 100_000_000  # bytes of a zip's tables
SCALES: Final = (1, 5, 10, 100)
RATING: Final = re.compile(
    r"\b(?:my |your |user )?(?:rating|score|stars?|rated|grade|note)\b", re.I
)
MADE: Final = re.compile(r"\b(?:original publication |release )?year\b", re.I)
MAKER: Final = re.compile(r"\b(?:author|director|maker|brand|artist|by)\b", re.I)
LETTERBOXD: Final = ("watched.csv", "diary.csv", "ratings.csv")  # later ones know more
SERIES: Final = re.compile(r"\s*\([^()]*#\s*[\d.]+[^()]*\)\s*$")  # Goodreads: "Dune (Dune, #1)"
_LINKERS: "WeakKeyDictionary[Catalog, TitleLinker]" = WeakKeyDictionary()


class Entry(NamedTuple):
    """One row of a history. ``rating``: 0..1, None without one."""

    title: str
    year: float | None
    makers: tuple[str, ...]
    rating: float | None


class Imported(NamedTuple):
    """``known``: what the catalogue has of it; ``unmatched``: names it lacks; ``left_out``: rows
    that are no history ("to read"); ``kind``: whose export it is taken for."""

    known: list[Known]
    unmatched: list[str]
    left_out: int
    kind: str


def read_history(data: bytes, name: str, catalog: Catalog) -> Imported:
    """A history file matched to the catalogue. ``name``: the file's, for its ending and notes.

    Raises:
        AgentError: it is no zip or table, has no titles, or is too large.
    """
    entries, left_out, kind = entries_of(data, name)
    if len(entries) > MOST_ROWS:
        raise AgentError(
            f"{name} has {len(entries):,} rows; at most {MOST_ROWS:,} are imported: split it."
        )
    linker = linker_of(catalog)
    now, known, unmatched = datetime.now(UTC), dict[str, Known](), list[str]()
    for entry in entries:
        row = linker.named(entry.title, year=entry.year, makers=entry.makers)
        if row is None:
            year = f" ({entry.year:g})" if entry.year else ""
            by = f", {entry.makers[0]}" if entry.makers else ""
            unmatched.append(f"{entry.title}{year}{by}"[:200])
            continue
        item_id = catalog.ids[row]
        known[item_id] = Known(
            key=item_key(item_id),
            item_id=item_id,
            title=catalog.item(item_id).title,
            opinion=opinion(entry.rating),
            rating=-1.0 if entry.rating is None else round(entry.rating, 3),
            origin="import",
            source=name,
            when=now,
        )
    return Imported(list(known.values()), list(dict.fromkeys(unmatched)), left_out, kind)


def opinion(rating: float | None) -> Opinion:
    if rating is None or DISLIKED < rating < LIKED:
        return "seen"
    return "like" if rating >= LIKED else "dislike"


def entries_of(data: bytes, name: str) -> tuple[list[Entry], int, str]:
    """The rows of a file, how many are no history, and whose export it is."""
    if not data:
        raise AgentError(f"{name} is empty: give an export with at least one row.")
    if data[:4] == b"PK\x03\x04":
        return *letterboxd(data, name), "Letterboxd"
    df = table(data, name)
    columns = {c.strip().lower(): c for c in df.columns}
    if {"exclusive shelf", "my rating"} <= set(columns):
        return *goodreads(df, columns), "Goodreads"
    if "letterboxd uri" in columns:
        return of_letterboxd(df), 0, "Letterboxd"
    return guessed(df, name), 0, "a table"


def table(data: bytes, name: str) -> pl.DataFrame:
    """A table of texts. ``AgentError`` in the words of catalog.tables where it is none."""
    ending = Path(name).suffix.lower() or ".csv"
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        path = Path(folder) / f"history{ending}"
        path.write_bytes(data)
        try:
            return read(path).df
        except BuildError as error:
            raise AgentError(str(error).replace(str(path), name)) from error


def letterboxd(data: bytes, name: str) -> tuple[list[Entry], int]:
    """Watched, diary and ratings of an export, merged: one entry a film, rated if it ever was."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            held = {
                Path(i.filename).name: i for i in packed.infolist() if i.filename.count("/") < 2
            }
            found = [held[part] for part in LETTERBOXD if part in held]
            if sum(info.file_size for info in found) > MOST_UNPACKED:
                raise AgentError(f"{name} unpacks to more than {MOST_UNPACKED // 10**6} MB.")
            tables = [table(packed.read(info), Path(info.filename).name) for info in found]
    # zipfile's own: NotImplementedError for an unknown compression, RuntimeError for a password
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise AgentError(f"{name} cannot be unpacked ({error}): export it again.") from error
    if not tables:
        raise AgentError(
            f"{name} holds none of {', '.join(LETTERBOXD)}: is it Letterboxd's export?"
        )
    merged: dict[tuple[str, float | None], Entry] = {}
    for df in tables:
        for entry in of_letterboxd(df):
            before = merged.get((entry.title, entry.year))
            if entry.rating is not None or before is None:
                merged[(entry.title, entry.year)] = entry
    return list(merged.values()), 0


def of_letterboxd(df: pl.DataFrame) -> list[Entry]:
    columns = {c.strip().lower(): c for c in df.columns}
    if "name" not in columns:
        raise AgentError("A Letterboxd table without a column Name: export it again.")
    return [
        Entry(row[columns["name"]], year(cell(row, columns, "year")), (), rated(row, columns))
        for row in df.iter_rows(named=True)
        if row[columns["name"]]
    ]


def rated(row: dict[str, str | None], columns: dict[str, str]) -> float | None:
    value = numeric(cell(row, columns, "rating"))
    return None if value is None else min(value / 5, 1.0)


def goodreads(df: pl.DataFrame, columns: dict[str, str]) -> tuple[list[Entry], int]:
    """Books on the shelf "read"; a rating of 0 is none. What is to be read is no history."""
    entries, left_out = list[Entry](), 0
    for row in df.iter_rows(named=True):
        title = cell(row, columns, "title")
        if not title:
            continue
        if cell(row, columns, "exclusive shelf").strip().lower() in (
            "to-read",
            "currently-reading",
        ):
            left_out += 1
            continue
        value = numeric(cell(row, columns, "my rating"))
        made = year(cell(row, columns, "original publication year"))
        author = cell(row, columns, "author")
        rating = min(value / 5, 1.0) if value else None
        entries.append(Entry(SERIES.sub("", title), made, (author,) if author else (), rating))
    return entries, left_out


def guessed(df: pl.DataFrame, name: str) -> list[Entry]:
    """Any table: titles by what the columns look like, the rest by their headings."""
    uses = {c: v.use for c, v in guess_config(df, name).config.columns.items()}
    titles = [c for c, use in uses.items() if use == "title"]
    titles = titles or [c for c in df.columns if re.search(r"\b(?:title|name|item)\b", c, re.I)]
    if not titles or not any(re.search(r"[^\W\d_]", t) for t in texts(df, titles[0])):
        raise AgentError(
            f"{name} has no column of titles; it has {', '.join(df.columns[:12])}. "
            "Call one “title”."
        )
    first = {
        what: next((c for c in df.columns if pattern.search(c.replace("_", " "))), None)
        for what, pattern in (("rating", RATING), ("year", MADE), ("maker", MAKER))
    }
    numbers = [numeric(v) for v in texts(df, first["rating"])]
    most = max((n for n in numbers if n is not None), default=0.0)
    scale = next((s for s in SCALES if most <= s), most)
    years, makers = texts(df, first["year"]), texts(df, first["maker"])
    return [
        Entry(
            SERIES.sub("", title),
            year(years[k]),
            tuple(m.strip() for m in re.split(r"[;|,]", makers[k]) if m.strip()),
            None if (value := numbers[k]) is None else max(0.0, value / scale),
        )
        for k, title in enumerate(texts(df, titles[0]))
        if title
    ]


def texts(df: pl.DataFrame, column: str | None) -> list[str]:
    """A column as texts, empty ones where it or a cell is missing."""
    if column is None:
        return [""] * len(df)
    held = df[column]
    if held.dtype == pl.List:
        held = held.list.join(";")
    return [str(v or "") for v in held.to_list()]


def cell(row: dict[str, str | None], columns: dict[str, str], name: str) -> str:
    return str(row.get(columns.get(name, ""), "") or "")


def numeric(text: str) -> float | None:
    """The number a cell holds ("4,5", "4.5/5", "★★★½"); None for none."""
    stars = text.count("★") + 0.5 * text.count("½")
    if stars:
        return stars
    found = re.search(r"-?\d+(?:[.,]\d+)?", text)
    return float(found.group().replace(",", ".")) if found else None


def year(text: str) -> float | None:
    found = re.search(r"\b(1[5-9]|20)\d\d\b", text)
    return float(found.group()) if found else None


def linker_of(catalog: Catalog) -> TitleLinker:
    """The catalogue's title index; a second's work, kept as long as the catalogue."""
    if catalog not in _LINKERS:
        _LINKERS[catalog] = TitleLinker(catalog)
    return _LINKERS[catalog]


def main(
    file: Annotated[Path, typer.Argument(help="A Letterboxd zip, a Goodreads or other CSV.")],
    user: Annotated[str, typer.Option(help="Whose profile: the key that the page shows.")],
    catalog: Annotated[Path | None, typer.Option(help="A built catalogue's folder.")] = None,
    show: Annotated[int, typer.Option(help="Titles listed that the catalogue lacks.")] = 20,
) -> None:
    """Put a history from elsewhere into a profile."""
    from agent.checkpoints import database_of, open_memory
    from agent.profile import Profiles
    from agent.settings import Settings

    console = Console()
    try:
        settings = Settings.load(**({"catalog": catalog} if catalog else {}))
        if not file.is_file():
            raise AgentError(f"{file} does not exist: give the file of an export.")
        over = Catalog.open(settings.catalog)
        found = read_history(file.read_bytes(), file.name, over)
        memory = open_memory(database_of(settings))
        try:
            Profiles(memory.store).add(user, file.name, found.known)
        finally:
            memory.close()
    except ParleyError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(2) from error
    nouns = over.domain.noun_many
    console.print(f"{file.name}, taken for {found.kind}: {len(found.known)} {nouns} kept.")
    if found.left_out:
        console.print(f"{found.left_out} rows are no history (to be read) and are left out.")
    if found.unmatched:
        console.print(f"{len(found.unmatched)} are not in this catalogue:")
        for title in found.unmatched[:show]:
            console.print(f"  {title}", markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
