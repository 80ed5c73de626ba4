from __future__ import annotations

from actors.receivers.requests import KEEP_S, MAX_OPEN, OpenRequests, digest_of


def test_a_request_is_known_until_it_is_answered() -> None:
    requests = OpenRequests({}, 0.0)
    requests.add(digest_of(b"a"), 7, 0.0)
    assert requests.find(digest_of(b"a"), 1.0) == 7
    assert requests.find(digest_of(b"b"), 1.0) is None
    requests.forget(digest_of(b"a"))
    assert requests.find(digest_of(b"a"), 1.0) is None


def test_a_successor_knows_what_was_not_answered_but_not_for_ever() -> None:
    requests = OpenRequests({}, 0.0)
    requests.add(digest_of(b"a"), 7, 0.0)
    successor = OpenRequests(requests.cursor(), 100.0)
    assert successor.find(digest_of(b"a"), 100.0 + KEEP_S) == 7
    assert successor.find(digest_of(b"a"), 100.1 + KEEP_S) is None
    assert successor.cursor() == {}


def test_its_size_is_bounded() -> None:
    requests = OpenRequests({}, 0.0)
    for number in range(2 * MAX_OPEN):
        requests.add(digest_of(b"%d" % number), number, 0.0)
    assert len(requests.cursor()) == MAX_OPEN
    assert requests.find(digest_of(b"%d" % (2 * MAX_OPEN - 1)), 0.0) == 2 * MAX_OPEN - 1
