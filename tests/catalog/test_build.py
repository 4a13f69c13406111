"""Building from a source folder: jsonl and csv, kept ids, atomic swap, damaged folders."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog import folder
from catalog.build import build
from catalog.errors import BuildError, CatalogError
from catalog.items import Catalog
from tests.catalog.conftest import ROOT

DOMAIN = """
name: lamps
noun_one: lamp
noun_many: lamps
vector_text: [title, rooms, blurb]
about_text: [premise, rooms]
keyword_text: blurb
facets:
  - {name: rooms, role: category, kind: categories, label: room, plural: rooms}
  - {name: watts, role: amount, kind: number, label: power, plural: powers, unit: W}
  - {name: maker, role: maker, kind: people, label: maker, plural: makers}
  - {name: premise, role: premise, kind: text, label: idea, plural: ideas, filterable: false}
  - {name: keywords, role: tag, kind: categories, label: k, plural: k, filterable: false}
scales:
  - {name: warmth, label: warm, more: [warmer], less: [colder]}
"""
ITEMS: list[dict[str, Any]] = [
    {
        "id": f"lamp-{n}",
        "title": f"Lamp {n}",
        "rooms": [["bedroom"], ["kitchen", "hall"], []][n % 3],
        "watts": 5 + n,
        "maker": ["Ada Oak"] if n % 2 else None,
        "premise": "A light for sailors." if n == 1 else None,
        "blurb": "Made for a ship and a lighthouse on an island." if n == 1 else "",
        "popularity": n,
        "scores": {"warmth": 4} if n == 0 else {},
    }
    for n in range(12)
]


def source(path: Path, items: list[dict[str, Any]] = ITEMS) -> Path:
    path.mkdir(exist_ok=True)
    (path / "domain.yaml").write_text(DOMAIN, "utf-8")
    lines = "".join(json.dumps(item) + "\n" for item in items)
    (path / "items.jsonl").write_text(lines, "utf-8")
    (path / "related.csv").write_text("a,b,count\nlamp-1,lamp-2,3\nlamp-1,gone,9\n", "utf-8")
    (path / "NOTICE.md").write_text("ours", "utf-8")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("lamps")
    build(source(base / "source"), base / "out", cache=base / "cache.npz")
    return base


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the built folder that a test may damage."""
    return Path(shutil.copytree(built / "out", tmp_path / "out"))


