"""The words without which a regular expression cannot match, read off its text. Pure.

Sound, not complete: what is not understood adds no word. A sequence adds the words of each of its parts, an alternative
only if every branch has one, a repetition only if it is there at least once. Escapes that stand for classes, classes,
anchors and dots end a word.
Words that are not ASCII say nothing: without regard to case they have spellings of their own. (Syntax of RE2.)
"""

from __future__ import annotations

from actors.sigma.matching.folding import fold

MAX_DEPTH = 16
_ENDS_A_WORD = ".^$"

Clause = frozenset[str]  # one of these is in every text that matches


def clauses_of_expression(text: str) -> list[Clause]:
    """Return what a text that matches holds, folded; every clause of it."""
    try:
        clauses, rest = _Scanner(fold(text)).alternatives(0, 0)
    except (IndexError, RecursionError):
        return []
    return [clause for clause in clauses if all(map(str.isascii, clause))] if rest == len(text) else []


class _Scanner:
    """Reads an expression. Each method takes a place and returns what it found and the place behind it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def alternatives(self, at: int, depth: int) -> tuple[list[Clause], int]:
        """Read branches up to a closing bracket or the end. Raises IndexError for what is not understood."""
        if depth > MAX_DEPTH:
            raise IndexError
        branches: list[list[Clause]] = []
        while True:
            clauses, at = self._sequence(at, depth)
            branches.append(clauses)
            if at >= len(self._text) or self._text[at] == ")":
                return branches[0] if len(branches) == 1 else _either(branches), at
            at += 1  # over the bar

    def _sequence(self, at: int, depth: int) -> tuple[list[Clause], int]:
        clauses: list[Clause] = []
        word = ""
        while at < len(self._text) and self._text[at] not in "|)":
            letter, inner, at = self._atom(at, depth)
            least, at = self._repetition(at)
            if least and letter:
                word += letter
            if least != 1 or not letter:
                clauses += [frozenset({word})] if word else []
                word = letter if least > 1 else ""
            clauses += inner if least else []
        return clauses + ([frozenset({word})] if word else []), at

    def _atom(self, at: int, depth: int) -> tuple[str, list[Clause], int]:
        """Return one letter, "" if it is none, and the clauses of a group."""
        letter = self._text[at]
        if letter == "(":
            return self._group(at + 1, depth)
        if letter == "[":
            return "", [], self._class(at + 1)
        if letter == "\\":
            escaped = self._text[at + 1]
            if escaped.isalnum():
                return "", [], self._escape(at + 1)
            return escaped, [], at + 2
        return ("" if letter in _ENDS_A_WORD else letter), [], at + 1

    def _escape(self, at: int) -> int:
        letter = self._text[at]
        if letter in "pxq" or letter.isdigit():  # with something behind it, which is not read here
            raise IndexError
        return at + 1

    def _group(self, at: int, depth: int) -> tuple[str, list[Clause], int]:
        if self._text[at] == "?":
            if self._text[at + 1] == "p":  # (?P<name>
                at = self._text.index(">", at) + 1
            else:
                while self._text[at] not in ":)":
                    at += 1
                if self._text[at] == ")":  # (?i): flags for what follows; a repetition behind it is of what stands before it
                    return "", [], self._unrepeated(at + 1)
                at += 1
        clauses, at = self.alternatives(at, depth + 1)
        if self._text[at] != ")":
            raise IndexError
        return "", clauses, at + 1

    def _class(self, at: int) -> int:
        at += self._text[at] == "^"
        at += self._text[at] == "]"
        while self._text[at] != "]":
            if self._text.startswith("[:", at):
                at = self._text.index(":]", at) + 1
            at += 2 if self._text[at] == "\\" else 1
        return at + 1

    def _repetition(self, at: int) -> tuple[int, int]:
        """Return how often at least what was read has to be there (2: more than once)."""
        mark = self._text[at : at + 1]
        if mark not in ("?", "*", "+", "{"):
            return 1, at
        least = {"?": 0, "*": 0, "+": 2}.get(mark, 0)
        if mark == "{":
            end = self._text.index("}", at)
            first = self._text[at + 1 : end].partition(",")[0]
            if not first.isdecimal():
                raise IndexError  # a brace that stands for itself
            least, at = min(int(first), 2) if int(first) != 1 else 2, end
        at += 1
        return least, self._unrepeated(at + (self._text[at : at + 1] == "?"))  # lazy is as often

    def _unrepeated(self, at: int) -> int:
        if self._text[at : at + 1] in ("?", "*", "+", "{"):
            raise IndexError
        return at


def _either(branches: list[list[Clause]]) -> list[Clause]:
    best = [max(branch, key=lambda clause: min(map(len, clause)), default=frozenset[str]()) for branch in branches]
    return [frozenset[str]().union(*best)] if all(best) else []
