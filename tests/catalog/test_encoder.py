"""Another text encoder: a tiny one with random weights, built from nothing here."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from agent.opening import Place
from agent.settings import Settings
from catalog import embed
from catalog.build import build
from catalog.embed import DIM, SHA256, Embedder, choose, digest, fits, model_dir
from catalog.errors import EmbedError
from catalog.folder import read_manifest

ROWS = "sku,name,type,maker,price\n" + "".join(
    f"s{k},Lamp {word},{('Desk', 'Floor')[k % 2]},{('Holm', 'Ruiz')[k % 2]},{20 + k}\n"
    for k, word in enumerate("Alba Bruma Cielo Duna Estela Faro Gota Hilo".split())
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of one layer."""
    folder = tmp_path_factory.mktemp("tiny")
    made(folder, DIM)
    return folder


def made(folder: Path, width: int) -> None:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=30522, hidden_size=width, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_dir()).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    yield
    choose(None)


def test_a_catalogue_remembers_its_encoder_and_refuses_another(tiny: Path, tmp_path: Path) -> None:
    table = tmp_path / "lamps.csv"
    table.write_text(ROWS)
    assert digest() == SHA256
    choose(tiny)
    other = digest()
    assert other != SHA256
    build(table, tmp_path / "out")
    assert read_manifest(tmp_path / "out")["encoder"] == other
    vectors = Embedder().encode(["eine Lampe", "une lampe"])
    assert vectors.shape == (2, DIM)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    choose(None)
    settings = Settings(home=tmp_path / "home", catalog=tmp_path / "out")
    with pytest.raises(EmbedError, match=rf"{other[:12]}.*PARLEY_ENCODER"):
        Place(settings, None).opened()  # type: ignore[arg-type]
    with pytest.raises(EmbedError, match=r"holds no vectors of this encoder"):
        build(table, tmp_path / "again", cache=tmp_path / "out.vectors")
    fits(SHA256, tmp_path)
    fits(None, tmp_path)


def test_folders_that_are_no_encoder_say_so(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match=r"no config.json and no model.safetensors"):
        choose(tmp_path)
    narrow = tmp_path / "narrow"
    narrow.mkdir()
    made(narrow, 64)
    with pytest.raises(EmbedError, match=r"vectors of 64 places.*384"):
        choose(narrow)
    cls = tmp_path / "cls"
    cls.mkdir()
    made(cls, DIM)
    (cls / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": false}')
    with pytest.raises(EmbedError, match="mean of its tokens"):
        choose(cls)
    assert embed._chosen is None
