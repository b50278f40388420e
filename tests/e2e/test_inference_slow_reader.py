"""A client that asks for a long answer and does not read it takes nothing from the others."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from support.inference import LONG, Inference, running_inference
from support.process import listening_socket
from support.raw import RawClient
from support.waiting import eventually


@pytest.fixture(scope="module")
def one_slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    """One slot, every token an event of its own, and a kernel that buffers little for the client."""
    with listening_socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        folder = tmp_path_factory.mktemp("slow")
        with running_inference(folder, listener=listener, SLOTS="1", COALESCE_MS="0") as service:
            yield service


def test_slot_of_a_client_that_does_not_read_becomes_free(one_slot: Inference) -> None:
    body = {**LONG, "stream": True, "return_tokens": True}
    with RawClient(one_slot.process.port, receive_buffer=2048) as client:
        client.send(one_slot.raw("/v1/completions", json.dumps(body).encode()))
        client.read_until(b"\r\n\r\n")
        eventually(lambda: len(one_slot.busy()) == 1, "the stream has the slot")
        # As long as a thousand tokens take, on a machine that has other things to do.
        eventually(lambda: not one_slot.busy(), "the slot of a client that does not read is free", seconds=90)
        assert one_slot.generates(), "the next one is served while the first still hangs on"
        rest = client.read_until(b"0\r\n\r\n")
    assert b'"code":"client_too_slow"' in rest
    assert b"[DONE]" not in rest


def test_client_that_does_not_read_delays_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_inference(tmp_path_factory.mktemp("two")) as service:
        with RawClient(service.process.port, receive_buffer=2048) as client:
            client.send(service.raw("/v1/inference/stream", json.dumps(LONG).encode()))
            eventually(service.busy, "the stream has a slot")
            assert service.generates()
            with service.stream("/v1/inference/stream", {"prompt": "x", "max_tokens": 8, "ignore_eos": True}) as items:
                assert list(items)[-1]["total_tokens"] == 8
            assert service.busy(), "and the first one goes on"
        service.wait_until_idle()
