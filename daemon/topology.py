"""The child spec of every actor, in start order. Data only.

The order is the pipeline from its end to its beginning: what receives is there before what sends. Stopping goes the
other way, so that what stops has nobody left who sends to it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors.detectors.registry import DETECTORS
from actors.following.registry import FOLLOWERS
from daemon.configuration import Configuration, Rules
from daemon.receivers import RECEIVERS
from daemon.restart import RestartPolicy
from daemon.routes import outputs_of
from daemon.sections import parse_size
from protocol.edges import Outputs

Role = Literal["receiver", "parser", "detector", "scorer", "alerts", "recorder", "broadcaster", "front end"]

SPINE = RestartPolicy(intensity=10, period_s=60.0)
SATELLITE = RestartPolicy(escalates=False)
SIGMA = "sigma"


class ChildSpec(msgspec.Struct, frozen=True):
    """The specification of one actor for the supervisor."""

    name: str
    role: Role
    target: str  # module with `async def run(context)`
    settings: dict[str, Any]
    sockets: dict[str, str] = {}  # name that the actor knows to name that the supervisor bound
    policy: RestartPolicy = SPINE
    hears_losses: bool = False  # sends again when batches in flight may be lost
    loses_batches: bool = False  # its death may lose batches in flight: receivers have to send again
    stands_for: str = ""  # kind by which routes know it, if that is not its role
    outputs: Outputs = {}  # edges that lead out of it, see daemon/routes.py

    @property
    def kind(self) -> str:
        return self.stands_for or self.role


def child_specs(configuration: Configuration) -> list[ChildSpec]:
    """Return the actors of this configuration with their edges, in start order."""
    specs = _unwired(configuration)
    kinds = {spec.name: spec.kind for spec in specs}
    return [msgspec.structs.replace(spec, outputs=outputs_of(spec.name, spec.kind, kinds)) for spec in specs]


def _unwired(configuration: Configuration) -> list[ChildSpec]:
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
                "fsync": configuration.daemon.fsync,
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
        *(_follower(name, location) for name, location in FOLLOWERS.items() if configuration.detectors[name].enabled),
        *(_detector(name, location) for name, location in DETECTORS.items() if configuration.detectors[name].enabled),
        *([_sigma(configuration.rules)] if configuration.rules.enabled else ()),
        ChildSpec(
            "parser",
            "parser",
            "actors.parsing.actor",
            {
                "zones": configuration.zones(),
                "formats": configuration.parsing.texts(),
                "fsync": configuration.daemon.fsync,
            },
            loses_batches=True,
        ),
        *_receivers(configuration),
    ]


def _detector(name: str, location: str) -> ChildSpec:
    settings = {"class": location}
    return ChildSpec(name, "detector", "actors.detectors.actor", settings, policy=SATELLITE, hears_losses=True)


def _follower(name: str, location: str) -> ChildSpec:
    return ChildSpec(
        name,
        "detector",
        "actors.following.actor",
        {"class": location},
        policy=SATELLITE,
        hears_losses=True,
        stands_for="follower",
    )


def _sigma(rules: Rules) -> ChildSpec:
    return ChildSpec(
        SIGMA, "detector", "actors.sigma.actor", rules.settings(), policy=SATELLITE, hears_losses=True, stands_for=SIGMA
    )


def _receivers(configuration: Configuration) -> list[ChildSpec]:
    enabled = configuration.enabled_receivers()
    sharing = [name for name in enabled if not RECEIVERS[name].window]
    daemon = configuration.daemon
    share = max(1, daemon.queue_max // max(1, len(sharing)))
    flow = {"spool_bytes": daemon.spool_bytes(), "fsync": daemon.fsync}
    return [
        ChildSpec(
            name,
            "receiver",
            RECEIVERS[name].target,
            msgspec.to_builtins(section) | flow | {"window": RECEIVERS[name].window or share},
            sockets={listener.handle: listener.socket for listener in section.listeners()},
            hears_losses=True,
        )
        for name, section in enabled.items()
    ]
