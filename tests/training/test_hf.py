"""The way of any Hugging Face LM: recipes, new code tokens, masked loss, slates of titles."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from tests.tiny_lm import tiny_folder, tiny_tokenizer
from tools.tokens import SID_TOKENS
from training.estimate import CARDS, adapter, estimate, parameters
from training.hf import FinetuneError, Recipe, open_tokenizer, shrunk, start_codes, with_adapter

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
RECIPES = sorted(CONFIGS.glob("qwen3_*.yaml"))
OUTDOOR = Path(__file__).parents[2] / "catalog" / "data" / "outdoor"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_complete_and_its_size_is_its_name(path: Path) -> None:
    recipe = Recipe.read(path)
    billions = float(path.stem.removeprefix("qwen3_").removesuffix("b"))
    assert parameters(recipe.architecture) / 1e9 == pytest.approx(billions, rel=0.2)
    found = estimate(recipe, CARDS["h200"], 100_000)
    assert found.trained == (adapter(recipe.architecture, recipe.lora) or found.parameters)
    assert 0 < found.sft_hours < 100
    assert (recipe.rl.group * recipe.rl.prompts_per_step) % recipe.rl.micro == 0


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    held = yaml.safe_load(RECIPES[0].read_text())
    held["sft"]["batch"] = 0
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(held))
    with pytest.raises(FinetuneError, match=r"sft\.batch"):
        Recipe.read(tmp_path / "x.yaml")
    with pytest.raises(FinetuneError, match="is missing"):
        Recipe.read(tmp_path / "none.yaml")


def test_codes_start_where_their_centroids_are(tmp_path: Path) -> None:
    tokenizer = open_tokenizer(str(tiny_folder(tmp_path / "m")))
    model = shrunk(Recipe.read(RECIPES[0]), tokenizer)
    centroids = torch.nn.functional.normalize(torch.randn(3, 256, 24), dim=-1)
    centroids[0, 1] = centroids[0, 0]
    start_codes(model, tokenizer, centroids.numpy())
    base = tokenizer.convert_tokens_to_ids(SID_TOKENS[0])
    rows = model.get_input_embeddings().weight[base : base + 768].detach()
    assert torch.equal(rows[0], rows[1])
    assert rows.std().item() == pytest.approx(
        model.get_input_embeddings().weight[:base].std().item(), rel=0.1
    )
    alike = torch.corrcoef(rows)[0, 2:256]
    truth = torch.corrcoef(centroids.flatten(0, 1))[0, 2:256]
    assert torch.corrcoef(torch.stack([alike, truth]))[0, 1] > 0.5
    with pytest.raises(FinetuneError, match="3, 256"):
        start_codes(model, tokenizer, centroids[:2].numpy())


def test_an_adapter_trains_its_matrices_and_the_added_rows(tmp_path: Path) -> None:
    tokenizer = open_tokenizer(str(tiny_folder(tmp_path / "m")))
    model = with_adapter(shrunk(Recipe.read(RECIPES[0]), tokenizer), 4, tokenizer)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("lora_A" in name for name in trained)
    assert any("token_adapter" in name for name in trained)
    assert not any(name.endswith("q_proj.base_layer.weight") for name in trained)


@pytest.mark.slow
def test_masked_loss_is_over_the_level_of_each_code() -> None:
    from training.hf_sft import masked_loss

    torch.manual_seed(0)
    base, size = 20, 20 + 768
    logits = torch.randn(1, 4, size)
    labels = torch.tensor([[3, base + 5, base + 256 + 9, -100]])
    words = torch.cat([logits[0, 0, :base], logits[0, 0, base + 768 :]])
    expected = [
        cross_entropy(words, torch.tensor(3)),
        cross_entropy(logits[0, 1, base : base + 256], torch.tensor(5)),
        cross_entropy(logits[0, 2, base + 256 : base + 512], torch.tensor(9)),
    ]
    found = masked_loss(logits, labels, base)
    assert found.item() == pytest.approx(float(torch.stack(expected).mean()), abs=1e-5)


@pytest.mark.slow
def test_titles_are_rewarded_by_rank_and_seen_ones_are_not() -> None:
    from training.rank_grpo_text import slate_relevance
    from training.slate_segments import segment_text

    tokenizer = tiny_tokenizer()
    text = "Heat (1995)\nRonin (1998)\nHeat (1996)\n\nAlien (1979)"
    found = segment_text(
        tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer, eos=-1, n=4
    )
    targets = ["Heat (1995)", "Alien (1981)", "Ronin (1998)"]
    assert slate_relevance(found, targets, ["Ronin"], 4).tolist() == [1, 0, 0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["codes", "titles"])
def test_the_whole_way_in_miniature(tmp_path: Path, form: str) -> None:
    """Rows, fine-tuning, prompts, Rank-GRPO: a folder that transformers loads comes out."""
    from transformers import AutoModelForCausalLM

    from training.finetune import main

    config = RECIPES[0].read_text().replace("form: codes", f"form: {form}")
    (tmp_path / "r.yaml").write_text(config)
    catalog_titles = [f"Item {k} (1999)" for k in range(12)]
    lines = []
    for k in range(20):
        targets = [catalog_titles[k % 12]]
        if form == "codes":
            import polars as pl

            ids = pl.read_parquet(next(OUTDOOR.glob("items*.parquet")))["id"].to_list()
            targets = [ids[k]]
        context = [{"role": "user", "text": "Something for the rain."}]
        lines.append(json.dumps({"context": context, "targets": targets}))
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    folder = tiny_folder(tmp_path / "m")
    import typer

    app = typer.Typer()
    app.command()(main)
    done = CliRunner().invoke(
        app,
        [
            *("--config", str(tmp_path / "r.yaml"), "--catalog", str(OUTDOOR), "--format", "own"),
            *("--data", str(tmp_path / "d.jsonl"), "--tokenizer", str(folder)),
            *("--out", str(tmp_path / "out"), "--cpu", "--dry-run"),
        ],
    )
    assert done.exit_code == 0, done.output
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    assert loaded.config.model_type == "qwen3"
