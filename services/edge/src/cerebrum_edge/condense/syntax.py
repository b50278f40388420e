"""Elidable parts of a syntax tree: whole lines that can go without breaking what is around them.

Only children of the node types in `BODIES` can go: statements, members, cases, elements of lists. Whatever shares its
line with a bracket or a keyword of the construct around it belongs to the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from cerebrum_edge.condense.terms import wordset
from cerebrum_edge.condense.units import Part

BODIES = wordset(
    # statements; what could not be parsed is taken apart like a body, so that it is not one large unit
    "ERROR module program source_file translation_unit block compound_statement statement_block constructor_body "
    "do_group case_statement case_item switch_body switch_block switch_block_statement_group switch_case "
    "switch_default expression_switch_statement type_switch_statement select_statement expression_case type_case "
    "communication_case default_case match_block match_statement statement_list "
    # members
    "class_body interface_body annotation_type_body enum_body enum_body_declarations object_type declaration_list "
    "field_declaration_list ordered_field_declaration_list enum_variant_list enumerator_list import_spec_list "
    "var_spec_list const_declaration var_declaration type_declaration preproc_if preproc_ifdef preproc_else "
    "preproc_elif named_imports export_clause use_list method_spec_list interface_type "
    # elements
    "object array list dictionary set tuple array_expression field_initializer_list initializer_list literal_value "
    "token_tree array_initializer element_value_array_initializer jsx_element"
)
# Their first (and for elements last) child belongs to the frame though it is not a bare keyword or bracket.
LABELLED = wordset("switch_block_statement_group jsx_element case_item")
DEEPEST = 48  # constructs within constructs that are opened; what is deeper stays one unit


@dataclass(slots=True)
class Piece:
    """A group of neighbouring nodes on lines of their own."""

    first: int
    last: int
    large: list[Node]
    depth: int

    def parts(self) -> Sequence[Part]:
        return list(_separate(found for node in self.large for found in _inside(node, self.depth + 1)))


def parts(root: Node) -> Sequence[Part]:
    return list(_separate(_inside(root, 0)))


def _inside(node: Node, depth: int) -> Iterable[Piece]:
    if depth > DEEPEST:
        return
    if node.type not in BODIES:
        for child in node.children:
            if child.is_named and child.end_point[0] > child.start_point[0]:
                yield from _inside(child, depth + 1)
        return
    pieces, framed = _rows(node, depth)
    for at, piece in enumerate(pieces):
        if at in framed:
            yield from (found for child in piece.large for found in _inside(child, depth + 1))
        else:
            yield piece


def _rows(node: Node, depth: int) -> tuple[list[Piece], set[int]]:
    """The node's children gathered by shared lines, and which of the groups are part of the frame."""
    pieces: list[Piece] = []
    framed: set[int] = set()
    children = node.children
    last_child = len(children) - 1
    outermost = depth == 0
    reached = -1
    for at, child in enumerate(children):
        first, (last, column) = child.start_point[0], child.end_point
        if last > first and not column:
            last -= 1
        if first > reached:
            pieces.append(Piece(first, last, [], depth))
            reached = last
        elif last > reached:
            pieces[-1].last = reached = last
        if last > first:
            pieces[-1].large.append(child)
        if not outermost and (at == 0 or at == last_child) and (not child.is_named or node.type in LABELLED):
            framed.add(len(pieces) - 1)
    return pieces, framed


def _separate(pieces: Iterable[Piece]) -> Iterable[Part]:
    """Pieces in order; one that shares a line with the one before it cannot go, so it stays in the frame."""
    reached = -1
    for piece in pieces:
        if piece.first > reached:
            yield piece
            reached = piece.last
