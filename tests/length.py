"""How long the tests may take: `make test` runs the short form of what is tried on chance, `make test-long` the long one."""

from __future__ import annotations

import os

LONG = os.environ.get("TESTS") == "long"
EXAMPLES = 500 if LONG else 60  # of a property that does not say how many it needs
SEEDS = (1, 2, 3) if LONG else (1,)
