# SPDX-License-Identifier: Apache-2.0
"""Links between chips without time: what is sent arrives, in order, and a link holds any amount."""

from tepin.config import LINK_BYTES

__all__ = ["LINK_LIMIT", "Port"]

LINK_LIMIT = 1 << 24
"""A message has less bytes than this."""


class Port:
    """A chip's end of a link, a queue of 64-bit words in each direction.

    Attributes
    ----------
    sent : int
        Words sent so far.
    """

    def __init__(self):
        self._out, self._in = bytearray(), bytearray()
        self.sent = 0

    @classmethod
    def pair(cls):
        """The two ends of one link."""
        one, other = cls(), cls()
        one._out, one._in = other._in, other._out
        return one, other

    def send(self, message):
        """Append a message in whole words, the last one filled up with zeros."""
        words = -(-len(message) // LINK_BYTES)
        self._out += bytes(message).ljust(words * LINK_BYTES, b"\0")
        self.sent += words

    def holds(self, length):
        """Whether a message of so many bytes has arrived."""
        return len(self._in) >= length

    def receive(self, length):
        """Take a message of so many bytes that has arrived."""
        words = -(-length // LINK_BYTES)
        message = bytes(self._in[:length])
        del self._in[: words * LINK_BYTES]
        return message
