"""The detectors that exist. A new one is a file beside this and a line here.

The classes are named, not imported: whoever only needs to know which detectors there are (the supervisor, the command
line) is spared what they compute with.
"""

from __future__ import annotations

DETECTORS = {
    "hst": "actors.detectors.hst:HalfSpaceTrees",
    "holt_winters": "actors.detectors.holt_winters:HoltWinters",
    "cusum": "actors.detectors.cusum:Cusum",
    "markov": "actors.detectors.markov:Markov",
}
