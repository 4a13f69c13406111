"""Changes appended as segments: the same catalogue as one written anew, whenever it is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catalog import compact, folder, segments, vectors
from catalog.build import build
from catalog.errors import CatalogError
from catalog.filters import Clause, compile
from catalog.growth import grown
from catalog.items import Catalog
from catalog.store import VectorStore
from catalog.update import update
from tests.catalog.conftest import ROOT, unit

STEPS = 6  # places where an update of a mapped catalogue may be killed

HEAD = "sku,name,type,maker,price,rooms"
ROWS = {
    f"k{n}": f"k{n},Kettle {n},{['steel', 'glass'][n % 2]},{['Ada Oak', 'Bo Elm'][n % 2]},"
    f"{10 + n} €,kitchen; {['hall', 'study'][n % 2]}"
    for n in range(12)
}
FIRST = {"k4": "k4,Clay teapot,clay,Bo Elm,5 €,study", "new": "new,Singing can,copper,Cy,77 €,hall"}
SECOND = {"k0": ROWS["k0"], "new": "new,Silent can,copper,Cy,7 €,garden"}


def table(path: Path, rows: dict[str, str]) -> Path:
    path.write_text("\n".join([HEAD, *rows.values()]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module", params=["packed", "mapped"])
def steps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folder as built, after one change, and after another one."""
    patch = pytest.MonkeyPatch()
    base = tmp_path_factory.mktemp(request.param)
    patch.setattr(vectors, "embed_rows", lambda texts, *_: unit(len(texts), seed=len(texts)))
    patch.setattr(vectors, "embed", lambda texts, *_: unit(len(texts), seed=3))
    (base / "taken.csv").write_text("customer,sku\na,k1\na,k4\nb,k1\nb,k4\nb,k3\n")
    given = None
    if request.param == "mapped":
        patch.setattr(folder, "LARGE", 8)
        given = base / "rows.npy"
        np.save(given, unit(12, seed=4))
    source, out = table(base / "kettles.csv", ROWS), base / "0"
    build(source, out, interactions=base / "taken.csv", given=given)
    shutil.copytree(out, base / "1")
    update(base / "1", table(base / "first.csv", FIRST), ["k0", "k7"])
    shutil.copytree(base / "1", base / "2")
    update(base / "2", table(base / "second.csv", SECOND), ["k1"])
    patch.undo()
    return [base / "0", base / "1", base / "2"]


def same(one: Catalog, other: Catalog, codes: bool = True) -> None:
    """Both hold the same items, with the same vectors and counts, whatever their rows."""
    live = sorted(item for item in one.ids if one.has(item))
    assert live == sorted(item for item in other.ids if other.has(item))
    mine, theirs = [one.row(i) for i in live], [other.row(i) for i in live]
    np.testing.assert_array_equal(one.vectors[mine], other.vectors[theirs])
    np.testing.assert_array_equal(one.popularity[mine], other.popularity[theirs])
    if codes:
        np.testing.assert_array_equal(one.codes[mine], other.codes[theirs])
    assert [one.item(i) for i in live] == [other.item(i) for i in live]
    left = one.related[mine][:, mine].toarray()
    np.testing.assert_array_equal(left, other.related[theirs][:, theirs].toarray())
    for facet in ("type", "room", "maker"):
        assert one.values(facet) == other.values(facet)
    for clause in (
        Clause(field="room", op="any", values=("study", "hall")),
        Clause(field="type", op="none", values=("steel",)),
        Clause(field="price", op="le", values=(12,)),
        Clause(field="maker", op="all", values=("Bo Elm",)),
    ):
        a, b = compile(one, [clause]), compile(other, [clause])
        assert {one.ids[r] for r in np.flatnonzero(a)} == {other.ids[r] for r in np.flatnonzero(b)}


def test_a_change_is_appended_and_nothing_else_is_written(steps: list[Path]) -> None:
    built, after = (folder.read_manifest(path) for path in steps[:2])
    assert built == after
    head = segments.read_head(steps[2])
    assert [one.changed for one in head.segments] == [("k4", "new"), ("k0", "new")]
    assert [one.removed for one in head.segments] == [("k0", "k7"), ("k1",)]
    for path in steps[1:]:
        folder.verify(path)
    first, last = Catalog.open(steps[1]), Catalog.open(steps[2])
    assert (first.count, last.count) == (11, 11)
    assert not first.has("k0") and last.has("k0") and not last.has("k1")
    assert first.item("new").title == "Singing can" and last.item("new").title == "Silent can"
    assert last.popularity[last.row("k4")] == 2  # an edited item keeps what is known of it
    assert last.related[last.row("k4"), last.row("k3")] > 0
    assert len(np.unique(last.codes, axis=0)) == len(last)
    with pytest.raises(CatalogError, match=r"No item 'k1' .*\(11 items\)"):
        last.row("k1")


def test_taken_up_in_memory_it_is_what_is_opened(steps: list[Path]) -> None:
    held = Catalog.open(steps[0])
    for facet in ("type", "room", "maker"):
        held.values(facet), held.holders(facet)
    before = [held.item(i) for i in held.ids]
    vectors = np.array(held.vectors)
    now = held
    for path in steps[1:]:
        mapped = isinstance(held.vectors, np.memmap)
        if mapped:  # the file that is mapped is the one that grew
            held.vectors.filename = path / "vectors.npy"  # type: ignore[attr-defined]
            now.vectors.filename = path / "vectors.npy"  # type: ignore[attr-defined]
        head = segments.read_head(path)
        change = segments.read(path, head.segments[-1:])
        assert change is not None
        now = grown(now, change, head.fingerprint)
        same(now, Catalog.open(path))
        assert now.fingerprint == Catalog.open(path).fingerprint
        assert not compile(now, []).all() and compile(now, []).sum() == now.count
    assert [held.item(i) for i in held.ids] == before and held.count == 12
    if not isinstance(held.vectors, np.memmap):
        np.testing.assert_array_equal(held.vectors, vectors)
    everything = segments.read(steps[2], segments.read_head(steps[2]).segments)
    assert everything is not None
    if not isinstance(held.vectors, np.memmap):
        same(grown(held, everything, "x"), now)


