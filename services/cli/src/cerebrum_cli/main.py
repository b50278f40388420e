"""`cerebrum`: ask for a completion and see its tokens come; see how the edge is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cerebrum_cli import __version__
from cerebrum_cli.client import EdgeClient, EdgeFailure
from cerebrum_cli.settings import target
from cerebrum_kit.errors import ConfigurationError

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Url = Annotated[str | None, typer.Option("--url", help="The edge; also CEREBRUM_URL. Default http://127.0.0.1:7000.")]
KeyFile = Annotated[
    Path | None, typer.Option("--api-key-file", help="A file with the edge's key; also CEREBRUM_API_KEY_FILE.")
]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Cerebrum in the terminal."""
    if version:
        sys.stdout.write(f"cerebrum {__version__}\n")
        raise typer.Exit


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(help="The prompt; `-` reads it from standard input.")],
    language: Annotated[str | None, typer.Option("--language", "-l", help="Detected when not given.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Chosen by language when not given.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-n", min=1)] = 256,
    temperature: Annotated[float | None, typer.Option("--temperature", "-t", min=0, max=2)] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    url: Url = None,
    api_key_file: KeyFile = None,
) -> None:
    """Stream a completion of PROMPT to standard output; what it cost goes to standard error."""
    text = sys.stdin.read() if prompt == "-" else prompt
    body: dict[str, Any] = {"prompt": text, "max_tokens": max_tokens}
    optional = {"language": language, "model": model, "temperature": temperature, "seed": seed}
    body.update({name: value for name, value in optional.items() if value is not None})
    client = EdgeClient(target(url, api_key_file))
    try:
        for event in client.stream(body):
            if event.get("done"):
                sys.stdout.write("\n")
                sys.stdout.flush()
                Console(stderr=True, soft_wrap=True).print(_receipt(event), style="dim", highlight=False, markup=False)
            else:
                sys.stdout.write(event["token"])
                sys.stdout.flush()
    finally:
        client.close()


@app.command()
def status(
    url: Url = None,
    api_key_file: KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the edge, its backend and the models. Exits with 1 unless both are ready."""
    client = EdgeClient(target(url, api_key_file))
    try:
        facts: dict[str, Any] = {"health": client.get("/health"), "stats": client.get("/v1/stats")}
        for name, path in (("backend", "/v1/vps/health"), ("models", "/v1/models")):
            try:
                facts[name] = client.get(path)
            except EdgeFailure as exc:
                facts[name] = {"problem": str(exc)}
    finally:
        client.close()
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        console = Console()
        console.print(_services(facts))
        if "models" in facts["models"]:
            console.print(_models(facts["models"]["models"]))
    healthy = facts["health"]["status"] == "ok" and facts["backend"].get("health", {}).get("status") == "ok"
    raise typer.Exit(0 if healthy else EXIT_FAILURE)


def _receipt(done: dict[str, Any]) -> str:
    rate = done.get("tokens_per_second") or 0
    return (
        f"{done['total_tokens']} tokens in {done['inference_time']:.2f} s ({rate:.1f} tokens/s) · {done['model']} · "
        f"{done.get('language') or 'no language detected'} · {done['finish_reason']}"
    )


def _services(facts: dict[str, Any]) -> Table:
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for column in ("service", "status", "release", "uptime"):
        table.add_column(column, no_wrap=True)
    table.add_column("details", overflow="fold")
    health, stats, backend = facts["health"], facts["stats"], facts["backend"]
    table.add_row(
        "edge",
        health["status"],
        health["release"],
        _duration(health["uptime"]),
        escape(health["problem"] or "")
        or f"{stats['requests_active']} active, {stats['requests_waiting']} waiting, {stats['memory_mb']} MB",
    )
    if "health" in backend:
        remote = backend["health"]
        table.add_row(
            f"inference ({backend['backend']})",
            remote["status"],
            remote["release"],
            _duration(remote["uptime"]),
            escape(remote["problem"] or "") or f"{backend['round_trip_ms']} ms away",
        )
    else:
        table.add_row("inference", "unreachable", "", "", escape(backend["problem"]))
    return table


def _models(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "loaded", "context", "languages"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            row["id"],
            "yes" if row["loaded"] else "on demand",
            str(row["context"]),
            ", ".join(row["languages"]) or "any",
        )
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


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
