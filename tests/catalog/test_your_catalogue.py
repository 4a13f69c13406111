"""A stranger's table all the way: built, changed, killed half-way, watched, indexed, drawn."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from catalog import folder, images, interactions, prepare, vectors
from catalog.build import build
from catalog.config import Config
from catalog.errors import BuildError, CatalogError, EmbedError
from catalog.items import Catalog
from catalog.store import VectorStore, delta
from catalog.update import update
from catalog.watch import state, watch
from tests.catalog.conftest import ROOT, unit

HEAD = "sku,name,type,maker,price,rooms,image"
ROWS = {
    f"k{n}": f"k{n},Kettle {n},{['steel', 'glass'][n % 2]},{['Ada Oak', 'Bo Elm'][n % 2]},"
    f"{10 + n} €,kitchen; {['hall', 'study'][n % 2]},{'pot.png' if n == 1 else ''}"
    for n in range(12)
}
PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


def table(path: Path, rows: dict[str, str]) -> Path:
    path.write_text("\n".join([HEAD, *rows.values()]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``kettles.csv``, and ``out`` built from it."""
    base = tmp_path_factory.mktemp("kettles")
    (base / "pot.png").write_bytes(PICTURE)
    (base / "taken.csv").write_text(
        "customer,sku,when\n"
        "a,k1,2024-01-01\na,k2,2024-01-02\nb,k1,2024-01-01\nb,k2,2024-01-02\n"
        "b,k3,2024-01-03\nc,gone,2024-01-01\nc,,2024-01-01\n",
        "utf-8",
    )
    layer = [
        {"id": "k1", "premise": "A kettle that sings.", "themes": ["tea"], "type": ["copper"]},
        {"id": "k2", "maker": ["Cy Ash"], "override": ["maker"], "price": 99},
        {"id": "k3", "premise": 7, "colour": "red"},
        {"id": "nobody", "premise": "x"},
    ]
    lines = [json.dumps(record) for record in layer] + ["{oops"]
    (base / "layer.jsonl").write_text("\n".join(lines), "utf-8")
    build(
        table(base / "kettles.csv", ROWS),
        base / "out",
        interactions=base / "taken.csv",
        editorial=base / "layer.jsonl",
    )
    return base


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of everything that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "kettles"))


def test_what_was_built(made: Path) -> None:
    kettles = Catalog.open(made / "out")
    folder.verify(made / "out")
    assert (len(kettles), kettles.domain.noun_one) == (12, "kettle")
    item = kettles.item("k1")
    assert item.values["price"] == 11 and item.values["room"] == ("kitchen", "study")
    assert item.image is not None and (made / "out" / item.image).read_bytes() == PICTURE
    assert kettles.related[kettles.row("k1"), kettles.row("k2")] == pytest.approx(2)
    assert kettles.popularity[[kettles.row(i) for i in ("k1", "k3", "k4")]].tolist() == [2, 1, 0]
    assert (made / "out" / "unknown_items.csv").read_text() == "item,rows\ngone,1\n"
    assert Config.read(made / "out" / "config.yaml").columns["sku"].use == "id"


def test_the_editorial_layer_lies_over_the_facts_and_is_marked(made: Path) -> None:
    kettles = Catalog.open(made / "out")
    one, two = kettles.item("k1"), kettles.item("k2")
    assert one.values["premise"] == "A kettle that sings." and one.values["themes"] == ("tea",)
    assert one.values["type"] == ("copper", "glass")
    assert one.editorial == {"premise", "themes", "type"}
    assert two.values["maker"] == ("Cy Ash",) and two.editorial == {"maker"}
    assert two.values["price"] == 12  # the fact is kept
    assert kettles.about_rows.tolist() == [kettles.row("k1")]
    bad = pl.read_csv(made / "out" / "rejected.csv").filter(
        pl.col("column").str.starts_with("editorial")
    )
    assert bad["line"].to_list() == [3, 3, 4, 5]


