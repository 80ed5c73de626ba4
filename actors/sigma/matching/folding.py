"""Text without regard to case. Pure.

As `str.lower`, but that letters which have two small forms have one here: the long s is an s, and the Greek sigma is the same
at the end of a word as within it. So a part of a text folds to a part of the folded text.
"""

from __future__ import annotations


def fold(text: str) -> str:
    """Return a text without regard to case."""
    folded = text.lower()
    return folded if folded.isascii() else folded.replace("ſ", "s").replace("ς", "σ")
