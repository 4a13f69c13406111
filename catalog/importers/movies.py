"""Films as facts: Wikipedia and Wikidata records, ReDial counts, our editorial layer.

Reads the prepared open sources and writes a *source folder* for ``catalog.build``:
``items.jsonl`` (facts, plus an ``overview`` column that the build uses for vectors and
keywords and never stores), ``related.csv``, ``dialogues.npz``, and copies of
``domain.yaml``, ``editorial.jsonl`` and ``NOTICE.md``. How one record comes about is in
``movie_records.py``.

    python -m catalog.importers.movies --source DIR --redial DIR \\
        --editorial catalog/data/movies/editorial.jsonl --out SOURCE
    python -m catalog.build SOURCE --out catalog/data/movies

Which films: since 1960 with genres and people; every film the ReDial training and
validation dialogues mention; every film of the editorial layer; and enough well-established
earlier films and films from outside the United States (lowest Wikidata numbers first:
those got their articles in many languages early).
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from catalog.embed import Embedder
from catalog.errors import BuildError
from catalog.folder import pack_vectors
from catalog.importers import movie_words, redial
from catalog.importers.movie_records import Record, to_item

EARLY = 900  # notable films before 1960
FOREIGN = 1500  # notable films from outside the US without plot or cast in the sources


def main(
    source: Annotated[Path, typer.Option(help="folder with movies_catalog.jsonl.gz and friends")],
    redial_dir: Annotated[Path, typer.Option("--redial", help="folder with the ReDial dialogues")],
    editorial: Annotated[Path, typer.Option(help="our editorial layer, JSON lines keyed by id")],
    out: Annotated[Path, typer.Option(help="source folder to write, outside the repository")],
    with_dialogues: Annotated[
        bool, typer.Option(help="also embed the dialogues for the neighbour-dialogue retriever")
    ] = True,
) -> None:
    """Import the bundled film catalogue's sources."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    layer = read_layer(editorial)
    films = read_films(source)
    dialogues = redial.read(redial_dir)
    ids = map_redial(source, films, layer)
    counts = redial.mention_counts(dialogues, ids)
    chosen = select(films, layer, counts)
    items = [to_item(films.get(i, {"id": i}), layer.get(i), counts[i]) for i in chosen]
    write_lines(out / "items.jsonl", items)
    rows = {item["id"]: row for row, item in enumerate(items)}
    write_related(out / "related.csv", redial.pair_counts(dialogues, ids))
    write_ids(out / "redial_ids.csv", ids, rows)
    for name in ("domain.yaml", "NOTICE.md"):
        shutil.copy(editorial.parent / name, out / name)
    shutil.copy(editorial, out / "editorial.jsonl")
    if with_dialogues:
        write_dialogues(out / "dialogues.npz", dialogues, ids, rows)
    mapped = sum(1 for d in dialogues for film in d.films if film in ids)
    total = sum(len(d.films) for d in dialogues)
    console.print(f"{len(dialogues)} dialogues, {mapped}/{total} mentions mapped")
    console.print(f"{len(items)} films written to {out}, {len(layer)} with an editorial record")


def read_layer(path: Path) -> dict[str, Record]:
    """The editorial layer by item id. ``BuildError`` names a line without id or twice there."""
    layer: dict[str, Record] = {}
    if not path.is_file():
        raise BuildError(f"{path} is missing: --editorial names the JSON-lines layer.")
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        record = json.loads(line)
        if not record.get("id") or record["id"] in layer:
            raise BuildError(f"{path}:{number} has no id of its own: {record.get('id')!r}.")
        layer[record["id"]] = record
    return layer


def read_films(folder: Path) -> dict[str, Record]:
    """Both source files by id. Records of the second are marked ``extra``."""
    films: dict[str, Record] = {}
    for name, extra in (("movies_catalog", False), ("movies_wikidata_extra", True)):
        path = folder / f"{name}.jsonl.gz"
        if not path.is_file():
            raise BuildError(f"{path} is missing: --source is the folder with the film records.")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                record["extra"] = extra
                films[record["id"]] = record
    return films


