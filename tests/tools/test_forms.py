"""The index of title forms: as a dictionary has it, kept in a file, taking up changes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from catalog.growth import Change, grown
from catalog.items import Catalog
from tools import find_title
from tools.find_title import TitleLinker
from tools.forms import Forms, forms_of, whole_forms

BUNDLE = Path(__file__).parents[2] / "catalog" / "data" / "movies"
TITLES = pl.read_parquet(BUNDLE / "items.parquet", columns=["title", "original_title"])


def test_whole_titles_over_columns_are_those_taken_one_by_one() -> None:
    """All bundled films: subtitles, numerals, articles, accents, years in brackets."""
    rows = np.arange(len(TITLES))
    fast = set(whole_forms(TITLES, rows))
    slow = set(forms_of(TITLES, rows.tolist(), lambda row: False))
    assert fast == slow and len(fast) >= len(TITLES)


def test_it_finds_what_a_dictionary_would(tmp_path: Path) -> None:
    some = TITLES.head(500)
    pairs = list(forms_of(some, range(500), lambda row: row % 2 == 0))
    index = Forms.of(pairs)
    by_hand: dict[str, dict[int, str]] = {}
    for form, row, kind in pairs:
        by_hand.setdefault(form, {}).setdefault(row, kind)
    index.save(tmp_path / "kept.npz", "mark")
    kept = Forms.read(tmp_path / "kept.npz", "mark")
    assert kept is not None and Forms.read(tmp_path / "kept.npz", "another") is None
    for one in (index, kept):
        for form, rows in by_hand.items():
            assert {found.row: found.kind for found in one.get(form)} == rows
            assert form in one and one.begins(form.split(" ")[0])
            assert all(one.knows(word) for word in form.split(" "))
        assert not one.get("no such title") and "no such title" not in one
    (tmp_path / "kept.npz").write_bytes(b"PK half of it")
    assert Forms.read(tmp_path / "kept.npz", "mark") is None
    grown = index.grown([0], [("another name", 0, "full"), ("new", 500, "full")])
    old = next(form for form, row, kind in pairs if row == 0)
    assert 0 not in {one.row for one in grown.get(old)} and 0 in {o.row for o in index.get(old)}
    assert [one.row for one in grown.get("another name")] == [0]
    assert grown.begins("another") and grown.knows("another") and not index.knows("zzz")


def test_a_large_catalogue_keeps_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog.open(BUNDLE)
    monkeypatch.setattr(find_title, "KEPT_FROM", 1000)
    monkeypatch.setattr(find_title, "KNOWN", 3000)
    first = TitleLinker(catalog, tmp_path / "titles.npz")
    assert (tmp_path / "titles.npz").is_file()
    second = TitleLinker(catalog, tmp_path / "titles.npz")
    for text in ("I loved Inception and Toy Story 2.", "something like eternal sunshine"):
        assert first.link(text) == second.link(text) != []
    # A start after an update knows the file: only what changed is read.
    row = 5
    change = Change(
        catalog.df[[row]].with_columns(title=pl.lit("Crooked Teapot Rising")),
        catalog.vectors[[row]],
        catalog.codes[[row]],
        np.zeros(0, dtype=np.int64),
        np.zeros((0, 384), dtype=np.float32),
        {name: values[[row]] for name, values in catalog.scales.items()},
    )
    monkeypatch.setattr(Forms, "of", None)
    third = TitleLinker(grown(catalog, change, "after"), tmp_path / "titles.npz")
    assert [one.row for one in third.link("I loved Crooked Teapot Rising.")] == [row]
    assert row not in [one.row for one in third.link(f"I loved {catalog.df['title'][row]}.")]
    assert third.link("I loved Inception.") == first.link("I loved Inception.")
