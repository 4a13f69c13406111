"""One vLLM server for the suite: parley-small over a copy of the film catalogue.

Its cache holds a dozen blocks, so that concurrent requests are preempted; an adapter is loaded,
so that others can be swapped in.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from catalog.items import Catalog
from tests.serving.server import ROOT, VLLM_PYTHON, Served
from tools.small_model import LoadedModel, load_small

MODEL = ROOT / "models" / "parley-small"
BLOCKS = 16  # of 128 tokens: a dozen requests grow beyond it


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue that is served; tests may change it."""
    out = tmp_path_factory.mktemp("served") / "movies"
    shutil.copytree(ROOT / "catalog" / "data" / "movies", out)
    return out


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two LoRA adapters that change what parley-small prefers."""
    import torch
    from peft import LoraConfig, get_peft_model

    out = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        config = LoraConfig(r=8, lora_alpha=32, target_modules=["q_proj", "v_proj", "o_proj"])
        model = get_peft_model(load_small(MODEL).model, config)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
        out.append(tmp_path_factory.mktemp(f"adapter{seed}"))
        model.save_pretrained(out[-1])
    return out


@pytest.fixture(scope="session")
def served(folder: Path, adapters: list[Path]) -> Iterator[Served]:
    if not VLLM_PYTHON.exists():
        pytest.skip(f"{VLLM_PYTHON} is not there: run `make env-serving`")
    server = Served(
        f"--catalog {folder} --adapter {adapters[0]}",
        f"-- --num-gpu-blocks-override {BLOCKS} --block-size 128 --max-loras 2 --max-num-seqs 64",
    ).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def catalog(folder: Path) -> Catalog:
    return Catalog.open(folder)


@pytest.fixture(scope="session")
def loaded(catalog: Catalog) -> LoadedModel:
    model = load_small(MODEL)
    model.bind(catalog.codebooks)
    return model


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=120) as made:
        yield made
