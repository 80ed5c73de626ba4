from __future__ import annotations

from actors.detectors.detector import Detector
from actors.detectors.registry import DETECTORS
from actors.loading import load_class


def detector_class(name: str) -> type[Detector]:
    """Return the class of a registered detector. Raises KeyError."""
    found: type[Detector] = load_class(DETECTORS[name], Detector)
    return found
