# SPDX-License-Identifier: Apache-2.0
"""Parameters of a switch."""

import pytest

from tepin.link.switch import Switch, switch_word


def test_a_port_has_as_many_bits_as_it_takes():
    assert [switch_word(ports, 64).size for ports in (2, 3, 4, 5, 16)] == [65, 66, 66, 67, 68]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"ports": 1}, "Ports of a switch must be 2 to 16, not 1"),
        ({"ports": 17}, "Ports of a switch must be 2 to 16, not 17"),
        ({"word_bits": 0}, "Bits of a word must be 1 to 1024, not 0"),
        ({"depth": 3}, "Words in a queue must be 4 to 64, not 3"),
        ({"depth": 65}, "Words in a queue must be 4 to 64, not 65"),
    ],
)
def test_init_wrong_value(wrong, message):
    with pytest.raises(ValueError, match=message):
        Switch(**{"ports": 4, **wrong})


@pytest.mark.parametrize("name", ["ports", "word_bits", "depth"])
def test_init_wrong_type(name):
    with pytest.raises(TypeError, match="must be an integer, not '4'"):
        Switch(**{"ports": 4, name: "4"})
