"""What the client makes of answers that are no edge's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cerebrum_cli.client import EdgeClient, EdgeFailure
from cerebrum_cli.settings import Target, target
from cerebrum_kit.errors import ConfigurationError
from support.fake_upstream import CLOSE_DELIMITED, DONE, fake_upstream, token


def answer(status: str, body: bytes, kind: str = "application/json", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *more, "", ""]
    return "\r\n".join(head).encode() + body


def sends(data: bytes) -> EdgeFailure | list[object]:
    """What a completion and a question become when the server sends `data`."""

    def behaviour(connection: socket.socket) -> None:
        connection.sendall(data)

    with fake_upstream(behaviour) as server:
        client = EdgeClient(Target(server.url, None))
        try:
            return list(client.stream({"prompt": "x"}))
        except EdgeFailure as exc:
            return exc
        finally:
            client.close()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer("404 Not Found", b"<html>", "text/html"), "answered 404, which is no answer of an edge"),
        (answer("500 Oops", b'{"error": "text"}'), "answered 500, which is no answer of an edge"),
        (answer("500 Oops", b"[]"), "answered 500, which is no answer of an edge"),
        (answer("302 Found", b"", "text/html", "location: http://elsewhere"), "no answer of an edge: status 302"),
        (answer("200 OK", b"<html>hello</html>", "text/html"), "cut before its end"),
        (CLOSE_DELIMITED, "cut before its end"),
        (CLOSE_DELIMITED + token("a", 1), "cut before its end"),
        (CLOSE_DELIMITED + b"data: [1]\n\n", "an event that is no object"),
        (CLOSE_DELIMITED + b"data: {}\n\n", "an event without a token"),
        (CLOSE_DELIMITED + b'data: {"token": 1}\n\n', "an event without a token"),
        (CLOSE_DELIMITED + b"data: nonsense\n\n", "no answer of an edge"),
        (CLOSE_DELIMITED + b"data: \xff\n\n", "not valid UTF-8"),
        (CLOSE_DELIMITED + b'data: {"error": "gone", "done": true}\n\n', "gone"),
        (b"SSH-2.0-OpenSSH\r\n", "broke"),
        (
            answer(
                "503 Busy",
                b'{"error": {"message": "Busy.", "code": "overloaded"}}',
                "application/json",
                "retry-after: 7",
            ),
            "Busy. [overloaded]; try again in 7 s",
        ),
        (
            answer("401 No", b'{"error": {"message": "No."}}'),
            "No.; give the edge's key with --api-key-file FILE or CEREBRUM_API_KEY_FILE",
        ),
    ],
)
def test_what_is_no_answer_is_explained(data: bytes, words: str) -> None:
    outcome = sends(data)
    assert isinstance(outcome, EdgeFailure)
    assert words in str(outcome)


def test_comments_and_what_follows_the_last_event_are_passed_over() -> None:
    outcome = sends(CLOSE_DELIMITED + b": keep-alive\n\n" + token("a", 1) + DONE + token("b", 2))
    assert isinstance(outcome, list)
    assert len(outcome) == 2


def test_an_address_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        target("http://me:s3cret@pi:7000", None)
    assert "s3cret" not in str(refusal.value)
    assert "http://pi:7000" in str(refusal.value)
    (tmp_path / "key").write_text("k\n", encoding="ascii")
    assert target("http://pi:7000/v1/", tmp_path / "key") == Target("http://pi:7000", "k")
