# SPDX-License-Identifier: Apache-2.0
"""docs/host-link.md: its tables are those of the definition, its transcript is one."""

import re
from pathlib import Path

from tepin import documents
from tepin.io.protocol import (
    ANSWER_HEADER,
    IDENTITY,
    REQUEST_HEADER,
    FrameParser,
    Request,
    RequestHeader,
    Status,
)

TEXT = (Path(__file__).parents[3] / "docs" / "host-link.md").read_text()


def test_tables_are_up_to_date():
    for lines in (
        documents._struct(RequestHeader),
        documents._enum(Request),
        documents._enum(Status),
    ):
        assert "\n".join(lines).rstrip() in TEXT


def test_every_code_is_explained():
    comments = documents._comments(Request) | documents._comments(Status) | documents._comments(RequestHeader)
    assert {*Request.__members__, *Status.__members__, *RequestHeader.__annotations__} <= set(comments)


def test_transcript():
    """Every frame is whole; titles, codes, numbers and sizes agree."""
    lines = re.search(r"^## Transcript\n.*?```\n(.*?)```", TEXT, re.M | re.S)[1].splitlines()
    exchanges = [(title, bytes.fromhex(line)) for title, line in zip(lines[::2], lines[1::2], strict=True)]
    assert len(exchanges) >= 6
    sequence = None
    for title, frame in exchanges:
        (body,) = FrameParser().feed(frame)
        if title.startswith(">"):
            assert sequence is None or body[0] == sequence + 1
            sequence, code, _, _ = REQUEST_HEADER.unpack_from(body)
            assert title[2:].startswith(Request(code).name)
        else:
            number, status = ANSWER_HEADER.unpack_from(body)
            assert number == sequence
            assert status == Status.OKAY or Status(status).name in title
            if code == Request.IDENTIFY:
                assert len(body) == ANSWER_HEADER.size + IDENTITY.size
