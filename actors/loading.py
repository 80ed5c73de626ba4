"""Classes that registries and child specs name as text: `actors.detectors.hst:HalfSpaceTrees`."""

from __future__ import annotations

import importlib
from typing import Any


def load_class(location: str, kind: type) -> Any:
    """Return the class at `module:name`. Raises ImportError, AttributeError, and TypeError if it is no subclass of `kind`."""
    module, _, name = location.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise TypeError(f"{location} is not a {kind.__name__}")
    return found
