"""What `python -m agent.serve` checks and writes before vLLM is started."""

import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agent import serve, serving_model
from agent.errors import AgentError
from agent.serve import Options
from tests.agent.lamps import lamps
from tests.tiny_lm import tiny_folder
from tools.sid_rows import SidRows
from tools.small_model import PROJECTION_FILE, load_small


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_folder(tmp_path_factory.mktemp("small"))
    width = load_file(folder / PROJECTION_FILE)["weight"].shape[1]
    assert width == SidRows(64).weight.shape[1]
    return folder


def options(model: Path | str, **more: object) -> Options:
    return Options(str(model), Path("catalog/data/movies"), device="cpu", **more)  # type: ignore[arg-type]


def test_a_taken_port_is_said(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AgentError, match=rf"port {port} .* --port"):
            serve.check(options(model, port=port))


def test_a_model_or_an_adapter_that_is_not_there_is_said(model: Path, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"no such folder"):
        serve.check(options(tmp_path / "nothing", port=0))
    with pytest.raises(AgentError, match=r"no config\.json"):
        serve.check(options(tmp_path, port=0))
    with pytest.raises(AgentError, match=r"no LoRA adapter"):
        serve.check(options(model, port=0, adapter=tmp_path))
    serve.check(options(model, port=0))
    serve.check(options("owner/some-model", port=0))


def test_without_vllm_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(serve, "OWN_PYTHON", tmp_path / "python")
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AgentError, match="make env-serving"):
        serve.python_with_vllm()
    (tmp_path / "python").touch()
    assert serve.python_with_vllm() == str(tmp_path / "python")


def test_the_catalogues_rows_are_written_and_the_rest_is_linked(
    model: Path, tmp_path: Path
) -> None:
    books = lamps().codebooks
    out = serving_model.with_rows(model, books, tmp_path, torch.float32)
    bound = load_small(model)
    bound.bind(books)
    written = load_small(out)
    assert torch.equal(written.model.lm_head.weight, bound.model.lm_head.weight)
    assert (out / "tokenizer.json").is_symlink()
    with pytest.raises(AgentError, match="cannot write this catalogue's codes"):
        serving_model.with_rows(model, books[:, :, :9], tmp_path, torch.float32)
    serving_model.remove(out)
    assert (model / "tokenizer.json").is_file()


def test_a_model_without_a_projection_is_served_as_it_is(model: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        if file.name != PROJECTION_FILE:
            (tmp_path / file.name).symlink_to(file)
    assert serving_model.with_rows(tmp_path, lamps().codebooks, tmp_path, torch.float32) == tmp_path


def test_the_line_that_points_the_app_at_it(model: Path, tmp_path: Path) -> None:
    chosen = options(model, host="0.0.0.0", port=8123)
    assert "PARLEY_RECOMMENDER=http://127.0.0.1:8123/v1 " in serve.pointing(chosen)
    words = serve.arguments(chosen, model)
    assert words[words.index("--dtype") + 1] == "float32" and "--enforce-eager" in words
    assert words[words.index("--logits-processors") + 1] == serve.PROCESSOR
    held = serve.environment(chosen, model)
    assert held["PARLEY_MODEL"] == str(model) and held["PARLEY_CATALOG"].startswith("/")
