# SPDX-License-Identifier: Apache-2.0
"""What the tests of the whole chip share."""

import os
from pathlib import Path

import pytest

from tepin_host.models import demo_model_path
from tepin_testbench import options

MODELS = Path(os.environ.get("TEPIN_MODELS", Path(__file__).parents[4] / "shared" / "models"))


@pytest.fixture(scope="session")
def seed():
    """The suite's seed, for random models."""
    return options.seed()


@pytest.fixture(scope="session")
def model_paths():
    """Paths of real models by name. Only the demo model is surely there."""
    return {"demo": demo_model_path(), "stories260K": MODELS / "stories260K.bin"}
