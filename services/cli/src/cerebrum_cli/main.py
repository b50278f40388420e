"""`cerebrum`: a conversation in the terminal; one question; how the edge is, what it sends, which link is broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cerebrum_cli import __version__, doctor, reports
from cerebrum_cli.answer.receipt import receipt
from cerebrum_cli.asking import Answer, collect_answer, read_standard_input, show_answer
from cerebrum_cli.client import EdgeClient, EdgeFailure
from cerebrum_cli.examine import examine
from cerebrum_cli.options import Given, KeyFile, Url
from cerebrum_cli.probe.attempt import attempt
from cerebrum_cli.probe.report import record
from cerebrum_cli.prompt import compose, painted_as
from cerebrum_cli.repl.commands import MOST_TOKENS
from cerebrum_cli.screen import Tone, is_terminal, standard_screen
from cerebrum_cli.settings import Target, target
from cerebrum_cli.top.cli import top
from cerebrum_kit.errors import ConfigurationError

_TONES: dict[doctor.LineStyle, Tone] = {
    "heading": "strong",
    "ok": "plain",
    "broken": "bad",
    "unknown": "dim",
    "mend": "plain",
}
EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="Detected when not given.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    url: Url = None,
    api_key_file: KeyFile = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Cerebrum in the terminal. Without a command: a conversation; from a pipe, what comes is one prompt."""
    if version:
        sys.stdout.write(f"cerebrum {__version__}\n")
        raise typer.Exit
    context.obj = Given(url, api_key_file)
    if context.invoked_subcommand is not None:
        return
    # The editor is loaded for conversations only: on a small machine that takes a while.
    from cerebrum_cli.repl.start import converse, obey_pipe

    with _edge(context, None, None) as (client, to):
        if is_terminal(sys.stdin):
            converse(client, standard_screen(), secret=to.key)
        elif not obey_pipe(client, standard_screen()):
            raise typer.Exit(EXIT_FAILURE)


@app.command()
def ask(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="The prompt; `-` reads it from standard input.")],
    language: Language = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Chosen by language when not given.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", min=1, max=MOST_TOKENS)] = 256,
    temperature: Annotated[float | None, typer.Option("--temperature", "-t", min=0, max=2)] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    condense: Annotated[
        Literal["auto", "off"], typer.Option("--condense", help="Whether the edge may shorten a long prompt.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer and its cost as JSON.")] = False,
    url: Url = None,
    api_key_file: KeyFile = None,
) -> None:
    """Stream a completion of PROMPT to standard output; what it cost goes to standard error.

    What is piped in is the code that PROMPT is about: `cerebrum ask 'refactor to async' < client.py`.
    """
    code = "" if is_terminal(sys.stdin) and prompt != "-" else read_standard_input()
    text = code if prompt == "-" else compose(prompt, code, language)
    body: dict[str, Any] = {"prompt": text, "max_tokens": max_tokens}
    optional = {
        "language": language,
        "model": model,
        "temperature": temperature,
        "seed": seed,
        "condense": None if condense == "auto" else condense,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    with _edge(context, url, api_key_file) as (client, _):
        if as_json:
            _print_json(collect_answer(client, body))
        else:
            shown_as = painted_as(text, language, answer_follows=text not in (prompt, code))
            screen = standard_screen()
            screen.say(receipt(show_answer(client, body, screen, Answer(text), painted_as=shown_as)))


@app.command()
def models(context: typer.Context, url: Url = None, api_key_file: KeyFile = None, as_json: Json = False) -> None:
    """List the models that can answer."""
    with _edge(context, url, api_key_file) as (client, _):
        rows = client.get("/v1/models").get("models") or []
    if as_json:
        _print_json({"models": rows})
    else:
        standard_screen().show(reports.models(rows))


@app.command()
def stats(context: typer.Context, url: Url = None, api_key_file: KeyFile = None, as_json: Json = False) -> None:
    """Show what the edge has done, and how its backends are."""
    with _edge(context, url, api_key_file) as (client, _):
        facts = client.get("/v1/stats")
    if as_json:
        _print_json(facts)
    else:
        standard_screen().show(reports.stats(facts))


@app.command()
def status(context: typer.Context, url: Url = None, api_key_file: KeyFile = None, as_json: Json = False) -> None:
    """Show the edge, its backend and the models. Exits with 1 unless both are ready."""
    with _edge(context, url, api_key_file) as (client, _):
        facts: dict[str, Any] = {"health": client.get("/health"), "stats": client.get("/v1/stats")}
        for name, path in (("backend", "/v1/vps/health"), ("models", "/v1/models")):
            try:
                facts[name] = client.get(path)
            except EdgeFailure as exc:
                facts[name] = {"problem": str(exc)}
    if as_json:
        _print_json(facts)
    else:
        screen = standard_screen()
        screen.show(reports.services(facts))
        if "models" in facts["models"]:
            screen.show(reports.models(facts["models"]["models"]))
    healthy = facts["health"].get("status") == "ok" and facts["backend"].get("health", {}).get("status") == "ok"
    raise typer.Exit(0 if healthy else EXIT_FAILURE)


@app.command()
def condense(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="The code, or a whole prompt; `-` reads standard input.")],
    instruction: Annotated[
        str | None, typer.Option("--instruction", "-i", help="What is asked of the code; FILE is then the code alone.")
    ] = None,
    language: Language = None,
    budget: Annotated[int | None, typer.Option("--budget", "-b", min=1, help="Characters that may be left.")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key_file: KeyFile = None,
) -> None:
    """Show what the edge would send for FILE: the text on standard output, what was left out on standard error."""
    body: dict[str, Any] = {"prompt": read_standard_input() if file == "-" else _read(Path(file))}
    optional = {"instruction": instruction, "language": language, "budget": budget}
    body.update({name: value for name, value in optional.items() if value is not None})
    with _edge(context, url, api_key_file) as (client, _):
        answer = client.post("/v1/condense", body)
    if as_json:
        _print_json(answer)
        return
    text = str(answer.get("text", ""))
    screen = standard_screen()
    screen.write(text)
    if screen.able.terminal and not text.endswith("\n"):
        screen.write("\n")
    for line in reports.left_out(answer):
        screen.say(line)


