"""The slate mask on torch tensors: the same batched step, on any device.

For a decoder whose logits live on an accelerator (vLLM, a GPU): the trie's arrays, the
filters' sums and the short list of gone items are uploaded, and a step is a handful of
gathers without a word to the host. On a CPU the NumPy form is quicker, so nothing here is a
default. Both answer alike, and a property test holds them to it.

    batch = TorchBatch(mask.batch(filters, excluded), device="cuda")
    step = batch.step(0, owners, nodes)          # tensors on the device
    batch.emit(owners, positions)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from catalog.errors import SlateError
from catalog.trie import SlateMask
from catalog.trie_batch import CODES, Batch
from catalog.trie_filter import dead_end


class TorchStep(NamedTuple):
    """``Step`` in tensors: ``weights`` (J, 256) float64, ``children`` (J, 256) int64."""

    weights: Tensor
    children: Tensor

    def logs(self, alpha: float = 1.0) -> Tensor:
        """``alpha * log(weight)``, ``-inf`` where closed, whatever alpha. Shape ``(J, 256)``."""
        return torch.where(self.weights > 0, alpha * self.weights.log(), -torch.inf)

    def close(self, logits: Tensor, first: int) -> None:
        """Close a full vocabulary ``(J, V)`` in place: only open codes keep their logit."""
        if not 0 <= first <= logits.shape[1] - CODES:
            raise SlateError(
                f"Codes would stand at {first}-{first + CODES - 1} of a vocabulary of "
                f"{logits.shape[1]}: give the id of the level's first code."
            )
        logits[:, :first] = -torch.inf
        logits[:, first + CODES :] = -torch.inf
        logits[:, first : first + CODES].masked_fill_(self.weights <= 0, -torch.inf)


class TorchTrie:
    """A mask's arrays on one device; make it once, it serves every batch. About 14 N bytes."""

    def __init__(self, mask: SlateMask, device: str | torch.device = "cpu") -> None:
        self.mask, self.device = mask, torch.device(device)
        self.order = self._up(mask.order, torch.int32)
        self.last = self._up((mask.keys & 255).astype(np.uint8), torch.uint8)
        self.kids = [self._up(kids, torch.int64) for kids in mask.kids]
        self.tokens = [self._up(tokens, torch.int64) for tokens in mask.tokens]
        self.children = [self._up(table, torch.int64) for table in mask.tables.children]

    def _up(self, array: Any, kind: torch.dtype) -> Tensor:
        return torch.as_tensor(np.array(array), dtype=kind, device=self.device)


class TorchBatch:
    """A ``Batch`` whose steps are tensors. It takes the batch over: use one of them only."""

    def __init__(
        self, batch: Batch, trie: TorchTrie | None = None, device: str | torch.device = "cpu"
    ) -> None:
        """``trie``: of the same mask, kept from an earlier batch; else made on ``device``."""
        if trie is not None and trie.mask is not batch.mask:
            raise SlateError("The trie on the device is of another mask: make it anew.")
        self._host = batch
        self.trie = trie or TorchTrie(batch.mask, device)
        up = self.trie._up
        self._which = up(batch.which, torch.int64)
        kind = torch.bool if batch._values.dtype == np.bool_ else torch.float64
        self._values = up(batch._values, kind)
        self._sums = [up(part, torch.float64) for part in batch._sums]
        self._near = [up(part, torch.float64) for part in batch._near]
        self._patches: list[tuple[Tensor, ...] | None] = []
        self._upload()

    def __len__(self) -> int:
        return len(self._host)

    @property
    def left(self) -> Tensor:
        """Items each request may still emit. Shape: ``(B,)``."""
        return torch.from_numpy(self._host.left.copy())

    def emit(self, owners: Tensor, positions: Tensor) -> None:
        """Take items off requests, once an item and not once a step: decided on the host."""
        self._host.emit(owners.cpu().numpy(), positions.cpu().numpy())
        self._upload()

    def step(self, level: int, owners: Tensor, nodes: Tensor) -> TorchStep:
        """See ``Batch.step``. ``owners``, ``nodes``: int64 ``(J,)`` on the device."""
        trie = self.trie
        if level < len(self._near):
            children = trie.children[level]
            at = self._which[owners] * len(children) + nodes if level else owners
            weights, child = self._near[level][at], children[nodes]
        else:
            weights, child = self._spread(level, self._which[owners], nodes)
        patch = self._patches[level]
        if patch is not None and (level or not self._near):
            self._patch(patch, owners * (len(trie.kids[level]) - 1) + nodes, weights)
        open_ = weights.sum(dim=1) > 0
        if not bool(open_.all()):
            dead = int((~open_).nonzero()[0])
            where = f"node {int(nodes[dead])} of request {int(owners[dead])}"
            raise SlateError(dead_end(where, level))
        return TorchStep(weights, child)

    def _spread(self, level: int, which: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
        trie = self.trie
        lows = trie.kids[level][nodes]
        row, at = _ranges(lows, trie.kids[level][nodes + 1] - lows)
        if level == trie.mask.levels - 1:
            code = trie.last[at].long()
            found = self._values[which[row] * len(trie.order) + trie.order[at]].double()
        else:
            code = trie.tokens[level][at]
            found = self._sums[level][which[row] * len(trie.tokens[level]) + at]
        shape = (len(nodes), CODES)
        weights = torch.zeros(shape, dtype=torch.float64, device=trie.device)
        child = torch.full(shape, -1, dtype=torch.int64, device=trie.device)
        weights[row, code] = found
        child[row, code] = at
        return weights, child

    def _patch(self, patch: tuple[Tensor, ...], rows: Tensor, weights: Tensor) -> None:
        held, first, codes, values = patch
        at = torch.searchsorted(held, rows).clamp_(max=len(held) - 1)
        hit = (held[at] == rows).nonzero()[:, 0]
        low = first[at[hit]]
        whose, cell = _ranges(low, first[at[hit] + 1] - low)
        weights[hit[whose], codes[cell]] = values[cell]

    def _upload(self) -> None:
        """The corrections, a few hundred numbers, as the host has them now."""
        gone, up = self._host._gone, self.trie._up
        self._patches = []
        for level in range(self.trie.mask.levels):
            rows, first, codes, values = gone.cells(level)
            cells = (
                up(rows, torch.int64),
                up(first, torch.int64),
                up(codes, torch.int64),
                up(values, torch.float64),
            )
            self._patches.append(cells if len(rows) else None)
        if self._near and len(gone.keys):
            self._near[0] = up(self._host._near[0], torch.float64)


def _ranges(lows: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Which range each number is from, and the numbers of ``[low, low + size)`` in turn."""
    row = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    return row, torch.arange(len(row), device=row.device) + (lows - sizes.cumsum(0) + sizes)[row]
