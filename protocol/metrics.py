"""Every number that an actor counts or measures, with its unit and its meaning: health, `/metrics` and their HELP.

A class holds the numbers of one concern. An actor asks its report for an instance and counts in its attributes. A new
number is a line here. Detectors and followers name the sizes of their states themselves; `STATISTICS` explains those
that are shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import msgspec

Kind = Literal["counter", "gauge"]
DropReason = Literal["spool_full", "spool_error", "kernel_udp"]


class Metric(msgspec.Struct, frozen=True):
    """The meaning of a number."""

    kind: Kind  # a counter only grows, over the life of the daemon; a gauge is what is true now
    unit: str  # in the plural, as in `records`; "" for a flag or a sequence
    help: str


def counter(unit: str, text: str) -> Any:
    """Declare an attribute that only grows; it begins with 0."""
    return Metric("counter", unit, text)


def gauge(unit: str, text: str) -> Any:
    """Declare an attribute that shows a present value; it begins with 0."""
    return Metric("gauge", unit, text)


class Metrics:
    """The numbers of one concern, as attributes. A subclass declares them with `counter` and `gauge`."""

    declared: ClassVar[dict[str, Metric]] = {}

    def __init_subclass__(cls) -> None:
        cls.declared = {name: value for name, value in vars(cls).items() if isinstance(value, Metric)}
        for name in cls.declared:
            setattr(cls, name, 0)

    def of_kind(self, kind: Kind) -> Iterator[tuple[str, int]]:
        """Yield name and value of its counters, or of its gauges."""
        for name, metric in self.declared.items():
            if metric.kind == kind:
                yield name, getattr(self, name)


class IntakeMetrics(Metrics):
    accepted_records: int = counter("records", "records that stand in the spool")
    accepted_bytes: int = counter("bytes", "size of the accepted records, as spooled")
    resent_records: int = counter("records", "records sent again")
    stalls: int = counter("times", "no acknowledgement came in time")
    quarantined_records: int = counter("records", "records put aside because an actor died of them")
    queue_depth: int = gauge("records", "records accepted and not yet committed")
    in_flight_records: int = gauge("records", "records sent and not yet acknowledged")
    spool_bytes: int = gauge("bytes", "size of the spool on disk")


class SpoolMetrics(Metrics):
    spool_torn_entries: int = counter("segments", "segments with a torn or damaged end that was cut off at the start")
    unusable_spool_positions: int = counter("times", "the spool began anew because its position was damaged")


class SyncMetrics(Metrics):
    failed_syncs: int = counter("times", "the disk refused to be forced; a loss of power may take what it had taken before")


class SyslogMetrics(Metrics):
    connections: int = gauge("connections", "open connections")
    connections_broken: int = counter("connections", "connections that ended in an error")
    refused_connections: int = counter("connections", "connections beyond the bound, closed at once")
    cut_records: int = counter("records", "records longer than 64 KiB, cut")


class CertificateMetrics(Metrics):
    failed_certificate_renewals: int = counter("times", "changed certificate files could not be used")


class HandshakeMetrics(Metrics):
    failed_handshakes: int = counter("connections", "TLS connections that ended before their first record")


class OtlpMetrics(Metrics):
    rejected_requests: int = counter("requests", "requests that can never be accepted")
    deferred_requests: int = counter("requests", "requests refused for retry")
    repeated_requests: int = counter("requests", "requests sent again because their receiver died before it had answered")
    late_commits: int = counter("requests", "requests answered from the spool, for the store had not committed them yet")
    slow_requests: int = counter("requests", "requests whose body did not come in time")
    held_bytes: int = gauge("bytes", "bodies of requests that are coming in, or wait to be decoded")
    connections: int = gauge("connections", "open connections")
    refused_connections: int = counter("connections", "connections beyond the bound, closed at once")
    failed_connections: int = counter("connections", "connections that ended in an error")


class FileMetrics(Metrics):
    open_files: int = gauge("files", "files being followed")
    unreadable_files: int = counter("files", "files found that cannot be read")
    rotations: int = counter("files", "files that were replaced under their path")
    truncations: int = counter("files", "files that became shorter, or were written anew")
    open_records: int = gauge("records", "records that wait for a line that goes on with them")
    joined_lines: int = counter("lines", "lines that go on with the record before, and are part of it")
    cut_records: int = counter("records", "records longer than 64 KiB, cut")


class JournaldMetrics(Metrics):
    journalctl_ends: int = counter("times", "journalctl ended or could not be started, and was tried again")
    own_records: int = counter("records", "lines of the daemon itself, left out")
    cut_records: int = counter("records", "records longer than 64 KiB, cut")


class ParserMetrics(Metrics):
    parsed_events: int = counter("events", "events parsed, those that came again included")
    parse_errors: int = counter("records", "records that no format could read")
    templates: int = gauge("templates", "templates known, or followed")


class SnapshotMetrics(Metrics):
    unusable_snapshots: int = counter("times", "a snapshot could not be used, and its actor started cold")
    failed_snapshots: int = counter("times", "a snapshot could not be written")


class DetectorMetrics(Metrics):
    scored_events: int = counter("events", "events scored")
    caught_up_events: int = counter("events", "events taken from the store because they had not come")
    answers_given_up: int = counter("batches", "answers to batches in flight that were forgotten")
    warm: int = gauge("", "1 if it knows any source well enough to judge")


class FollowerMetrics(Metrics):
    followed_events: int = counter("events", "committed events that were taken in")
    followed_alerts: int = counter("alerts", "committed alerts of other kinds that were taken in")
    caught_up_events: int = counter("events", "events taken from the store because they had not come")
    drafted_alerts: int = counter("alerts", "alerts before the alerts actor folds them")


class SigmaMetrics(Metrics):
    rules: int = gauge("rules", "rules in force")
    correlations: int = gauge("correlations", "correlations in force")
    refused_rules: int = gauge("rules", "rules that are not used")
    judged_by_rules: int = counter("events", "events that rules were tried on")
    placed_events: int = counter("events", "events with a place in ATT&CK")
    drafted_alerts: int = counter("alerts", "alerts before the alerts actor folds them")
    caught_up_events: int = counter("events", "events taken from the store because they had not come")
    excepted_matches: int = gauge("matches", "matches that an exception held, since the rules were read")
    gaps: int = gauge("stretches", "stretches of records that it was not given and looks for in the store")
    gaps_given_up: int = counter("stretches", "stretches given up because there were too many")
    correlation_groups: int = gauge("groups", "groups that correlations remember")
    correlation_entries: int = gauge("entries", "entries that correlations remember")
    evicted_groups: int = gauge("groups", "groups forgotten because a correlation had too many, since the rules were read")
    dropped_entries: int = gauge("entries", "entries forgotten because a correlation had too many, since the rules were read")


class ScorerMetrics(Metrics):
    judged_events: int = counter("events", "events that got a score")
    breaches: int = counter("events", "events with a score above the threshold")
    waiting_batches: int = gauge("batches", "batches that wait for detectors")
    late_detectors: int = gauge("detectors", "detectors that nobody waits for")
    late_alerts: int = counter("alerts", "alerts of rules that came after their batch had left")
    learnt_again_events: int = counter("events", "events that it learned again out of its journal, after a death")
    failed_journal_writes: int = counter("journals", "journals that ended early: the disk refused, or they grew too long")
    answers_given_up: int = counter("batches", "answers to batches in flight that were forgotten")


class AlertsMetrics(Metrics):
    fired_alerts: int = counter("alerts", "alerts that passed")
    folded_alerts: int = counter("alerts", "alerts folded into one that was shown")


class RecorderMetrics(Metrics):
    committed_events: int = counter("events", "events stored")
    committed_alerts: int = counter("alerts", "alerts stored")
    ignored_events: int = counter("events", "events that were stored already, of batches that added something")
    out_of_order_batches: int = counter("batches", "batches that came ahead of a lost one")
    ledger_breaks: int = counter("times", "the store found that an account does not add up")
    event_sequence: int = gauge("", "commit sequence of the newest event")
    alert_sequence: int = gauge("", "commit sequence of the newest alert")
    failed_commits: int = counter("times", "the store refused a batch")
    committed_actions: int = counter("actions", "actions of people stored, or found to be stored")
    refused_actions: int = counter("actions", "actions of people refused")
    clock_jumps: int = counter("times", "the wall clock jumped by more than 5 s")
    damaged_files: int = counter("files", "files of the store that were damaged and set aside")
    expired_days: int = counter("days", "day files deleted by retention")


class BroadcasterMetrics(Metrics):
    messages: int = counter("messages", "commits and heartbeats handed on")


class FrontEndMetrics(Metrics):
    framed_events: int = counter("events", "events that reached the front end")
    recovered_events: int = counter("events", "events framed from the store because they were lost on the way")
    recovered_alerts: int = counter("alerts", "alerts framed from the store because they were lost on the way")
    damaged_days: int = gauge("days", "days of which something could not be read")
    websocket_clients: int = gauge("clients", "connected clients of the stream")
    http_connections: int = gauge("connections", "open connections")
    closed_too_slow: int = counter("clients", "clients closed because they did not keep up")
    refused_connections: int = counter("connections", "connections beyond the bound, closed at once")
    failed_connections: int = counter("connections", "connections that ended in an error")


STATISTICS = {
    "sources": Metric("gauge", "sources", "sources known"),
    "sources_max": Metric("gauge", "sources", "sources known at most"),
    "sources_warm": Metric("gauge", "sources", "sources known well enough to judge"),
    "silent": Metric("gauge", "sources", "sources that have fallen silent"),
    "entities": Metric("gauge", "entities", "entities followed"),
    "entities_max": Metric("gauge", "entities", "entities followed at most"),
    "transitions": Metric("gauge", "transitions", "steps from template to template known"),
}

# Of the daemon as a whole, and of what happens between its actors.
DAEMON = {
    "throughput_events_per_second": Metric("gauge", "events", "events committed in the last second"),
    "queue_depth_records": Metric("gauge", "records", "records accepted and not yet committed, of all receivers"),
    "queue_max_records": Metric("gauge", "records", "records that the queues hold at most"),
    "actor_restarts": Metric("counter", "times", "the actor was started again"),
    "actor_restart_seconds": Metric("gauge", "seconds", "from its last death to the heartbeat that said it was ready again"),
    "actor_state": Metric("gauge", "", "1 for the state that the actor is in"),
    "edge_messages": Metric("counter", "messages", "messages sent to another actor"),
    "edge_waits": Metric("counter", "times", "another actor's inbox was full and was waited for"),
    "edge_dropped": Metric("counter", "messages", "messages dropped because another actor's inbox was full"),
    "edge_handled": Metric("counter", "messages", "messages that the other actor has handled"),
    "edge_lost": Metric("counter", "messages", "messages that went down with a process; what of them mattered was sent again"),
    "edge_in_flight_messages": Metric("gauge", "messages", "messages sent and not yet handled"),
    "dropped": Metric("counter", "records or messages", "what was lost, by reason"),
    "ledger_received_records": Metric("counter", "records", "records that arrived"),
    "ledger_committed_records": Metric("counter", "records", "records that are stored"),
    "ledger_in_flight_records": Metric("gauge", "records", "records accepted and not yet stored"),
    "ledger_dropped_records": Metric("counter", "records", "records that were lost, by reason"),
    "ledger_breaks": Metric("gauge", "times", "an account did not add up; anything but 0 is a fault of this program"),
}

METRICS = STATISTICS | {name: metric for each in Metrics.__subclasses__() for name, metric in each.declared.items()}
