"""Run documents of older schemas in the shape of today's, one schema after the other.

Everything is untrusted: what is not in the old shape either is left as it is, for the validation that follows to tell.
"""

from __future__ import annotations

from typing import Any

from results.records.telemetry import Telemetry

Tree = dict[str, Any]


def header(old: Tree) -> Tree:
    """A header of any older schema."""
    if old.get("schema_version") == 1:
        old = _header_of_1(old)
    if old.get("schema_version") in (2, 3, 4):
        old = {**old, "schema_version": 5}  # what is new since was not known before
    return old


def restart(old: Tree) -> Tree:
    """A restart of schema 1: its telemetry was as the device said it, and only its reason told the cause."""
    new = {**old, "cause": _cause(old)}
    for key in ("telemetry_before", "telemetry_after"):
        said = old.get(key)
        new[key] = (Telemetry.of(said).model_dump() if said else None) if isinstance(said, dict) else said
    return new


def document(old: Tree) -> Tree:
    """A whole run of any older schema."""
    new = {**old, "header": header(old["header"])}
    if old["header"].get("schema_version") == 1:
        restarts = old.get("restarts")
        new["restarts"] = (
            [restart(one) if isinstance(one, dict) else one for one in restarts] if isinstance(restarts, list) else None
        )
    return new


def _header_of_1(old: Tree) -> Tree:
    """A model had one accuracy or none."""
    models = old.get("models")
    new = [_model(model) for model in models] if isinstance(models, list) else models
    return {**old, "schema_version": 2, "models": new}


def _model(old: object) -> object:
    if not isinstance(old, dict):
        return old
    accuracy = old.get("accuracy")
    return {**{k: v for k, v in old.items() if k != "accuracy"}, "accuracies": [] if accuracy is None else [accuracy]}


def _cause(old: Tree) -> str | None:
    """The one place where words are read: schema 1 had nothing else."""
    outcome, reason = old.get("outcome"), str(old.get("reason", ""))
    if outcome in ("offline", "unsupported"):
        return str(outcome)
    begins = {"files: ": "damaged", "export: ": "export", "check of the output: wrong output": "wrong-output"}
    return next((cause for begin, cause in begins.items() if outcome == "failed" and reason.startswith(begin)), None)
