"""User turns from open corpora that label intents or slots of human text.

Labels are mapped to ours where they mean the same and dropped where they do not; a turn
whose words are labelled in part is ``partial``. Corpora without a split of their own are
split by hash of the dialogue id (or the text), one fifth for testing, once and for all.
"""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from training.turns import Example, Labelled, in_test

_MOVIEBOT_INTENTS: Final = {
    "REVEAL": "recommend", "INQUIRE": "ask_fact", "REMOVE_PREFERENCE": "critique",
    "REJECT": "reject", "ACCEPT": "accept", "ACKNOWLEDGE": "chat", "DENY": "reject",
    "RESTART": "reset", "HI": "greet", "BYE": "bye", "UNK": "chat",
}  # fmt: skip
_MOVIEBOT_SLOTS: Final = {
    "genres": "category", "actors": "person", "directors": "person", "year": "number",
    "keywords": "about",
}  # fmt: skip
_SGD_INTENTS: Final = {
    "REQUEST": "ask_fact", "SELECT": "accept", "REQUEST_ALTS": "more", "GOODBYE": "bye",
    "THANK_YOU": "thanks",
}  # fmt: skip
_SGD_SLOTS: Final = {
    "genre": "category", "directed_by": "person", "starring": "person", "movie_name": "title",
    "title": "title", "movie_title": "title",
}  # fmt: skip
_TALK: Final = {
    "greeting": "greet", "goodbye": "bye", "thank_you": "thanks", "what_can_i_ask_you": "help",
    "are_you_a_bot": "help", "what_is_your_name": "help", "who_made_you": "help",
}  # fmt: skip
_NOT_CHAT: Final = frozenset(
    "yes no maybe cancel repeat next_song play_music restaurant_suggestion".split()
)
_NEGATIVE: Final = re.compile(
    r"\b(?:no|not|never|avoid|ignore|hate|dislike|can'?t|don'?t|turn away|bored?|skip|aversion|"
    r"rarely|tired|wouldn'?t|little|steer|lost|enough|exclude|remove|hardly|seldom|fail)\b"
)


def read_corpora(folder: Path, *, test: bool) -> Iterator[Example]:
    """Open corpora with intent or slot labels; ``test`` chooses the held-out fifth."""
    yield from _moviebot(folder, test)
    yield from _snips(folder, test)
    yield from _sgd(folder, test)
    yield from _small_talk(folder, test)
    yield from _ccpe(folder, test)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _find(text: str, value: str, slot: str, operator: str | None) -> Labelled | None:
    at = text.lower().find(value.lower())
    return Labelled(at, at + len(value), slot, operator) if at >= 0 and value.strip() else None


def _moviebot(folder: Path, test: bool) -> Iterator[Example]:
    for row in _rows(folder / "moviebot_nlu.jsonl.gz"):
        text, acts = row["text"], row["acts"]
        if in_test(text) != test:
            continue
        question = acts["intent"] == "INQUIRE"
        verb = " ".join(v for s, v in acts["slots"] if s == "modifier").lower()
        taste = "dislike" if _NEGATIVE.search(verb) else "like"
        spans = [
            _find(text, v, _MOVIEBOT_SLOTS[s], "ask" if question else taste)
            for s, v in acts["slots"]
            if s in _MOVIEBOT_SLOTS
        ]
        context = "none" if acts["intent"] in ("REVEAL", "HI", "UNK") else "shown"
        found = tuple(s for s in spans if s)
        yield Example(text, context, _MOVIEBOT_INTENTS[acts["intent"]], found, partial=question)


def _snips(folder: Path, test: bool) -> Iterator[Example]:
    for n, row in enumerate(_rows(folder / "snips.jsonl.gz")):
        if row.get("split") != ("test" if test else "train") or n % 3:
            continue
        acts = row["acts"]
        names = {"object_name": "title", "movie_name": "title"}
        if acts["intent"] in ("SearchCreativeWork", "SearchScreeningEvent"):
            spans = [_find(row["text"], v, names[s], None) for s, v in acts["slots"] if s in names]
            yield Example(row["text"], "none", None, tuple(s for s in spans if s))
        else:
            yield Example(row["text"], "none", "chat", (), partial=True)


def _sgd(folder: Path, test: bool) -> Iterator[Example]:
    for row in _rows(folder / "sgd_accentor.jsonl.gz"):
        if not any(s.startswith(("Movies", "Media")) for s in row.get("services", ())):
            continue
        if (row.get("split") == "test" or in_test(row["dialogue_id"])) != test:
            continue
        for n, turn in enumerate(row["turns"]):
            acts = turn.get("acts") or []
            if turn["role"] != "user" or not acts or n > 6:
                continue
            spans = [
                _find(turn["text"], str(v), _SGD_SLOTS[a[1]], "want")
                for a in acts if len(a) > 2 and a[1] in _SGD_SLOTS for v in a[2]
            ]  # fmt: skip
            intent = next((_SGD_INTENTS[a[0]] for a in acts if a[0] in _SGD_INTENTS), None)
            yield Example(turn["text"], "shown", intent, tuple(s for s in spans if s), partial=True)


def _small_talk(folder: Path, test: bool) -> Iterator[Example]:
    for n, row in enumerate(_rows(folder / "clinc150.jsonl.gz")):
        intent = row["acts"]["intent"]
        if intent in _NOT_CHAT or ("test" in row.get("split", "")) != test:
            continue
        if intent in _TALK or n % 6 == 0:
            yield Example(row["text"], "none", _TALK.get(intent, "chat"), (), partial=True)


def _ccpe(folder: Path, test: bool) -> Iterator[Example]:
    """Tastes told when asked: the intent is known, the words of the spans are not."""
    for row in _rows(folder / "ccpe.jsonl.gz"):
        if in_test(row["dialogue_id"]) != test:
            continue
        for turn in row["turns"]:
            if turn["role"] == "user" and turn.get("acts") and len(turn["text"]) < 300:
                yield Example(turn["text"], "ask", "answer", (), partial=True)


def read_redial(path: Path, names: dict[str, str]) -> Iterator[Example]:
    """Messages of a ReDial file with film markers replaced by titles: spans of slot "title"."""
    for row in _rows(path):
        known = {**names, **(row["movieMentions"] or {})}
        for message in row["messages"]:
            text, spans, place = "", [], 0
            for m in re.finditer(r"@(\d+)", message["text"]):
                name = re.sub(r"\s*\(\d{4}\)\s*$", "", known.get(m.group(1)) or "").strip()
                text += message["text"][place : m.start()]
                if name:
                    spans.append(Labelled(len(text), len(text) + len(name), "title", None))
                text += name
                place = m.end()
            text += message["text"][place:]
            if spans and len(text) < 300:
                yield Example(text, "none", None, tuple(spans), partial=True)
