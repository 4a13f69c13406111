"""A mask on disk: the same mask back, and no damaged file goes unnoticed."""

from pathlib import Path

import numpy as np
import pytest

from catalog.errors import SlateError
from catalog.trie import SlateMask
from catalog.trie_file import load, save


@pytest.fixture
def mask() -> SlateMask:
    rng = np.random.default_rng(0)
    return SlateMask(np.unique(rng.integers(0, 12, (500, 3)), axis=0))


def test_a_saved_mask_answers_as_the_one_it_came_from(mask: SlateMask, tmp_path: Path) -> None:
    save(mask, tmp_path / "mask.bin")
    again = load(tmp_path / "mask.bin")
    assert isinstance(again.keys.base, np.memmap)  # mapped, not read
    bits = np.random.default_rng(1).random(len(mask)) < 0.3
    for prefix in ((), (3,), (3, 5)):
        assert again.node(prefix) == mask.node(prefix)
    nodes = np.arange(5)
    for level in range(2):
        a, b = (
            m.batch([m.filter(bits)]).step(level, nodes * 0, nodes * level) for m in (again, mask)
        )
        np.testing.assert_array_equal(a.weights, b.weights)
    assert len(again.insert([(200, 0, 0)])) == len(mask) + 1


def test_every_kind_of_damage_is_a_clear_error(mask: SlateMask, tmp_path: Path) -> None:
    file = tmp_path / "mask.bin"
    save(mask, file)
    whole = file.read_bytes()

    def broken(content: bytes, said: str) -> None:
        file.write_bytes(content)
        with pytest.raises(SlateError, match=said):
            load(file)

    broken(b"", "no slate mask")
    broken(b"PK" + whole[2:], "no slate mask")
    broken(whole[:40], "damaged header")
    broken(whole[:30] + b"x" + whole[31:], "damaged header")
    broken(whole[:-200], "cut short")
    at = len(whole) - 500
    broken(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "damaged .checksum")
    with pytest.raises(SlateError, match="cannot be read"):
        load(tmp_path / "none.bin")


def test_another_format_is_refused(
    mask: SlateMask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.trie_file.FORMAT", 99)
    save(mask, tmp_path / "mask.bin")
    monkeypatch.undo()
    with pytest.raises(SlateError, match="format 99, this Parley reads 1"):
        load(tmp_path / "mask.bin")
