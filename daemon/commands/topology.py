"""`tocsin topology`: the actors of a configuration and the edges between them, as text or for Graphviz."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from daemon.configuration import Configuration
from daemon.routes import Wire, wires
from daemon.topology import ChildSpec, child_specs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dot", action="store_true", help="print the graph for Graphviz (tocsin topology --dot | dot -Tsvg)")
    parser.add_argument("--control", action="store_true", help="show commands and heartbeats too")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Print the graph; return 0."""
    specs = child_specs(configuration)
    shown = [
        wire for wire in wires({spec.name: spec.kind for spec in specs}) if arguments.control or wire.plane == "data"
    ]
    print("\n".join(dot_lines(specs, shown) if arguments.dot else text_lines(specs, shown)))
    return 0


def text_lines(specs: Sequence[ChildSpec], shown: Sequence[Wire]) -> Iterator[str]:
    """Yield a table of the actors, in start order, and a table of the edges."""
    yield from table_lines(("actor", "role", "module"), [(spec.name, spec.role, spec.target) for spec in specs])
    yield ""
    edges = [(each.message, each.sender, each.edge.to, each.edge.when_full, str(each.edge.bound)) for each in shown]
    yield from table_lines(("message", "from", "to", "when full", "bound"), edges)


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the heads and the rows, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def dot_lines(specs: Sequence[ChildSpec], shown: Sequence[Wire]) -> Iterator[str]:
    """Yield the graph in the DOT language; an edge that drops when it is full is dashed."""
    yield "digraph tocsin {"
    yield "  rankdir=LR; node [shape=box, fontname=Helvetica]; edge [fontname=Helvetica, fontsize=10];"
    yield from (f'  "{spec.name}" [tooltip="{spec.target}"];' for spec in specs)
    for wire in shown:
        style = "solid" if wire.edge.when_full == "wait" else "dashed"
        yield f'  "{wire.sender}" -> "{wire.edge.to}" [label="{wire.message}", style={style}];'
    yield "}"
