"""A module that does nothing for a minute: `python -m tests.sleeper`."""

from __future__ import annotations

import time

if __name__ == "__main__":
    time.sleep(60)
