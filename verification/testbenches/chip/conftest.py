# SPDX-License-Identifier: Apache-2.0
"""What the tests of the whole chip share."""

import pytest

from tepin_testbench import options


@pytest.fixture(scope="session")
def seed():
    """The suite's seed, for random models."""
    return options.seed()
