"""Lines tried over REST: how the parser reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from actors.frontend.heavy import Heavy
from actors.frontend.rest import Parameters, Problem
from actors.sigma.inspection.reading import MAX_LINES, Order


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines of a body. Raises Problem."""
    lines = body.splitlines()
    if not 1 <= len(lines) <= MAX_LINES:
        raise Problem(400, "Bad body", f"the body has 1 to {MAX_LINES} log lines, not {len(lines)}")
    return lines


async def read_lines(heavy: Heavy, state_dir: Path, given: Mapping[str, str], body: bytes) -> bytes:
    """Return how lines are read, as JSON. Raises Problem."""
    source = Parameters(given, frozenset({"source"})).take("source", str, "the name of a source") or ""
    order = msgspec.json.encode(Order(str(state_dir), source, lines_of(body)))
    return await heavy.run("actors.sigma.inspection.reading", order, "tocsin parse")
