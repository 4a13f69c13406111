"""The audit: figures by hand, a picture that is well-formed, churn, and exit codes."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from catalog.items import Catalog
from catalog.semantic_ids import Assignment
from catalog.sid_audit import app, churn, commonest, levels_of, picture
from tests.catalog.conftest import BUNDLE


def renamed(catalog: Catalog, ids: list[str], codes: np.ndarray) -> Catalog:
    """The same catalogue with other ids and codes."""
    return Catalog(
        df=catalog.df.with_columns(pl.Series("id", ids)),
        domain=catalog.domain,
        vectors=catalog.vectors,
        about_rows=catalog.about_rows,
        about_vectors=catalog.about_vectors,
        codes=codes.astype(np.uint8),
        codebooks=catalog.codebooks,
        scales={},
        related=catalog.related,
    )


def test_levels_by_hand(small: Catalog) -> None:
    codes = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 2]])
    levels, facet = levels_of(renamed(small, small.ids, codes))
    assert facet == "genres"
    assert [level.used for level in levels] == [2, 2, 3]
    assert [level.largest for level in levels] == [3, 3, 1]
    assert levels[0].perplexity == pytest.approx(2)
    assert levels[0].counts[:3].tolist() == [3, 3, 0]
    # Drama, Drama+Comedy, Comedy | Horror, none, Horror+Comedy+Drama: 2 of 3, and 2 of 2
    assert levels[0].purity == pytest.approx(4 / 5)
    assert levels[2].purity == 1
    assert levels[0].names[:3] == ["Comedy", "Horror", ""]


def test_commonest_labels() -> None:
    column = np.array([3, 3, 3, 9])
    names = commonest(column, [["War"], ["War", "Drama"], ["Drama"], []])
    assert names[3] == "Drama" and names[9] == ""  # a tie goes to the earlier letter


def test_churn_counts_items_in_both_builds(small: Catalog) -> None:
    old = np.array([[0, 0, k] for k in range(6)])
    new = old.copy()
    new[1, 2], new[2, 0] = 100, 5
    before = renamed(small, ["one", "two", "three", "x", "y", "z"], old)
    change = churn(renamed(small, ["one", "two", "three", "a", "b", "c"], new), before)
    assert (change.shared, change.added, change.removed) == (3, 3, 3)
    assert change.moved == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_the_picture_is_well_formed_and_escaped(small: Catalog) -> None:
    levels, _ = levels_of(small)
    report = Assignment(small.codes, 0.1, 0.05, 0.2, 3)
    root = ET.fromstring(picture(levels, report, "Tom & Jerry <films>"))
    tag = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{tag}rect")) == 257
    assert len(root.findall(f"{tag}polyline")) == 3
    assert any("Tom & Jerry <films>" in (text.text or "") for text in root.iter(f"{tag}text"))


def test_the_command_audits_the_bundled_films(tmp_path: Path) -> None:
    out = tmp_path / "ids.svg"
    command = ["audit", str(BUNDLE), "--compare", str(BUNDLE), "--picture", str(out)]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "final collisions 0" in done.output and "raw collisions" in done.output
    assert "0.00% from level 1" in done.output
    ET.parse(out)


def test_a_missing_catalogue_is_a_clear_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(tmp_path)])
    assert done.exit_code == 2 and "not a built catalogue" in " ".join(done.output.split())
