# SPDX-License-Identifier: Apache-2.0
"""Many texts at a time: requests for them, and whether each is what it is alone."""

import numpy as np

from tepin_host.compiler import Request
from tepin_host.runtime import Report, run_reference

__all__ = ["assert_lines_as_alone", "random_requests"]


def random_requests(rng, shapes, vocabulary=64, stop=(1, 2)):
    """A request for each (tokens of the prompt, most tokens to write); every other one draws its tokens."""
    return [
        Request(
            rng.integers(0, vocabulary, prompt).tolist(),
            tokens,
            seed=int(rng.integers(1 << 32)),
            temperature=0.9 * (index % 2),
            stop=stop,
        )
        for index, (prompt, tokens) in enumerate(shapes)
    ]


def assert_lines_as_alone(single, requests, report, events):
    """Every line has the tokens, and every bit of the logits, of the same request on one chip by itself.

    Parameters
    ----------
    single : Executable
        Of the same model, for one text on one chip.
    requests : list of Request
    report : BatchReport
    events : list of (line, token or None, whether it has ended)
        What a batch or a pipeline said of these requests.
    """
    for line, (request, found) in enumerate(zip(requests, report.lines, strict=True)):
        alone = Report()
        tokens = list(run_reference(single, request, alone))
        assert found.tokens == tokens, f"line {line}"
        np.testing.assert_array_equal(found.logits.view(np.uint32), alone.logits.view(np.uint32))
        assert [token for at, token, _ in events if at == line and token is not None] == tokens
        assert [ended for at, _, ended in events if at == line][-1]
