"""What a line that was typed means. Pure: text in, one of four things to do out.

A command is one line that starts with `:` and a letter. Everything else is a prompt; `::` starts one that begins
with a colon itself.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Condense = Literal["auto", "off"]
MOST_TOKENS = 1_048_576


@dataclass(frozen=True, slots=True)
class Choices:
    """What goes with every prompt, as chosen so far; None leaves it to the edge.

    Attributes:
        multi: Enter makes a new line, and a line with `.` alone ends the prompt.
        file: a file whose text goes with every prompt, read anew each time.
    """

    model: str | None = None
    language: str | None = None
    max_tokens: int = 256
    temperature: float | None = None
    condense: Condense = "auto"
    multi: bool = False
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """New choices, and what to say of them."""

    choices: Choices
    said: str


@dataclass(frozen=True, slots=True)
class Do:
    """Something that takes more than choices: `name` is the command's."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line."""


Meaning = Ask | Change | Do | Refused | Nothing

HELP: dict[str, tuple[str, str]] = {
    "help": ("", "this list"),
    "model": ("[ID|auto]", "which model answers; alone, lists them"),
    "lang": ("[NAME|auto]", "the language of what you write"),
    "tokens": ("[N]", "how long an answer may be"),
    "temp": ("[0-2|auto]", "0 always writes the likeliest; higher varies"),
    "multi": ("[on|off]", "prompts of several lines; a line with . sends"),
    "file": ("[PATH|off]", "send a file's text with every prompt"),
    "condense": ("[auto|off|show]", "may the edge shorten code; show what it sent"),
    "save": ("PATH", "write the last answer's code; :save! overwrites"),
    "history": ("[N]", "what you asked"),
    "clear": ("[history]", "clear the screen, or forget what you asked"),
    "stats": ("", "how the edge and its backends are"),
    "exit": ("", "leave; so does Ctrl-D"),
}
_ALSO = {"quit": "exit", "q": "exit", "h": "help", "?": "help", "language": "lang", "temperature": "temp"}
_NO_ARGUMENT = {"help", "stats", "exit"}
_COMMAND = re.compile(r":([A-Za-z?]\w*!?)(?:[ \t]+(.*))?")
_LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,32}")
_MODEL = re.compile(r"\S{1,64}")


def parse(text: str, choices: Choices) -> Meaning:
    """The meaning of a line, or of several that were sent together."""
    line = text.strip()
    if not line:
        return Nothing()
    if not (found := _COMMAND.fullmatch(line)):
        return Ask(text.replace("::", ":", 1) if text.lstrip().startswith("::") else text)
    typed, argument = found[1], (found[2] or "").strip()
    name = _ALSO.get(typed.lower(), typed.lower())
    if name == "save!":
        return Do("overwrite", argument) if argument else Refused(":save! takes a path")
    if name not in HELP:
        return Refused(_unknown(typed))
    if name in _NO_ARGUMENT and argument:
        return Refused(f":{name} takes nothing behind it")
    setting = _SETTINGS.get(name)
    if setting is None:
        return _other(name, argument)
    return setting(choices, argument)


def describe(choices: Choices) -> str:
    """What differs from the defaults, for the start and for `:help`; empty where nothing does."""
    plain = Choices()
    parts = [
        f"model {choices.model}" if choices.model else "",
        f"language {choices.language}" if choices.language else "",
        f"{choices.max_tokens} tokens" if choices.max_tokens != plain.max_tokens else "",
        f"temperature {choices.temperature:g}" if choices.temperature is not None else "",
        "condensation off" if choices.condense == "off" else "",
        f"file {choices.file}" if choices.file else "",
        "several lines" if choices.multi else "",
    ]
    return ", ".join(part for part in parts if part)


def is_whole(text: str, *, multi: bool) -> bool:
    """Whether Enter behind `text` sends it."""
    if not multi:
        return True
    lines = text.split("\n")
    return lines[-1].strip() == "." or (len(lines) == 1 and _COMMAND.fullmatch(lines[0].strip()) is not None)


def without_end_mark(text: str, *, multi: bool) -> str:
    """A prompt of several lines without the `.` that ended it."""
    head, _, last = text.rpartition("\n")
    return head if multi and last.strip() == "." else text


