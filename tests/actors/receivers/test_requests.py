from __future__ import annotations

from actors.receivers.requests import KEEP_S, MAX_OPEN, OpenRequests, digest_of


def test_the_same_bytes_at_once_are_two_requests() -> None:
    requests = OpenRequests({}, 0.0)
    requests.add(digest_of(b"a"), 7)
    assert requests.claim(digest_of(b"a"), 1.0) is None


def test_a_successor_knows_what_was_not_answered_once_and_not_for_ever() -> None:
    requests = OpenRequests({}, 0.0)
    for number, body in enumerate((b"a", b"b", b"c")):
        requests.add(digest_of(body), number)
    requests.forget(digest_of(b"c"))
    successor = OpenRequests(requests.cursor(), 100.0)
    assert successor.claim(digest_of(b"a"), 101.0) == 0
    assert successor.claim(digest_of(b"a"), 102.0) is None
    assert successor.claim(digest_of(b"c"), 102.0) is None
    assert OpenRequests(successor.cursor(), 103.0).claim(digest_of(b"b"), 103.0) == 1
    assert successor.claim(digest_of(b"b"), 100.1 + KEEP_S) is None


def test_its_size_is_bounded() -> None:
    requests = OpenRequests({}, 0.0)
    for number in range(2 * MAX_OPEN):
        requests.add(digest_of(b"%d" % number), number)
    assert len(requests.cursor()) == MAX_OPEN
