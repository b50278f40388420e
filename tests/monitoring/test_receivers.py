"""What arrives at each kind of receiver: Alertmanager with the configuration of its role, and servers that listen."""

from __future__ import annotations

import contextlib
import datetime
import email.message
import http.server
import ipaddress
import json
import queue
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import alertmanager
from support.process import free_port
from support.waiting import eventually

# Told at once, while others wait for what belongs together.
LABELS = {"alertname": "Watchdog", "severity": "none", "instance": "pi"}
WITHIN = 60.0
PASSWORD = 'a "quoted" pass'


@contextlib.contextmanager
def web() -> Iterator[tuple[str, queue.Queue[tuple[str, str | None, Any]]]]:
    """A server's URL, and what is posted to it: path, authorization, JSON. It answers as Telegram's Bot API does."""
    kept: queue.Queue[tuple[str, str | None, Any]] = queue.Queue()
    result = {"message_id": 1, "date": 1, "chat": {"id": -100123, "type": "group"}, "text": "x"}
    answer = json.dumps({"ok": True, "result": result}).encode()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            kept.put((self.path, self.headers.get("authorization"), body))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_words: object) -> None:
            """It says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kept
        server.shutdown()


class _Letters(Message):
    """Keeps letters, with their envelopes in headers of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: queue.Queue[email.message.Message] = queue.Queue()

    def handle_message(self, message: email.message.Message) -> None:
        self.kept.put(message)


def certificate(folder: Path) -> Path:
    """Of a mail server at 127.0.0.1, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "mail.pem"
    path.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return path


@contextlib.contextmanager
def mail(pem: Path, port: int) -> Iterator[_Letters]:
    """A mail server that takes letters over TLS alone, from who knows the password."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)

    def known(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=(given.login, given.password) == (b"pi@example.org", PASSWORD.encode()))

    letters = _Letters()
    controller = Controller(
        letters,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=known,
        auth_exclude_mechanism=["LOGIN"],  # its questions are not worded as Alertmanager knows them
    )
    controller.start()
    yield letters
    controller.stop()


@contextlib.contextmanager
def told(folder: Path, receiver: dict[str, Any], secret: str = "", **environment: str) -> Iterator[None]:
    """An alert fires in an Alertmanager that has this receiver."""
    (folder / "secrets").mkdir()
    (folder / "secrets/0").write_text(secret, encoding="utf-8")
    values = {"alertmanager__folder": str(folder)}
    alertmanager.written(folder, [{**receiver, "severities": ["watchdog"]}], **values)
    with alertmanager.running(folder, folder / "out.yml", **environment) as running:
        running.post(LABELS)
        yield


def test_webhook(tmp_path: Path) -> None:
    with web() as (url, kept), told(tmp_path, {"type": "webhook", "url": f"{url}/told", "token": "x"}, "t0ken"):
        path, authorization, body = kept.get(timeout=WITHIN)
    assert (path, authorization) == ("/told", "Bearer t0ken")
    assert body["alerts"][0]["labels"] == LABELS


def test_ntfy_is_given_templates_and_what_they_are_filled_with(tmp_path: Path) -> None:
    """What ntfy makes of them was not seen: there is none here."""
    with web() as (url, kept), told(tmp_path, {"type": "ntfy", "url": f"{url}/me", "token": "x"}, "tk_1"):
        path, authorization, body = kept.get(timeout=WITHIN)
    assert (urlsplit(path).path, authorization) == ("/me", "Bearer tk_1")
    words = parse_qs(urlsplit(path).query)
    assert words["tpl"] == ["1"]
    assert words["t"] == ["{{.status}}: {{.groupLabels.alertname}}"]
    assert (body["status"], body["groupLabels"]["alertname"]) == ("firing", "Watchdog")


def test_telegram(tmp_path: Path) -> None:
    receiver = {"type": "telegram", "bot_token": "123:abc", "chat_id": -100123}
    with web() as (url, kept), told(tmp_path, {**receiver, "api_url": url}):
        path, _, body = kept.get(timeout=WITHIN)
    assert path == "/bot123:abc/sendMessage"
    assert str(body["chat_id"]) == "-100123"
    assert "Watchdog" in body["text"]


def test_mail_goes_over_tls_with_the_password(tmp_path: Path) -> None:
    pem, port = certificate(tmp_path), free_port()
    receiver = {
        "type": "email",
        "to": "me@example.org",
        "from": "pi@example.org",
        "smarthost": f"127.0.0.1:{port}",
        "password": "x",
    }
    with mail(pem, port) as letters, told(tmp_path, receiver, PASSWORD, SSL_CERT_FILE=str(pem)):
        letter = letters.kept.get(timeout=WITHIN)
    assert (letter["X-MailFrom"], letter["X-RcptTo"]) == ("pi@example.org", "me@example.org")
    assert "Watchdog" in letter["subject"]


def test_mail_is_not_sent_to_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    pem, port = certificate(tmp_path), free_port()
    receiver = {"type": "email", "to": "me@example.org", "smarthost": f"127.0.0.1:{port}", "password": "x"}
    with mail(pem, port) as letters, told(tmp_path, receiver, PASSWORD):
        log = tmp_path / "alertmanager.log"
        eventually(lambda: "certificate" in log.read_text(encoding="utf-8"), "its complaint")
        with pytest.raises(queue.Empty):
            letters.kept.get_nowait()