def _unknown(typed: str) -> str:
    near = difflib.get_close_matches(typed.lower(), HELP, n=1, cutoff=0.5)
    meant = f"did you mean :{near[0]}?" if near else ":help lists them."
    return f"no command :{typed}; {meant} (:: starts a prompt with a colon)"


def _model(choices: Choices, argument: str) -> Meaning:
    if not argument:
        return Do("models")
    if argument == "auto":
        return Change(replace(choices, model=None), "model: chosen by language")
    if not _MODEL.fullmatch(argument):
        return Refused(f":model takes one id, as :model lists them; not {argument[:40]!r}")
    return Do("model", argument)


def _language(choices: Choices, argument: str) -> Meaning:
    if not argument:
        return Change(choices, f"language: {choices.language or 'detected'}")
    if argument == "auto":
        return Change(replace(choices, language=None), "language: detected")
    if not _LANGUAGE.fullmatch(argument):
        return Refused(f":lang takes a language, such as python or c++, or auto; not {argument[:40]!r}")
    return Change(replace(choices, language=argument), f"language: {argument}")


def _tokens(choices: Choices, argument: str) -> Meaning:
    if not argument:
        return Change(choices, f"tokens: at most {choices.max_tokens}")
    # Not int() alone: it takes underscores, signs and other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,7}", argument) or not 1 <= int(argument) <= MOST_TOKENS:
        return Refused(f":tokens takes a whole number from 1 to {MOST_TOKENS}; not {argument[:40]!r}")
    return Change(replace(choices, max_tokens=int(argument)), f"tokens: at most {int(argument)}")


def _temperature(choices: Choices, argument: str) -> Meaning:
    if not argument:
        now = "the model's own" if choices.temperature is None else f"{choices.temperature:g}"
        return Change(choices, f"temperature: {now}")
    if argument == "auto":
        return Change(replace(choices, temperature=None), "temperature: the model's own")
    try:
        value = float(argument)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 2:
        return Refused(f":temp takes a number from 0 to 2, or auto; not {argument[:40]!r}")
    return Change(replace(choices, temperature=value), f"temperature: {value:g}")


def _multi(choices: Choices, argument: str) -> Meaning:
    if argument not in ("", "on", "off"):
        return Refused(f":multi takes on or off, or nothing to switch; not {argument[:40]!r}")
    multi = not choices.multi if not argument else argument == "on"
    said = "several lines: on; Alt-Enter or a line with . alone sends" if multi else "several lines: off; Enter sends"
    return Change(replace(choices, multi=multi), said)


def _condense(choices: Choices, argument: str) -> Meaning:
    if argument == "auto":
        return Change(replace(choices, condense="auto"), "condensation: auto")
    if argument == "off":
        return Change(replace(choices, condense="off"), "condensation: off")
    if argument in ("", "show"):
        return Do("condense", argument)
    return Refused(f":condense takes auto or off, or show; not {argument[:40]!r}")


def _file(choices: Choices, argument: str) -> Meaning:
    if argument == "off":
        return Change(replace(choices, file=None), "file: none")
    if not argument:
        return Change(choices, f"file: {choices.file or 'none'}")
    return Do("file", argument)


def _other(name: str, argument: str) -> Meaning:
    if name == "save" and not argument:
        return Refused(":save takes a path, such as :save fib.py")
    if name == "history" and argument and not re.fullmatch(r"[0-9]{1,6}", argument):
        return Refused(f":history takes how many to show; not {argument[:40]!r}")
    if name == "clear" and argument not in ("", "history"):
        return Refused(f":clear takes nothing, or history; not {argument[:40]!r}")
    return Do(name, argument)


_SETTINGS: dict[str, Callable[[Choices, str], Meaning]] = {
    "model": _model,
    "lang": _language,
    "tokens": _tokens,
    "temp": _temperature,
    "multi": _multi,
    "condense": _condense,
    "file": _file,
}


def split_script(text: str) -> tuple[list[str], str]:
    """What a pipe brings: the commands on its first lines, and all of the rest, which is one prompt."""
    lines = text.split("\n")
    commands: list[str] = []
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        if not _COMMAND.fullmatch(line.strip()):
            return commands, "\n".join(lines[at:])
        commands.append(line.strip())
    return commands, ""
