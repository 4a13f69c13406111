"""Check the editorial layer: its form, and what it says against the facts of the sources.

Form: known keys, a premise of at most 25 words without the title, moods, genres, ages and
scores from their lists. Facts (only with ``--source``): year, directors, cast, genres,
country and language, where the sources have them and the record does not say ``override``.
A disagreement is for a person to read; a form error fails the command.

    python -m catalog.check_editorial --source DIR
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from catalog.importers import movie_records, movie_words, movies, redial
from catalog.importers.movie_records import Record

EDITORIAL = Path(__file__).parent / "data" / "movies" / "editorial.jsonl"
MOODS = frozenset(
    "funny dark light hopeful sad tense scary romantic weird thoughtful violent heartwarming epic "
    "gritty nostalgic whimsical bleak uplifting bittersweet eerie cosy satirical stylish exciting "
    "melancholy raunchy dreamy inspiring".split()
)
SCALES = frozenset(
    "humour darkness pace violence scares warmth romance complexity spectacle sadness".split()
)
AGES = frozenset((0, 6, 9, 12, 15, 18))
KEYS = frozenset(
    "id title original_title year premise themes moods scores runtime language country age "
    "genres directors cast redial override".split()
)
MAX_WORDS = 25


def main(
    source: Annotated[
        Path | None, typer.Option(help="folder with the film records; without it, form only")
    ] = None,
    editorial: Annotated[Path, typer.Option(help="the layer to check")] = EDITORIAL,
) -> None:
    """Print form errors and disagreements with the facts; exit 1 on form errors."""
    console = Console(soft_wrap=True)
    layer = movies.read_layer(editorial)
    films = movies.read_films(source) if source else {}
    wrong = 0
    kinds: Counter[str] = Counter()
    for item_id, record in layer.items():
        for error in form_errors(record):
            wrong += 1
            console.print(f"FORM  {item_id}: {error}", markup=False)
        for kind, text in disagreements(record, films.get(item_id)):
            kinds[kind] += 1
            console.print(f"FACT  {item_id}: {kind}: {text}", markup=False)
    filled = Counter(key for record in layer.values() for key in record if record[key] != [])
    console.print(f"{len(layer)} records; filled: {dict(filled.most_common())}", markup=False)
    console.print(f"{wrong} form errors; disagreements: {dict(kinds) or 'none'}", markup=False)
    raise typer.Exit(1 if wrong else 0)


def form_errors(record: Record) -> list[str]:
    """What is wrong with a record by itself, in words; empty when nothing is."""
    errors = [f"unknown key {key!r}" for key in sorted(record.keys() - KEYS)]
    premise = record.get("premise", "")
    words = len(premise.split())
    if not 5 <= words <= MAX_WORDS or not premise.endswith("."):
        errors.append(f"premise has {words} words (5-{MAX_WORDS}, closed by a full stop)")
    title = redial.plain(record.get("title", ""))
    if len(title) > 6 and f" {title} " in f" {redial.plain(premise)} ":
        errors.append("premise contains the title")
    for name in record.get("directors", []) + record.get("cast", []):
        if " " in name and name in premise:
            errors.append(f"premise names {name}")
    errors += _outside(record, "moods", MOODS, 2, 4)
    errors += _outside(record, "genres", frozenset(movie_words.GENRE_NAMES), 1, 4)
    for theme in record.get("themes", []):
        if theme != theme.lower() or len(theme.split()) > 4:
            errors.append(f"theme {theme!r} is not a short lower-case tag")
    scores = record.get("scores", {})
    if scores.keys() != SCALES or any(v not in (0, 1, 2, 3, 4) for v in scores.values()):
        errors.append(f"scores must be 0-4 for each of {', '.join(sorted(SCALES))}: {scores}")
    if record.get("age") not in AGES and "age" in record:
        errors.append(f"age {record['age']!r} is not one of {sorted(AGES)}")
    for name, low, high in (("year", 1890, 2026), ("runtime", 5, 330)):
        value = record.get(name)
        if value is not None and not (isinstance(value, int) and low <= value <= high):
            errors.append(f"{name} {value!r} is not a whole number in {low}-{high}")
    for name, table in (("country", movie_words.COUNTRIES), ("language", movie_words.LANGUAGES)):
        if name in record and record[name] not in table.values():
            errors.append(f"{name} {record[name]!r} is not in the table")
    return errors


def _outside(
    record: Record, name: str, allowed: frozenset[str], least: int, most: int
) -> list[str]:
    values = record.get(name, [])
    errors = [f"{name}: {value!r} is not in the list" for value in values if value not in allowed]
    if not least <= len(values) <= most:
        errors.append(f"{len(values)} {name}: {least}-{most} are wanted")
    return errors


def disagreements(record: Record, film: Record | None) -> list[tuple[str, str]]:
    """Where a record contradicts the sources: ``(field, "ours != theirs")``."""
    if film is None:
        return []
    found: list[tuple[str, str]] = []
    override = set(record.get("override", ()))
    if film.get("year") and record.get("year") != film["year"]:
        found.append(("year", f"{record.get('year')} != {film['year']}"))
    raw = film.get("genres", []) + film.get("subgenres", [])
    pairs = {
        "directors": (record.get("directors", []), movie_records.people(film.get("directors", []))),
        "cast": (record.get("cast", []), movie_records.people(film.get("cast", []))),
        "genres": (record.get("genres", []), movie_words.genres(raw)),
    }
    for name, table in (("country", movie_words.COUNTRIES), ("language", movie_words.LANGUAGES)):
        ours = [record[name]] if name in record else []
        pairs[name] = (ours, movie_records.named(table, film.get(f"{name}_qid")))
    for name, (ours, theirs) in pairs.items():
        shared = {redial.plain(v) for v in ours} & {redial.plain(v) for v in theirs}
        if ours and theirs and not shared:
            found.append((name, f"{', '.join(ours)} != {', '.join(theirs)}"))
    return [(name, text) for name, text in found if name not in override]


if __name__ == "__main__":
    typer.run(main)
