# SPDX-License-Identifier: Apache-2.0
"""The model card of the demo model; every number in it is measured here."""

import itertools
import textwrap

import torch

from scripts.demo_model.corpus import heldout_plots, stories, trained_plots
from scripts.demo_model.network import Llama
from scripts.demo_model.overlap import Overlap
from scripts.demo_model.tokenizer import BOS, EOS, Tokenizer
from scripts.demo_model.training import mean_loss

__all__ = ["PROMPTS", "continue_greedily", "model_card"]

PROMPTS = (
    "Once upon a time, there was a little penguin named Waddles.",
    "Once upon a time, there was a shy giraffe who was too tall for his bed.",
    "Lina and Bruno were playing in the kitchen.",
    "The rain would not stop. Marta looked out of the window.",
    "Deep in the jungle, there lived a tiny tiger named Kiko.",
    "Henry had a silver spoon that he loved very much.",
    "One windy morning, Priya saw a blue umbrella fly over the roof.",
    "Olga was a brave little goat. She wanted to see the sea.",
    '"I am not tired," said Jonas. "I want to hear one more story."',
    "The old clock struck nine, and it was dark. Agnes could not sleep.",
    "There was a small robot named Beep who had no friends.",
    "One day, a frog named Hoppy found a golden key in the pond.",
    "Carlos wanted to bake bread with his grandmother.",
    "It was Sophie's birthday, but the house was very quiet.",
    "Two mice named Salt and Sugar lived under a church.",
    "Walter the walrus was afraid of the water.",
    "One cold night, Amira heard a little cat cry outside.",
    "Mr. Green had a garden with one sad tomato plant.",
    "Pedro broke his mother's cup. He did not want to tell her.",
    "In the summer, Yuki and her brother went to the mountains.",
)
BY_TIME = "\nTime, not the number of steps, ended this run: a machine with less to do takes more steps in it."
LONGEST = 400  # tokens, prompt included

HEAD = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by scripts/train_demo.py: change that, not this. -->
# The demo model

`software/tepin_host/data/demo.safetensors` is a language model that tells small children's stories. It was made by this
project, from a corpus that this project wrote, so that the chip has something real to run without a download.

| | |
|---|---|
| architecture | Llama: RMSNorm, rotary positions on interleaved pairs, SwiGLU; classifier tied to the embedding |
| parameters | {parameters:,} |
| width, hidden width, layers | {dim}, {hidden_dim}, {n_layers} |
| heads, KV heads | {n_heads}, {n_kv_heads} |
| vocabulary, context | {vocab_size}, {max_seq_len} tokens |
| stored as | float16, {size:,} bytes |
| tokenizer | byte-pair pieces, llama2.c's file format, `demo.tokenizer.bin` |
| licence | Apache-2.0, as the rest of the project |

## How it was made

```
{command}
```

AdamW (peak learning rate {learning_rate:g}, warmup and one cosine, at most {batch_tokens} tokens a step) with {threads}.
The weights are those after {steps:,} steps, {minutes:.0f} minutes of wall-clock time and {told:,} stories, each told
once: {tokens:.1f} million tokens. There the loss in the first row below was lowest.{ending}

The corpus and the tokenizer follow from the seed alone, the weights also from torch ({torch}) and the processor.

## Corpus

`scripts/demo_model/plots` holds {plots} plots, written for this project, and the words and phrases that fill them. A
plot is a course of events; each of its passages can be told in several ways, some can be left out, and names, animals,
places, things and feelings vary while staying the same within a story. Three names in ten are made of random
syllables, which teaches the model to carry a new name through a story. A story has about {mean_tokens:.0f} tokens and
begins with BOS (1) and ends with EOS (2).

{trained} plots are trained on. {held} are held out whole: {held_names}.

## Loss

Nats per token, measured on the stored (float16) weights over {validation} stories each. Of the stories on trained plots,
{verbatim} occur word for word in the training stories.

| stories | loss | perplexity |
|---|---|---|
| new stories on trained plots | {loss_trained:.3f} | {perplexity_trained:.2f} |
| stories on held-out plots | {loss_held:.3f} | {perplexity_held:.2f} |

The corpus draws its words at random, so even a perfect model could not bring the first row to zero.

## Shared with the corpus

