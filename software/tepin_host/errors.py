# SPDX-License-Identifier: Apache-2.0
"""The one exception that is meant for the person at the keyboard."""

__all__ = ["UserError"]


class UserError(Exception):
    """A mistake in what the user gave: a file, an option, a size.

    The message is one line of plain words that says what is wrong and what is accepted. The command line prints it
    as ``tepin: error: MESSAGE`` and ends with `exit_status`; no traceback is shown.
    """

    exit_status = 2

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))