def test_a_new_index_is_filled_from_a_folder_with_segments(
    steps: list[Path], tmp_path: Path
) -> None:
    for number, step in enumerate(steps):
        catalog = Catalog.open(step)
        store = VectorStore.open(catalog, tmp_path / str(number))
        alive = [i for i, here in zip(catalog.ids, catalog.alive, strict=True) if here]
        if store._collection is None:  # mapped catalogues are searched without an index
            continue
        assert sorted(store._collection.get()["ids"]) == sorted(alive)


def test_written_anew_it_is_the_same(
    steps: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (steps[0] / "vectors.npy").is_file():
        monkeypatch.setattr(folder, "LARGE", 8)
    shutil.copytree(steps[2], tmp_path / "out")
    opened = Catalog.open(tmp_path / "out")
    update(tmp_path / "out", force=True)
    folder.verify(tmp_path / "out")
    assert not (tmp_path / "out" / segments.HEAD).exists()
    again = Catalog.open(tmp_path / "out")
    assert len(again) == again.count == 11
    same(opened, again)
    manifest = folder.read_manifest(tmp_path / "out")
    assert manifest["same_as"] == opened.fingerprint
    assert manifest["delta"]["from"] == folder.fingerprint(folder.read_manifest(steps[0]))


def test_a_share_of_changes_is_written_anew(
    steps: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "LEAST", 3)
    shutil.copytree(steps[0], tmp_path / "out")
    update(tmp_path / "out", None, ["k1", "k2"])
    assert (tmp_path / "out" / segments.HEAD).exists()
    update(tmp_path / "out", None, ["k3", "k4"])
    assert not (tmp_path / "out" / segments.HEAD).exists()
    assert Catalog.open(tmp_path / "out").count == 8


KILLED = """
import os, signal, sys
from pathlib import Path

import numpy as np
from catalog import folder, segments, vectors
from catalog.update import update

def drawn(texts, *rest):  # instead of the encoder, which takes seconds to load
    rows = np.random.default_rng(0).normal(size=(len(texts), 384)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

vectors.embed_rows = drawn
target = int(sys.argv[3])
calls = 0

def counted(real):
    def call(*args):
        global calls
        calls += 1
        if calls == target:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    return call

segments._synced = counted(segments._synced)
segments._lengthen = counted(segments._lengthen)
segments.write_head = counted(segments.write_head)
update(Path(sys.argv[1]), Path(sys.argv[2]), ["k7"])
"""


def test_killed_at_any_step_the_catalogue_is_the_old_one_and_the_next_update_works(
    steps: list[Path], tmp_path: Path
) -> None:
    """Before each write and sync of an update, and the update that comes after on what is left."""
    shutil.copytree(steps[0], tmp_path / "out")
    old = folder.read_manifest(tmp_path / "out")
    news = table(tmp_path / "news.csv", FIRST)
    mapped = (steps[0] / "vectors.npy").is_file()
    for step in range(1, STEPS + 1 if mapped else 5):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "out"), str(news), str(step)]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        held = Catalog.open(tmp_path / "out")
        assert folder.read_manifest(tmp_path / "out") == old
        assert held.count == 12 and not held.has("new")
    command[-1] = "99"
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    folder.verify(tmp_path / "out")
    assert Catalog.open(tmp_path / "out").item("new").title == "Singing can"


def test_damage_is_named(steps: list[Path], tmp_path: Path) -> None:
    shutil.copytree(steps[2], tmp_path / "out")
    file = tmp_path / "out" / segments.FOLDER / "00002.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    with pytest.raises(CatalogError, match=r"00002\.npz has \d+ bytes, its manifest says"):
        Catalog.open(tmp_path / "out")
    file.write_bytes(b"x" * len(whole))
    with pytest.raises(CatalogError, match=r"00002 is damaged"):
        Catalog.open(tmp_path / "out")
    with pytest.raises(CatalogError, match="another sha256"):
        segments.verify(tmp_path / "out")
    head = tmp_path / "out" / segments.HEAD
    head.write_text(head.read_text()[:-9])
    with pytest.raises(CatalogError, match=r"segments\.json cannot be read"):
        Catalog.open(tmp_path / "out")
    head.write_text(json.dumps({"format": 1, "base": "x", "total": 1, "segments": []}))
    with pytest.raises(CatalogError, match="belongs to another catalogue"):
        Catalog.open(tmp_path / "out")
    os.remove(head)
    assert Catalog.open(tmp_path / "out").count == 12  # as it was built


def test_a_new_item_starts_as_its_kind_is_known(steps: list[Path]) -> None:
    """Without a count of its own: the mean log popularity of its nearest kind, here all."""
    built, after = Catalog.open(steps[0]), Catalog.open(steps[1])
    expected = np.expm1(np.log1p(built.popularity).mean())
    assert after.popularity[after.row("new")] == pytest.approx(expected, rel=0.5)
    assert 0 < after.popularity[after.row("new")] < built.popularity.max()
