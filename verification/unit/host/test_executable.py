# SPDX-License-Identifier: Apache-2.0
"""Requests, and compiled models in directories."""

import json
import struct
from dataclasses import asdict, replace

import numpy as np
import pytest

from tepin.isa import ISA_VERSION
from tepin_host.compiler import Executable, Request, compile_model
from tepin_host.compiler.conventions import PROMPT_OFFSET
from tepin_host.errors import UserError
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY, generate, sampled


@pytest.fixture(scope="module")
def executable():
    model = random_model(seed(), n_layers=1, max_seq_len=20)
    return compile_model(model, TINY, weights="int4", activations="int8", chunk=40)


@pytest.fixture
def directory(executable, tmp_path):
    executable.save(tmp_path / "a" / "model")
    return tmp_path / "a" / "model"


# Requests


def test_request_in_memory(executable):
    request = Request([3, 63, 0], 4, seed=2**32 + 7, temperature=0.5, stop=(9,))
    memory = executable.memory(request)
    header = struct.unpack_from("<IIIfIII", memory)
    assert header == (3, 6, 7, 2.0, 9, 0xFFFF_FFFF, 0)
    assert struct.unpack_from("<3I", memory, PROMPT_OFFSET) == (3, 63, 0)
    start = executable.plan.memory["constants"].address
    np.testing.assert_array_equal(memory[start : len(executable.image)], executable.image[start:])
    assert len(memory) == executable.memory_bytes
    assert not memory[len(executable.image) :].any()


def test_text_begins_and_ends_with_the_tokens_of_llama_by_default():
    assert Request([1], 5).stop == (1, 2)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prompt": []}, "the prompt holds no token"),
        ({"prompt": [1] * 21}, "the prompt has 21 tokens, the model's context is 20"),
        ({"prompt": [1, 64]}, "token 64 of the prompt is not in the vocabulary of 64"),
        ({"prompt": [-1]}, "token -1 of the prompt is not in the vocabulary of 64"),
        ({"tokens": 0}, "the number of tokens must be at least 1, not 0"),
        ({"tokens": -3}, "the number of tokens must be at least 1, not -3"),
        ({"temperature": -0.1}, "the temperature must be a number, 0 or more, not -0.1"),
        ({"temperature": float("nan")}, "the temperature must be a number, 0 or more, not nan"),
        ({"temperature": float("inf")}, "the temperature must be a number, 0 or more, not inf"),
        ({"temperature": 1e-39}, "the temperature 1e-39 is too close to 0; use 0 for the most likely token"),
        ({"temperature": 5e-324}, "the temperature 5e-324 is too close to 0"),
        ({"stop": (1, 2, 3)}, "at most two tokens can end the text, not 3"),
    ],
)
def test_requests_that_cannot_be(executable, changes, message):
    with pytest.raises(UserError, match=message):
        executable.memory(replace(Request([1, 2], 3), **changes))


# Directories


def test_directory_holds_what_was_compiled(executable, directory):
    again = Executable.load(directory)
    assert sorted(path.name for path in directory.iterdir()) == ["image.bin", "map.json", "program.bin"]
    assert (again.name, again.program) == (executable.name, executable.program)
    assert again.plan == executable.plan
    np.testing.assert_array_equal(again.image, executable.image)
    request = sampled([3, 4], 5)
    np.testing.assert_array_equal(generate(again, request).logits, generate(executable, request).logits)


def test_map_names_places_and_versions(executable, directory):
    description = json.loads((directory / "map.json").read_text())
    assert description["isa_version"] == ISA_VERSION
    assert description["config_hash"] == TINY.hash
    assert description["config"] == asdict(TINY)
    assert description["memory_bytes"] == executable.memory_bytes
    last = 0
    for name, region in description["regions"].items():
        assert region == {
            "address": executable.plan.memory[name].address,
            "size": executable.plan.memory[name].size,
        }
        assert last <= region["address"] and region["address"] % TINY.fifo_word_bytes == 0
        last = region["address"] + region["size"]
    assert last == executable.memory_bytes


def test_saving_again_replaces(executable, directory):
    (directory / "image.bin").write_bytes(b"old")
    executable.save(directory)
    np.testing.assert_array_equal(Executable.load(directory).image, executable.image)


def drop_last_byte(path):
    path.write_bytes(path.read_bytes()[:-1])


def drop_last_word(path):
    path.write_bytes(path.read_bytes()[:-4])


def change(**members):
    def damage(path):
        description = json.loads(path.read_text()) | members
        path.write_text(json.dumps({name: value for name, value in description.items() if value is not None}))

    return damage


CONTRADICTION = "program, image and map contradict each other; compile the model again"


@pytest.mark.parametrize(
    "file, damage, message",
    [
        ("map.json", lambda path: path.unlink(), "not a compiled model: No such file or directory"),
        ("image.bin", lambda path: path.unlink(), "not a compiled model: No such file or directory"),
        ("program.bin", lambda path: path.unlink(), "not a compiled model: No such file or directory"),
        ("map.json", lambda path: path.write_text("{"), "not a compiled model"),
        ("map.json", lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a compiled model"),
        ("map.json", lambda path: path.write_text("[]"), "not a compiled model"),
        ("map.json", change(name=None), "not a compiled model: map.json lacks 'name'"),
        ("map.json", change(model={"dim": 3}), "not a compiled model"),
        ("map.json", change(model=7), "not a compiled model"),
        (
            "map.json",
            change(weights="int3"),
            "not a compiled model: weight format must be int8 or int4, not 'int3'",
        ),
        (
            "map.json",
            change(isa_version=ISA_VERSION + 1),
            f"compiled for instruction set {ISA_VERSION + 1}, this is",
        ),
        ("map.json", change(weights="int8"), CONTRADICTION),
        ("map.json", change(config_hash=1), CONTRADICTION),
        ("map.json", change(config=asdict(replace(TINY, lanes=4))), CONTRADICTION),
        ("image.bin", drop_last_byte, CONTRADICTION),
        ("program.bin", drop_last_byte, "not a compiled model"),
        ("program.bin", drop_last_word, CONTRADICTION),
    ],
)
def test_damaged_directories(directory, file, damage, message):
    damage(directory / file)
    with pytest.raises(UserError, match=message):
        Executable.load(directory)


def test_no_such_directory(tmp_path):
    with pytest.raises(UserError, match="nowhere: not a compiled model: No such file or directory"):
        Executable.load(tmp_path / "nowhere")


def test_failed_saving_leaves_nothing_behind(executable, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written"):
        executable.save(tmp_path / "file")
    directory = tmp_path / "model"
    (directory / "map.json").mkdir(parents=True)
    with pytest.raises(UserError, match="model: cannot be written: Is a directory"):
        executable.save(directory)
    assert [path.name for path in directory.iterdir()] == ["map.json"]
