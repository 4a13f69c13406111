"""The tutorials' commands, run as they stand, and what the pages say that they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.items import Catalog

ROOT = Path(__file__).resolve().parents[2]


def commands(page: Path) -> list[str]:
    """The shell blocks of a page, in order."""
    return re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def run(block: str, folder: Path) -> str:
    """Run a block in a folder with `python` being this one; its output."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PARLEY_HOME": str(folder / "home"),
        "PYTHON": sys.executable,
        "COLUMNS": "200",
    }
    script = f'python() {{ "$PYTHON" "$@"; }}\nset -e\n{block}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)  # many programs are started; minutes on a busy machine
def test_your_catalogue_in_ten_minutes(tmp_path: Path) -> None:
    said = [run(block, tmp_path) for block in commands(ROOT / "docs" / "your-catalogue.md")]
    assert len(said) == 7
    _, built, corrected, talked, taken, house, changed = said
    for line in (
        '  sku:  # heading "sku", 86% differ',
        "    unit: €",
        "line 6, price: no number in € or alone; left empty: 'ask us'",
        "line 7: repeats the id 'k3' of line 4",
        "1 rows rejected, 1 cells left empty",
    ):
        assert line in built
    assert "How many litres should it hold?" in corrected
    assert '"slate": [{"id": "k' in talked and "film" not in talked
    assert "1 of 6 rows name 1 items that the catalogue lacks ('k9')" in taken
    assert "FACT  k5: price" not in house  # the table has no price for it
    assert "1 added, 1 edited, 1 removed" in changed
    kettles = Catalog.open(tmp_path / "kettles")
    assert len(kettles) == 6
    assert kettles.item("k5").values["price"] == 19.5
    assert "price" in kettles.item("k5").editorial
    assert kettles.item("k1").values["price"] == 35.9 and not kettles.has("k2")