def test_what_was_built_opens_with_its_values(built: Path) -> None:
    lamps = Catalog.open(built / "out")
    folder.verify(built / "out")
    assert len(lamps) == 12
    item = lamps.item("lamp-1")
    assert item.values["rooms"] == ("kitchen", "hall")
    assert item.values["watts"] == 6
    assert "island" in item.values["keywords"] and "ship" in item.values["keywords"]
    assert "blurb" not in lamps.df.columns
    assert "rooms" not in lamps.item("lamp-2").values
    assert lamps.related[1, 2] == lamps.related[2, 1] == 3
    assert lamps.related.nnz == 2
    assert lamps.scales["warmth"][:2].tolist() == [4, 2]
    assert lamps.about_rows.tolist() == [1]
    assert lamps.values("rooms") == {"bedroom": 4, "kitchen": 4, "hall": 4}
    assert (built / "out" / "NOTICE.md").read_text() == "ours"
    assert np.linalg.norm(lamps.vectors, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    assert len(np.unique(lamps.codes, axis=0)) == 12
    with pytest.raises(CatalogError, match="No item 'lamp-99'"):
        lamps.row("lamp-99")


def test_building_twice_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    build(built / "source", tmp_path / "out", cache=built / "cache.npz")
    first = folder.read_manifest(built / "out")
    second = folder.read_manifest(tmp_path / "out")
    assert first["files"] == second["files"]


def test_a_rebuild_keeps_ids_and_inserts_new_items(built: Path, copy: Path, tmp_path: Path) -> None:
    before = Catalog.open(copy)
    more = [*ITEMS[3:], {"id": "new", "title": "A new lamp for the kitchen"}]
    manifest = build(source(tmp_path / "more", more), copy, cache=built / "cache.npz")
    after = Catalog.open(copy)
    assert manifest["semantic_ids"]["inserted"] == 1
    for item in ITEMS[3:]:
        old, new = before.row(item["id"]), after.row(item["id"])
        assert (before.codes[old] == after.codes[new]).all()
    assert len(np.unique(after.codes, axis=0)) == len(after) == 10


def test_csv_source_gives_the_same_items(built: Path, tmp_path: Path) -> None:
    path = source(tmp_path / "csv")
    (path / "items.jsonl").unlink()
    lines = ["id,title,rooms,watts,maker,blurb,popularity"]
    for item in ITEMS:
        rooms, maker = ";".join(item["rooms"]), ";".join(item["maker"] or [])
        lines.append(f"{item['id']},{item['title']},{rooms},{item['watts']},{maker},"
                     f"{item['blurb']},{item['popularity']}")  # fmt: skip
    (path / "items.csv").write_text("\n".join(lines) + "\n", "utf-8")
    build(path, tmp_path / "out", cache=built / "cache.npz")
    ours, theirs = Catalog.open(tmp_path / "out"), Catalog.open(built / "out")
    for row in (0, 2, 5):
        assert ours.item(row).values == theirs.item(row).values
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"watts": "bright"}, "watts is 'bright', a finite number is needed"),
        ({"rooms": "kitchen"}, "rooms is 'kitchen', a list of texts is needed"),
        ({"id": "lamp-1"}, "repeats the id 'lamp-1'"),
        ({"id": ""}, "has no id"),
        ({"title": " "}, "has no title"),
    ],
)
def test_bad_items_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = source(tmp_path / "source", [ITEMS[1], {**ITEMS[0], **change}])
    with pytest.raises(BuildError, match=said):
        build(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_catalogue_is_not_overwritten(built: Path, tmp_path: Path) -> None:
    precious = tmp_path / "out"
    precious.mkdir()
    (precious / "diary.txt").write_text("mine")
    with pytest.raises(BuildError, match="not empty and no catalogue"):
        build(built / "source", precious, cache=built / "cache.npz")
    assert (precious / "diary.txt").read_text() == "mine"


KILLED = """
import os, signal, sys
from pathlib import Path
from catalog import folder

def fill(new):
    (new / "items.parquet").write_bytes(b"half of a fi")
    os.kill(os.getpid(), signal.SIGKILL)

folder.write(Path(sys.argv[1]), fill)
"""


def test_killed_half_way_the_old_catalogue_stays_in_use(copy: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(copy)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [p.name for p in copy.parent.iterdir() if p.name.startswith("out.tmp-")]
    assert left  # the unfinished folder lies beside it, unused
    folder.verify(copy)
    assert len(Catalog.open(copy)) == 12


def test_a_failing_build_leaves_old_catalogue_and_no_rubbish(copy: Path) -> None:
    def fill(new: Path) -> dict[str, Any]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.write(copy, fill)
    folder.verify(copy)
    assert [p.name for p in copy.parent.iterdir()] == ["out"]


def test_swap_where_the_system_cannot_exchange(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_exchange", lambda a, b: False)  # as on macOS
    new = tmp_path / "new"
    new.mkdir()
    (new / "marker").write_text("new")
    folder._swap(new, copy)
    assert (copy / "marker").read_text() == "new"
    assert (new / "manifest.json").is_file()


@pytest.mark.parametrize("name", folder.DATA_FILES)
def test_a_cut_or_missing_file_is_a_clear_error(copy: Path, name: str) -> None:
    os.truncate(copy / name, (copy / name).stat().st_size - 1)
    with pytest.raises(CatalogError, match=rf"{name} has \d+ bytes, its manifest says"):
        Catalog.open(copy)
    (copy / name).unlink()
    with pytest.raises(CatalogError, match=rf"{name} is missing.*catalog.build"):
        Catalog.open(copy)


@pytest.mark.parametrize("name", folder.DATA_FILES)
def test_a_damaged_file_of_the_right_size_is_found(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"\0" * (copy / name).stat().st_size)
    with pytest.raises(CatalogError, match="damaged"):
        Catalog.open(copy)
    with pytest.raises(CatalogError, match="another sha256"):
        folder.verify(copy)


def test_another_format_and_no_catalogue_at_all(copy: Path, tmp_path: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(CatalogError, match="format 99, this Parley reads 1"):
        Catalog.open(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(CatalogError, match="cannot be read"):
        Catalog.open(copy)
    with pytest.raises(CatalogError, match="not a built catalogue"):
        Catalog.open(tmp_path / "nowhere")


def test_a_domain_file_with_a_typo_names_file_and_entry(copy: Path) -> None:
    text = (copy / "domain.yaml").read_text().replace("kind: number", "kind: nummber")
    (copy / "domain.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"domain\.yaml is not a valid.*(\n.*)*nummber"):
        Catalog.open(copy)


def test_a_facet_without_a_column_is_named(copy: Path) -> None:
    text = (copy / "domain.yaml").read_text().replace("name: watts", "name: lumens")
    (copy / "domain.yaml").write_text(text)
    with pytest.raises(CatalogError, match="without a column: lumens"):
        Catalog.open(copy)
