"""`cerebrum-models`: fetches models into a store, says what is in it, removes what nobody needs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cerebrum_inference.manifest import ManifestError, read_manifest
from cerebrum_inference.store.errors import StoreError
from cerebrum_inference.store.files import Store, digest
from cerebrum_inference.store.plan import Wanted, check_room, wanted
from cerebrum_inference.store.progress import size_text
from cerebrum_inference.store.references import Listed, Unlisted, manifest_of, unlisted
from cerebrum_inference.store.report import Report

_STORE = Path("/var/lib/cerebrum/models")
_INSTANCES = Path("/etc/cerebrum/inference")


def main() -> None:
    os.umask(0o022)
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (StoreError, ManifestError) as exc:
        sys.exit(f"cerebrum-models: {exc}")
    except KeyboardInterrupt:
        sys.exit("cerebrum-models: interrupted; what was fetched is kept, and the next run goes on there")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cerebrum-models", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("fetch", _fetch, "fetch what the store lacks; HF_ENDPOINT and HF_TOKEN are honoured"),
        ("room", _room, "fail unless the store's volume has room for what it lacks"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("manifest", type=Path)
        verb.add_argument("ids", nargs="+", metavar="ID")
        verb.set_defaults(run=run)
        if name == "fetch":
            verb.add_argument("--timeout", type=int, default=30, metavar="SECONDS", help="without a byte (%(default)s)")
            verb.add_argument("--progress", type=Path, metavar="FILE", help="where the last word is written as JSON")
    for name, run, text in (
        ("list", _list, "what is in the store and not in the current manifest, and who still needs it"),
        ("prune", _prune, "remove what neither the current manifest nor an instance needs"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("--current", type=Path, required=True, metavar="MANIFEST", help="the manifest of now")
        verb.add_argument("--instances", type=Path, default=_INSTANCES, metavar="DIR", help="settings (%(default)s)")
        verb.add_argument("--json", action="store_true")
        verb.set_defaults(run=run)
    verb = verbs.add_parser("verify", help="read every file in the store and compare it with its name")
    verb.set_defaults(run=_verify)
    for verb in verbs.choices.values():
        verb.add_argument("--store", type=Path, default=_STORE, metavar="DIR", help="(%(default)s)")
    return parser


def _chosen(arguments: argparse.Namespace) -> list[Wanted]:
    return wanted(read_manifest(arguments.manifest).models, arguments.ids)


def _fetch(arguments: argparse.Namespace) -> None:
    from cerebrum_inference.store.fetch import fetch_all
    from cerebrum_inference.store.hub import Hub, credential_token

    report = Report(arguments.progress)
    try:
        store = Store(arguments.store)
        store.make()
        endpoint = os.environ.get("HF_ENDPOINT", "")
        came = fetch_all(
            store, _chosen(arguments), lambda: Hub(endpoint, credential_token(), arguments.timeout), report
        )
    except (StoreError, ManifestError) as exc:
        report.end("failed", str(exc))
        sys.exit(1)
    report.end("done", f"fetched: {', '.join(came)}" if came else "nothing was missing")


def _room(arguments: argparse.Namespace) -> None:
    from cerebrum_inference.store.fetch import missing

    store = Store(arguments.store)
    check_room(missing(store, _chosen(arguments)), store.free(), str(store.folder))


def _unlisted(arguments: argparse.Namespace) -> list[Unlisted]:
    store = Store(arguments.store)
    present = store.present()
    manifests = {name: _listed(store.folder / name) for name in present if name.startswith("manifest-")}
    instances = {}
    for path in sorted(arguments.instances.glob("*.env")):
        named = manifest_of(path.read_text(encoding="utf-8"))
        if named is not None and Path(named).parent == store.folder:
            instances[path.stem] = Path(named).name
    current = [arguments.current.name]
    for row in read_manifest(arguments.current).models:
        current += [f"{row.sha256}.gguf", f"{row.sha256}.part"]
    return unlisted(present, manifests, instances, current)


def _listed(path: Path) -> Listed:
    try:
        return Listed({row.file: row.id for row in read_manifest(path).models})
    except ManifestError:
        return Listed(None)


def _list(arguments: argparse.Namespace) -> None:
    _tell(_unlisted(arguments), arguments.json)


def _prune(arguments: argparse.Namespace) -> None:
    store = Store(arguments.store)
    store.make()
    with store.locked():
        gone = [one for one in _unlisted(arguments) if not one.needed_by]
        for one in gone:
            store.remove(one.name)
    _tell(gone, arguments.json)


def _tell(rows: Sequence[Unlisted], as_json: bool) -> None:
    if as_json:
        found = [
            {"name": one.name, "label": one.label, "size": size_text(one.size), "needed_by": one.needed_by}
            for one in rows
        ]
        print(json.dumps(found))  # noqa: T201 (what the command answers)
        return
    for one in rows:
        why = f"  kept for {', '.join(one.needed_by)}" if one.needed_by else ""
        print(f"{one.label}  {size_text(one.size)}  {one.name}{why}")  # noqa: T201 (what the command answers)


def _verify(arguments: argparse.Namespace) -> None:
    bad = []
    for path in sorted(arguments.store.glob("*.gguf")):
        right = digest(path) == path.stem
        print(f"{'good' if right else 'DAMAGED'}  {path.name}", flush=True)  # noqa: T201 (what the command answers)
        bad += [] if right else [str(path)]
    if bad:
        raise StoreError(f"damaged: {', '.join(bad)}. Remove them and run the play: it fetches them again")


if __name__ == "__main__":
    main()
