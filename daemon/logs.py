"""The daemon's own log: one line a message on standard error, with control characters made visible."""

from __future__ import annotations

import logging
import sys

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def escape_controls(text: str) -> str:
    """Return `text` with every control character but tab and newline as `\\x1b`, so that a terminal obeys none."""
    return text.translate(_ESCAPES)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record)).replace("\n", "\n    ")


def set_up_logging(actor: str) -> None:
    """Send this process's log to standard error, each line with the actor's name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(f"tocsin {actor}: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("hypercorn.access", "hypercorn.error", "quart.app"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
