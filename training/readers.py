"""Real recommendation conversations, whatever file they come in, as one kind of record.

An ``Example`` is one moment at which something was recommended: what had been said, what was
wanted, what may not be shown, what was turned down. Five formats:

* ``redial``: the ReDial files (``catalog.importers.conversations``);
* ``reddit``: Reddit-v2 as released with Rank-GRPO, JSON lines with ``prompt``,
  ``completion`` (a teacher's titles), ``seen_titles``, ``groundtruth_with_release_year``;
* ``inspired``: INSPIRED's ``train.tsv`` / ``dev.tsv``;
* ``own``: ``{"context": [{"role", "text"}], "targets": ["Title (Year)" or item ids]}``;
* ``feedback``: what people did with slates that were shown, one act a line (``Feedback``).

Items are ids where the file holds ids, else titles with their year; ``Titles`` finds the rows
of a catalogue. A line that cannot be read is an error that names it; nothing is skipped.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from catalog.errors import ParleyError
from catalog.importers.conversations import read
from catalog.items import Catalog
from training.slate_segments import Title, parse_title

Role = Literal["user", "agent"]
ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "seeker": "user",
    "agent": "agent",
    "assistant": "agent",
    "system": "agent",
    "recommender": "agent",
}
CONVERSATION: Final = "Here is the conversation:"
SPEAKER: Final = re.compile(r"(?:^|\n)\s*(USER|SYSTEM):\s?", re.MULTILINE)
TITLED: Final = re.compile(r"[^;|]+?\(\d{4}\)")

Row = TypeVar("Row", bound=BaseModel)


class RowsError(ParleyError):
    """A data file is missing, or a row of it cannot be read: which, why, what would do."""


class Example(NamedTuple):
    """One moment of one conversation.

    ``turns``: (role, text), oldest first. ``targets``: what was wanted, ids or "Title (Year)";
    ``seen``: titles or ids that may not be recommended; ``refused``: shown and turned down.
    ``slate``: a teacher's list where the source has one, best first.
    """

    id: str
    turns: tuple[tuple[Role, str], ...]
    targets: tuple[str, ...]
    seen: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    slate: tuple[str, ...] = ()


class Said(BaseModel):
    """One turn of a context."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    role: Literal["user", "agent", "assistant"]
    text: str


class Own(BaseModel):
    """A line of one's own file; ``seen`` and ``refused`` may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    context: tuple[Said, ...]
    targets: tuple[str, ...]
    seen: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class Feedback(BaseModel):
    """One act of a person on an item that was shown.

    ``context`` is the conversation before the slate, ``slate`` the item ids shown, best
    first; ``time`` is ISO 8601; ``adapter`` the arm of an A/B test. Lines of one
    ``thread`` and ``turn`` belong together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    thread: str
    turn: int
    item_id: str
    kind: Literal["accept", "reject", "thumb_up", "thumb_down", "seen"]
    context: tuple[Said, ...] = ()
    slate: tuple[str, ...] = ()
    time: str = ""
    adapter: str = ""


def redial(folder: Path, split: Literal["train", "valid"]) -> Iterator[Example]:
    """Recommender turns of ReDial that newly name films. The test split is not read here."""
    for dialogue in read(folder, split):
        said: list[tuple[Role, str]] = []
        known: dict[str, str] = {}
        for turn, message in enumerate(dialogue.messages):
            new = {f.key: f.name for f in message.films if f.key not in known}
            if message.role == "agent" and new:
                yield Example(
                    f"redial:{dialogue.id}:{turn}",
                    tuple(said),
                    tuple(new.values()),
                    seen=tuple(known.values()),
                )
            known |= new
            said.append((message.role, message.written(lambda film: film.name)))


