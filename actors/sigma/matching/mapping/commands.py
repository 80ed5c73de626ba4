"""Commands that sudo, cron and the shell's history write to syslog, as processes of the taxonomy. Pure.

`alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/cat x` has Image, CommandLine, CurrentDirectory and User as a process
creation has; so has `(root) CMD (run-parts /etc/cron.daily)`. A command that was refused has been no process.
"""

from __future__ import annotations

import re
from typing import Any

COMMAND_APPS = frozenset(("sudo", "CRON", "cron", "crond", "CROND", "/USR/SBIN/CRON", "doas", "bash", "sh", "zsh"))
_SUDO = re.compile(r"^ *([\w.@$-]{1,64}) : (?:[^;]{1,512} ; ){1,8}?COMMAND=(\S[^\r\n]{0,8191})")
_CRON = re.compile(r"^\(([\w.@$-]{1,64})\) CMD \((.{1,8192}?)\)?$")
_DOAS = re.compile(r"^([\w.@$-]{1,64}) ran command (.{1,8192}?) as ([\w.@$-]{1,64}) from (\S{1,4096})$")
_HISTORY = re.compile(r"^(?:HISTORY: |\[[^\]]{1,64}\]: )(?:PID=\d{1,10} )?(?:UID=(\d{1,10}) )?(.{1,8192})$")
_REFUSALS = (
    "command not allowed", "incorrect password", "NOT in sudoers", "user NOT authorized", "no valid sudoers",
    "password is required", "terminal is required", "no tty present", "must have a tty", "not allowed to", "may not run",
    "authentication failure", "account expired", "account validation failure", "conversation failed", "not permitted",
)  # fmt: skip


def add_command(fields: dict[str, Any], message: str) -> None:
    """Add the process that a line tells of."""
    if found := _SUDO.match(message):
        fields["user"] = found[1]
        if any(refusal in message[:512] for refusal in _REFUSALS):
            return
        fields["CurrentDirectory"] = fields.get("PWD", "")
        _add_process(fields, str(fields.get("USER", "root")), found[2])
    elif found := _CRON.match(message):
        _add_process(fields, found[1], found[2])
    elif found := _DOAS.match(message):
        fields["user"] = found[1]
        fields["CurrentDirectory"] = found[4]
        _add_process(fields, found[3], found[2])
    elif found := _HISTORY.match(message):
        _add_process(fields, found[1] or "", found[2])


def _add_process(fields: dict[str, Any], user: str, command: str) -> None:
    program = command.split(" ", 1)[0]
    fields["CommandLine"] = command
    fields["Image"] = program if program.startswith("/") else f"/{program}"
    fields["User"] = user
