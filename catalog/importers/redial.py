"""ReDial as counts: which films its dialogues mention, alone and together.

Only the training and validation dialogues are read (``redial_train_partial``,
``redial_valid_kgsf``); the test split is never opened. What leaves this file is numbers:
mention counts, co-mention counts, one vector and a list of rows a dialogue. No text.

Source: Li et al. 2018, ReDial, CC BY 4.0. ``@12345`` in a message marks a film.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from catalog.errors import BuildError

SPLITS = ("train_partial", "valid_kgsf")
MENTION = re.compile(r"@(\d+)")


class Dialogue(NamedTuple):
    """A dialogue's films (ReDial ids) and what the seeker said, mentions taken out."""

    number: int
    split: str
    films: frozenset[str]
    text: str


def read(folder: Path) -> list[Dialogue]:
    """All training and validation dialogues. ``BuildError`` if a file is missing."""
    dialogues = []
    for split in SPLITS:
        path = folder / f"redial_{split}.jsonl.gz"
        if not path.is_file():
            raise BuildError(f"{path} is missing: --redial is the folder with the ReDial files.")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                seeker = record.get("initiatorWorkerId")
                films: set[str] = set()
                said = []
                for message in record["messages"]:
                    films.update(MENTION.findall(message["text"]))
                    if message.get("senderWorkerId") == seeker:
                        said.append(" ".join(MENTION.sub(" ", message["text"]).split()))
                number = int(record.get("conversationId") or -1)
                dialogues.append(Dialogue(number, split, frozenset(films), " ".join(said)))
    return dialogues


def names(path: Path) -> dict[str, str]:
    """ReDial film id -> its name there, "Jumanji (2017)"."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["movieId"]: " ".join(row["movieName"].split()) for row in csv.DictReader(file)}


def known(path: Path) -> dict[str, str]:
    """ReDial film id -> catalogue id, as far as the sources' own table goes."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {r["redial_movieId"]: r["catalog_id"] for r in rows if r["catalog_id"]}


def split_name(name: str) -> tuple[str, int | None]:
    """ "Jumanji (2017)" -> ("Jumanji", 2017); no year -> None."""
    match = re.match(r"^(.*?)\s*\((\d{4})\)?\s*$", name)
    return (match[1], int(match[2])) if match else (name, None)


def plain(title: str) -> str:
    """A title for comparison: no case, accents, punctuation or leading article."""
    text = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    text = " ".join(re.sub(r"[^a-z0-9]+", " ", text.replace("&", " and ")).split())
    return re.sub(r"^(the|a|an) ", "", text) or title.lower()


def match(name: str, titles: Mapping[str, Sequence[tuple[int, str]]], slack: int = 1) -> str | None:
    """The catalogue id of a ReDial name by title and year, or None when none or several fit.

    ``titles``: ``plain`` title -> ``(year, id)``s. The whole title is tried first, then
    titles that go on after it ("Jumanji" 2017 -> "Jumanji: Welcome to the Jungle" 2017).
    """
    title, year = split_name(name)
    key = plain(title)
    if not key or year is None:
        return None
    near = [(abs(y - year), i) for y, i in titles.get(key, ()) if abs(y - year) <= slack]
    if not near:
        longer = (pairs for other, pairs in titles.items() if other.startswith(key + " "))
        near = [(0, i) for pairs in longer for y, i in pairs if y == year]
    best = sorted(near)
    if not best or (len(best) > 1 and best[0][0] == best[1][0]):
        return None
    return best[0][1]


def mention_counts(dialogues: Iterable[Dialogue], ids: Mapping[str, str]) -> Counter[str]:
    """Catalogue id -> number of dialogues that mention it."""
    counts: Counter[str] = Counter()
    for dialogue in dialogues:
        counts.update({ids[film] for film in dialogue.films if film in ids})
    return counts


def pair_counts(dialogues: Iterable[Dialogue], ids: Mapping[str, str]) -> Counter[tuple[str, str]]:
    """Unordered pairs of catalogue ids -> number of dialogues that mention both."""
    counts: Counter[tuple[str, str]] = Counter()
    for dialogue in dialogues:
        films = sorted({ids[film] for film in dialogue.films if film in ids})
        counts.update(combinations(films, 2))
    return counts