def reddit(path: Path) -> Iterator[Example]:
    """Rows as Rank-GRPO's release writes them. Titles of the ground truth get their year."""
    for number, raw in _lines(path):
        try:
            prompt = raw["prompt"][-1]["content"]
            listed = raw["completion"][0]["content"] if raw.get("completion") else ""
            truths = tuple(
                f"{title} ({year})" for title, year in raw["groundtruth_with_release_year"]
            )
            seen = tuple(str(title) for title in raw["seen_titles"])
            name = str(raw["sample_id"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _bad(path, number, error, "prompt, seen_titles, groundtruth...") from error
        slate = tuple(line.strip() for line in listed.splitlines() if line.strip())
        yield Example(f"reddit:{name}", _speakers(prompt), truths, seen, slate=slate)


def _speakers(prompt: str) -> tuple[tuple[Role, str], ...]:
    """The conversation inside a prompt, cut at USER: and SYSTEM:."""
    body = prompt.split(CONVERSATION, 1)[-1].strip()
    parts = SPEAKER.split("\n" + body)
    if len(parts) < 3:
        return (("user", body),)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return tuple((ROLES[who.lower()], text.strip()) for who, text in pairs)


def inspired(path: Path) -> Iterator[Example]:
    """INSPIRED's tab-separated utterances. A recommended film that was refused is kept apart."""
    if not path.is_file():
        raise RowsError(f"{path} is missing: give the train.tsv or dev.tsv of INSPIRED.")
    needed = {"dialog_id", "speaker", "text", "movies"}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if not needed <= set(rows.fieldnames or ()):
            lacking = ", ".join(sorted(needed - set(rows.fieldnames or ())))
            raise RowsError(f"{path} has no column {lacking}: is it a file of INSPIRED?")
        talks: dict[str, list[dict[str, str]]] = defaultdict(list)
        for number, row in enumerate(rows, start=2):
            if (row["speaker"] or "").lower() not in ROLES:
                raise _bad(path, number, ValueError(row["speaker"]), "RECOMMENDER or SEEKER")
            talks[row["dialog_id"]].append(row)
    for name, talk in talks.items():
        yield from _inspired_turns(name, talk)


def _inspired_turns(name: str, talk: Sequence[dict[str, str]]) -> Iterator[Example]:
    said: list[tuple[Role, str]] = []
    known: dict[str, None] = {}
    label = talk[-1].get("case") or talk[-1].get("coarse_label") or ""
    for at, row in enumerate(talk):
        role = ROLES[row["speaker"].lower()]
        text = (row["text"] or "").replace("QUOTATION_MARK", '"').strip()
        films = [m.strip() for m in TITLED.findall(row["movies"] or "")]
        new = tuple(dict.fromkeys(film for film in films if film not in known))
        if role == "agent" and new and said:
            wrong = new if label.startswith("reject") else ()
            yield Example(f"inspired:{name}:{at}", tuple(said), new, tuple(known), wrong)
        known |= dict.fromkeys(new)
        if said and said[-1][0] == role:  # one speaker, several lines: one turn
            said[-1] = (role, f"{said[-1][1]} {text}")
        else:
            said.append((role, text))


def own(path: Path) -> Iterator[Example]:
    """One's own JSON lines (``Own``)."""
    for number, raw in _lines(path):
        row = _parsed(Own, raw, path, number)
        if not row.targets:
            raise _bad(path, number, ValueError("no targets"), "at least one target")
        turns = tuple((ROLES[turn.role], turn.text) for turn in row.context)
        yield Example(f"own:{number}", turns, row.targets, row.seen, row.refused)


def feedback(path: Path) -> Iterator[Example]:
    """Logged acts (``Feedback``), joined by turn: accepted and liked items are targets.

    A turn at which nothing was taken yields nothing to learn a slate from and is left out;
    ``seen`` and ``reject`` acts stand beside the targets of their turn.
    """
    turns: dict[tuple[str, int], list[Feedback]] = defaultdict(list)
    for number, raw in _lines(path):
        act = _parsed(Feedback, raw, path, number)
        turns[act.thread, act.turn].append(act)
    for (thread, turn), acts in turns.items():
        kinds: dict[str, list[str]] = defaultdict(list)
        for act in acts:
            kinds[act.kind].append(act.item_id)
        refused = tuple(dict.fromkeys((*kinds["reject"], *kinds["thumb_down"])))
        wanted = (*kinds["accept"], *kinds["thumb_up"])
        targets = tuple(item for item in dict.fromkeys(wanted) if item not in refused)
        if targets:
            context = next((act.context for act in acts if act.context), ())
            said = tuple((ROLES[turn_.role], turn_.text) for turn_ in context)
            slate = next((act.slate for act in acts if act.slate), ())
            seen = tuple(dict.fromkeys(kinds["seen"]))
            yield Example(f"feedback:{thread}:{turn}", said, targets, seen, refused, slate)


FORMATS: Final[dict[str, Callable[[Path], Iterator[Example]]]] = {
    "redial": lambda folder: redial(folder, "train"),
    "reddit": reddit,
    "inspired": inspired,
    "own": own,
    "feedback": feedback,
}


def examples(kind: str, path: Path) -> Iterator[Example]:
    """The examples of a file (of a folder: ReDial). ``RowsError`` names what cannot be read."""
    if kind not in FORMATS:
        raise RowsError(f"The format {kind!r} is not known: choose {', '.join(FORMATS)}.")
    return FORMATS[kind](path)


class Titles:
    """Rows of a catalogue by id, or by title and a year at most two years off."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        dates = [f.name for f in catalog.domain.facets if f.role == "date" and f.kind == "number"]
        years = catalog.df[dates[0]].to_list() if dates else [None] * len(catalog)
        self.rows: dict[str, list[tuple[int | None, int]]] = defaultdict(list)
        for row, (title, year) in enumerate(zip(catalog.df["title"].to_list(), years, strict=True)):
            self.rows[_folded(title)].append((None if year is None else int(year), row))

    def __call__(self, name: str) -> int | None:
        """The row of an id or a title; of several, the most talked about."""
        if self.catalog.has(name):
            return self.catalog.row(name)
        found = parse_title(name) or Title(_folded(name), 0)
        near = [
            row
            for year, row in self.rows.get(_folded(found.name), ())
            if not found.year or year is None or abs(year - found.year) <= 2
        ]
        popularity = self.catalog.popularity
        return max(near, key=lambda row: float(popularity[row]), default=None)


def _folded(title: str) -> str:
    return " ".join(title.casefold().split())


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    if not path.is_file():
        raise RowsError(f"{path} is missing: give a JSON-lines file.")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise _bad(path, number, error, "one JSON object a line") from error


def _parsed(kind: type[Row], raw: Any, path: Path, number: int) -> Row:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        fields = ", ".join(kind.model_fields)
        raise _bad(path, number, ValueError(f"{where}: {first['msg']}"), fields) from error


def _bad(path: Path, number: int, error: Exception, needed: str) -> RowsError:
    what = f"no {error}" if isinstance(error, KeyError) else str(error)
    return RowsError(f"{path} line {number} cannot be read ({what}); it needs {needed}.")
