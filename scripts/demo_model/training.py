# SPDX-License-Identifier: Apache-2.0
"""Training of the demo model: batches of fresh stories, AdamW, one cosine."""

import math
import random
import time
from dataclasses import dataclass

import torch
from torch.nn import functional

from scripts.demo_model.corpus import stories
from scripts.demo_model.network import Llama
from scripts.demo_model.tokenizer import BOS, EOS, Tokenizer

__all__ = ["Run", "batches", "mean_loss", "train"]

IGNORED = -100
CHUNK_STORIES = 4096  # stories that are sorted by length together
PAIRED = 0.1  # share of rows that hold two stories, so that late positions are trained too


@dataclass(frozen=True)
class Run:
    """How to train: steps, wall time in minutes (whichever ends first), peak learning rate, tokens a batch."""

    steps: int
    minutes: float
    seed: int
    learning_rate: float
    batch_tokens: int
    weight_decay: float = 0.1
    warmup: float = 0.02

    def rate(self, progress: float) -> float:
        """Return the learning rate at ``progress`` (0 to 1): linear warmup, then a cosine down to 1 %."""
        if progress < self.warmup:
            return self.learning_rate * (progress + 1e-3) / (self.warmup + 1e-3)
        along = min(1.0, (progress - self.warmup) / (1 - self.warmup))
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * along)))


def row(text: str, tokenizer: Tokenizer) -> list[int]:
    return [BOS, *tokenizer.encode(text), EOS]


def batches(seed: int, tokenizer: Tokenizer, batch_tokens: int, longest: int, used: list):
    """Yield (inputs, targets), int64 ``[rows, tokens]``, without end; stories told are counted in ``used[0]``.

    Each row is one story from BOS to EOS, or two in a row; rows of like length share a batch, and the padding at
    their ends is no target.
    """
    rng = random.Random(seed)
    source = stories(seed)
    while True:
        rows = []
        for _ in range(CHUNK_STORIES):
            ids = row(next(source), tokenizer)
            if rng.random() < PAIRED:
                ids += row(next(source), tokenizer)
                used[0] += 1
            used[0] += 1
            rows.append(ids[: longest + 1])
        rows.sort(key=len)
        groups, group = [], []
        for ids in rows:
            if (len(group) + 1) * len(ids) > batch_tokens and group:
                groups.append(group)
                group = []
            group.append(ids)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            yield pad(group)


def pad(rows: list[list[int]]):
    width = max(map(len, rows)) - 1
    inputs = torch.zeros(len(rows), width, dtype=torch.int64)
    targets = torch.full((len(rows), width), IGNORED)
    for i, ids in enumerate(rows):
        inputs[i, : len(ids) - 1] = torch.tensor(ids[:-1])
        targets[i, : len(ids) - 1] = torch.tensor(ids[1:])
    return inputs, targets


@torch.no_grad()
def mean_loss(model: Llama, texts: list[str], tokenizer: Tokenizer) -> float:
    """Return the mean cross-entropy in nats a token over ``texts``, EOS included."""
    rows = sorted((row(text, tokenizer)[: model.shape.max_seq_len + 1] for text in texts), key=len)
    total = tokens = 0
    for start in range(0, len(rows), 16):
        inputs, targets = pad(rows[start : start + 16])
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum")
        total += loss.item()
        tokens += (targets != IGNORED).sum().item()
    return total / tokens


def train(model: Llama, tokenizer: Tokenizer, run: Run, evaluate, every: int) -> dict:
    """Train ``model`` in place; ``evaluate(step, record)`` is called each ``every`` steps and at the end.

    Returns the record: steps, tokens and stories seen, seconds taken, and the last training loss (a mean over
    about the last hundred steps).
    """
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": run.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=run.learning_rate,
        betas=(0.9, 0.97),
        fused=True,
    )
    used, start = [0], time.monotonic()
    record = {"steps": 0, "tokens": 0, "stories": 0, "seconds": 0.0, "loss": math.log(len(tokenizer))}
    source = batches(run.seed, tokenizer, run.batch_tokens, model.shape.max_seq_len, used)
    while True:
        progress = max(record["steps"] / run.steps, record["seconds"] / (60 * run.minutes))
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = run.rate(progress)
        inputs, targets = next(source)
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        record["steps"] += 1
        record["stories"] = used[0]
        record["tokens"] += (targets != IGNORED).sum().item()
        record["seconds"] = time.monotonic() - start
        record["loss"] += (loss.item() - record["loss"]) * max(0.01, 1 / record["steps"])
        if record["steps"] % every == 0:
            evaluate(record)
    evaluate(record)
    return record
