"""parley-small's forward pass over a shared prefix, for the slate decoder.

Transformers' own pass serves one sequence a row and copies its whole cache at every step. A
slate needs more and less: several beams that share a prompt, told apart by the attention mask
alone, many requests of different length at once, and a cache that is written in place and cut
back when an item is chosen. That is the Qwen3 block over the loaded modules, thirty lines;
a test holds it to transformers' pass.

Queries that share a key head are laid side by side, so keys are never repeated per head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from tools.small_model import LoadedModel


class Prefixes:
    """The keys and values of B running sequences, one after the other in fixed places.

    Rows are padded on the left: the last token of every prompt stands in the same place.
    ``filled``: places in use. ``start``: ``(B,)``, where each row begins.
    """

    def __init__(self, loaded: LoadedModel, lengths: list[int], room: int) -> None:
        """``lengths``: of the prompts; ``room``: tokens that may be fed beside them."""
        config = loaded.model.config
        self.loaded = loaded
        self.heads: int = config.num_attention_heads
        self.groups = int(config.num_key_value_heads or self.heads)
        self.width: int = config.head_dim
        self.eps: float = config.rms_norm_eps
        self.filled = 0
        longest = max(lengths)
        self.start = torch.tensor([longest - n for n in lengths])
        shape = (config.num_hidden_layers, len(lengths), self.groups, longest + room, self.width)
        kind = loaded.model.dtype
        self.keys = torch.zeros(shape, dtype=kind)
        self.values = torch.zeros(shape, dtype=kind)

    def feed(self, tokens: Tensor, positions: Tensor, seen: Tensor) -> Tensor:
        """Run tokens behind what is filled. Returns the hidden states ``(B, q, hidden)``.

        ``tokens``, ``positions``: ``(B, q)``, positions count from the row's own start.
        ``seen``: ``(B, q, filled + q)`` bool, what each token attends to.
        """
        model = self.loaded.model.model
        rows, count = tokens.shape
        end = self.filled + count
        times = self.heads // self.groups
        hidden = model.embed_tokens(tokens)
        cos, sin = (part.unsqueeze(1) for part in model.rotary_emb(hidden, positions))
        mask = seen.unsqueeze(1).expand(rows, times, count, end).reshape(rows, 1, -1, end)
        for index, layer in enumerate(model.layers):
            attention, mlp = layer.self_attn, layer.mlp
            normed = self._norm(hidden, layer.input_layernorm)
            query = self._norm(self._split(attention.q_proj(normed)), attention.q_norm)
            key = self._norm(self._split(attention.k_proj(normed)), attention.k_norm)
            keys, values = self.keys[index, :, :, :end], self.values[index, :, :, :end]
            keys[:, :, self.filled :] = _turned(key.transpose(1, 2), cos, sin)
            values[:, :, self.filled :] = self._split(attention.v_proj(normed)).transpose(1, 2)
            query = _turned(query.transpose(1, 2), cos, sin)
            query = query.reshape(rows, self.groups, times * count, self.width)
            mixed = scaled_dot_product_attention(query, keys, values, attn_mask=mask)
            mixed = mixed.view(rows, self.heads, count, self.width).transpose(1, 2)
            hidden = hidden + attention.o_proj(mixed.reshape(rows, count, -1))
            normed = self._norm(hidden, layer.post_attention_layernorm)
            gate = silu(mlp.gate_proj(normed)) * mlp.up_proj(normed)
            hidden = hidden + mlp.down_proj(gate)
        self.filled = end
        return self._norm(hidden, model.norm)

    def prompt(self, prompts: list[list[int]]) -> Tensor:
        """Feed the prompts; the hidden state behind each one's last token, ``(B, hidden)``."""
        longest = max(len(prompt) for prompt in prompts)
        pad = self.loaded.pad
        tokens = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
        place = torch.arange(longest)
        positions = (place - self.start[:, None]).clamp(min=0)
        # A pad sees itself, so that its softmax is over something; nothing ever sees it.
        own = place[:, None] == place
        seen = (place[:, None] >= place) & (place >= self.start[:, None, None]) | own
        return self.feed(tokens, positions, seen)[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.start = self.start[rows]

    def fold(self, base: int, places: Tensor) -> None:
        """Move the tokens at ``places`` ``(B, m)`` behind place ``base`` and forget the others."""
        rows, count = places.shape
        index = places[None, :, None, :, None].expand(
            len(self.keys), rows, self.groups, count, self.width
        )
        for kept in (self.keys, self.values):
            kept[:, :, :, base : base + count] = kept.gather(3, index)
        self.filled = base + count

    def _split(self, flat: Tensor) -> Tensor:
        return flat.view(*flat.shape[:-1], -1, self.width)

    def _norm(self, states: Tensor, module: torch.nn.Module) -> Tensor:
        weight: Tensor = module.weight  # type: ignore[assignment]
        return rms_norm(states, weight.shape, weight, self.eps)


def _turned(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), halves as Qwen3 pairs them."""
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat((-second, first), dim=-1) * sin
