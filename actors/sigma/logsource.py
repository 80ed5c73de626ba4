"""What kind of log an event is of, in Sigma's words, so that only the rules that are meant for it are tried. Pure.

An event is of one product and may be of several categories and services: a line of sshd is `linux` with the services
`sshd`, `auth` and `syslog`. A rule fits if everything that its logsource names is among them
(Sigma rules specification 2.1, "LogSource"; taxonomy appendix).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from protocol.records import Event

# Event ids of Sysmon (System Monitor, manifest 4.90) and the categories of the taxonomy that they are.
SYSMON = {
    1: ("process_creation",),
    2: ("file_change",),
    3: ("network_connection",),
    4: ("sysmon_status",),
    5: ("process_termination",),
    6: ("driver_load",),
    7: ("image_load",),
    8: ("create_remote_thread",),
    9: ("raw_access_thread",),
    10: ("process_access",),
    11: ("file_event",),
    12: ("registry_event", "registry_add", "registry_delete"),
    13: ("registry_event", "registry_set"),
    14: ("registry_event", "registry_rename"),
    15: ("create_stream_hash",),
    16: ("sysmon_status",),
    17: ("pipe_created",),
    18: ("pipe_created",),
    19: ("wmi_event",),
    20: ("wmi_event",),
    21: ("wmi_event",),
    22: ("dns_query",),
    23: ("file_delete",),
    24: ("clipboard_capture",),
    25: ("process_tampering",),
    26: ("file_delete",),
    27: ("file_block_executable",),
    28: ("file_block_shredding",),
    29: ("file_executable_detected",),
    255: ("sysmon_error",),
}
# Channels of Windows and the services of the taxonomy that they are.
CHANNELS = {
    "application": "application",
    "security": "security",
    "system": "system",
    "microsoft-windows-sysmon/operational": "sysmon",
    "microsoft-windows-powershell/operational": "powershell",
    "powershellcore/operational": "powershell",
    "windows powershell": "powershell-classic",
    "microsoft-windows-windows defender/operational": "windefend",
    "microsoft-windows-wmi-activity/operational": "wmi",
    "microsoft-windows-taskscheduler/operational": "taskscheduler",
    "microsoft-windows-dns-client/operational": "dns-client",
    "microsoft-windows-bits-client/operational": "bits-client",
    "microsoft-windows-applocker/exe and dll": "applocker",
    "microsoft-windows-applocker/msi and script": "applocker",
    "microsoft-windows-ntlm/operational": "ntlm",
    "microsoft-windows-codeintegrity/operational": "codeintegrity-operational",
    "microsoft-windows-terminalservices-localsessionmanager/operational": "terminalservices-localsessionmanager",
    "microsoft-windows-printservice/admin": "printservice-admin",
    "microsoft-windows-printservice/operational": "printservice-operational",
    "microsoft-windows-smbclient/security": "smbclient-security",
    "microsoft-windows-windows firewall with advanced security/firewall": "firewall-as",
    "microsoft-windows-appxdeploymentserver/operational": "appxdeployment-server",
    "microsoft-windows-ldap-client/debug": "ldap",
    "microsoft-windows-dns-server/audit": "dns-server-audit",
    "dns server": "dns-server",
    "microsoft-windows-lsa/operational": "lsa-server",
    "msexchange management": "msexchange-management",
    "microsoft-windows-shell-core/operational": "shell-core",
    "openssh/operational": "openssh",
}
POWERSHELL = {4103: ("ps_module",), 4104: ("ps_script",), 400: ("ps_classic_start",), 600: ("ps_classic_provider_start",)}
_AUTH = frozenset(
    {"sshd", "sudo", "su", "login", "systemd-logind", "polkitd", "pkexec", "passwd", "useradd", "usermod", "groupadd"}
)


class LogSource(msgspec.Struct, frozen=True):
    """What an event is of."""

    product: str
    categories: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def fits(self, product: str | None, category: str | None, service: str | None) -> bool:
        """Tell whether a rule with this logsource is meant for the event."""
        return (
            (product is None or product == self.product)
            and (category is None or category in self.categories)
            and (service is None or service in self.services)
        )


def logsource_of(event: Event, fields: Mapping[str, Any]) -> LogSource:
    """Return what an event is of; `fields` are its fields by the names that rules use."""
    if "EventID" in fields and "Channel" in fields:
        return windows_source(str(fields["Channel"]), _number(fields["EventID"]))
    app = str(event.fields.get("app", "")).lower().partition("/")[0]
    services = {"syslog"}
    categories: set[str] = set()
    if app:
        services.add(app)
    if app in ("crond", "cron", "anacron"):
        services.add("cron")
    if app in _AUTH:
        services.add("auth")
    if "cs-method" in fields:
        categories |= {"webserver", "proxy"}
    if fields.get("type") in ("EXECVE", "SYSCALL", "PATH", "USER_LOGIN", "USER_CMD") or app in ("audit", "auditd"):
        services.add("auditd")
    return LogSource("linux", frozenset(categories), frozenset(services))


def windows_source(channel: str, event_id: int) -> LogSource:
    """Return what an event of Windows is of."""
    service = CHANNELS.get(channel.lower(), "")
    categories: tuple[str, ...] = ()
    if service == "sysmon":
        categories = SYSMON.get(event_id, ())
    elif service == "security" and event_id == 4688:
        categories = ("process_creation",)
    elif service in ("powershell", "powershell-classic"):
        categories = POWERSHELL.get(event_id, ())
    return LogSource("windows", frozenset(categories), frozenset({service} - {""}))


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
