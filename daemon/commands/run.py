"""`tocsin run`: takes the lock, binds the sockets, supervises until told to stop, prints a summary."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from daemon import VERSION
from daemon.activation import InheritedSocket, show_address, take_sockets
from daemon.configuration import Configuration
from daemon.configuration_loader import ConfigurationError, Fault, config_path, read_configuration
from daemon.directories import (
    DirectoryError,
    lock_runtime,
    lock_state,
    make_private,
    remove_leftovers,
    runtime_directory,
    state_directory,
    write_about,
)
from daemon.keeper import Escalation
from daemon.listeners import bind_all, rebind
from daemon.logs import set_up_logging
from daemon.notify import notify
from daemon.runner import leaves
from daemon.spawner import SpawnError
from daemon.supervisor import Supervisor
from protocol.clock import format_time

EX_FAILED = 1
EX_CONFIG = 78


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none of its own."""


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Run the daemon; return the exit status: 0 after a stop in order, 1 after a failure, 78 if it cannot start so."""
    set_up_logging("supervisor")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be answered: it would end us
    os.umask(0o077)
    _allow_many_files()
    inherited = take_sockets()
    try:
        state_dir = make_private(state_directory(configuration, arguments.state_dir))
        locks = [lock_state(state_dir)]
        remove_leftovers(state_dir)
        sockets = bind_all(configuration, inherited)
        runtime_dir = runtime_directory(configuration)
        locks.append(lock_runtime(runtime_dir))
    except ConfigurationError as error:
        for fault in error.faults:
            _say(f"tocsin: {fault}")
        return EX_CONFIG
    except DirectoryError as error:
        _say(f"tocsin: {error}")
        return EX_CONFIG
    about = {
        "version": VERSION,
        "pid": os.getpid(),
        "started_ts": format_time(time.time_ns()),
        "state_dir": str(state_dir),
        "runtime_dir": str(runtime_dir),
    }
    supervisor = Supervisor(
        configuration,
        sockets,
        state_dir=state_dir,
        runtime_dir=runtime_dir,
        about=about,
        reread=Rereading(arguments.config, configuration, sockets, inherited),
    )
    try:
        return trio.run(_run, configuration, supervisor, sockets, partial(write_about, state_dir, about))
    finally:
        if not (configuration.runtime_dir or os.environ.get("RUNTIME_DIRECTORY")):  # made by us, for this run
            shutil.rmtree(runtime_dir, ignore_errors=True)
        with suppress(OSError):
            (state_dir / "daemon.json").unlink()
        for lock in locks:
            lock.release()


class Rereading:
    """Reads the configuration again, and binds its new sockets. Raises ConfigurationError."""

    def __init__(
        self,
        path: Path | None,
        configuration: Configuration,
        sockets: Mapping[str, socket.socket],
        inherited: Sequence[InheritedSocket],
    ) -> None:
        self._path, self._configuration, self._sockets = path, configuration, sockets
        given = [each.socket for each in inherited]
        self._adopted = {name for name, bound in sockets.items() if bound in given}

    def __call__(self) -> tuple[Configuration, Mapping[str, socket.socket]]:
        configuration = read_configuration(config_path(self._path))
        if faults := list(_immovable(self._configuration, configuration)):
            raise ConfigurationError(faults)
        self._sockets = rebind(configuration, self._configuration, self._sockets, self._adopted)
        self._configuration = configuration
        return configuration, self._sockets


def _immovable(before: Configuration, after: Configuration) -> Iterator[Fault]:
    for key in ("state_dir", "runtime_dir"):
        if getattr(before, key) != getattr(after, key):
            yield Fault(key, "cannot change while the daemon runs: start it anew")


def _allow_many_files() -> None:
    """Use what the administrator allows: with the usual 1,024, that many connections would leave a spool no descriptor."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(
    configuration: Configuration,
    supervisor: Supervisor,
    sockets: Mapping[str, socket.socket],
    announce: Callable[[], bool],
) -> int:
    started_s = trio.current_time()
    started, stop = trio.Event(), trio.Event()
    status = 0
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_follow_signals, stop, nursery.cancel_scope)
            nursery.start_soon(_follow_reloads, supervisor, started)
            nursery.start_soon(_greet, configuration, sockets, started)
            nursery.start_soon(_announce, announce)
            await supervisor.run(started=started, stop=stop)
            nursery.cancel_scope.cancel()
    except* (Escalation, SpawnError) as failures:
        for failure in leaves(failures):
            _say(f"tocsin: gives up: {failure}")
        status = EX_FAILED
    _say(_summary_line(supervisor.summary(), trio.current_time() - started_s))
    return status


async def _announce(announce: Callable[[], bool]) -> None:
    """A disk that is full at the start may take it later; until then `tocsin restart` and its like do not find us."""
    while not announce():  # noqa: ASYNC110 - nobody tells when a disk has room
        await trio.sleep(1)


async def _follow_signals(stop: trio.Event, everything: trio.CancelScope) -> None:
    """The first SIGINT or SIGTERM drains; the second ends at once (what is accepted stays in the spool)."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stop.is_set():
                everything.cancel()
            else:
                _say("tocsin: draining; once more ends at once")
                stop.set()


async def _follow_reloads(supervisor: Supervisor, started: trio.Event) -> None:
    """SIGHUP: read the configuration anew."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        await started.wait()
        async for _ in signals:
            await supervisor.reload()


async def _greet(configuration: Configuration, sockets: Mapping[str, socket.socket], started: trio.Event) -> None:
    await started.wait()
    dashboard = configuration.http.listen
    _say(f"tocsin: ready. Dashboard: http://{dashboard}/")
    for line in _listening(configuration, {name: show_address(bound) for name, bound in sockets.items()}):
        _say(f"tocsin:   {line}")
    notify(f"STATUS=ready on {dashboard}")


def _listening(configuration: Configuration, addresses: Mapping[str, str]) -> list[str]:
    """Return the listening addresses; a socket that systemd passed may be bound elsewhere than the configuration says."""
    return [line for section in configuration.enabled_receivers().values() for line in section.announce(addresses)]


def _summary_line(summary: dict[str, int], seconds: float) -> str:
    waiting = f"{summary['waiting']:,} wait in the spool" if summary["waiting"] else "nothing is left in the spool"
    restarts = f"; {summary['restarts']} restarts" if summary["restarts"] else ""
    return (
        f"tocsin: stopped after {seconds:,.0f} s: {summary['events']:,} events, {summary['alerts']:,} alerts"
        f"{restarts}; {waiting}"
    )
