"""The words of the importers, title matching, and the editorial layer's form."""

import pytest

from catalog import check_editorial, keywords
from catalog.importers import movie_records, movie_words, movies, redial
from tests.catalog.conftest import BUNDLE


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["romantic comedy", "drama film"], ["Romance", "Comedy", "Drama"]),
        (["film noir", "neo-noir"], ["Noir", "Crime"]),
        (["Animated", "Sport"], ["Animation", "Sports"]),
        (["novel", "Silent", "Short"], []),
    ],
)
def test_genres_are_mapped_and_junk_is_dropped(names: list[str], expected: list[str]) -> None:
    assert movie_words.genres(names) == expected


def test_every_genre_in_the_table_is_canonical() -> None:
    targets = {g for value in movie_words._GENRES.values() for g in value.split(",")}
    assert targets <= set(movie_words.GENRE_NAMES)


def test_themes_and_unwanted() -> None:
    assert movie_words.themes(["heist film", "Christmas film"]) == ["heist", "christmas"]
    assert movie_words.unwanted(["television drama"])
    assert not movie_words.unwanted(["comic science fiction"])


def test_people_are_cleaned() -> None:
    raw = [
        "Robert Downey, Jr.",
        "Robert Downey Jr.",
        "Ann Lees.",
        "Ann Lee (voice)",
        "nominee)",
        " ",
    ]
    assert movie_records.people(raw) == ["Robert Downey Jr.", "Ann Lees", "Ann Lee"]


@pytest.mark.parametrize(
    ("overview", "qids", "expected"),
    [
        ("X is a 1981 American comedy.", ("Q183", "Q188"), (["United States"], [])),
        ("X is a 2009 French-language drama.", ("Q142", "Q1860"), (["France"], ["French"])),
        ("", ("Q884", "Q9176"), (["South Korea"], ["Korean"])),
        ("", ("Q999999999", None), ([], [])),
    ],
)
def test_country_and_language(
    overview: str, qids: tuple[str, str], expected: tuple[list[str], list[str]]
) -> None:
    film = {"country_qid": qids[0], "language_qid": qids[1]}
    found = movie_records.origin(film, overview)
    assert (found["country"], found["language"]) == expected


def test_titles_match_by_name_and_year() -> None:
    titles = {
        "jumanji": [(1995, "old")],
        "jumanji welcome to the jungle": [(2017, "new")],
        "thing": [(1982, "carpenter"), (2011, "prequel")],
    }
    assert redial.match("Jumanji  (2017)", titles) == "new"
    assert redial.match("The Thing (1982)", titles) == "carpenter"
    assert redial.match("The Thing (1990)", titles) is None
    assert redial.match("Jumanji", titles) is None


def test_keywords_are_found_in_their_forms_and_names_are_not() -> None:
    text = "During World War II, a retired hitman and his two sisters rob banks. Holly Hunter."
    found = keywords.derive([text])[0]
    assert {"world war ii", "hitman", "sisters"} <= set(found)
    assert "hunter" not in found and "war" not in found


def test_the_editorial_layer_is_well_formed() -> None:
    layer = movies.read_layer(BUNDLE / "editorial.jsonl")
    assert len(layer) >= 750
    errors = [(i, e) for i, record in layer.items() for e in check_editorial.form_errors(record)]
    assert errors == []


def test_form_errors_are_seen() -> None:
    record = {
        "id": "x", "title": "The Quiet Harbour", "premise": "The quiet harbour is a place " * 6,
        "moods": ["odd"], "genres": ["Drama"], "scores": {"humour": 9}, "age": 13, "runtime": 1,
        "mood": 1,
    }  # fmt: skip
    text = " | ".join(check_editorial.form_errors(record))
    for part in ("unknown key 'mood'", "premise has 36 words", "contains the title", "'odd'",
                 "scores must be", "age 13", "runtime 1"):  # fmt: skip
        assert part in text


def test_disagreements_with_facts_are_listed_unless_overridden() -> None:
    record = {"id": "x", "year": 1999, "directors": ["A B"], "country": "France"}
    film = {"year": 1998, "directors": ["C D"], "country_qid": "Q142"}
    assert [k for k, _ in check_editorial.disagreements(record, film)] == ["year", "directors"]
    record["override"] = ["year", "directors"]
    assert check_editorial.disagreements(record, film) == []
