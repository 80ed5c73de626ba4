"""The followers that exist. A new one is a file beside this and a line here.

The classes are named, not imported, as in `actors/detectors/registry.py`.
"""

from __future__ import annotations

FOLLOWERS: dict[str, str] = {}