The longest run of words that a story below (prompt and continuation) shares with any of the {told:,} training
stories is **{longest} words**; the median over the {prompts} stories is {median}. For comparison, {prompts} new stories
that the corpus generator itself tells on the trained plots share up to {base_longest} words (median {base_median}). The model
has learned sentences by heart and puts them together anew. The longest run is:

{run}

## Twenty prompts it has not seen

{seen} of these prompts occur in the training stories. The continuations are greedy, in float32, up to the end of text
or {limit} tokens; the number is the longest run of words shared with the corpus.

"""

TAIL = """\
## Limits

It knows {trained} plots and a few hundred words of English. A prompt outside that world is pulled back into it, often after
one sentence; digits and letters outside English were never trained. Names, pronouns and animals drift within a story,
most of all after a prompt that is unlike the corpus, and a detail that a story mentions once is soon forgotten. It is a
demonstration of hardware, not a source of facts, and not meant for anything else.
"""


@torch.no_grad()
def continue_greedily(model: Llama, tokenizer: Tokenizer, prompt: str) -> str:
    """Return prompt and greedy continuation up to EOS or ``LONGEST`` tokens."""
    ids = [BOS, *tokenizer.encode(prompt)]
    while len(ids) < LONGEST:
        best = int(model(torch.tensor([ids]))[0, -1].argmax())
        if best == EOS:
            break
        ids.append(best)
    return tokenizer.decode(ids)


def quote(text: str) -> str:
    return "\n".join("> " + line for line in textwrap.wrap(text, 118))


def model_card(model: Llama, tokenizer: Tokenizer, training: dict, validation: dict, size: int) -> str:
    """Return the card as Markdown; tells the training stories once more to compare with them.

    ``training`` is what the script stored with the weights (settings, the record of ``train`` at the best
    step, ``command``, ``torch``); ``validation`` holds the stories on ``trained`` and ``heldout`` plots.
    """
    told = [continue_greedily(model, tokenizer, prompt) for prompt in PROMPTS]
    ours, base = Overlap(told), Overlap(validation["trained"][: len(PROMPTS)])
    seen, fresh, verbatim = set(), set(validation["trained"]), 0
    for story in itertools.islice(stories(training["seed"]), training["stories"]):
        ours.add(story)
        base.add(story)
        seen.update(prompt for prompt in PROMPTS if prompt in story)
        verbatim += story in fresh
    losses = {
        "trained": mean_loss(model, validation["trained"], tokenizer),
        "held": mean_loss(model, validation["heldout"], tokenizer),
    }
    lengths, base_lengths = ours.lengths(), base.lengths()
    token_counts = [len(tokenizer.encode(text)) + 2 for text in validation["trained"]]
    facts = {
        **vars(model.shape),
        **training,
        **{f"loss_{name}": loss for name, loss in losses.items()},
        **{f"perplexity_{name}": torch.tensor(loss).exp().item() for name, loss in losses.items()},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "size": size,
        "ending": BY_TIME if training["steps"] < training["schedule_steps"] else "",
        "minutes": training["seconds"] / 60,
        "threads": "one thread" if training["threads"] == 1 else f"{training['threads']} threads",
        "told": training["stories"],
        "tokens": training["tokens"] / 1e6,
        "plots": len(trained_plots()) + len(heldout_plots()),
        "trained": len(trained_plots()),
        "held": len(heldout_plots()),
        "held_names": ", ".join(f"`{plot.name}`" for plot in heldout_plots()),
        "mean_tokens": sum(token_counts) / len(token_counts),
        "validation": len(validation["trained"]),
        "verbatim": verbatim or "none",
        "longest": max(lengths),
        "median": sorted(lengths)[len(lengths) // 2],
        "base_longest": max(base_lengths),
        "base_median": sorted(base_lengths)[len(base_lengths) // 2],
        "prompts": len(PROMPTS),
        "run": quote(ours.run(lengths.index(max(lengths)))),
        "seen": len(seen) or "None",
        "limit": LONGEST,
    }
    examples = []
    for number, (prompt, text, length) in enumerate(zip(PROMPTS, told, lengths, strict=True), 1):
        examples.append(f"{number}. ({length} words)\n\n{quote(f'**{prompt}**' + text[len(prompt) :])}\n")
    return HEAD.format(**facts) + "\n".join(examples) + "\n" + TAIL.format(**facts)
