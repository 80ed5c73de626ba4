"""The logsource of an event, in Sigma's words, so that only the rules that are meant for it are tried. Pure.

An event is of one product and may be of several categories and services: a line of sshd is `linux` with the services
`sshd`, `auth` and `syslog`. A rule fits if everything that its logsource names is among them
(Sigma rules specification 2.1, "LogSource"; taxonomy appendix). Categories follow from the fields that an event has: one
with a command line is a `process_creation`, whichever program told of it. What an application is written in is told by
its name or by what its exporter says; a line that names no program may be of any application, so `products` has them all.

State: the sources that were worked out, at most `MAX_KNOWN`.
"""

from __future__ import annotations

import re
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
_AUTH_WORDS = """
sshd sudo su login systemd-logind polkitd pkexec passwd chpasswd useradd usermod userdel groupadd groupmod gpasswd chage
dropbear vsftpd dovecot gdm-password lightdm cockpit-session xrdp doas chfn chsh
"""
_AUTH = frozenset(_AUTH_WORDS.split())
_CRON = frozenset(("crond", "cron", "anacron", "atd", "crontab", "/usr/sbin/cron"))
# A field and the categories of the events that have it.
_CATEGORIES: dict[str, tuple[str, ...]] = {
    "cs-uri": ("webserver", "proxy"),
    "CommandLine": ("process_creation",),
    "TargetFilename": ("file_event",),
    "DestinationIp": ("network_connection",),
    "record_type": ("dns", "dns_query"),
    "answer": ("dns", "dns_query"),
    "blocked": ("firewall",),
}
# Applications: what their programs are called begins so.
_APPLICATIONS: dict[str, tuple[str, ...]] = {
    "python": ("python", "django"), "gunicorn": ("python", "django"), "uwsgi": ("python", "django"),
    "celery": ("python", "django"), "django": ("django", "python"),
    "java": ("jvm", "spring", "velocity"), "tomcat": ("jvm", "spring", "velocity"), "catalina": ("jvm", "spring", "velocity"),
    "spring": ("spring", "jvm", "velocity"), "node": ("nodejs",), "pm2": ("nodejs",), "puma": ("ruby_on_rails",),
    "rails": ("ruby_on_rails",), "unicorn": ("ruby_on_rails",), "mysqld": ("sql",), "mariadbd": ("sql",),
    "postgres": ("sql",),
}  # fmt: skip
_LANGUAGES = {
    "python": ("python", "django"), "java": ("jvm", "spring", "velocity"), "nodejs": ("nodejs",), "ruby": ("ruby_on_rails",),
}  # fmt: skip
_ANY_APPLICATION = tuple(sorted({product for products in _APPLICATIONS.values() for product in products}))
MAX_KNOWN = 1024


class LogSource(msgspec.Struct, frozen=True):
    """What an event is of."""

    product: str
    categories: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()  # that it is of besides

    def fits(self, product: str | None, category: str | None, service: str | None) -> bool:
        """Tell whether a rule with this logsource is meant for the event."""
        return (
            (product is None or product == self.product or product in self.products)
            and (category is None or category in self.categories)
            and (service is None or service in self.services)
        )

    def as_told_by(self, named: LogSource) -> LogSource:
        """Return this without what rules do not name; `named` has all that they do."""
        return LogSource(
            self.product,
            self.categories & named.categories,
            self.services & named.services,
            self.products & named.products,
        )


_SIGNS = (
    *_CATEGORIES, "audit_id", "EXECVE.ARGV", "objectRef.resource", "auditID", "eventSource", "logtype", "telemetry.sdk.language",
)  # fmt: skip
_ALL_SIGNS = frozenset(_SIGNS)
_PROGRAM_END = re.compile(r"[/(]")  # `postfix/smtpd`, `sshd(pam_unix)`
MAX_PROGRAM = 64  # characters of a program's name that count
_known: dict[tuple[str, tuple[str, ...]], LogSource] = {}


def logsource_of(event: Event, fields: Mapping[str, Any]) -> LogSource:
    """Return what an event is of; `fields` are its fields by the names that rules use."""
    if "EventID" in fields and "Channel" in fields:
        channel, event_id = str(fields["Channel"]), _number(fields["EventID"])
        return sysmon_source(event_id) if channel.lower().startswith("linux-sysmon") else windows_source(channel, event_id)
    app = event.fields.get("app")
    signs = () if _ALL_SIGNS.isdisjoint(fields) else tuple([sign for sign in _SIGNS if sign in fields])
    if "telemetry.sdk.language" in signs:
        signs += (str(fields["telemetry.sdk.language"])[:64],)
    key = (app[:MAX_PROGRAM] if isinstance(app, str) else "", signs)
    known = _known.get(key)
    if known is None:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        known = _known[key] = _make(_PROGRAM_END.split(key[0].lower(), maxsplit=1)[0], signs, fields)
    return known


def _make(app: str, signs: tuple[str, ...], fields: Mapping[str, Any]) -> LogSource:
    categories = {category for sign in signs for category in _CATEGORIES.get(sign, ())}
    services = {"syslog", app} - {""}
    products: set[str] = set()
    if app in _CRON:
        services.add("cron")
    if app in ("sshd-session", "sshd-auth"):  # since OpenSSH 9.8
        services |= {"sshd", "auth"}
    if app in _AUTH:
        services.add("auth")
    if "audit_id" in signs or "EXECVE.ARGV" in signs or app in ("audit", "auditd", "audispd"):
        services.add("auditd")
    if "cs-uri" in signs or app in ("apache2", "httpd", "nginx"):
        services |= {"apache", "nginx"}
    if app in ("clamd", "clamav", "freshclam"):
        services.add("clamav")
        categories.add("antivirus")
    for product in _applications(app, signs, fields):
        products.add(product)
        categories.add("application")
    if "sql" in products and app:
        categories.add("database")
    if "objectRef.resource" in signs or "auditID" in signs:
        products.add("kubernetes")
        services.add("audit")
    if "eventSource" in signs:
        products.add("aws")
        services.add("cloudtrail")
    return LogSource("linux", frozenset(categories), frozenset(services), frozenset(products))


def _applications(app: str, signs: tuple[str, ...], fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the products of the taxonomy's applications that a program may be."""
    if "telemetry.sdk.language" in signs:
        return _LANGUAGES.get(str(fields["telemetry.sdk.language"]), ())
    if "logtype" in signs:
        return ("opencanary",)
    if "objectRef.resource" in signs:
        return ("kubernetes",)
    if "audit_id" in signs or "EXECVE.ARGV" in signs:
        return ()
    if not app:
        return (*_ANY_APPLICATION, "modsecurity")
    return next((products for name, products in _APPLICATIONS.items() if app.startswith(name)), ())


def sysmon_source(event_id: int) -> LogSource:
    """Return what an event of Sysmon for Linux is of."""
    return LogSource("linux", frozenset(SYSMON.get(event_id, ())), frozenset({"sysmon", "syslog"}))


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
