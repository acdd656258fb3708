# SPDX-License-Identifier: Apache-2.0
"""A simulated board at a pseudo-terminal, which serial software takes for a port of this machine."""

import contextlib
import os
import pty
import select
import threading
import tty

__all__ = ["Terminal"]

_CYCLES = 2000  # between looks at the terminal: some milliseconds
_READ_BYTES = 4096
_AHEAD = 512  # bytes that may wait for the line; the rest waits in the terminal, as with a slow port


class Terminal:
    """Runs a `BoardSimulator` in a thread of its own and carries bytes between its line and a pseudo-terminal.

    The simulation begins with the `with` block and ends with it. When the memory objects to something it ends at once: then
    the terminal goes away, as if the board had been unplugged, and `violations` says why.

    Parameters
    ----------
    board : BoardSimulator

    Attributes
    ----------
    name : str
        Of the terminal, such as /dev/pts/3.
    violations : int
        As of the board, when it stopped.
    """

    def __init__(self, board):
        self._board = board
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.violations = 0
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        # Not before: whoever opens the name of a board that is gone must not get somebody else's terminal.
        os.close(self._theirs)

    @contextlib.contextmanager
    def paused(self):
        """The board, with its clock standing still."""
        with self._lock:
            yield self._board

    def _run(self):
        outgoing = b""
        try:
            while not self._stop.is_set() and not self.violations:
                outgoing = self._exchange(outgoing)
                with self._lock:
                    self._board.run(_CYCLES)
                    self.violations = self._board.violations
        finally:
            # Nobody may wait for a board that is gone.
            os.close(self._ours)

    def _exchange(self, outgoing):
        """Move bytes in both directions; returns those that the terminal does not take yet."""
        if self._board.waiting < _AHEAD and select.select([self._ours], [], [], 0)[0]:
            self._board.send(os.read(self._ours, _READ_BYTES))
        outgoing += self._board.receive()
        if outgoing:
            with contextlib.suppress(BlockingIOError):
                outgoing = outgoing[os.write(self._ours, outgoing) :]
        return outgoing
