"""A block leaves the prompt whole and alone; rows of a level change places, no others do."""

from pathlib import Path

import torch

from tests.tiny_lm import tiny_folder
from tools.small_model import load_small
from training.ablate import untied, without


def test_one_block_goes_and_the_rest_stays() -> None:
    ids = [9, 1, 10, 11, 2, 12, 3, 13, 13, 4]
    starts = {1, 2, 3, 4}
    assert without(ids, 2, starts) == [9, 1, 10, 11, 3, 13, 13, 4]
    assert without(ids, 1, starts) == [9, 2, 12, 3, 13, 13, 4]
    assert without(ids, 7, starts) == ids


def test_rows_are_dealt_out_within_their_level(tmp_path: Path) -> None:
    loaded = load_small(tiny_folder(tmp_path))
    table = loaded.model.lm_head.weight
    before = table.detach().clone()
    untied(loaded)
    base = loaded.sid_base
    assert torch.equal(before[:base], table[:base])
    for level in range(3):
        own = slice(base + 256 * level, base + 256 * (level + 1))
        assert not torch.equal(before[own], table[own])
        assert torch.equal(before[own].sort(0).values, table[own].sort(0).values)
