"""Properties are tried on new examples each time, but not where a submission is judged: there the same each time."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("judged", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("judged")
