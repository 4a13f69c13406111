"""The bundled films: what must be there, and what must not."""

import json

import numpy as np
import pytest

from catalog import folder, semantic_ids
from catalog.filters import Clause, compile
from catalog.importers.movie_words import GENRE_NAMES
from catalog.items import Catalog
from tests.catalog.conftest import BUNDLE, ROOT


def find(films: Catalog, title: str, year: int) -> list[int]:
    same = (films.df["title"] == title) & (films.df["year"] == year)
    return [int(row) for row in np.flatnonzero(same.to_numpy())]


def test_files_are_as_the_manifest_says_and_small_enough() -> None:
    folder.verify(BUNDLE)
    sizes = [path.stat().st_size for path in BUNDLE.iterdir()]
    assert max(sizes) <= 16e6
    assert sum(sizes) <= 22e6


def test_size_and_columns(bundle: Catalog) -> None:
    assert 15_000 <= len(bundle) <= 20_000
    assert set(bundle.df.columns) == {
        "id", "title", "original_title", "link", "popularity", "editorial",
        *(facet.name for facet in bundle.domain.facets),
    }  # fmt: skip
    assert set(bundle.values("genres")) == set(GENRE_NAMES)
    assert len(bundle.domain.openers) == 8
    assert set(bundle.scales) == {scale.name for scale in bundle.domain.scales}


def test_no_text_of_others(bundle: Catalog) -> None:
    """Our premises are the only prose; keywords come from our own list."""
    assert "overview" not in bundle.df.columns
    layer = [json.loads(line) for line in (BUNDLE / "editorial.jsonl").read_text().splitlines()]
    ours = {record["premise"] for record in layer}
    assert set(bundle.df["premise"].drop_nulls()) <= ours
    assert max(len(word.split()) for word in bundle.values("keywords")) <= 4
    assert max(map(len, bundle.df["keywords"].drop_nulls().to_list())) <= 8


@pytest.mark.parametrize(
    ("title", "year", "director", "language"),
    [
        ("Arrival", 2016, "Denis Villeneuve", "English"),
        ("Parasite", 2019, "Bong Joon-ho", "Korean"),
        ("Amélie", 2001, "Jean-Pierre Jeunet", "French"),
        ("Spirited Away", 2001, "Hayao Miyazaki", "Japanese"),
        ("The Grand Budapest Hotel", 2014, "Wes Anderson", "English"),
        ("Paddington 2", 2017, "Paul King", "English"),
        ("Black Panther", 2018, "Ryan Coogler", "English"),
    ],
)
def test_well_known_films_have_facts_and_a_premise(
    bundle: Catalog, title: str, year: int, director: str, language: str
) -> None:
    rows = find(bundle, title, year)
    assert len(rows) == 1
    item = bundle.item(rows[0])
    assert director in item.values["directors"]
    assert language in item.values["language"]
    assert 5 <= len(item.values["premise"].split()) <= 25
    assert item.values["runtime"] > 60
    assert {"premise", "moods", "runtime", "scales"} <= item.editorial


def test_ids_are_unique_and_final(bundle: Catalog) -> None:
    assert bundle.codes.shape == (len(bundle), 3)
    assert len(np.unique(bundle.codes, axis=0)) == len(bundle)
    assert semantic_ids.perplexity(bundle.codes[:, 0]) >= 150
    done = semantic_ids.assign(bundle.vectors, bundle.codebooks)
    same = (done.codes == bundle.codes).all(axis=1).mean()
    assert same > 0.99  # kept ids of items whose text was edited since may differ


def test_scales_order_films_as_people_would(bundle: Catalog) -> None:
    funny, grim = find(bundle, "Superbad", 2007)[0], find(bundle, "Saw", 2004)[0]
    assert bundle.scales["humour"][funny] > bundle.scales["humour"][grim] + 2
    assert bundle.scales["violence"][grim] > bundle.scales["violence"][funny] + 2


def test_related_and_popularity_are_counts_of_train_and_validation(bundle: Catalog) -> None:
    assert (bundle.related != bundle.related.T).nnz == 0
    assert bundle.related.diagonal().sum() == 0
    most = bundle.item(int(bundle.popularity.argmax()))
    assert most.title == "Black Panther"
    shared = ROOT.parent / "shared" / "data" / "redial"
    if not shared.is_dir():
        pytest.skip("the ReDial dialogues are not on this machine")
    from catalog.importers import redial

    lines = (BUNDLE / "redial_ids.csv").read_text("utf-8").splitlines()[1:]
    ids = {film: item_id.strip('"') for film, item_id in (line.split(",", 1) for line in lines)}
    counts = redial.mention_counts(redial.read(shared), ids)
    assert int(bundle.popularity.max()) == counts[most.id]


def test_dialogues_point_at_rows(bundle: Catalog) -> None:
    with np.load(BUNDLE / "dialogues.npz") as data:
        assert data["starts"][-1] == len(data["items"])
        assert data["items"].max() < len(bundle)
        assert len(data["vectors"]) == len(data["starts"]) - 1 == len(data["number"])


def test_a_korean_thriller_since_2004(bundle: Catalog) -> None:
    clauses = [
        Clause(field="genres", op="any", values=("Thriller",)),
        Clause(field="country", op="any", values=("South Korea",)),
        Clause(field="year", op="ge", values=(2004,)),
    ]
    rows = np.flatnonzero(compile(bundle, clauses))
    assert find(bundle, "Parasite", 2019)[0] in rows
    for item in bundle.items(list(rows)):
        assert "Thriller" in item.values["genres"] and item.values["year"] >= 2004


def test_every_synonym_leads_to_a_value_of_the_catalogue(bundle: Catalog) -> None:
    for facet in bundle.domain.facets:
        if facet.kind != "categories":
            continue
        known = bundle.values(facet.name)
        targets = {*facet.synonyms.values(), *(v for m in facet.aliases_multi.values() for v in m)}
        assert targets <= set(known), facet.name
