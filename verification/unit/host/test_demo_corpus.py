# SPDX-License-Identifier: Apache-2.0
"""The demo model, its corpus and its tokenizer, as scripts/train_demo.py makes them (no torch)."""

import itertools
import random
import re

import pytest

from scripts.demo_model import corpus, grammar
from scripts.demo_model.overlap import Overlap
from scripts.demo_model.tokenizer import FIRST_PIECE, Tokenizer, train_tokenizer
from tepin_host.models import demo_model_path, load_model
from tepin_host.tokenizer import Tokenizer as HostTokenizer
from tepin_host.tokenizer import find_tokenizer
from tepin_reference.kernels import Llama
from tepin_testbench import options


def take(count, seed, plots=None):
    return list(itertools.islice(corpus.stories(seed, plots), count))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(take(300, 7), 400)


def test_stories_follow_from_the_seed():
    assert take(50, 3) == take(50, 3)
    assert take(50, 3) != take(50, 4)


def test_there_are_enough_plots():
    names = [plot.name for plot in corpus.trained_plots() + corpus.heldout_plots()]
    assert len(set(names)) == len(names)
    assert len(corpus.trained_plots()) >= 30
    assert len(corpus.heldout_plots()) >= 3


def test_heldout_plots_are_never_trained_on(monkeypatch):
    told = []
    tell = corpus.tell
    monkeypatch.setattr(corpus, "tell", lambda plot, rng: told.append(plot) or tell(plot, rng))
    take(1000, options.seed())
    assert {plot.name for plot in told} == {plot.name for plot in corpus.trained_plots()}
    assert not any(plot.heldout for plot in told)


def test_no_passage_of_a_heldout_plot_is_in_a_trained_one():
    def own_words(plots):
        lines = {line for plot in plots for passage in plot.passages for line in passage}
        return {line for line in lines if re.sub(r"<\w+>", "", line).strip()}

    assert not own_words(corpus.heldout_plots()) & own_words(corpus.trained_plots())


@pytest.mark.parametrize("plot", corpus.trained_plots() + corpus.heldout_plots(), ids=lambda plot: plot.name)
def test_every_plot_reads_as_plain_text(plot):
    rng = random.Random(f"{options.seed()} {plot.name}")
    for _ in range(40):
        story = corpus.tell(plot, rng)
        assert re.fullmatch(r"[A-Za-z ,.:!?'\"]+", story), story
        assert 40 <= len(story.split()) <= 180, story
        assert story.count('"') % 2 == 0, story
        assert story[0].isupper() or story[0] == '"', story
        assert story.rstrip('"')[-1] in ".!?", story
        assert not re.search(r"  | [,.!?]|\ba [aeiou]|\ban [^aeiou]|\. [a-z]", story), story


@pytest.mark.parametrize(
    "template", ["[a|b", "a]", "a|b", "{toy", "<glad"], ids=["open", "close", "bar", "brace", "angle"]
)
def test_malformed_template(template):
    with pytest.raises(ValueError, match="in '"):
        grammar.parse(template)


def test_unknown_slot():
    story = grammar.Story(random.Random(0), {}, {}, {})
    with pytest.raises(KeyError, match="no slot or kind of word is called 'planet'"):
        grammar.expand("{planet}", story)


def test_slots_are_remembered_and_choices_are_not():
    words = {"toy": ("apple", "ball", "old car")}
    story = grammar.Story(random.Random(options.seed()), words, {}, {})
    texts = {grammar.expand("{toy} {A toy} {toy2} [x|y]", story) for _ in range(100)}
    first, second = story.slots["toy"], story.slots["toy2"]
    article = "An" if first[0] in "ao" else "A"
    assert first != second
    assert texts == {f"{first} {article} {first} {second} {letter}" for letter in "xy"}


def test_tokenizer_round_trips_text(tokenizer):
    for text in [*take(100, options.seed()), 'He said: "42 crêpes!"\n  Two lines, "quoted".', ""]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_tokenizer_file_serves_the_runtime(tokenizer, tmp_path):
    path = tmp_path / "vocabulary.bin"
    tokenizer.save(path)
    host = HostTokenizer.load(path, vocab_size=400)
    assert Tokenizer.load(path).pieces == tokenizer.pieces
    for text in [*take(100, options.seed(), corpus.heldout_plots()), 'She had 7 "naïve"  ideas.\nOr not?!']:
        assert host.encode(text, bos=False) == tokenizer.encode(text)


def test_tokenizer_has_room_for_the_characters():
    with pytest.raises(ValueError, match="3 different characters do not fit a vocabulary of 260"):
        train_tokenizer(["ab"], FIRST_PIECE + 1)


def test_overlap_finds_the_longest_run():
    overlap = Overlap(["one two three four five six seven eight", "a b c d"])
    overlap.add("zero one two three four five six nine")
    overlap.add("two three four five six seven eight and a b c d")
    overlap.add("two three four five six")
    assert overlap.lengths() == [7, 0]
    assert overlap.run(0) == "two three four five six seven eight"


def test_shipped_model_tells_a_story_to_its_end():
    path = demo_model_path()
    assert path.stat().st_size <= 1 << 20
    model = load_model(path)
    assert (model.config.n_kv_heads, model.config.max_seq_len, model.config.tied) == (8, 512, True)
    tokenizer = HostTokenizer.load(find_tokenizer(path, model.config.vocab_size), model.config.vocab_size)
    prompt = tokenizer.encode("Once upon a time, there was a little")
    tokens = list(
        itertools.takewhile(
            lambda token: token != tokenizer.eos, itertools.islice(Llama(model).greedy(prompt), 400)
        )
    )
    known = {word for story in take(3000, 7) for word in re.findall(r"\w+", story)}
    words = re.findall(r"\w+", tokenizer.text(prompt + tokens))
    assert 40 <= len(words) <= 180
    assert sum(word in known for word in words) >= 0.9 * len(words)
