"""`tocsin parse` says how a line is read."""

from __future__ import annotations

import io
import json

import pytest

from daemon.cli import main

LINE = "<38>Nov 26 10:00:01 bastion sshd[811]: Failed password for root from 203.0.113.5 port 40022 ssh2"


def test_a_line_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", LINE]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if line)
    assert lines["header"] == "syslog, RFC 3164"
    assert lines["severity"] == "9 (info)" and lines["time"].endswith("(of the record)")
    assert lines["message"].startswith("Failed password for root")
    assert lines["entities"] == "user root, ipv4 203.0.113.5"
    assert "service" in lines["logsource"] and "sshd" in lines["logsource"]
    assert (lines["host"], lines["procid"]) == ("bastion", "811")


def test_lines_of_standard_input_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        buffer = io.BytesIO(b'{"level":"error","msg":"boom"}\n\nno time, and \x1b[31ma colour\n')

    monkeypatch.setattr("sys.stdin", Standard)
    assert main(["parse", "-", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["format"], first["severity"], first["message"]) == ("JSON", 17, "boom")
    assert second["time_is_of"] == "arrival" and second["message"] == "no time, and a colour"


def test_nothing_in_a_line_reaches_the_terminal_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["parse", "Nov 26 10:00:01 web app: \x1b]0;title\x07 \x9b2J"])
    assert not {"\x1b", "\x07", "\x9b"} & set(capsys.readouterr().out)
