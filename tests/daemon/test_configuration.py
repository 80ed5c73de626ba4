from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.configuration import Configuration
from daemon.configuration_loader import ConfigurationError, read_configuration
from daemon.receivers import File, Syslog
from daemon.sections import is_loopback, parse_address, parse_size


def read(folder: Path, text: str, **environment: str) -> Configuration:
    path = folder / "tocsin.toml"
    path.write_text(text)
    return read_configuration(path, environment)


def faults(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, **environment)
    return [f"{fault}".replace(f"{folder}/", "") for fault in caught.value.faults]


def test_nothing_at_all_is_a_good_configuration(tmp_path: Path) -> None:
    assert read(tmp_path, "") == read_configuration(None, {}) == Configuration()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[http]\nlisten = 'nowhere'", "tocsin.toml:2: http.listen: 'nowhere' is not an address such as 127.0.0.1:8080"),
        ("[http]\nlisten = '127.0.0.1:99999'", "tocsin.toml:2: http.listen: '127.0.0.1:99999' is not an address"),
        ("[http]\nlisten = '0.0.0.0:80'", "tocsin.toml: http.token: 0.0.0.0:80 is reachable from other machines"),
        ("[http]\nlisten = '127.example.org:80'", "tocsin.toml: http.token: 127.example.org:80 is reachable"),
        ("[http]\ntoken = 'short'", "tocsin.toml:2: http.token: is shorter than 16 characters"),
        ("[receivers.syslog]\nudp = ':514'", "tocsin.toml:2: receivers.syslog.udp"),
        ("[receivers.syslog]\ntcp = 5", "tocsin.toml:2: receivers.syslog.tcp: Expected str, got int"),
        ("[receivers.syslog]\nzone = 'Mars/Crater'", "tocsin.toml:2: receivers.syslog.zone"),
        ("[receivers.otlp_grpc]\nlisten = ''", "tocsin.toml:2: receivers.otlp_grpc.listen"),
        ("[receivers.otlp_http]\nlisten = ''", "tocsin.toml:2: receivers.otlp_http.listen"),
        ("[receivers.file]\npaths = ['a.log']", "tocsin.toml:2: receivers.file.paths: 'a.log' is not an absolute path"),
        ("[receivers.file]\npaths = 'a.log'", "tocsin.toml:2: receivers.file.paths: Expected array, got str"),
        ("[storage]\nretention_days = 0", "tocsin.toml:2: storage.retention_days: is less than 1"),
        ("[storage]\nmax_bytes = '1 furlong'", "tocsin.toml:2: storage.max_bytes: '1 furlong' is not a size"),
        ("[daemon]\nqueue_max = 99", "tocsin.toml:2: daemon.queue_max"),
        ("[daemon]\nqueue_max = true", "tocsin.toml:2: daemon.queue_max: Expected int, got bool"),
        ("[daemon]\ndrain_s = nan", "tocsin.toml:2: daemon.drain_s"),
        ("[daemon]\nspool_max_bytes = '4KiB'", "tocsin.toml:2: daemon.spool_max_bytes: is less than 1MiB"),
        ("[daemon]\nfsync = 'never'", "tocsin.toml:2: daemon.fsync: Invalid enum value 'never'"),
        ("[detectors.smoke]", "tocsin.toml:1: detectors.smoke: is not a detector"),
        ("[receivers.snmp]", "tocsin.toml:1: receivers.snmp: is not a receiver; there are syslog, otlp_grpc"),
        ("[detectors.hst]\nenabled = 'yes'", "tocsin.toml:2: detectors.hst.enabled"),
        ("[detectors]\nhst = 1", "tocsin.toml:2: detectors.hst: is not a table"),
        ("detectors = 1", "tocsin.toml:1: detectors: is not a table"),
        ("http = 1", "tocsin.toml:1: http: is not a table"),
        ("[htpp]", "tocsin.toml:1: htpp: is not known; known here: alerts, daemon, detectors, http"),
        ("[http]\n\ncolour = 1", "tocsin.toml:3: http.colour: is not known; known here: allowed_origins, listen, token"),
        ("[alerts]\nper_day = 0", "tocsin.toml:2: alerts.per_day: is not between 0.001 and 1000"),
        ("[http]\nallowed_origins = ['wall.example']", "tocsin.toml:2: http.allowed_origins: 'wall.example' is not an origin"),
        ("[http", "tocsin.toml: Expected"),
    ],
)
def test_every_fault_says_where_and_what(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text)
    assert len(found) == 1 and found[0].startswith(fault), found


