"""ReDial's format read from invented conversations, cut into questions, and the word index."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.errors import BuildError
from catalog.importers.conversations import Rows, read, table
from tests.tools.test_candidates import checkerboard
from tools.asked import asked
from tools.lexical import People, Words, stem, telling


def line(messages: list[tuple[int, str]], liked: dict[str, int]) -> dict[str, Any]:
    return {
        "conversationId": "7",
        "initiatorWorkerId": 1,
        "respondentWorkerId": 2,
        "movieMentions": {"900": "Nowhere to be found (1950)"},
        "initiatorQuestions": {k: {"liked": v} for k, v in liked.items()},
        "respondentQuestions": {},
        "messages": [{"senderWorkerId": who, "text": text} for who, text in messages],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "redial_id_to_catalog.tsv").write_text(
        "redial_movieId\tredial_name\tmentions\tcatalog_id\ttier\n"
        "100\tThing 3 (2003)\t5\ti3\tcatalog\n"
        "101\tThing 8  (2008)\t5\ti8\tcatalog\n"
        "102\tThing 9 (2009)\t5\telsewhere\twikidata_extra\n",
        "utf-8",
    )
    conversation = line(
        [
            (1, "Hi, I like @100 &amp; cake"),
            (2, "Then try @101, @100 or @900"),
            (1, "@102 was dull"),
            (2, "Sorry! @101 then."),
        ],
        {"100": 1, "102": 0, "101": 2},
    )
    with gzip.open(tmp_path / "redial_test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(conversation) + "\n")
    return tmp_path


def test_messages_roles_and_forms(folder: Path) -> None:
    (dialogue,) = read(folder, "test")
    assert [m.role for m in dialogue.messages] == ["user", "agent", "user", "agent"]
    assert dialogue.messages[0].written() == "Hi, I like Thing 3 & cake"
    assert dialogue.liked == {"i3": True, "elsewhere": False}
    assert [f.key for f in dialogue.films()] == ["i3", "i8", "redial:900", "elsewhere"]


def test_rows_by_id_then_by_title_and_year(folder: Path) -> None:
    rows = Rows(checkerboard())
    films = table(folder)
    assert rows(films["100"]) == 3
    assert rows(films["102"]) == 9  # its id is not in this catalogue, its name and year are
    (dialogue,) = read(folder, "test")
    assert rows(dialogue.films()[2]) is None


def test_questions_ask_only_for_what_is_new(folder: Path) -> None:
    (dialogue,) = read(folder, "test")
    (question,) = asked(dialogue, Rows(checkerboard()))  # the last message names nothing new
    assert question.turn == 1
    assert [(film.key, row) for film, row in question.targets] == [("i8", 8), ("redial:900", None)]
    assert question.query.liked == (3,) and question.query.seen == ()
    assert question.query.turns == (("user", "Hi, I like Thing 3 & cake"),)
    assert question.query.delexicalised == (("user", "Hi, I like <m1> & cake"),)


def test_errors_name_file_and_line(folder: Path) -> None:
    with pytest.raises(BuildError, match="redial_valid"):
        read(folder, "valid")
    with gzip.open(folder / "redial_test.jsonl.gz", "at", encoding="utf-8") as file:
        file.write('{"messages": []}\n')
    with pytest.raises(BuildError, match="line 2"):
        read(folder, "test")


def test_telling_words() -> None:
    assert telling("Something like a good movie about lighthouse keepers, please") == [
        "lighthouse",
        "keeper",
    ]
    assert stem("heists") == stem("heist") and stem("boss") == "boss"


def test_words_people_and_tags() -> None:
    catalog = checkerboard()
    words = Words(catalog)
    shares = words.match("a lighthouse for the keeper")
    assert int(np.argmax(shares)) == 31 and shares[31] > 0.5 and shares[:30].max() == 0
    assert not words.match("zebra").any() and not words.match("").any()
    tagged = words.tags.match("something odd")
    assert tagged[1::2].min() > 0 and tagged[::2].max() == 0
    people = People(catalog)
    assert people.named("By ADA HOLM, perhaps").nonzero()[0].tolist() == [0, 1, 2]
    assert people.shared(np.array([0]), np.array([1, 5])).tolist() == [1, 0]
