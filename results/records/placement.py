"""Where the graph of a model ran of which an accelerator was to run all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from results.records.base import Record, Word

MOST_NODES = 2**31


class Placement(Record):
    """What of a graph was not where it was asked to be, in nodes and in multiply-adds.

    `asked` are the accelerators or delegates that were asked for, the first choice first. `nodes` are those of the
    graph, `nodes_elsewhere` those on none of these; None where the runtime does not tell.
    `multiply_adds_share_elsewhere` is the share of the graph's multiply-adds that lies there, from 0 to 1; None where
    it is not known.
    """

    asked: Annotated[tuple[Word, ...], Field(min_length=1, max_length=64)]
    nodes: Annotated[int, Field(ge=0, le=MOST_NODES)] | None = None
    nodes_elsewhere: Annotated[int, Field(ge=0, le=MOST_NODES)] | None = None
    multiply_adds_share_elsewhere: Annotated[float, Field(ge=0, le=1)] | None = None
