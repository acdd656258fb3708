# SPDX-License-Identifier: Apache-2.0
"""A Llama network in torch, for training the demo model; nothing at run time imports it.

Root-mean-square norm, rotary positions on *interleaved* pairs (elements 2i and 2i + 1 turn together by
``position * theta ** (-2i / head_dim)``), causal attention, SwiGLU, and a classifier that is the embedding
table. The parameter names are those of Hugging Face's Llama, so the state dict is the file's tensor list.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Llama", "Shape"]


@dataclass(frozen=True)
class Shape:
    """Hyperparameters; the defaults are the demo model's (492,384 parameters)."""

    dim: int = 96
    hidden_dim: int = 256
    n_layers: int = 4
    n_heads: int = 8
    n_kv_heads: int = 8
    vocab_size: int = 512
    max_seq_len: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads


class Norm(nn.Module):
    """``x / sqrt(mean(x ** 2) + eps) * weight`` over the last axis."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.eps = shape.norm_eps
        self.weight = nn.Parameter(torch.ones(shape.dim))

    def forward(self, x):
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention with rotary positions; ``[batch, tokens, dim]`` to the same shape."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        kv_dim = shape.n_kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.dim, shape.dim, bias=False)
        self.k_proj = nn.Linear(shape.dim, kv_dim, bias=False)
        self.v_proj = nn.Linear(shape.dim, kv_dim, bias=False)
        self.o_proj = nn.Linear(shape.dim, shape.dim, bias=False)

    def forward(self, x, cos, sin):
        batch, tokens, _ = x.shape
        q, k, v = (
            proj(x).view(batch, tokens, -1, self.shape.head_dim)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k, v = rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2), v.transpose(1, 2)
        grouped = self.shape.n_kv_heads != self.shape.n_heads
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1))


class SwiGlu(nn.Module):
    """``down(silu(gate(x)) * up(x))``."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.dim, shape.hidden_dim, bias=False)
        self.up_proj = nn.Linear(shape.dim, shape.hidden_dim, bias=False)
        self.down_proj = nn.Linear(shape.hidden_dim, shape.dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One transformer layer: attention, then SwiGLU, each after a norm and added to its input."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.input_layernorm = Norm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape)
        self.mlp = SwiGlu(shape)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Embedding, layers and the last norm; a container that gives the parameters their names."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.dim)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.norm = Norm(shape)


class Llama(nn.Module):
    """Token ids ``[batch, tokens]`` to logits ``[batch, tokens, vocab]``; tokens up to ``max_seq_len``."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.register_buffer("angles", rotary_angles(shape), persistent=False)
        residual_std = 0.02 / (2 * shape.n_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=residual_std if into_residual else 0.05)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        angles = self.angles[: tokens.shape[1], None, :]
        cos, sin = angles.cos(), angles.sin()
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)


def rotary_angles(shape: Shape):
    """Angles in radians, ``[max_seq_len, head_dim / 2]``."""
    exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim
    positions = torch.arange(shape.max_seq_len, dtype=torch.float64)
    return torch.outer(positions, shape.rope_theta**-exponents).float()


def rotate(x, cos, sin):
    """Turn each pair (2i, 2i + 1) of the last axis of ``[batch, tokens, heads, head_dim]``."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
