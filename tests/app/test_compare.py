"""The compare table over a shop of lamps: what is shared, what differs, nothing unescaped."""

import re

import polars as pl
import pytest

from catalog.items import Catalog
from page.compare import compare_html
from tests.agent.lamps import lamps

NASTY = "<script>alert(1)</script> & \"${1+1}\" 'x'"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return lamps()


def rows(html: str) -> dict[str, str]:
    """Row label -> the row's HTML."""
    found = re.findall(r'<tr class="compare-\w+"><th scope="row">(.*?)</tr>', html)
    return {re.sub(r"\s*<.*", "", row): row for row in found}


def text(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def test_rows_stand_in_the_domains_order_with_units(catalog: Catalog) -> None:
    html = compare_html(["l1", "l5"], catalog)
    assert list(rows(html)) == ["Kind", "Maker", "Price", "Year", "Use", "Note"]
    assert "40 €" in rows(html)["Price"] and "25 €" in rows(html)["Price"]
    assert (
        html.count('scope="col"') == 2
        and ">2 lamps side by side, 4 of 6 rows differ</caption>" in html
    )


def test_what_differs_is_said_in_words_and_what_is_shared_is_ticked(catalog: Catalog) -> None:
    table = rows(compare_html(["l1", "l5"], catalog))  # both by Ada Holm, nothing else shared
    assert "(same for all)" in table["Maker"] and table["Maker"].count("(shared)") == 2
    assert "(differs)" in table["Kind"] and "(shared)" not in table["Kind"]
    assert "(differs)" in table["Price"]
    assert "differs" not in table["Note"]  # two texts always differ
    partly = rows(compare_html(["l3", "l4"], catalog))["Uses"]
    assert "(partly shared)" in partly and text(partly).count("✓") == 2


def test_a_missing_value_is_not_known_and_not_a_difference(catalog: Catalog) -> None:
    table = rows(compare_html(["l5", "l6"], catalog))
    assert "not known" in table["Price"] and "(not known for all)" in table["Price"]
    assert "None" not in text(compare_html(["l5", "l6"], catalog))


def test_four_items_fit_and_five_are_refused_with_a_reason(catalog: Catalog) -> None:
    four = compare_html(["l1", "l2", "l3", "l4"], catalog)
    assert four.count('scope="col"') == 4
    assert "take some off" in compare_html(["l1", "l2", "l3", "l4", "l5"], catalog)
    for few in ([], ["l1"], ["l1", "l1"]):
        assert "Choose two to four lamps" in compare_html(few, catalog)


def test_an_item_that_left_the_catalogue_is_named(catalog: Catalog) -> None:
    html = compare_html(["l1", "gone", "l2"], catalog)
    assert html.count('scope="col"') == 2
    assert "No longer in the catalogue: gone." in html


def test_soft_scales_stand_only_where_somebody_wrote_them() -> None:
    catalog = lamps()
    assert "warm" not in rows(compare_html(["l1", "l8"], catalog))
    wrote = pl.when(pl.col("id").is_in(["l1", "l8"])).then(pl.lit(["scales"]))
    catalog.df = catalog.df.with_columns(editorial=wrote.otherwise(pl.col("editorial")))
    both = rows(compare_html(["l1", "l8"], catalog))["How warm"]
    assert "0 of 4" in both and "4 of 4" in both and "(differs)" in both
    one = rows(compare_html(["l1", "l2"], catalog))["How warm"]
    assert "0 of 4" in one and "not known" in one


def test_nothing_of_the_catalogue_becomes_markup() -> None:
    nasty = lamps()
    first = pl.col("id") == "l1"
    nasty.df = nasty.df.with_columns(
        title=pl.when(first).then(pl.lit(NASTY)).otherwise(pl.col("title")),
        kind=pl.when(first).then(pl.lit([NASTY])).otherwise(pl.col("kind")),
        note=pl.when(first).then(pl.lit(NASTY)).otherwise(pl.col("note")),
        link=pl.when(first)
        .then(pl.lit("javascript:alert(1)"))
        .otherwise(pl.lit('https://example.org/"onmouseover="alert(1)')),
    )
    html = compare_html(["l1", "l2", NASTY], nasty)
    assert "<script" not in html and "javascript:" not in html and '"onmouseover' not in html
    assert html.count("&lt;script&gt;") == 4  # title, kind, note, and the id that is gone
    assert '<a href="https://example.org/&quot;onmouseover=' in html
