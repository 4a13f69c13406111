"""Task rows over the real catalogue: what stands in a row is what the catalogue says."""

import json
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from catalog.items import Catalog
from tools.tokens import MENTIONS
from training import rows
from training.readers import Example, RowsError, Titles

MOVIES = Path(__file__).parents[2] / "catalog" / "data" / "movies"
CODES = re.compile(r"<a_(\d+)><b_(\d+)><c_(\d+)>")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.open(MOVIES)


def row_of(catalog: Catalog, text: str) -> int:
    found = CODES.search(text)
    assert found, text
    codes = np.array([int(c) for c in found.groups()])
    return int(np.flatnonzero((catalog.codes[:, :3] == codes).all(1))[0])


def test_facts_and_codes_are_those_of_the_catalogue(catalog: Catalog) -> None:
    for made in rows.facts(catalog, 40):
        row = row_of(catalog, made["prompt"])
        assert made["completion"].startswith(str(catalog.df["title"][row]))
    for made in rows.codes(catalog, 40):
        assert CODES.fullmatch(made["completion"])
        row = row_of(catalog, made["completion"])
        told = made["prompt"].removeprefix("Find: ").strip()
        if told == catalog.df["title"][row]:
            break
    else:
        pytest.fail("no row asks by title")


def test_histories_walk_over_items_named_together(catalog: Catalog) -> None:
    for made in rows.histories(catalog, 20):
        before = [row_of(catalog, one.group()) for one in CODES.finditer(made["prompt"])]
        after = row_of(catalog, made["completion"])
        assert after not in before
        assert catalog.related[before[-1], after] > 0


def test_titles_prefer_the_teacher_and_name_what_was_seen() -> None:
    example = Example(
        "x", (("user", "Hi\nthere"),), ("Heat (1995)",), ("Ronin",), (), ("A (1990)",)
    )
    (made,) = rows.titles([example], n=5)
    assert made["completion"] == "A (1990)"
    assert "Do not name: Ronin." in made["prompt"]
    assert "Person: Hi there" in made["prompt"]
    (real,) = rows.titles([example], slates=False)
    assert real["completion"] == "Heat (1995)"


def test_a_query_has_mentions_in_place_of_titles(catalog: Catalog) -> None:
    turns = (("user", "I loved Heat (1995)!"), ("agent", "Not Ronin (1998)?"))
    example = Example(
        "x", turns, ("Alien (1979)",), ("Heat (1995)", "Ronin (1998)"), ("Ronin (1998)",)
    )
    find = Titles(catalog)
    query = rows.query_of(example, find)
    assert query.delexicalised[0] == ("user", f"I loved {MENTIONS[0]}!")
    assert query.liked == (find("Heat (1995)"),)
    assert query.disliked == (find("Ronin (1998)"),)
    assert query.seen == ()


def test_people_rows_are_rendered_by_the_file_that_serving_uses(tmp_path: Path) -> None:
    told = {
        "persona": {"name": "hasty", "verbosity": "terse", "patience": 4.0},
        "goal": {"clauses": [{"field": "year", "op": ">=", "value": 1990}], "about": ["chess"]},
        "turns": [
            {"role": "user", "text": "hi"},
            {"role": "agent", "text": "Hello."},
            {"role": "user", "text": "chess, after 1990"},
        ],
    }
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps(told) + "\n")
    first, second = rows.people(path)
    assert first["completion"] == "hi"
    assert "- year >= 1990" in second["prompt"]
    assert "Recommender: Hello." in second["prompt"]
    path.write_text("{}\n")
    with pytest.raises(RowsError, match="line 1 is no simulated dialogue"):
        list(rows.people(path))


def test_files_are_written_whole_or_refused(tmp_path: Path, catalog: Catalog) -> None:
    assert rows.write(islice(rows.requests(catalog, 3), 3), tmp_path / "r.jsonl") == 3
    with pytest.raises(RowsError, match="holds nothing"):
        rows.write([], tmp_path / "none.jsonl")
    empty = {"task": "t", "prompt": "x", "completion": " "}
    with pytest.raises(RowsError, match="Row 1"):
        rows.write([empty], tmp_path / "e.jsonl")