@app.command("doctor")
def doctor_command(
    context: typer.Context, url: Url = None, api_key_file: KeyFile = None, as_json: Json = False
) -> None:
    """Try each link from here to the model; say which is broken and how to mend it. Exits with 1 if one is."""
    with _edge(context, url, api_key_file) as (client, _):
        links = examine(client)
    if as_json:
        _print_json(doctor.as_json(links))
    else:
        screen = standard_screen()
        for style, line in doctor.lines(links):
            screen.line(line, _TONES[style])
    raise typer.Exit(0 if doctor.verdict(links) else EXIT_FAILURE)


@app.command()
def probe(
    context: typer.Context,
    edge: Annotated[str | None, typer.Option("--edge", help="The edge; also CEREBRUM_URL.")] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="A file with the edge's key.")] = None,
    textfile: Annotated[
        Path | None, typer.Option("--textfile", help="A .prom file of the node exporter's textfile collector.")
    ] = None,
    seconds: Annotated[float, typer.Option("--timeout", min=0.1, max=30, help="Seconds that it may take.")] = 30,
) -> None:
    """Ask the edge for one token, for a timer, and write what came of it to TEXTFILE.

    Exits with 0 where the file was written, whatever was found: a dead edge is no failure of the timer's unit. Without
    a file it exits with 1 unless an answer came.
    """
    given: Given = context.obj
    url, key = edge or given.url, key_file or given.api_key_file
    target(url, None)  # an address that is none is refused before anything is done
    result = attempt(url, key, seconds)
    if result.problem is None:
        first = "no token" if result.first_token is None else f"first token after {result.first_token:.3f} s"
        sys.stdout.write(f"answered in {result.seconds:.3f} s, {first}\n")
    else:
        sys.stderr.write(f"cerebrum: the probe failed: {result.problem}\n")
    if textfile is None:
        raise typer.Exit(EXIT_FAILURE if result.problem else 0)
    if (anew := record(textfile, result)) is not None:
        sys.stderr.write(f"cerebrum: {anew}\n")


app.command()(top)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path} is not UTF-8 text (at byte {exc.start})") from exc


def _print_json(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what, indent=2) + "\n")


@contextmanager
def _edge(context: typer.Context, url: str | None, api_key_file: Path | None) -> Iterator[tuple[EdgeClient, Target]]:
    given: Given = context.obj
    to = target(url or given.url, api_key_file or given.api_key_file)
    client = EdgeClient(to)
    try:
        yield client, to
    finally:
        client.close()


def main() -> None:
    try:
        app()
    except (EdgeFailure, ConfigurationError) as exc:
        sys.stderr.write(f"cerebrum: {exc}\n")
        sys.exit(EXIT_FAILURE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (`| head`) has seen enough
        sys.exit(EXIT_FAILURE)
