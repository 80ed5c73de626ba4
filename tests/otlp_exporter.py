"""The real OpenTelemetry SDK as a client."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource


def make_provider(protocol: str, port: int, **options: Any) -> LoggerProvider:
    """Return a logger provider that exports in batches to a port of this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if protocol == "grpc":
            exporter: Any = GrpcExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True, **options)
        else:
            exporter = HttpExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs", **options)
        provider = LoggerProvider(resource=Resource.create({"service.name": "bastion", "host.name": "labsz"}))
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=100, max_queue_size=1 << 16))
    return provider


def export_lines(protocol: str, port: int, lines: list[bytes]) -> None:
    """Export each line as the body of one record; return when all are answered."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    provider = make_provider(protocol, port)
    logger = provider.get_logger("tests")
    for line in lines:
        logger.emit(LogRecord(body=line.decode("utf-8", "backslashreplace"), severity_number=SeverityNumber.INFO))
    assert provider.force_flush(60_000)
    provider.shutdown()
