"""The page's own example, and real lines over every way in: once in the store, once on the socket, the same objects."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.daemon_process import DATA, DaemonProcess
from tests.stream_client import StreamClient

EXAMPLE = b"<36>1 2026-05-13T15:29:59.998Z bastion sshd 4242 - - Failed password for root from 10.0.1.42"
EVENT_KEYS = [
    "id",
    "observed_ts",
    "event_ts",
    "source",
    "severity",
    "message",
    "template_id",
    "template",
    "entities",
    "anomaly_score",
    "anomaly_threshold",
    "attack",
]
STATUS_KEYS = ["type", "ts", "throughput_eps", "queue_depth", "queue_max", "receivers", "detectors"]


def real_lines(name: str) -> list[bytes]:
    path = DATA / "parsing" / name / f"{name}_2k.log"
    if not path.exists():
        pytest.skip(f"the real {name} log is not here")
    return [line.rstrip(b"\r") for line in path.read_bytes().split(b"\n") if line.strip()]


def event_frames(client: StreamClient, count: int, patience_s: float = 30.0) -> list[dict]:
    frames = []
    for payload in client.read(patience_s):
        frame = json.loads(payload)
        if frame["type"] == "event":
            frames.append(frame["event"])
            if len(frames) == count:
                break
    return frames


def test_the_pages_example_gives_exactly_the_documented_frame(daemon: DaemonProcess) -> None:
    with StreamClient(daemon.http) as client:
        assert client.status == 101
        daemon.send_udp(EXAMPLE)
        frame = next(frame for payload in client.read(10) if (frame := json.loads(payload))["type"] == "event")
        users = (b"admin", b"guest", b"oracle")
        daemon.send_udp(*(EXAMPLE.replace(b"root", user).replace(b".42", b".4%d" % i) for i, user in enumerate(users)))
        templates = [event["template"] for event in event_frames(client, 3)]
    assert list(frame) == ["type", "event"]
    event = frame["event"]
    assert list(event) == EVENT_KEYS
    assert (event["severity"], event["event_ts"], event["source"]) == (13, "2026-05-13T15:29:59.998Z", "syslog")
    assert event["message"] == "Failed password for root from 10.0.1.42"
    assert event["template_id"].startswith("drain_")
    assert [(entity["type"], entity["value"]) for entity in event["entities"]] == [("user", "root"), ("ipv4", "10.0.1.42")]
    assert list(event["entities"][0]) == ["type", "value", "uuid"]
    assert event["attack"] is None or list(event["attack"]) == ["tactic", "technique"]
    assert 0 <= event["anomaly_score"] <= 1 and 0 <= event["anomaly_threshold"] <= 1
    assert templates[-1] == "Failed password for <*> from <*>"


def test_heartbeats_are_exactly_as_documented(daemon: DaemonProcess) -> None:
    with StreamClient(daemon.http) as client:
        frames = [json.loads(payload) for payload in client.read(3.5)]
    beats = [frame for frame in frames if frame["type"] == "status"]
    assert 3 <= len(beats) <= 4
    for beat in beats:
        assert list(beat) == STATUS_KEYS
        assert set(beat["receivers"]) == {"syslog", "otlp_grpc", "otlp_http", "file", "internal"}
        assert set(beat["detectors"]) == {"hst", "holt_winters", "cusum", "markov", "sigma"}
        assert {*beat["receivers"].values(), *beat["detectors"].values()} == {"ok"}
        assert beat["queue_max"] == 10_000


def check_all_came_once(daemon: DaemonProcess, frames: list[dict], lines: list[bytes], **filters: object) -> None:
    stored = daemon.events(**filters)
    assert [event["id"] for event in stored] == [frame["id"] for frame in frames]
    assert stored == frames
    assert len({frame["id"] for frame in frames}) == len(lines)
    raw = Counter(line.decode("utf-8", "backslashreplace").strip() for line in lines)
    left = Counter(frame["message"].strip() for frame in frames)
    for line, count in raw.items():
        found = next(message for message in left if line.endswith(message) and left[message] >= count)
        left[found] -= count


@pytest.mark.parametrize("name", ["OpenSSH", "Linux"])
def test_every_line_over_tcp_is_stored_and_framed_once(tmp_path: Path, name: str) -> None:
    lines = real_lines(name)
    with DaemonProcess(tmp_path) as daemon, StreamClient(daemon.http) as client:
        daemon.send_tcp(b"".join(b"<38>" + line + b"\n" for line in lines))
        frames = event_frames(client, len(lines))
        check_all_came_once(daemon, frames, lines)


def test_every_line_of_a_tailed_file_is_stored_and_framed_once(tmp_path: Path) -> None:
    lines = real_lines("OpenSSH") + real_lines("Linux")
    log = tmp_path / "logs" / "auth.log"
    log.parent.mkdir()
    log.write_bytes(b"before the daemon started\n")
    with DaemonProcess(tmp_path, files=[str(log.parent / "*.log")]) as daemon, StreamClient(daemon.http) as client:
        with open(log, "ab") as file:
            file.write(b"\n".join(lines))  # the last one without its newline
        frames = event_frames(client, len(lines))
        check_all_came_once(daemon, frames, lines, source="file")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_every_record_of_the_real_exporters_is_stored_and_framed_once(tmp_path: Path, protocol: str) -> None:
    from tests.otlp_exporter import export_lines

    lines = real_lines("OpenSSH") + real_lines("Linux")
    with DaemonProcess(tmp_path) as daemon, StreamClient(daemon.http) as client:
        export_lines(protocol, daemon.grpc if protocol == "grpc" else daemon.otlp_http, lines)
        frames = event_frames(client, len(lines))
        check_all_came_once(daemon, frames, lines, source=f"otlp_{protocol}")
