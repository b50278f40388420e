"""What a grammar costs while it runs: how many readings of one text llama.cpp may have to follow at once.

llama.cpp keeps every possible reading as a stack of its own. Alternatives that begin alike and hold each other again
double their number at each level, so that a short text could take all memory: such schemas are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cerebrum_inference.grammar.limits import MAX_PATHS, MAX_UNION_LEAVES, MAX_UNIONS, MAX_UNIT_VISITS, SchemaError

Mark = tuple[str, ...]
_ROUNDS = 2 * MAX_PATHS


@dataclass(frozen=True, slots=True)
class Shape:
    """A rule as this check sees it.

    Args:
        path: where in the schema it comes from.
        alternatives: rules of which it is one.
        contains: rules of values inside it.
        marks: how its text may begin; two rules are told apart at once where no mark is the beginning of the other's.
    """

    path: str
    alternatives: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


def check_shapes(shapes: Mapping[str, Shape]) -> None:
    """Refuses rules that come back to themselves without a value between, and readings without bound.

    Raises:
        SchemaError: names the schema where it shows.
    """
    leaves = _leaves(shapes)
    if sum(len(found) ** 2 for found in leaves.values()) > MAX_UNIONS:
        raise SchemaError("$", "has too many alternatives inside alternatives; use fewer anyOf, oneOf and $ref")
    rivals = {
        name: [[other for other in found if other == leaf or _alike(shapes[leaf], shapes[other])] for leaf in found]
        for name, found in leaves.items()
    }
    paths = dict.fromkeys(shapes, 1)
    for _ in range(_ROUNDS):
        changed = False
        for name, shape in shapes.items():
            if shape.alternatives:
                now = max((sum(paths[leaf] for leaf in group) for group in rivals[name]), default=1)
            else:
                now = max((paths[inner] for inner in shape.contains if inner in paths), default=1)
            if now > MAX_PATHS:
                raise SchemaError(
                    shape.path,
                    f"can be read in more than {MAX_PATHS} ways at once; let alternatives begin differently, "
                    "with a required first property that has another const in each",
                )
            changed = changed or now != paths[name]
            paths[name] = now
        if not changed:
            return
    raise SchemaError("$", "can be read in too many ways at once")


def _leaves(shapes: Mapping[str, Shape]) -> dict[str, tuple[str, ...]]:
    """For each rule, what it may be after all alternatives; also counts what llama.cpp's own check will walk."""
    found: dict[str, tuple[str, ...]] = {}
    visits: dict[str, int] = {}
    active: set[str] = set()

    def walk(name: str) -> None:
        shape = shapes.get(name)
        if shape is None or not shape.alternatives:
            found[name], visits[name] = (name,), 1
            return
        if name in active:
            raise SchemaError(shape.path, "leads back to itself without a value between")
        active.add(name)
        merged: dict[str, None] = {}
        visits[name] = 1
        for inner in shape.alternatives:
            if inner not in found:
                walk(inner)
            visits[name] += visits[inner]
            merged.update(dict.fromkeys(leaf for leaf in found[inner] if leaf in shapes))
        if visits[name] > MAX_UNIT_VISITS or len(merged) > MAX_UNION_LEAVES:
            raise SchemaError(
                shape.path, f"has more than {MAX_UNION_LEAVES} alternatives, counted through anyOf and $ref"
            )
        active.discard(name)
        found[name] = tuple(merged)

    for name in shapes:
        if name not in found:
            walk(name)
    if sum(visits[name] for name in shapes) > MAX_UNIT_VISITS:
        raise SchemaError("$", "has too many alternatives inside alternatives; use fewer anyOf, oneOf and $ref")
    return found


def _alike(one: Shape, other: Shape) -> bool:
    return any(_begins(a, b) or _begins(b, a) for a in one.marks for b in other.marks)


def _begins(short: Mark, long: Mark) -> bool:
    return long[: len(short)] == short