def test_an_update_touches_only_what_it_names(copy: Path) -> None:
    before = Catalog.open(copy / "out")
    new = {
        "new": "new,A singing kettle,copper,Ada Oak,77 €,garden,",
        "k4": "k4,Renamed teapot of clay,clay,Bo Elm,5 €,study,",
        "bad": "bad,,,,,,",
    }
    done = update(copy / "out", table(copy / "more.csv", new), ["k0"])
    assert (done.added, done.edited, done.removed) == (["new"], ["k4"], ["k0"])
    assert [r.reason for r in done.rejected] == ["has no title"]
    after = Catalog.open(copy / "out")
    folder.verify(copy / "out")
    assert not after.has("k0") and len(after) == 12
    assert after.item("k4").title == "Renamed teapot of clay"
    assert after.item("new").values["price"] == 77
    assert after.fingerprint != before.fingerprint
    for item in set(before.ids) - {"k0", "k4"}:
        old, now = before.row(item), after.row(item)
        assert (before.codes[old] == after.codes[now]).all()
        assert (before.vectors[old] == after.vectors[now]).all()
        assert before.item(item) == after.item(item)
    assert len(np.unique(after.codes, axis=0)) == 12
    one, two = after.row("k1"), after.row("k2")
    assert after.related[one, two] == pytest.approx(2)
    assert after.about_rows.tolist() == [one]
    image = after.item("k1").image
    assert image is not None and (copy / "out" / image).is_file()
    change = delta(after)
    assert change is not None and change.before == before.fingerprint
    assert (sorted(change.changed), change.removed) == (["k4", "new"], ["k0"])


def test_a_bad_update_changes_nothing(copy: Path) -> None:
    before = folder.read_manifest(copy / "out")
    with pytest.raises(BuildError, match="no item 'k99' to remove"):
        update(copy / "out", None, ["k99"])
    with pytest.raises(BuildError, match="would be empty"):
        update(copy / "out", None, list(ROWS))
    with pytest.raises(BuildError, match="say one of both"):
        update(copy / "out", table(copy / "x.csv", {"k1": ROWS["k1"]}), ["k1"])
    with folder.locked(copy / "out"), pytest.raises(BuildError, match="another process"):
        update(copy / "out", None, ["k1"])
    assert folder.read_manifest(copy / "out") == before


def test_the_index_follows_an_update_without_being_rebuilt(copy: Path) -> None:
    old = Catalog.open(copy / "out")
    first = VectorStore.open(old, copy / "home")
    update(copy / "out", None, ["k0"])
    again = Catalog.open(copy / "out")
    store = VectorStore.open(again, copy / "home")
    assert store._collection.id == first._collection.id
    assert sorted(store._collection.get()["ids"]) == sorted(again.ids)
    for catalog, searched in ((again, store), (old, first)):  # a turn in flight has the old one
        hits = searched.query(catalog.vectors[catalog.row("k5")], 3)
        assert hits.rows[0] == catalog.row("k5")
    build(copy / "kettles.csv", copy / "out")  # brings k0 back, with no delta for the index
    third = Catalog.open(copy / "out")
    assert "k0" in VectorStore.open(third, copy / "home")._collection.get()["ids"]


