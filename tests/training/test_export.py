"""The released folder: bf16, the catalogue's own code rows, a whole card, within its limits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_lm import tiny_folder
from tools.small_model import load_small
from tools.tokens import SID_TOKENS
from training.export import check_sizes, last_json, render_card, write_weights


def test_the_released_folder_loads_with_the_rows_of_its_catalogue(tmp_path: Path) -> None:
    centroids = np.random.default_rng(0).normal(size=(3, 256, 384)).astype(np.float32)
    out = tmp_path / "released"
    source = tiny_folder(tmp_path / "model")
    write_weights(load_small(source), centroids, source, out)
    released = load_small(out)
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    assert released.projection is not None
    ids = released.tokenizer.convert_tokens_to_ids(list(SID_TOKENS))
    rows = released.model.lm_head.weight[ids].clone()
    released.bind(centroids)
    wanted = released.model.lm_head.weight[ids].to(torch.bfloat16).float()
    torch.testing.assert_close(rows, wanted)
    assert check_sizes(out) < 5_000_000


def test_the_card_names_sources_losses_and_figures(tmp_path: Path) -> None:
    corpus = {"train_tokens": 1234, "tokens_by_source": {"x": 9}, "licences": {"x": "CC0"}}
    report = {"steps": 5, "seconds": 60.0, "val_text": 3.5}
    card = render_card(
        load_small(tiny_folder(tmp_path)),
        2_000_000,
        catalog="films",
        reports={"pretraining": report},
        corpus=corpus,
        figures={"recall@10": 0.2},
    )
    told = "**pretraining**: 5 steps, 1 minutes, held-out text loss 3.500."
    for part in (told, "| x | 9 | CC0 |", "| recall@10 | 0.2 |", "`films`", "2.0 MB"):
        assert part in card


def test_a_report_is_the_last_line_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('step 1\n{"steps": 3}\n')
    assert last_json(path) == {"steps": 3}
    path.write_text("Traceback")
    with pytest.raises(ValueError, match="finished run"):
        last_json(path)


def test_too_large_a_file_is_named(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(17_000_000)
    with pytest.raises(ValueError, match=r"17,000,000 of them in model\.safetensors"):
        check_sizes(tmp_path)
