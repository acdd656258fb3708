#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the demo model: a small Llama that tells small stories.

Writes three files: the weights (float16 safetensors), the tokenizer (llama2.c's format) and the model card. The
stories come from the plots in scripts/demo_model/plots; each is used once. Needs torch, numpy and safetensors
(pip install 'tepin[train]'); nothing at run time needs torch.

example:
  python scripts/train_demo.py --minutes 60 --seed 7       # the demo model: an hour on one core
  python scripts/train_demo.py --steps 500 --output /tmp   # a first look, in a minute or two
  python scripts/train_demo.py --card-only                 # measure the stored model again
"""

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from scripts.demo_model.card import model_card
from scripts.demo_model.corpus import heldout_plots, stories
from scripts.demo_model.export import load_model, save_model
from scripts.demo_model.network import Llama, Shape
from scripts.demo_model.tokenizer import Tokenizer, train_tokenizer
from scripts.demo_model.training import Run, mean_loss, train

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "software/tepin_host/data"
VALIDATION_STORIES = 300
# What decides the weights.
SETTINGS = ("steps", "minutes", "seed", "learning_rate", "batch_tokens", "threads")
VOCABULARY_STORIES = 20_000  # of the training stories, those that the vocabulary is learned from


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--steps", type=int, default=20_000, help="training steps (default: %(default)s)")
    option("--minutes", type=float, default=24 * 60, help="end within this time, even if in fewer steps")
    option("--seed", type=int, default=7, help="seed of corpus and weights (default: %(default)s)")
    option("--learning-rate", type=float, default=3e-3, help="peak (default: %(default)s)")
    option("--batch-tokens", type=int, default=2048, help="most tokens a step (default: %(default)s)")
    option("--threads", type=int, default=1, help="threads for torch (default: %(default)s)")
    option("--evaluate-every", type=int, default=500, help="steps (default: %(default)s)")
    option(
        "--output",
        type=Path,
        default=DATA,
        help="folder for weights and tokenizer (default: tepin_host/data)",
    )
    option(
        "--card",
        type=Path,
        help="the model card's file (default: docs/demo-model.md, or in --output if given)",
    )
    option("--card-only", action="store_true", help="write the card of the stored model; no training")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    weights, vocabulary = args.output / "demo.safetensors", args.output / "demo.tokenizer.bin"
    if args.card_only and not weights.exists():
        sys.exit(f"{weights}: no such model; train it first, without --card-only")
    if not args.card_only:
        train_and_store(args, weights, vocabulary)
    model, training = load_model(weights)
    validation = validation_stories(training["seed"])
    text = model_card(model, Tokenizer.load(vocabulary), training, validation, weights.stat().st_size)
    card = args.card or (ROOT / "docs" if args.output == DATA else args.output) / "demo-model.md"
    card.write_text(text, encoding="utf-8")
    print(f"wrote {card}")


def validation_stories(seed: int) -> dict:
    """Return stories on trained and on held-out plots; their seeds have nothing to do with the training's."""
    return {
        "trained": list(itertools.islice(stories(seed + 1_000_000), VALIDATION_STORIES)),
        "heldout": list(itertools.islice(stories(seed + 2_000_000, heldout_plots()), VALIDATION_STORIES)),
    }


def train_and_store(args, weights: Path, vocabulary: Path):
    """Train from scratch; at every evaluation, the best weights so far are in the file ``weights``."""
    torch.manual_seed(args.seed)
    settings = {name: getattr(args, name) for name in SETTINGS}
    print(f"{command(settings)}\nlearning the vocabulary", flush=True)
    shape = Shape()
    tokenizer = train_tokenizer(itertools.islice(stories(args.seed), VOCABULARY_STORIES), shape.vocab_size)
    validation = validation_stories(args.seed)
    model = Llama(shape)
    run = Run(args.steps, args.minutes, args.seed, args.learning_rate, args.batch_tokens)
    best = {"trained": float("inf")}

    def evaluate(record):
        losses = {name: mean_loss(model, texts, tokenizer) for name, texts in validation.items()}
        print(
            f"step {record['steps']:6d}  {record['seconds'] / 60:5.1f} min  {record['tokens'] / 1e6:6.2f} M tokens"
            f"  loss {record['loss']:.3f}  trained plots {losses['trained']:.3f}  held-out plots {losses['heldout']:.3f}",
            flush=True,
        )
        if losses["trained"] < best["trained"]:
            best.update(losses)
            facts = {"schedule_steps": run.steps, "torch": torch.__version__, "command": command(settings)}
            save_model(model, weights, vocabulary.name, {**settings, **facts, **record})

    tokenizer.save(vocabulary)
    total = train(model, tokenizer, run, evaluate, every=args.evaluate_every)
    print(f"stored the best of {total['steps']} steps in {weights}")


def command(settings: dict) -> str:
    """Return the command that trains with these settings."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    return " ".join(["python scripts/train_demo.py", *options])


if __name__ == "__main__":
    main()