def test_tls_needs_its_files_but_only_where_somebody_looks(tmp_path: Path) -> None:
    text = "[receivers.syslog]\ntls = ':6514'"
    assert [fault.split(": ")[1] for fault in faults(tmp_path, text)] == [
        "receivers.syslog.tls", "receivers.syslog.tls_certificate", "receivers.syslog.tls_key"
    ]  # fmt: skip
    path = tmp_path / "tocsin.toml"
    path.write_text("[receivers.syslog]\ntls = '127.0.0.1:6514'")
    assert read_configuration(path, {}, look_at_files=False).receiver("syslog", Syslog).tls == "127.0.0.1:6514"
    assert faults(tmp_path, "[receivers.syslog]\nenabled = false\ntls = ':'")[0].startswith("tocsin.toml:3: receivers")


def test_all_faults_at_once(tmp_path: Path) -> None:
    text = "state_dir = 1\n[http]\ntoken = 'x'\nlisten = 'y'\n[daemon]\nqueue_max = 1\ndrain_s = 0\n[smoke]\n"
    assert [fault.split(": ")[0] for fault in faults(tmp_path, text, TOCSIN_STORAGE__RETENTION_DAYS="no")] == [
        "tocsin.toml:1", "tocsin.toml:4", "tocsin.toml:3", "tocsin.toml:6", "tocsin.toml:7", "tocsin.toml:8",
        "TOCSIN_STORAGE__RETENTION_DAYS",
    ]  # fmt: skip


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "[http]\nlisten = '127.0.0.1:1'\n[receivers.file]\npaths = ['/a']",
        TOCSIN_HTTP__LISTEN="127.0.0.1:2",
        TOCSIN_HTTP__TOKEN="12345678901234567890",
        TOCSIN_RECEIVERS__FILE__PATHS='["/b", "/c"]',
        TOCSIN_RECEIVERS__SYSLOG__ENABLED="false",
        TOCSIN_DAEMON__QUEUE_MAX="500",
        TOCSIN_STATE_DIR="/tmp/with = signs",
        TOCSIN_DETECTORS__HST__ENABLED="false",
        OTHER="ignored",
    )
    assert (found.http.listen, found.http.token) == ("127.0.0.1:2", "12345678901234567890")
    assert found.receiver("file", File).paths == ["/b", "/c"] and not found.receivers["syslog"].enabled
    assert (found.daemon.queue_max, found.state_dir) == (500, "/tmp/with = signs")
    assert not found.detectors["hst"].enabled and found.detectors["markov"].enabled


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("TOCSIN_HTTP__LISTEN", "nowhere", "TOCSIN_HTTP__LISTEN: 'nowhere' is not an address"),
        ("TOCSIN_DAEMON__QUEUE_MAX", "7", "TOCSIN_DAEMON__QUEUE_MAX: is not between"),
        ("TOCSIN_DAEMON__QUEUE_MAX", "", "TOCSIN_DAEMON__QUEUE_MAX: Expected int, got str"),
        ("TOCSIN_HTTP", "7", "TOCSIN_HTTP: is not a table"),
        ("TOCSIN_DETECTORS", "7", "TOCSIN_DETECTORS: is not a table"),
        ("TOCSIN_DAEMON__QUEUE_MAX__MORE", "7", "TOCSIN_DAEMON__QUEUE_MAX__MORE: queue_max is not a table in the file"),
    ],
)
def test_a_fault_of_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, fault: str) -> None:
    found = faults(tmp_path, "[http]\nlisten = '127.0.0.1:1'\n[daemon]\nqueue_max = 5000", **{name: value})
    assert len(found) == 1 and found[0].startswith(fault), found


def test_a_variable_that_is_no_key(tmp_path: Path) -> None:
    assert faults(tmp_path, "", TOCSIN_HTTP__COLOUR="red")[0].startswith("TOCSIN_HTTP__COLOUR: is not known")
    assert faults(tmp_path, "", TOCSIN_HTTPP__LISTEN="x")[0].startswith("TOCSIN_HTTPP__LISTEN: is not known")


@given(st.text(max_size=20))
def test_addresses_and_sizes_are_read_or_refused(text: str) -> None:
    for parse in (parse_address, parse_size):
        with contextlib.suppress(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("address", "ours"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("0.0.0.0:1", False),
     ("[::]:1", False), ("127.0.0.1.example.org:1", False), ("192.0.2.1:1", False), ("localhost.example.org:1", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(address: str, ours: bool) -> None:
    assert is_loopback(address) is ours


@pytest.mark.parametrize(
    ("text", "size"), [("10GiB", 10 << 30), ("512 MiB", 512 << 20), ("4096", 4096), ("7B", 7), ("1TiB", 1 << 40)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
