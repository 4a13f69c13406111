"""The file between whoever makes slate rows and the trainer: a flat .npz.

A row is a prompt, the items its slate already shows (no loss), and one or more target
items that follow (loss on each of their three codes). The prior stands beside every
target: for each of its three levels the log of the weight below every child code, what is
already on the slate taken out; -inf where nothing is. So the trainer needs no catalogue.

Code tokens in ``prompt`` are written ``sid_base + 256 * level + code`` in the codes of the
row's own codebook; ``codebooks`` (K, 3, 256, 384) float32 stands in a .npy of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt


class SlateRow(NamedTuple):
    """One row. Shapes: prompt (P,), shown (r, 3), targets (t, 3), logmass (t, 3, 256)."""

    prompt: npt.NDArray[np.int64]
    codebook: int
    shown: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    logmass: npt.NDArray[np.float32]

    @property
    def length(self) -> int:
        """Tokens the model reads: prompt, shown items, targets but the last code."""
        return len(self.prompt) + 3 * (len(self.shown) + len(self.targets)) - 1


def _offsets(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


@dataclass
class SlateRows:
    """Rows as flat arrays; item i of a ragged field is ``field[offsets[i]:offsets[i + 1]]``."""

    prompt: npt.NDArray[np.int32]
    prompt_offsets: npt.NDArray[np.int64]
    codebook: npt.NDArray[np.int16]
    shown: npt.NDArray[np.uint8]
    shown_offsets: npt.NDArray[np.int64]
    target: npt.NDArray[np.uint8]
    target_offsets: npt.NDArray[np.int64]
    logmass: npt.NDArray[np.float16]

    @classmethod
    def pack(cls, rows: Sequence[SlateRow]) -> Self:
        """Lay rows out flat.

        Raises:
            ValueError: no rows, a row without target, or a target that the prior forbids.
        """
        if not rows:
            raise ValueError("no slate rows to write; give at least one")
        packed = cls(
            prompt=np.concatenate([r.prompt for r in rows]).astype(np.int32),
            prompt_offsets=_offsets([len(r.prompt) for r in rows]),
            codebook=np.array([r.codebook for r in rows], dtype=np.int16),
            shown=np.concatenate([np.reshape(r.shown, (-1, 3)) for r in rows]).astype(np.uint8),
            shown_offsets=_offsets([len(r.shown) for r in rows]),
            target=np.concatenate([np.reshape(r.targets, (-1, 3)) for r in rows]).astype(np.uint8),
            target_offsets=_offsets([len(r.targets) for r in rows]),
            logmass=np.concatenate(
                [np.reshape(r.logmass, (-1, 3, 256)) for r in rows], dtype=np.float16
            ),
        )
        packed.check()
        return packed

    def check(self) -> None:
        """Raise ``ValueError`` naming the first row that cannot be trained on."""
        counts = np.diff(self.target_offsets)
        if (counts < 1).any():
            raise ValueError(f"slate row {int(np.argmax(counts < 1))} has no target; drop it")
        if self.logmass.shape != (len(self.target), 3, 256):
            raise ValueError(
                f"logmass has shape {self.logmass.shape}, {len(self.target)} targets need "
                f"{(len(self.target), 3, 256)}"
            )
        own = np.take_along_axis(self.logmass, self.target[..., None].astype(np.int64), axis=2)
        bad = ~np.isfinite(own[..., 0]).all(1)
        if bad.any():
            target = int(np.argmax(bad))
            row = int(np.searchsorted(self.target_offsets, target, side="right")) - 1
            raise ValueError(
                f"slate row {row}: its target {self.target[target].tolist()} has no prior mass; "
                "give every item that may be a target a weight above 0"
            )

    def save(self, path: Path) -> None:
        """Write a compressed .npz."""
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a .npz; ``target_offsets`` may be absent: one target a row then."""
        with np.load(path) as arrays:
            fields = dict(arrays)
        fields.setdefault("target_offsets", np.arange(len(fields["codebook"]) + 1))
        fields["logmass"] = fields["logmass"].reshape(-1, 3, 256)
        rows = cls(**fields)
        rows.check()
        return rows

    def __len__(self) -> int:
        return len(self.codebook)

    def __getitem__(self, index: int) -> SlateRow:
        targets = slice(self.target_offsets[index], self.target_offsets[index + 1])
        return SlateRow(
            self.prompt[self.prompt_offsets[index] : self.prompt_offsets[index + 1]].astype(
                np.int64
            ),
            int(self.codebook[index]),
            self.shown[self.shown_offsets[index] : self.shown_offsets[index + 1]].astype(np.int64),
            self.target[targets].astype(np.int64),
            self.logmass[targets].astype(np.float32),
        )

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens the model reads, a row. Shape: (n,)."""
        items = np.diff(self.shown_offsets) + np.diff(self.target_offsets)
        return np.diff(self.prompt_offsets) + 3 * items - 1
