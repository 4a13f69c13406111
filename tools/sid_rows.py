"""Code rows tied to centroids: what a semantic-ID token means is read from its codebook.

The embedding (and, tied, the output) row of code i at level l is

    row(l, i) = W · centroid[l, i] + level[l]

with W and ``level`` learnt once. Trained against many codebooks, the model cannot learn
what code 17 is by heart; it learns to read centroids, so another catalogue needs no
training: ``materialise`` makes its rows and they become plain weights.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tools.tokens import CODES

LEVELS = 3


class SidRows(nn.Module):
    """The learnt map from centroids to rows: ``weight`` (hidden, width), ``level`` (3, hidden)."""

    def __init__(self, hidden: int, width: int = 384, *, std: float = 0.02) -> None:
        super().__init__()
        # Centroids are unit vectors, so weights of deviation `std` give rows of deviation
        # `std`: the same as the rows of ordinary tokens.
        self.weight = nn.Parameter(torch.randn(hidden, width) * std)
        self.level = nn.Parameter(torch.zeros(LEVELS, hidden))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The map read back from ``sid_projection.safetensors``; always float32."""
        rows = cls(*tensors["weight"].shape)
        rows.load_state_dict({k: v.float() for k, v in tensors.items()})
        rows.requires_grad_(False)
        return rows

    def forward(self, centroids: Tensor) -> Tensor:
        """Rows of one or many codebooks. Shape: (..., 3, 256, width) -> (..., 768, hidden)."""
        rows = centroids.to(self.weight.dtype) @ self.weight.T + self.level[:, None, :]
        return rows.flatten(-3, -2)


def check_centroids(centroids: npt.ArrayLike, width: int) -> Tensor:
    """Centroids as a tensor. Shape: (3, 256, width) float32.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    array = np.asarray(centroids, dtype=np.float32)
    if array.shape != (LEVELS, CODES, width):
        raise ValueError(
            f"centroids have shape {array.shape}, the rows are tied to {(LEVELS, CODES, width)}; "
            "build the catalogue with the encoder the model was trained with"
        )
    if not np.isfinite(array).all():
        raise ValueError("centroids hold values that are not finite; rebuild the codebooks")
    return torch.from_numpy(array)


@torch.no_grad()
def materialise(projection: SidRows, centroids: npt.ArrayLike) -> Tensor:
    """The 768 rows of one catalogue. Shape: (3, 256, width) -> (768, hidden), float32."""
    rows: Tensor = projection(check_centroids(centroids, projection.weight.shape[1]))
    return rows.float()
