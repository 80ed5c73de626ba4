"""The detectors that exist. A new one is a file beside this and a line here."""

from __future__ import annotations

from actors.detectors.cusum import Cusum
from actors.detectors.detector import Detector
from actors.detectors.holt_winters import HoltWinters
from actors.detectors.hst import HalfSpaceTrees
from actors.detectors.markov import Markov

DETECTORS: dict[str, type[Detector]] = {
    HalfSpaceTrees.name: HalfSpaceTrees,
    HoltWinters.name: HoltWinters,
    Cusum.name: Cusum,
    Markov.name: Markov,
}
