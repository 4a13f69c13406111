"""Code rows: the formula, the tie to the table, and the errors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_lm import tiny_folder
from tools.sid_rows import SidRows, materialise
from tools.small_model import ModelError, load_small
from tools.tokens import SID_TOKENS


def some_centroids(seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(3, 256, 384)).astype(np.float32)
    return values / np.linalg.norm(values, axis=2, keepdims=True)


def test_a_row_is_the_projected_centroid_plus_its_level() -> None:
    rows = SidRows(hidden=8)
    with torch.no_grad():
        rows.level.copy_(torch.arange(24).reshape(3, 8))
    centroids = some_centroids()
    table = materialise(rows, centroids)
    wanted = rows.weight.detach().numpy() @ centroids[2, 17] + rows.level[2].detach().numpy()
    np.testing.assert_allclose(table[2 * 256 + 17].numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert table.shape == (768, 8)


def test_permuted_codebooks_permute_the_rows() -> None:
    rows, centroids = SidRows(8), some_centroids()
    order = np.random.default_rng(1).permutation(256)
    plain = materialise(rows, centroids)[:256]
    torch.testing.assert_close(materialise(rows, centroids[:, order])[:256], plain[order])


def test_many_codebooks_at_once() -> None:
    rows = SidRows(8)
    books = torch.from_numpy(np.stack([some_centroids(1), some_centroids(2)]))
    torch.testing.assert_close(rows(books)[1], rows(books[1]))


@pytest.mark.parametrize("shape", [(3, 256, 64), (2, 256, 384), (3, 512, 384)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows are tied to"):
        materialise(SidRows(8), np.zeros(shape, np.float32))


def test_not_a_number_is_refused() -> None:
    bad = some_centroids()
    bad[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        materialise(SidRows(8), bad)


def test_binding_a_catalogue_writes_its_rows_into_both_tables(tmp_path: Path) -> None:
    loaded = load_small(tiny_folder(tmp_path))
    loaded.bind(some_centroids())
    assert loaded.projection is not None
    wanted = materialise(loaded.projection, some_centroids())
    ids = loaded.tokenizer.convert_tokens_to_ids(list(SID_TOKENS))
    torch.testing.assert_close(loaded.model.lm_head.weight[ids], wanted)
    torch.testing.assert_close(loaded.model.get_input_embeddings().weight[ids], wanted)
    assert loaded.sid_ids([[1, 2, 3]]) == [ids[1], ids[256 + 2], ids[512 + 3]]


def test_a_folder_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"training\.export"):
        load_small(tmp_path)


def test_a_model_without_projection_cannot_be_bound(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    (folder / "sid_projection.safetensors").unlink()
    with pytest.raises(ModelError, match="sid_projection"):
        load_small(folder).bind(some_centroids())
