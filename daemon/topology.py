"""Who there is: every actor's child spec, and in which order they start. Data only.

The order is the pipeline from its end to its beginning: what receives is there before what sends. Stopping goes the
other way, so that what stops has nobody left who sends to it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors.detectors.registry import DETECTORS
from daemon.configuration import Configuration, parse_size
from daemon.restart import RestartPolicy

Role = Literal["receiver", "parser", "detector", "scorer", "alerts", "recorder", "broadcaster", "front end"]

SPINE = RestartPolicy(intensity=10, period_s=60.0)
SATELLITE = RestartPolicy(escalates=False)


class ChildSpec(msgspec.Struct, frozen=True):
    """What the supervisor needs to start one actor."""

    name: str
    role: Role
    target: str  # module with `async def run(context)`
    settings: dict[str, Any]
    sockets: dict[str, str] = {}  # name that the actor knows to name that the supervisor bound
    policy: RestartPolicy = SPINE
    loses_batches: bool = False  # its death may lose batches in flight: receivers have to send again


def child_specs(configuration: Configuration) -> list[ChildSpec]:
    """Return the actors of this configuration, in start order."""
    return [
        ChildSpec(
            "frontend",
            "front end",
            "actors.frontend.actor",
            msgspec.to_builtins(configuration.http),
            sockets={"http": "http"},
            policy=SATELLITE,
        ),
        ChildSpec("broadcaster", "broadcaster", "actors.broadcaster", {}),
        ChildSpec(
            "recorder",
            "recorder",
            "actors.storage.recorder",
            {
                "retention_days": configuration.storage.retention_days,
                "max_bytes": parse_size(configuration.storage.max_bytes),
            },
            loses_batches=True,
        ),
        ChildSpec("alerts", "alerts", "actors.alerting.actor", {}, loses_batches=True),
        ChildSpec(
            "scorer",
            "scorer",
            "actors.scoring.actor",
            {"alerts_per_day": configuration.alerts.per_day},
            loses_batches=True,
        ),
        *(_detector(name) for name in DETECTORS if configuration.detectors[name].enabled),
        ChildSpec(
            "parser",
            "parser",
            "actors.parsing.actor",
            {
                "detectors": [name for name in DETECTORS if configuration.detectors[name].enabled],
                "zones": configuration.zones(),
            },
            loses_batches=True,
        ),
        *_receivers(configuration),
    ]


def _detector(name: str) -> ChildSpec:
    return ChildSpec(name, "detector", "actors.detectors.actor", {"detector": name}, policy=SATELLITE)


def _receivers(configuration: Configuration) -> list[ChildSpec]:
    receivers = configuration.receivers
    enabled = receivers.enabled()
    window = max(1, configuration.daemon.queue_max // max(1, len(enabled)))
    flow = {"window": window, "spool_bytes": configuration.daemon.spool_bytes()}
    sockets = {
        "syslog": {"udp": "syslog.udp", "tcp": "syslog.tcp"},
        "otlp_grpc": {"otlp": "otlp_grpc"},
        "otlp_http": {"otlp": "otlp_http"},
        "file": {},
        "journald": {},
    }
    targets = {"syslog": "syslog", "otlp_grpc": "otlp", "otlp_http": "otlp", "file": "file", "journald": "journald"}
    return [
        ChildSpec(
            name,
            "receiver",
            f"actors.receivers.{targets[name]}",
            receivers.settings(name) | flow,
            sockets=sockets[name],
        )
        for name in enabled
    ]
