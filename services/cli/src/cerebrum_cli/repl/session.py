"""The conversation: reads what is typed, does what it means, and goes on whatever went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cerebrum_cli import __version__, reports
from cerebrum_cli.answer.languages import language_of_file
from cerebrum_cli.answer.paint import visible
from cerebrum_cli.answer.receipt import brief_receipt, receipt, size
from cerebrum_cli.asking import Answer, show_answer
from cerebrum_cli.client import EdgeClient, EdgeFailure
from cerebrum_cli.history import History
from cerebrum_cli.prompt import compose, painted_as, worth_saving
from cerebrum_cli.repl.commands import HELP, Ask, Change, Choices, Do, Nothing, Refused, describe, parse
from cerebrum_cli.repl.readers import Reader, keys_not_shown
from cerebrum_cli.screen import Screen
from cerebrum_kit.errors import ConfigurationError

GREETING_SECONDS = 2.0  # the edge is asked how it is, and a slow one must not hold up the first prompt
_PROSE = {".md", ".txt", ".rst"}


class Session:
    """What one conversation knows.

    Attributes:
        failures: lines that could not be done, for the exit code of a script.
    """

    def __init__(self, client: EdgeClient, screen: Screen, history: History, *, script: bool = False) -> None:
        self._client = client
        self._screen = screen
        self._history = history
        self._receipt = receipt if script else brief_receipt
        self._choices = Choices()
        self._last: Answer | None = None
        self._do: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "models": self._list_models,
            "model": self._choose_model,
            "file": self._choose_file,
            "save": lambda path: self._save(path, overwrite=False),
            "overwrite": lambda path: self._save(path, overwrite=True),
            "history": self._show_history,
            "clear": self._clear,
            "stats": self._stats,
            "condense": self._condense,
        }
        self.failures = 0

    def run(self, reader: Reader) -> None:
        """Until Ctrl-D or `:exit`."""
        self._greet()
        while True:
            try:
                text = reader.read(multi=self._choices.multi)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            self._history.add(text)
            try:
                if not self.take(text):
                    return
            except KeyboardInterrupt:
                # An answer's connection is closed by now, so its slot is free. What an interrupt left in the client's
                # pool is not worth trusting.
                self._client.renew()
                self._screen.say("stopped")

    def take(self, text: str) -> bool:
        """Does what `text` means. False where it means to leave."""
        try:
            match parse(text, self._choices):
                case Nothing():
                    pass
                case Ask(prompt):
                    self._ask(prompt)
                case Change(choices, said):
                    self._choices = choices
                    self._screen.say(said)
                case Refused(reason):
                    self._fail(reason)
                case Do("exit"):
                    return False
                case Do(name, argument):
                    self._do[name](argument)
        except (EdgeFailure, ConfigurationError) as exc:
            self._fail(str(exc))
        except BrokenPipeError:
            raise  # nobody reads any more
        except OSError as exc:
            self._fail(f"{exc.filename or 'this'}: {exc.strerror}")
        return True

    def _greet(self) -> None:
        try:
            facts = self._client.get("/v1/stats", seconds=GREETING_SECONDS)
            state = "" if facts.get("vps_available", True) else " (no backend answers; cerebrum doctor says why)"
        except EdgeFailure as exc:
            self._screen.say(str(exc), "bad")
            state = " (cerebrum doctor says more)"
        self._screen.say(f"cerebrum {__version__} · {self._client.url}{state} · :help lists commands, Ctrl-D leaves")
        if self._history.problem:
            self._screen.say(self._history.problem)

    def _ask(self, text: str) -> None:
        choices = self._choices
        code, language = "", choices.language
        if choices.file is not None:
            code = _read(Path(choices.file))
            language = language or language_of_file(choices.file)
        prompt = compose(text, code, language)
        body: dict[str, Any] = {"prompt": prompt, "max_tokens": choices.max_tokens}
        optional = {
            "model": choices.model,
            "language": language,
            "temperature": choices.temperature,
            "condense": None if choices.condense == "auto" else choices.condense,
        }
        body.update({name: value for name, value in optional.items() if value is not None})
        answer = self._last = Answer(prompt, language)
        shown_as = painted_as(prompt, choices.language, answer_follows=bool(code))
        with keys_not_shown():
            done = show_answer(self._client, body, self._screen, answer, painted_as=shown_as)
        self._screen.say(self._receipt(done))

    def _help(self, _: str) -> None:
        width = max(len(name) + len(argument) for name, (argument, _) in HELP.items()) + 2
        for name, (argument, purpose) in HELP.items():
            self._screen.line(f"  {f':{name} {argument}':<{width}}  {purpose}")
        self._screen.line("  Ctrl-C stops an answer, Alt-Enter starts a new line, Ctrl-R searches history.")
        if chosen := describe(self._choices):
            self._screen.line(f"  Chosen: {chosen}.")

    def _models(self) -> list[dict[str, Any]]:
        return [row for row in self._client.get("/v1/models").get("models", []) if isinstance(row, dict)]

    def model_ids(self) -> list[str]:
        """For completion: none where the edge does not tell."""
        try:
            rows = self._client.get("/v1/models", seconds=GREETING_SECONDS).get("models", [])
            return [str(row["id"]) for row in rows]
        except (EdgeFailure, KeyError, TypeError):
            return []

    def _list_models(self, _: str) -> None:
        self._screen.show(reports.models(self._models(), chosen=self._choices.model))

    def _choose_model(self, model: str) -> None:
        try:
            known = [str(row.get("id")) for row in self._models()]
        except EdgeFailure as exc:
            self._screen.say(f"{exc}; whether there is such a model is not known")
            known = [model]
        if model not in known:
            self._fail(f"no model {model}; there are: {', '.join(known) or 'none'}")
            return
        self._choices = replace(self._choices, model=model)
        self._screen.say(f"model: {model}")

    def _choose_file(self, path: str) -> None:
        file = Path(path).expanduser()
        text = _read(file)
        self._choices = replace(self._choices, file=str(file))
        lines = text.count("\n") + (not text.endswith("\n"))
        extent = f"{lines} lines, {size(len(text))} characters"
        self._screen.say(f"file: {file} ({extent}) goes with every prompt; :file off ends it")

    def _save(self, path: str, *, overwrite: bool) -> None:
        if self._last is None or not self._last.pieces:
            self._fail("there is no answer to save yet")
            return
        file = Path(path).expanduser()
        text = worth_saving(self._last.prompt, self._last.text, prose=file.suffix.lower() in _PROSE)
        try:
            with file.open("w" if overwrite else "x", encoding="utf-8", errors="replace") as out:
                out.write(text)
        except FileExistsError:
            self._fail(f"{file} exists; :save! {path} overwrites it")
            return
        lines = text.count("\n")
        self._screen.say(f"wrote {lines} line{'' if lines == 1 else 's'} to {file}")

    def _show_history(self, most: str) -> None:
        entries = self._history.entries
        shown = entries[-int(most or 20) :] if most != "0" else []
        for number, entry in enumerate(shown, len(entries) - len(shown) + 1):
            self._screen.line(f"{number:5}  " + entry.replace("\n", "\n       "))

    def _clear(self, what: str) -> None:
        if what == "history":
            self._history.forget()
            self._screen.say("what you asked is forgotten")
        elif not self._screen.clear():
            self._fail("this terminal cannot be cleared")

    def _stats(self, _: str) -> None:
        self._screen.show(reports.stats(self._client.get("/v1/stats")))

    def _condense(self, what: str) -> None:
        """What was left out of the last prompt, by asking again without sending it on."""
        self._screen.say(f"condensation: {self._choices.condense}")
        if self._last is None:
            return
        body = {"prompt": self._last.prompt, "language": self._last.language}
        answer = self._client.post("/v1/condense", {name: value for name, value in body.items() if value is not None})
        if what == "show":
            self._screen.write(visible(str(answer.get("text", ""))).removesuffix("\n") + "\n")
        for line in reports.left_out(answer):
            self._screen.say(line)

    def _fail(self, reason: str) -> None:
        self.failures += 1
        self._screen.say(reason, "bad")


def _read(path: Path) -> str:
    """A file's text.

    Raises:
        OSError: it cannot be read.
        ConfigurationError: it is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path} is not UTF-8 text (at byte {exc.start})") from None
