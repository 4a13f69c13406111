"""Turns that people wrote, with labels, from open corpora: what understanding is measured on.

Corpora without a split are split by hash of the dialogue id (or the text): one fifth, the same
for good, is kept for testing and never trained on (the training room cuts at the same place).
Labels are mapped to slots that mean the same here and dropped where they do not. ``whole``
says whether every slot of the turn is labelled: only then can precision be counted.

Files: ``moviebot_nlu``, ``snips``, ``sgd_accentor``, ``ccpe``, ``laps`` (``*.jsonl.gz``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from catalog.errors import ParleyError

Slot = tuple[str, str]  #: (kind, words): ("person", "tom hanks")


class HumanTurn(NamedTuple):
    """``context``: what the agent had done ("none", "shown", "ask"). ``intent`` None: unlabelled.

    ``kinds``: slot kinds known to occur or not, where the words are not marked (CCPE).
    """

    corpus: str
    group: str
    text: str
    context: str
    intent: str | None = None
    slots: tuple[Slot, ...] = ()
    whole: bool = False
    kinds: frozenset[str] | None = None


def held_out(key: str) -> bool:
    """Is this dialogue in the test fifth? By SHA-1 of its id."""
    return int(hashlib.sha1(key.encode()).hexdigest(), 16) % 5 == 0


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a gzipped JSON-lines file. ``ParleyError`` if it is missing or damaged."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise ParleyError(f"{path} cannot be read ({error}): --data names the folder.") from error


def moviebot(folder: Path) -> Iterator[HumanTurn]:
    intents = {
        "REVEAL": "recommend", "INQUIRE": "ask_fact", "REMOVE_PREFERENCE": "critique",
        "REJECT": "reject", "ACCEPT": "accept", "DENY": "reject", "RESTART": "reset",
        "HI": "greet", "BYE": "bye",
    }  # fmt: skip
    kinds = {"genres": "category", "actors": "person", "directors": "person", "year": "number",
             "keywords": "about"}  # fmt: skip
    for row in rows(folder / "moviebot_nlu.jsonl.gz"):
        text, acts = row["text"], row["acts"]
        if not held_out(text):
            continue
        slots = tuple((kinds[s], v.lower()) for s, v in acts["slots"] if s in kinds)
        context = "none" if acts["intent"] in ("REVEAL", "HI", "UNK") else "shown"
        whole = acts["intent"] == "REVEAL"
        yield HumanTurn(
            "moviebot_nlu", text, text, context, intents.get(acts["intent"]), slots, whole
        )


def snips(folder: Path) -> Iterator[HumanTurn]:
    """Requests for a work by name: the slot is the name, whatever the catalogue has."""
    for row in rows(folder / "snips.jsonl.gz"):
        acts = row["acts"]
        if row.get("split") == "train" or acts["intent"] != "SearchScreeningEvent":
            continue
        slots = tuple(("title", v.lower()) for s, v in acts["slots"] if s == "movie_name")
        if slots:
            yield HumanTurn("snips", row["text"], row["text"], "none", None, slots)


def sgd(folder: Path) -> Iterator[HumanTurn]:
    intents = {"REQUEST": "ask_fact", "SELECT": "accept", "REQUEST_ALTS": "more",
               "GOODBYE": "bye", "THANK_YOU": "thanks"}  # fmt: skip
    kinds = {"genre": "category", "directed_by": "person", "starring": "person"}
    for row in rows(folder / "sgd_accentor.jsonl.gz"):
        if not any(s.startswith(("Movies", "Media")) for s in row.get("services", ())):
            continue
        if not (row.get("split") == "test" or held_out(row["dialogue_id"])):
            continue
        for place, turn in enumerate(row["turns"]):
            acts = turn.get("acts") or []
            if turn["role"] != "user" or not acts or place > 6:
                continue
            slots = tuple(
                (kinds[a[1]], str(v).lower())
                for a in acts
                if len(a) > 2 and a[1] in kinds
                for v in a[2]
                if str(v).lower() in turn["text"].lower()
            )
            found = {intents[a[0]] for a in acts if a[0] in intents}
            intent = found.pop() if len(found) == 1 and len(acts) == 1 else None
            if slots or intent:
                yield HumanTurn("sgd", row["dialogue_id"], turn["text"], "shown", intent, slots)


def ccpe(folder: Path) -> Iterator[HumanTurn]:
    """Kinds of things named in each turn; the words themselves are not marked in this copy."""
    kinds = {"MOVIE_OR_SERIES": "title", "PERSON": "person", "MOVIE_GENRE_OR_CATEGORY": "category"}
    for row in rows(folder / "ccpe.jsonl.gz"):
        if not held_out(row["dialogue_id"]):
            continue
        for turn in row["turns"]:
            if turn["role"] != "user" or not turn.get("acts") or len(turn["text"]) > 300:
                continue
            named = {
                kinds[k]
                for act in turn["acts"]
                if act.startswith("ENTITY_NAME+")
                for k in [act.partition("+")[2]]
                if k in kinds
            }
            yield HumanTurn("ccpe", row["dialogue_id"], turn["text"], "ask", kinds=frozenset(named))


def laps(folder: Path) -> Iterator[HumanTurn]:
    """Genres that are in the person's final preferences, at the turn that says the word."""
    for row in rows(folder / "laps.jsonl.gz"):
        if row.get("split") != "test" or row.get("domain") != "movie":
            continue
        wanted = row["final_preferences"].get("genre_preferences_like", [])
        words = {w.strip().lower() for w in wanted if isinstance(w, str) and w.strip()}
        for turn in row["turns"]:
            low = turn["text"].lower()
            said = tuple(
                ("category", w) for w in sorted(words) if re.search(rf"\b{re.escape(w)}\b", low)
            )
            if turn["role"] == "user" and said and len(turn["text"]) < 300:
                yield HumanTurn("laps", row["dialogue_id"], turn["text"], "ask", None, said)


CORPORA: dict[str, Callable[[Path], Iterator[HumanTurn]]] = {
    "moviebot_nlu": moviebot, "snips": snips, "sgd": sgd, "ccpe": ccpe, "laps": laps,
}  # fmt: skip


class Marked(NamedTuple):
    """A message with its marked films: (start, end, catalogue id or "")."""

    group: str
    text: str
    films: tuple[tuple[int, int, str], ...]


def redial(path: Path, names: Path) -> Iterator[Marked]:
    """ReDial messages with "@12345" replaced by the film's name without its year.

    ``names``: tab-separated film id, name, mentions, catalogue id, with a header line.
    """
    try:
        table = [line.split("\t") for line in names.read_text("utf-8").splitlines()[1:]]
    except OSError as error:
        raise ParleyError(f"{names} cannot be read ({error}): --names names the table.") from error
    known = {r[0]: (r[1], r[3]) for r in table}
    for number, row in enumerate(rows(path)):
        own = row["movieMentions"] or {}
        for message in row["messages"]:
            text, films, place = "", [], 0
            for m in re.finditer(r"@(\d+)", message["text"]):
                name, item = known.get(m.group(1), ("", ""))
                name = re.sub(r"\s*\(\d{4}\)\s*$", "", own.get(m.group(1)) or name).strip()
                text += message["text"][place : m.start()]
                place = m.end()
                if name:
                    films.append((len(text), len(text) + len(name), item))
                text += name
            yield Marked(str(number), text + message["text"][place:], tuple(films))
