"""A folder that changes under a running agent: taken up in part, opened anew, or left alone."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from agent.opening import Place
from agent.renewal import InUse
from agent.settings import Settings
from catalog import folder, segments, vectors
from catalog.build import build
from catalog.errors import CatalogError
from catalog.items import Catalog
from catalog.update import update
from tools.candidates import Candidates
from tools.features import Query
from tools.find_title import TitleLinker

HEAD = "sku,name,type,maker,price,rooms,description"
ROWS = {
    f"k{n}": f"k{n},Brass Morning Kettle {'ABCDEFGHIJKL'[n]}x,{['steel', 'glass'][n % 2]},"
    f"{['Ada Oakley', 'Bo Elmore'][n % 2]},{10 + n} €,kitchen; {['hall', 'study'][n % 2]},"
    f"It sings in {['winter', 'summer'][n % 2]}"
    for n in range(12)
}
NEWS = {
    "k4": "k4,Crooked Teapot,clay,Bo Elmore,5 €,study,It never drips",
    "new": "new,Zephyrine Lantern,copper,Cyra Ashwood,77 €,garden,It glows for campers",
}


class Drawn:
    """An encoder that draws a vector for a text, always the same one."""

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = [np.random.default_rng(list(text.encode())).normal(size=384) for text in texts]
        table = np.array(rows, dtype=np.float32).reshape(-1, 384)
        return table / np.linalg.norm(table, axis=1, keepdims=True)


def table(path: Path, rows: dict[str, str]) -> Path:
    path.write_text("\n".join([HEAD, *rows.values()]) + "\n", "utf-8")
    return path


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building and updating draw their vectors too: nothing here is about meaning."""
    for name in ("embed", "embed_rows"):
        monkeypatch.setattr(vectors, name, lambda texts, *_: Drawn().encode(list(texts)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    build(table(tmp_path / "kettles.csv", ROWS), tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def place(out: Path, tmp_path: Path) -> Place:
    return Place(Settings(home=tmp_path / "home", catalog=out), Drawn())  # type: ignore[arg-type]


def linked(linker: TitleLinker, text: str) -> list[str]:
    return [link.value for link in linker.link(text)]


def test_a_segment_is_taken_up_and_the_old_one_goes_on(place: Place, out: Path) -> None:
    before = place.opened()
    assert place.renewed() is None
    update(out, table(out.parent / "news.csv", NEWS), ["k0"])
    after = place.renewed()
    assert after is not None and place.renewed() is None
    new, gone = after.catalog.row("new"), before.catalog.row("k0")
    assert len(after.catalog) == 13 and after.catalog.count == 12
    assert linked(after.linker, "I loved Zephyrine Lantern and Crooked Teapot") == ["new", "k4"]
    assert "k4" not in linked(after.linker, "I loved Brass Morning Kettle Ex")
    assert "k0" not in linked(after.linker, "I loved Brass Morning Kettle Ax")
    assert linked(after.linker, "something by Cyra Ashwood") == ["Cyra Ashwood"]
    weights = after.candidates.weights(Query(turns=(("user", "it glows for campers"),))).weights
    assert weights[gone] == 0 and weights[new] > 0 and weights.sum() == pytest.approx(1)
    assert after.candidates.features.words.match("a lantern for campers").argmax() == new
    assert after.store.query(after.catalog.vectors[new], 1).rows.tolist() == [new]
    # A turn that began before still has what it began with.
    assert before.catalog.has("k0") and not before.catalog.has("new")
    assert linked(before.linker, "I loved Brass Morning Kettle Ax") == ["k0"]
    assert before.candidates.weights(Query()).weights[gone] > 0
    update(out, table(out.parent / "news.csv", {"k0": ROWS["k0"]}), ["new"])
    third = place.renewed()
    assert third is not None and third.catalog.has("k0") and not third.catalog.has("new")
    assert linked(third.linker, "I loved Brass Morning Kettle Ax") == ["k0"]
    assert linked(third.linker, "I loved Zephyrine Lantern") == []


def test_taken_up_is_as_good_as_opened(place: Place, out: Path) -> None:
    place.opened()
    update(out, table(out.parent / "news.csv", NEWS))
    grown = place.renewed()
    assert grown is not None
    fresh = Catalog.open(out)
    opened = Candidates.open(fresh, Drawn())
    for query in (
        Query(turns=(("user", "a copper lantern by Cyra Ashwood for the garden"),)),
        Query(turns=(("user", "like that"),), liked=(4,), anchors=(12,), about=("in winter",)),
    ):
        np.testing.assert_allclose(
            grown.candidates.weights(query).weights, opened.weights(query).weights, rtol=1e-4
        )
    linker = TitleLinker(fresh)
    for text in ("Crooked Teapot", "brass morning kettle cx by Bo Elmore", "zephyrin lantern"):
        assert linked(grown.linker, f"I liked {text}.") == linked(linker, f"I liked {text}.")


def test_written_anew_with_the_same_items_nothing_is_opened(place: Place, out: Path) -> None:
    place.opened()
    update(out, None, ["k0"])
    held = place.renewed()
    update(out, force=True)
    assert not (out / segments.HEAD).exists() and place.renewed() is None
    update(out, None, ["k1"])
    after = place.renewed()
    assert held is not None and after is not None
    assert len(after.catalog) == 12 and after.catalog.count == 10


def test_another_catalogue_is_opened(place: Place, out: Path) -> None:
    place.opened()
    build(table(out.parent / "kettles.csv", NEWS), out, fresh_ids=True)
    after = place.renewed()
    assert after is not None and after.catalog.ids == ["k4", "new"]


@pytest.mark.parametrize("name", ["items.parquet", "vectors.npz", "semantic_ids.npz", "manifest"])
def test_a_damaged_folder_is_said_once_and_the_old_one_stays(
    place: Place, out: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    file = out / ("manifest.json" if name == "manifest" else name)
    in_use = InUse(place.opened(), lambda _: place.renewed())  # type: ignore[arg-type]
    held = in_use.parts
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # as a copy that broke off leaves it
    with caplog.at_level(logging.ERROR):
        assert not in_use.reload() and not in_use.reload()
    assert in_use.parts is held and held.catalog.count == 12
    (said,) = [record.getMessage() for record in caplog.records]
    assert "the old one stays" in said and file.name in said and "catalog.build" in said
    file.write_bytes(whole)
    assert not in_use.reload() and in_use.parts is held
    update(out, None, ["k3"])
    assert in_use.reload() and not in_use.parts.catalog.has("k3")


def test_a_damaged_segment_changes_nothing(place: Place, out: Path) -> None:
    held = place.opened()
    shutil.copytree(out, out.parent / "copy")
    update(out.parent / "copy", table(out.parent / "news.csv", NEWS))
    damaged = out.parent / "copy" / segments.FOLDER / "00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20] + b"x" * 20)
    folder._swap(out.parent / "copy", out)
    with pytest.raises(CatalogError, match="00001 is damaged"):
        place.renewed()
    with pytest.raises(CatalogError, match="00001 is damaged"):
        place.renewed()
    assert held.catalog.count == 12 and linked(held.linker, "I loved Brass Morning Kettle Ex")