KILLED = """
import os, signal, sys
from pathlib import Path
from catalog import vectors
from catalog.build import build

vectors.CHUNK = 3
add = vectors.Cache.add

def once(self, keys, rows):
    add(self, keys, rows)
    if len(self._at) >= 6:
        os.kill(os.getpid(), signal.SIGKILL)

vectors.Cache.add = once
build(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_killed_half_way_the_old_catalogue_stays_and_the_next_build_goes_on(copy: Path) -> None:
    """The new table has only new texts; six of them are embedded when the process dies."""
    before = folder.read_manifest(copy / "out")
    (copy / "out.vectors").unlink()
    fresh = {k: row.replace("Kettle", "Teapot") for k, row in ROWS.items()}
    source = table(copy / "kettles.csv", fresh)
    command = [sys.executable, "-c", KILLED, str(source), str(copy / "out")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert folder.read_manifest(copy / "out") == before
    assert len(Catalog.open(copy / "out")) == 12
    with (copy / "out.vectors").open("ab") as file:
        file.write(b"a torn row")
    assert len(vectors.Cache(copy / "out.vectors")._at) == 6
    build(source, copy / "out")
    assert Catalog.open(copy / "out").item("k3").title == "Teapot 3"


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.vectors").write_text("my diary\n" * 20)
    with pytest.raises(EmbedError, match="holds no vectors of this encoder"):
        vectors.embed(["x"], tmp_path / "a.vectors")
    assert (tmp_path / "a.vectors").read_text().startswith("my diary")


def test_watching_builds_again_after_a_change_and_survives_an_error(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("1")
    built: list[str] = []
    said: list[str] = []
    stop = threading.Event()

    def rebuild() -> None:
        text = source.read_text()
        if text == "bad":
            raise BuildError("bad source.")
        built.append(text)
        if text == "3":
            stop.set()

    arguments = ([source], rebuild, said.append, stop, 0.02, state([source]))
    thread = threading.Thread(target=watch, args=arguments)
    thread.start()
    for text, wait in (("2", lambda: built), ("bad", lambda: said), ("3", stop.is_set)):
        source.write_text(text)
        os.utime(source, ns=(time.time_ns(), time.time_ns() + len(built) + len(said) + 1))
        deadline = time.monotonic() + 20
        while not wait() and time.monotonic() < deadline:
            time.sleep(0.01)
    thread.join(20)
    assert built[-1] == "3" and "2" in built
    assert said == ["bad source. The catalogue in use stays."]


def test_make_chat_builds_once_and_again_when_the_table_changed(copy: Path) -> None:
    home = copy / "home"
    source = str(copy / "kettles.csv")
    (home / "catalogs").mkdir(parents=True)
    place = home / "catalogs" / prepare.place_of(source)
    shutil.copy(copy / "out.vectors", place.with_name(f"{place.name}.vectors"))
    first = prepare.prepare(source, home)
    assert first == place and len(Catalog.open(first)) == 12
    manifest = (first / "manifest.json").stat().st_mtime_ns
    assert prepare.prepare(source, home) == first
    assert (first / "manifest.json").stat().st_mtime_ns == manifest
    table(copy / "kettles.csv", {k: v for k, v in ROWS.items() if k != "k2"})
    assert len(Catalog.open(prepare.prepare(source, home))) == 11
    assert prepare.prepare(str(first), home) == first  # a built folder is taken as it is
    with pytest.raises(CatalogError, match=r"CATALOG=nowhere\.csv does not exist"):
        prepare.prepare("nowhere.csv", home)


def test_one_row_is_a_catalogue(tmp_path: Path, made: Path) -> None:
    build(table(tmp_path / "one.csv", {"k0": ROWS["k0"]}), tmp_path / "out")
    assert Catalog.open(tmp_path / "out").item(0).title == "Kettle 0"


def test_given_vectors_are_used_and_large_catalogues_are_mapped(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LARGE", 8)
    rows = unit(12, seed=4)
    np.save(copy / "rows.npy", 3 * rows)
    build(copy / "kettles.csv", copy / "large", given=copy / "rows.npy")
    kettles = Catalog.open(copy / "large")
    assert isinstance(kettles.vectors, np.memmap)
    np.testing.assert_allclose(kettles.vectors, rows, atol=1e-6)
    update(copy / "large", None, ["k0"])
    assert Catalog.open(copy / "large").count == 11
    np.save(copy / "few.npy", rows[:3])
    with pytest.raises(BuildError, match=r"shape \(3, 384\): \(12, 384\) is needed"):
        build(copy / "kettles.csv", copy / "large", given=copy / "few.npy")


def test_related_items_against_a_plain_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred people over thirty items, blocks of a few pairs: counts as by hand."""
    rng = np.random.default_rng(3)
    ids = [f"i{n}" for n in range(30)]
    pairs = {
        (int(u), int(i))
        for u, i in zip(rng.integers(200, size=900), rng.integers(30, size=900), strict=True)
    }
    lines = [f"u{u};i{i}" for u, i in sorted(pairs)]
    (tmp_path / "a.csv").write_text("\n".join(["user;item", *lines]) + "\n")
    found = interactions.read(tmp_path / "a.csv", ids)
    dense = np.zeros((200, 30))
    dense[tuple(np.array(sorted(pairs)).T)] = 1
    counts = dense.T @ dense
    assert found.popularity.tolist() == pytest.approx(np.diag(counts).tolist())
    np.fill_diagonal(counts, 0)
    np.testing.assert_allclose(found.related.toarray(), counts, atol=1e-3)
    monkeypatch.setattr(interactions, "PAIRS", 50)
    again = interactions.together(sp.csr_matrix(dense.astype(np.float32)))
    np.testing.assert_allclose(again.toarray(), counts, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,item\na,x\n", "none of its 1 rows names an item"),
        ("item\nk1\n", "no column that can be the user"),
    ],
)
def test_interactions_that_do_not_fit_are_an_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BuildError, match=said):
        interactions.read(tmp_path / "a.csv", ["k1"])


def test_pictures_must_be_pictures_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "secret.png").write_bytes(PICTURE)
    (tmp_path / "shop" / "page.png").write_text("<script>")
    (tmp_path / "shop" / "ok.jpg").write_bytes(PICTURE)
    said = [
        "../secret.png",
        "page.png",
        "ok.jpg",
        "http://e.org/a.png",
        "https://e.org/a.png",
        None,
    ]
    found = images.gather(pl.Series(said, dtype=pl.String), np.arange(6), tmp_path / "shop")
    names = found.column.to_list()
    assert names[:2] == [None, None] and names[3:] == [None, "https://e.org/a.png", None]
    assert list(found.files) == [names[2]] and str(names[2]).endswith(".png")
    assert [r.reason.split(";")[0] for r in found.rejected] == [
        "no such file in the table's folder",
        "neither PNG, JPEG, GIF nor WebP",
        "only https addresses are shown",
    ]
