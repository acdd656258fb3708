# SPDX-License-Identifier: Apache-2.0
"""The whole system on its twin: a model comes over the line, and its tokens are those of every other simulation."""

import json

import numpy as np
import pytest

from tepin.control.registers import register
from tepin.io.protocol import Status
from tepin_host import cli
from tepin_host.compiler import Request, compile_model
from tepin_host.runtime import Report, load_device, run_device
from tepin_host.simulation.twin import LINE_BYTES
from tepin_testbench import options
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, reference, rtl
from verification.testbenches.system.bench import CONFIG, PART, twin

_BOARD = "board"

_SIZES = {"n_layers": 1, "dim": 16, "hidden_dim": 16, "n_heads": 2, "n_kv_heads": 1, "vocab_size": 20}


@pytest.fixture(scope="module")
def model():
    return random_model(options.seed(), **_SIZES, max_seq_len=16)


def test_a_model_that_comes_over_the_line(model):
    executable = compile_model(model, CONFIG)
    assert len(executable.image) < LINE_BYTES
    request = Request([1, 7], 5, seed=3, temperature=1.0, stop=())
    report = Report()
    with twin() as chip:
        chip.await_self_test()
        assert chip.identity.config_hash == CONFIG.hash
        assert chip.identity.memory_bytes == PART.bytes
        load_device(executable, request, chip)
        with chip.paused() as board:
            image = executable.memory(request)[: len(executable.image)]
            np.testing.assert_array_equal(board.memory[: len(image)], image)
        tokens = list(run_device(executable, request, report, chip))
        assert chip.repeated == 0
        with chip.paused() as board:
            assert (board.framing_errors, board.violations) == (0, 0)
    expected = reference(executable, request)
    assert tokens == expected.tokens
    np.testing.assert_array_equal(report.logits.view(np.uint32), expected.logits.view(np.uint32))
    # The chip alone, in another shape: results do not depend on it.
    assert tokens == rtl(compile_model(model, TINY), request).tokens
    assert report.busy_cycles["total"] > report.first_token_cycles > 0


def test_memory_through_the_line(rng):
    with twin() as chip:
        chip.await_self_test()
        data = rng.bytes(300)
        chip.load(0x1003, data)
        assert chip.dump(0x1003, 300) == data
        with chip.paused() as board:
            assert board.memory[0x1003 : 0x1003 + 300].tobytes() == data
        with pytest.raises(RuntimeError, match=Status.DECERR.name):
            chip.dump(PART.bytes, 1)
        # Nobody is hurt.
        assert chip.read(register("ID").offset) == register("ID").reset


def test_what_is_longer_takes_the_back_door(rng):
    data = rng.bytes(LINE_BYTES + 999)
    with twin() as chip:
        chip.await_self_test()
        with chip.paused() as board:
            # So that little has to be sent.
            board.memory[: LINE_BYTES - 100] = np.frombuffer(data[: LINE_BYTES - 100], np.uint8)
        sent = chip.load(0, data)
        assert 0 < sent <= 4096
        with chip.paused() as board:
            assert board.memory[: len(data)].tobytes() == data


@pytest.mark.slow
def test_the_demo_model_on_a_real_board_says_what_the_chip_says(tmp_path, capsys):
    results = []
    for where in (["--board", "ulx3s-85f"], ["--memory", "16,20"]):
        path = tmp_path / "result.json"
        arguments = [
            "run",
            "--prompt",
            "Once",
            "--tokens",
            "3",
            "--config",
            _BOARD,
            *where,
            "--json",
            str(path),
        ]
        assert cli.main(arguments) == 0, capsys.readouterr().err
        results.append(json.loads(path.read_text()))
        print(where, results[-1]["cycles_per_token"], results[-1]["port_utilisation"])
    board, chip = results
    for key in ("tokens", "text", "logits_sha256", "bytes_per_token"):
        assert board[key] == chip[key]
    # Refreshes and turns of the data bus are all that it costs.
    assert board["port_utilisation"] > 0.97 * chip["port_utilisation"]
