"""ReDial read turn by turn: who said what, and which films each message names.

``catalog.importers.redial`` reduces the training dialogues to counts for the catalogue
build; this reader keeps them whole, for the rows that training makes and the questions
that the ranking evaluation asks. A turn is one message; ``@12345`` marks a film, and
``redial_id_to_catalog.tsv`` says which catalogue id that is. The one who asks (the
initiator) is the user, the other one the agent.

Source: ReDial (Li et al. 2018), CC BY 4.0. The files are found in the folder given or in
its ``redial`` and ``movies`` neighbours, so the data folder or its ``redial`` child will do.
"""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from catalog.errors import BuildError
from catalog.importers.redial import match, plain
from catalog.items import Catalog

Split = Literal["train", "valid", "test"]
Role = Literal["user", "agent"]
FILES: dict[Split, str] = {
    "train": "redial_train_partial.jsonl.gz",
    "valid": "redial_valid_kgsf.jsonl.gz",
    "test": "redial_test.jsonl.gz",
}
MAPPING = "redial_id_to_catalog.tsv"
MENTION = re.compile(r"@(\d+)")
_YEAR = re.compile(r"\s*\((\d{4})\)?\s*$")


class Film(NamedTuple):
    """A film as ReDial knows it: its id in the source catalogue where there is one."""

    redial_id: str
    item_id: str | None  #: None for a film that the sources' table does not match
    tier: str  #: "catalog", "wikidata_extra", or "" (unmatched)
    name: str  #: as ReDial writes it, "Jumanji (2017)"

    @property
    def key(self) -> str:
        """What makes two mentions the same film, matched or not."""
        return self.item_id or f"redial:{self.redial_id}"

    @property
    def title(self) -> str:
        return _YEAR.sub("", self.name).strip()


class Message(NamedTuple):
    """One message. ``text`` keeps its ``@12345`` marks; ``films`` are those, in order."""

    role: Role
    text: str
    films: tuple[Film, ...]

    def written(self, name: Callable[[Film], str] = lambda film: film.title) -> str:
        """The text with every mark replaced by ``name(film)`` (default: its title)."""
        films = {film.redial_id: film for film in self.films}
        return MENTION.sub(lambda m: name(films[m[1]]) if m[1] in films else "it", self.text)


class Dialogue(NamedTuple):
    """A conversation. ``liked``: film key -> what the user said of it in the form after."""

    id: str
    split: Split
    messages: tuple[Message, ...]
    liked: dict[str, bool]

    def films(self) -> list[Film]:
        """Distinct films in order of first mention."""
        return list({f.key: f for m in self.messages for f in m.films}.values())


def locate(folder: Path, name: str) -> Path:
    """A data file in ``folder`` or its ``redial``/``movies`` neighbours, else ``BuildError``."""
    for place in (folder, folder / "redial", folder / "movies", folder.parent / "movies"):
        if (place / name).is_file():
            return place / name
    raise BuildError(f"{name} is not in {folder} (nor in its redial or movies folder).")


def table(folder: Path) -> dict[str, Film]:
    """ReDial film id -> ``Film``, from ``redial_id_to_catalog.tsv``."""
    films = {}
    with locate(folder, MAPPING).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            item_id = row["catalog_id"] or None
            name = " ".join(row["redial_name"].split())
            tier = row["tier"] if item_id else ""
            films[row["redial_movieId"]] = Film(row["redial_movieId"], item_id, tier, name)
    return films


def read(folder: Path, split: Split) -> list[Dialogue]:
    """All dialogues of a split. ``BuildError`` names the file and line it cannot read."""
    path = locate(folder, FILES[split])
    known = table(folder)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(_dialogues(file, path, split, known))


def _dialogues(
    lines: Iterable[str], path: Path, split: Split, known: dict[str, Film]
) -> Iterator[Dialogue]:
    for number, line in enumerate(lines, start=1):
        try:
            yield _dialogue(json.loads(line), split, known)
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(f"{path} line {number} is no ReDial dialogue ({error!r}).") from error


def _dialogue(raw: dict[str, Any], split: Split, known: dict[str, Film]) -> Dialogue:
    names = dict(raw["movieMentions"] or {})

    def film(redial_id: str) -> Film | None:
        if redial_id in known:
            return known[redial_id]
        name = " ".join(str(names.get(redial_id) or "").split())
        return Film(redial_id, None, "", name) if name else None

    messages = []
    for entry in raw["messages"]:
        text = " ".join(html.unescape(entry["text"]).split())
        found = tuple(f for i in MENTION.findall(text) if (f := film(i)) is not None)
        role: Role = "user" if entry["senderWorkerId"] == raw["initiatorWorkerId"] else "agent"
        messages.append(Message(role, text, found))
    liked = {}
    for redial_id, form in dict(raw["initiatorQuestions"] or {}).items():
        mentioned = film(redial_id)
        if mentioned is not None and form.get("liked") in (0, 1):
            liked[mentioned.key] = form["liked"] == 1
    return Dialogue(str(raw["conversationId"]), split, tuple(messages), liked)


class Rows:
    """Films of the conversations -> rows of one catalogue.

    As the catalogue's own importer matched them (``redial_ids.csv`` in its folder), else by
    the sources' table, else by title and year.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._titles: dict[str, list[tuple[int, str]]] = {}
        self._found: dict[str, int | None] = {}
        self._ids: dict[str, str] = {}
        matched = catalog.path / "redial_ids.csv" if catalog.path else None
        if matched is not None and matched.is_file():
            with matched.open(encoding="utf-8", newline="") as file:
                self._ids = dict(list(csv.reader(file))[1:])
        if "year" in catalog.df.columns:
            pairs = catalog.df.select("id", "title", "year").drop_nulls().iter_rows()
            for item_id, title, year in pairs:
                self._titles.setdefault(plain(title), []).append((int(year), item_id))

    def __call__(self, film: Film) -> int | None:
        """The row of a film; None when this catalogue does not have it."""
        if film.redial_id not in self._found:
            item_id = self._ids.get(film.redial_id) or film.item_id
            if item_id is None or not self.catalog.has(item_id):
                item_id = match(film.name, self._titles)
            self._found[film.redial_id] = None if item_id is None else self.catalog.row(item_id)
        return self._found[film.redial_id]
