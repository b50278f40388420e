"""What is asked, in which order, and how an answer is read: the same for flags and for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.inventory import answers
from scripts.inventory.answers import Refused
from scripts.inventory.catalogue import CONTEXT, SLOTS, Model

Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A question of which an answer becomes a field of `Answers`.

    Attributes:
        flag: what answers it without asking, `--edge` for example.
        default: taken for an empty answer; None where there has to be one.
        asked: whether a person is asked, by what is known so far. A flag is taken anyway.
        help: lines shown before the question.
    """

    field: str
    flag: str
    words: str
    parse: Callable[[str], Any]
    default: str | None = None
    asked: Callable[[Given], bool] = lambda _given: True
    help: tuple[str, ...] = ()


def questions(known: Sequence[Model]) -> tuple[Question, ...]:
    return (
        Question(
            "edges",
            "--edge",
            "Edge (the Raspberry Pi), as USER@ADDRESS",
            lambda text: answers.hosts(text, "pi"),
            help=(
                "Hosts are written [NAME=]USER@ADDRESS[:PORT], several between commas. ssh must get in there by key.",
            ),
        ),
        Question(
            "inference",
            "--inference",
            "Inference host (the VPS), as USER@ADDRESS",
            lambda text: answers.hosts(text, "vps"),
        ),
        Question(
            "transport",
            "--transport",
            "How edge and inference talk",
            lambda text: answers.choice(text, answers.TRANSPORTS, "The transport"),
            "ssh_tunnel",
            help=(
                "  ssh_tunnel  the edge keeps an ssh connection; needs nothing more",
                "  tailscale   both join your tailnet, with a key",
                "  direct      there is a private network already",
            ),
        ),
        Question(
            "addresses",
            "--inference-address",
            "Private address of each inference host, which the edge can reach and the internet cannot",
            answers.private_addresses,
            asked=lambda given: given["transport"] == "direct",
        ),
        Question(
            "login_server",
            "--login-server",
            "Your own headscale's URL (Enter: Tailscale's service)",
            answers.login_server,
            "",
            asked=lambda given: given["transport"] == "tailscale",
        ),
        Question(
            "models",
            "--models",
            "Models, several between commas",
            lambda text: answers.models(text, known),
            "cerebrum-tiny",
            help=(
                f"Memory that a host has to have for each, with {SLOTS} slots of {CONTEXT} tokens:",
                *(f"  {model.line}" for model in known),
            ),
        ),
        Question(
            "accelerator",
            "--accelerator",
            "Does a GPU compute: none, vulkan or cuda",
            lambda text: answers.choice(text, answers.ACCELERATORS, "The accelerator"),
            "none",
        ),
        Question(
            "edge_open",
            "--access",
            "Who may use the edge: those with the key that is made now, or open for all who reach it",
            lambda text: answers.choice(text, answers.ACCESS, "Access") == "open",
            "key",
        ),
        Question(
            "clients",
            "--clients",
            "Networks that may reach the edge",
            answers.networks,
            "private",
            help=("A network such as 192.168.1.0/24, several between commas, or private for every private one.",),
        ),
        Question("edge_port", "--edge-port", "The edge's port", answers.port, "7000", asked=lambda _given: False),
    )


def without_asking(wanted: Sequence[Question], texts: Mapping[str, str]) -> dict[str, Any]:
    """What flags and defaults say.

    Raises:
        Refused: a flag's value is none, or flags are missing that have no default.
    """
    found: dict[str, Any] = {}
    missing = []
    for question in wanted:
        text = texts.get(question.field)
        if text is not None:
            found[question.field] = read(question, text)
        elif question.default is not None:
            found[question.field] = question.parse(question.default)
        elif question.asked(found):
            missing.append(question)
    if missing:
        raise Refused(
            f"There is no terminal to ask at, and {' and '.join(one.flag for one in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. See `make new-inventory ARGS=--help`."
        )
    return found


def read(question: Question, text: str) -> Any:
    """A flag's value.

    Raises:
        Refused: it is none; the message names the flag.
    """
    try:
        return question.parse(text.strip())
    except Refused as exc:
        raise Refused(f"{question.flag}: {exc}") from None