def map_redial(source: Path, films: dict[str, Record], layer: dict[str, Record]) -> dict[str, str]:
    """ReDial film id -> catalogue id: the layer's word first, then the sources' table, then
    title and year."""
    named = redial.names(source / "redial_movies_with_mentions.csv")
    table = redial.known(source / "redial_id_to_catalog.tsv")
    ours = {" ".join(n.split()): i for i, r in layer.items() for n in r.get("redial", ())}
    titles: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for item_id in sorted(films.keys() | layer.keys()):
        record = films.get(item_id, {}) | layer.get(item_id, {})
        if record.get("year"):
            titles[redial.plain(record["title"])].append((int(record["year"]), item_id))
    ids: dict[str, str] = {}
    for film, name in named.items():
        found = ours.get(name) or table.get(film) or redial.match(name, titles)
        if found:
            ids[film] = found
    return ids


def select(films: dict[str, Record], layer: dict[str, Record], counts: Counter[str]) -> list[str]:
    """Ids of the catalogue, in a stable order (sources' order, then the layer's own films)."""
    keep: set[str] = set(layer)
    early: list[tuple[int, str]] = []
    foreign: list[tuple[int, str]] = []
    for item_id, film in films.items():
        raw = film["genres"] + film.get("subgenres", [])
        if item_id in keep or not film.get("year") or movie_words.unwanted(raw):
            continue
        people = film.get("directors") or film.get("cast")
        genres = movie_words.genres(raw)
        number = int(film["wikidata_id"][1:]) if film.get("wikidata_id") else None
        country = movie_words.COUNTRIES.get(film.get("country_qid") or "")
        language = movie_words.LANGUAGES.get(film.get("language_qid") or "")
        if counts[item_id] or (not film["extra"] and film["year"] >= 1960 and genres and people):
            keep.add(item_id)
        elif number is None or not genres:
            continue
        elif film["extra"]:
            if country not in (None, "United States") and language and film["year"] >= 1950:
                foreign.append((number + (50_000_000 if language == "English" else 0), item_id))
        elif film.get("directors") and film.get("cast"):
            early.append((number, item_id))
    keep.update(i for _, i in sorted(early)[:EARLY])
    keep.update(i for _, i in sorted(foreign)[:FOREIGN])
    return [i for i in films if i in keep] + sorted(i for i in keep if i not in films)


def write_lines(path: Path, records: list[Record]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_related(path: Path, pairs: Counter[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "count"])
        writer.writerows((a, b, n) for (a, b), n in sorted(pairs.items()))


def write_ids(path: Path, ids: dict[str, str], rows: dict[str, int]) -> None:
    """ReDial film number -> item id, so that its dialogues can be read against the catalogue."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["redial", "id"])
        writer.writerows(sorted((int(n), i) for n, i in ids.items() if i in rows))


def write_dialogues(
    path: Path, dialogues: list[redial.Dialogue], ids: dict[str, str], rows: dict[str, int]
) -> None:
    """Numbers of each dialogue: ``vectors``/``scale`` (int8 rows, see ``catalog.folder``), the
    item rows it mentions (``items[starts[i]:starts[i+1]]``), its ReDial number, 1 for validation.
    """
    films = [sorted({rows[ids[f]] for f in d.films if ids.get(f) in rows}) for d in dialogues]
    vectors, scale = pack_vectors(Embedder().encode([d.text for d in dialogues]))
    np.savez_compressed(
        path,
        vectors=vectors,
        scale=scale,
        items=np.array([row for row_list in films for row in row_list], dtype=np.int32),
        starts=np.cumsum([0, *map(len, films)]).astype(np.int32),
        number=np.array([d.number for d in dialogues], dtype=np.int32),
        validation=np.array([d.split == "valid_kgsf" for d in dialogues], dtype=np.uint8),
    )


if __name__ == "__main__":
    typer.run(main)
