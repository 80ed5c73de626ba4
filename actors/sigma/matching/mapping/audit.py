"""Audit records under the names of the taxonomy, and the meaning of their numbers, as `ausearch -i` shows it. Pure.

Interpreted are: result, syscall, architecture, exit, signal, unset ids, the parts of SELinux labels, socket addresses and
the permissions of AVC records. Where auditd has interpreted already (log_format = ENRICHED, laurel) its words stand.
EXECVE makes the command line; a program called by its bare name, whose folder the record does not say, stands as `/name`.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any

from actors.sigma.matching.mapping.names import address_in
from actors.sigma.matching.mapping.syscalls import ARCHITECTURES, SYSCALLS

MAX_ARGUMENTS = 64
_UNSET = ("4294967295", "-1")
_RESULTS = {
    "success": "success", "yes": "success", "1": "success",
    "failed": "fail", "fail": "fail", "no": "fail", "0": "fail",
}  # fmt: skip
_LOGINS = ("USER_LOGIN", "USER_AUTH", "USER_ERR")
_SIGNALS = {str(number.value): number.name for number in signal.Signals}
_PERMISSIONS = re.compile(r"avc: +(denied|granted) +\{ ([\w ]{1,255}) \}")
_FAMILIES = {"0100": "unix", "0200": "ipv4", "0A00": "ipv6", "1000": "netlink"}


def add_audit(fields: dict[str, Any], message: str) -> None:
    """Add what an audit record says in other words."""
    _add_result(fields)
    for name in ("auid", "ses", "old-auid", "old-ses", "old_auid"):
        if fields.get(name) in _UNSET:
            fields[name.upper().replace("-", "_")] = "unset"
    _add_syscall(fields)
    for name, prefix in (("subj", "subj_"), ("obj", "obj_")):
        if isinstance(label := fields.get(name), str) and ":" in label:
            _add_label(fields, prefix, label)
    kind = fields.get("type")
    if kind == "SOCKADDR":
        _add_socket(fields)
    elif kind == "AVC" and (found := _PERMISSIONS.search(message)):
        fields["seresult"], fields["seperms"] = found[1], found[2]
    elif kind == "EXECVE":
        _add_command(fields, [str(fields[f"a{number}"]) for number in range(MAX_ARGUMENTS) if f"a{number}" in fields])
    elif kind == "USER_CMD" and "cmd" in fields:
        _add_command(fields, [str(fields["cmd"])])
    elif kind == "PATH" and fields.get("nametype") == "CREATE" and "name" in fields:
        fields["TargetFilename"] = fields["name"]


def _add_result(fields: dict[str, Any]) -> None:
    result = _RESULTS.get(str(fields.get("res") or fields.get("result") or fields.get("success") or ""))
    if result is not None:
        fields["result"] = result
        if fields.get("type") in _LOGINS:
            fields["action"] = "login"
            fields["outcome"] = "failure" if result == "fail" else "success"
    address = address_in(fields.get("addr")) or address_in(fields.get("hostname"))
    if address is not None:
        fields["src_ip"] = address


def _add_syscall(fields: dict[str, Any]) -> None:
    architecture = ARCHITECTURES.get(str(fields.get("arch", "")))
    if architecture is not None:
        fields.setdefault("ARCH", architecture)
        if (name := SYSCALLS[architecture].get(str(fields.get("syscall")))) is not None:
            fields.setdefault("SYSCALL", name)
    exit_code = str(fields.get("exit", ""))
    if exit_code.startswith("-") and exit_code[1:].isdecimal() and len(exit_code) < 6:
        fields["EXIT"] = errno.errorcode.get(int(exit_code[1:]), exit_code)
    if fields.get("sig") in _SIGNALS:
        fields["SIG"] = _SIGNALS[fields["sig"]]
    if fields.get("SYSCALL") in ("execve", "execveat") and "exe" in fields:
        fields.setdefault("Image", fields["exe"])
    for name, target in (("pid", "ProcessId"), ("ppid", "ParentProcessId"), ("cwd", "CurrentDirectory")):
        if name in fields:
            fields.setdefault(target, fields[name])
    for name in ("UID", "AUID", "uid"):
        if name in fields:
            fields.setdefault("User", fields[name])


def _add_label(fields: dict[str, Any], prefix: str, label: str) -> None:
    """Add the parts of `user:role:type:level:category` (SELinux)."""
    parts = label.split(":", 4)
    for name, part in zip(("user", "role", "domain", "level", "category"), parts, strict=False):
        fields[prefix + name] = part


def _add_command(fields: dict[str, Any], arguments: list[str]) -> None:
    if not arguments:
        return
    fields["CommandLine"] = " ".join(arguments)
    program = arguments[0].split(" ", 1)[0]
    fields.setdefault("Image", program if program.startswith(("/", "./", "../")) else f"/{program}")


def _add_socket(fields: dict[str, Any]) -> None:
    """Add family, address, port or path of a `struct sockaddr` in hexadecimal (family in the order of x86)."""
    raw = str(fields.get("saddr", ""))
    family = _FAMILIES.get(raw[:4].upper())
    try:
        data = bytes.fromhex(raw[:256])
    except ValueError:
        return
    if len(data) < 2:
        return
    fields["family"] = family or str(data[0] | data[1] << 8)
    if family == "ipv4" and len(data) >= 8:
        fields["addr"], fields["port"] = ".".join(map(str, data[4:8])), str(int.from_bytes(data[2:4], "big"))
    elif family == "ipv6" and len(data) >= 24:
        fields["addr"], fields["port"] = str(IPv6Address(data[8:24])), str(int.from_bytes(data[2:4], "big"))
    elif family == "unix":
        fields["path"] = data[2:].partition(b"\0")[0].decode("utf-8", "backslashreplace")
    if "addr" in fields and fields["family"] in ("ipv4", "ipv6"):
        fields["DestinationIp"], fields["DestinationPort"] = fields["addr"], fields["port"]


def add_laurel(fields: dict[str, Any], execve: Mapping[str, Any], syscall: Mapping[str, Any]) -> None:
    """Add what laurel has put together of one command: all records of one event in one object."""
    fields.setdefault("type", "EXECVE")
    arguments = execve.get("ARGV")
    if isinstance(arguments, list):
        strings = [str(each) for each in arguments[:MAX_ARGUMENTS]]
        fields.update({f"a{number}": each for number, each in enumerate(strings)})
        if isinstance(syscall.get("exe"), str):
            fields["Image"] = syscall["exe"]
        _add_command(fields, strings)
    if isinstance(parent := syscall.get("PPID"), Mapping) and isinstance(parent.get("exe"), str):
        fields["ParentImage"] = parent["exe"]
    for name, target in (("AUID", "User"), ("pid", "ProcessId"), ("ppid", "ParentProcessId")):
        if name in syscall:
            fields.setdefault(target, syscall[name])
