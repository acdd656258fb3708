# SPDX-License-Identifier: Apache-2.0
"""Keys and values that are kept: a text that goes on from them has the same bits as one computed from its beginning."""

from dataclasses import replace

import numpy as np
import pytest

from tepin_host.cli import main
from tepin_host.compiler import Request, compile_model
from tepin_host.compiler.kv_cache import KvCache
from tepin_host.errors import UserError
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY, generate, sampled

CONTEXT = 200


@pytest.fixture(scope="module")
def executable():
    return compile_model(random_model(3, max_seq_len=CONTEXT), TINY)


def keep(executable, request):
    """A run, and what it leaves in the cache."""
    memory = executable.memory(request)
    run = generate(executable, request, memory=memory)
    return run, KvCache.capture(executable, request, run.tokens, memory)


@pytest.mark.parametrize("length", [1, 2, 62, 63, 64, 65, 66, 130])
def test_same_bits_as_from_the_beginning(executable, length, rng):
    """Within a block of 64 positions, at its ends, and behind two of them."""
    beginning = [1, *rng.integers(3, 64, length - 1).tolist()]
    first, cache = keep(executable, sampled(beginning, 2))
    assert cache.positions == length + 1 and cache.tokens == [*beginning, *first.tokens]
    prompt = [*cache.tokens, 7, 9]
    request = sampled(prompt, 5)
    whole, resumed = generate(executable, request), generate(executable, replace(request, cache=cache))
    assert resumed.tokens == whole.tokens
    np.testing.assert_array_equal(resumed.logits.view(np.uint32), whole.logits.view(np.uint32))


def test_goes_on_without_anything_new(executable):
    """The last token has not passed through the network, so there is always one to begin with."""
    whole = generate(executable, sampled([1, 5], 9))
    first, cache = keep(executable, sampled([1, 5], 4))
    rest = generate(executable, replace(sampled(cache.tokens, 5), cache=cache))
    assert first.tokens + rest.tokens == whole.tokens


def test_kept_again_and_again(executable):
    cache, text = None, [1]
    for _ in range(3):
        request = replace(sampled(text, 30), cache=cache)
        run, cache = keep(executable, request)
        text = cache.tokens
    assert text[1:] == generate(executable, sampled([1], 90)).tokens


def test_stop_token(executable):
    """What a stop token ends can be gone on with, too: the stop token is not part of it."""
    whole = generate(executable, sampled([1], 20)).tokens
    stop = next(token for index, token in enumerate(whole) if index > 3 and token not in whole[:index])
    run, cache = keep(executable, replace(sampled([1], 20), stop=(stop,)))
    assert len(run.tokens) < 20
    again = generate(executable, replace(sampled(cache.tokens, 3), cache=cache))
    assert again.tokens == whole[len(run.tokens) :][:3]


def test_file(executable, tmp_path):
    _, cache = keep(executable, sampled([1, 4], 3))
    path = tmp_path / "text.kv"
    path.write_bytes(cache.encode())
    found = KvCache.load(path)
    assert (found.tokens, found.positions, found.model) == (cache.tokens, cache.positions, cache.model)
    np.testing.assert_array_equal(found.pages, cache.pages)
    found.check(executable, path)


def test_other_weights(executable):
    _, cache = keep(executable, sampled([1], 2))
    other = compile_model(random_model(4, max_seq_len=CONTEXT), TINY)
    with pytest.raises(UserError, match="keys and values of another model"):
        cache.check(other, "text.kv")


def test_prompts_that_do_not_fit(executable):
    _, cache = keep(executable, sampled([1, 4, 8], 2))
    for prompt, message in (
        ([1, 5, 8, 9, 9, 9], "does not begin with the text"),
        (cache.tokens[: cache.positions], "no token behind the 4"),
    ):
        with pytest.raises(UserError, match=message):
            executable.memory(Request(prompt, 2, cache=cache))


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "No such file"),
        (b"", "not a KV cache"),
        (b"Once upon a time", "not a KV cache"),
        (b"PK\x03\x04 and then nothing", "not a KV cache"),
    ],
)
def test_files_that_are_none(content, message, tmp_path, capsys):
    path = tmp_path / "text.kv"
    if content is not None:
        path.write_bytes(content)
    assert main(["run", "--backend", "reference", "--load-kv", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_truncated_file(executable, tmp_path):
    _, cache = keep(executable, sampled([1, 4], 3))
    whole = cache.encode()
    path = tmp_path / "text.kv"
    for size in (len(whole) // 3, len(whole) - 5):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="not a KV cache"):
            KvCache.load(path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--save-kv", "x", "--chips", "2"], "--save-kv and --chips exclude each other"),
        (["--load-kv", "x", "--chips", "2"], "--load-kv and --chips exclude each other"),
        (["--save-kv", "x", "--device", "/dev/null"], "simulations of the chip alone"),
        (["--save-kv", "/nowhere/x", "--backend", "reference"], "/nowhere/x: No such file"),
    ],
)
def test_requests_that_cannot_be(arguments, message, capsys):
    assert main(["run", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_command(tmp_path, capsys):
    """A story in two parts is the story in one."""
    path = str(tmp_path / "story.kv")
    common = ["run", "--backend", "reference"]
    assert main([*common, "--tokens", "6", "--save-kv", path]) == 0
    assert main([*common, "--tokens", "4", "--load-kv", path]) == 0
    resumed = capsys.readouterr().out.splitlines()
    assert main([*common, "--tokens", "10"]) == 0
    whole = capsys.readouterr().out.splitlines()[0]
    assert whole in resumed
