from __future__ import annotations

import socket
from typing import Any

import pytest

from daemon.configuration import Configuration
from daemon.configuration_loader import ConfigurationError, read_configuration
from daemon.listeners import bind_all, rebind
from daemon.reload import Change, compare
from daemon.topology import child_specs
from tests.daemon_process import free_ports


def configuration(**changes: str) -> Configuration:
    return read_configuration(None, {f"TOCSIN_{name}": value for name, value in changes.items()})


def change(before: dict[str, str], after: dict[str, str], *, moved: set[str] = frozenset()) -> Change:  # type: ignore[assignment]
    old, new = configuration(**before), configuration(**after)
    specs = {spec.name: spec for spec in child_specs(old)}
    return compare(specs, child_specs(new), moved, keep_windows=old.daemon.queue_max == new.daemon.queue_max)


@pytest.mark.parametrize(
    ("after", "new", "gone", "changed"),
    [
        ({}, [], [], []),
        ({"ALERTS__PER_DAY": "5"}, [], [], ["scorer"]),
        ({"STORAGE__RETENTION_DAYS": "5"}, [], [], ["recorder"]),
        ({"DETECTORS__HST__ENABLED": "false"}, [], ["hst"], []),
        ({"RECEIVERS__JOURNALD__ENABLED": "true"}, ["journald"], [], []),
        ({"RECEIVERS__OTLP_HTTP__ENABLED": "false"}, [], ["otlp_http"], []),
        ({"RECEIVERS__SYSLOG__ZONE": "Europe/Berlin"}, [], [], ["parser", "syslog"]),
        ({"DAEMON__QUEUE_MAX": "5000"}, [], [], ["syslog", "otlp_grpc", "otlp_http", "file"]),
        ({"HTTP__TOKEN": "0123456789abcdef"}, [], [], ["frontend"]),
    ],
)
def test_only_what_changed_starts_anew(after: dict[str, str], new: list[str], gone: list[str], changed: list[str]) -> None:
    done = change({}, after)
    assert (done.new, done.gone, done.changed) == (new, gone, changed)
    assert [spec.name for spec in done.specs] == [spec.name for spec in child_specs(configuration(**after))]


def test_a_receiver_whose_socket_moved_starts_anew() -> None:
    assert change({}, {}, moved={"syslog.tcp"}).changed == ["syslog"]
    assert change({}, {}, moved={"http"}).changed == ["frontend"]


def addresses(**named: Any) -> dict[str, str]:
    syslog, http = named["syslog"], named["http"]
    return {
        "RECEIVERS__SYSLOG__UDP": f"127.0.0.1:{syslog}",
        "RECEIVERS__SYSLOG__TCP": f"127.0.0.1:{syslog}",
        "HTTP__LISTEN": f"127.0.0.1:{http}",
        "RECEIVERS__OTLP_GRPC__ENABLED": "false",
        "RECEIVERS__OTLP_HTTP__ENABLED": "false",
    }


def test_sockets_stay_where_the_address_stays_and_a_fault_binds_nothing() -> None:
    one, two, three = free_ports(3)
    before = configuration(**addresses(syslog=one, http=two))
    bound = bind_all(before)
    after = configuration(**addresses(syslog=three, http=two))
    with socket.create_server(("127.0.0.1", three)):
        with pytest.raises(ConfigurationError) as failed:
            rebind(after, before, bound)
        assert [fault.place for fault in failed.value.faults] == ["receivers.syslog.tcp"]
    again = rebind(after, before, bound)
    assert again["http"] is bound["http"]
    assert again["syslog.tcp"].getsockname()[1] == again["syslog.udp"].getsockname()[1] == three
    held = rebind(after, before, bound, {"syslog.udp", "syslog.tcp"})
    assert held == bound, "what systemd holds stays, whatever the address"
    for each in {*bound.values(), *again.values()}:
        each.close()
