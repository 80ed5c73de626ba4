"""The commands of docs/operations.md make certificates that pass the strictest verification (RFC 5280; Python 3.13's default)."""

from __future__ import annotations

import re
import ssl
import subprocess
from pathlib import Path

from tests.daemon_process import ROOT


def documented_commands() -> str:
    text = (ROOT / "docs" / "operations.md").read_text()
    (block,) = (each for each in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE) if "openssl req -x509" in each)
    return block


def shake_hands(server: ssl.SSLObject, client: ssl.SSLObject) -> None:
    """Let both ends speak in turn until both are done. Raises ssl.SSLError."""
    waiting = [client, server]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting


def test_what_people_are_told_to_make_is_accepted(tmp_path: Path) -> None:
    subprocess.run(["sh", "-e"], input=documented_commands().encode(), cwd=tmp_path, check=True, capture_output=True)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname="logs.example.org")
    shake_hands(server, client)
    assert client.getpeercert()["subject"] == ((("commonName", "logs.example.org"),),)  # type: ignore[index]
