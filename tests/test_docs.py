"""A command, option, backend, transport, error or field that is not in the documentation is a failure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import backends
import models.errors
import results.errors
from harness import errors
from harness.cli import cli
from harness.fleet import devices as fleet
from harness.run.plan import PROFILES
from harness.transports import table
from results.records import Row, Verdict
from tests.rigs.bench import ROOT


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def commands(group: click.Group, path: str = "bench") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_has_help(name: str) -> None:
    assert COMMANDS[name].help
    assert f"`{name}" in text("cli.md") or f"## {name}\n" in text("cli.md")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_has_help(name: str) -> None:
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            assert f"`{option.opts[-1]}" in text("cli.md") or f"{option.opts[0]} " in text("cli.md"), option.opts
            assert option.help or isinstance(option.type, click.Choice), option.opts


@pytest.mark.parametrize("name", backends.BUILTIN)
def test_every_backend_and_its_options_are_documented(name: str) -> None:
    assert f"| `{name}` |" in text("backends.md")
    for package in backends.find(name).packages if name != "fake" else ():
        assert f"`{package}`" in text("backends.md")


def test_every_transport_and_device_field_is_documented() -> None:
    for transport in table.BUILTIN:
        assert f"`{transport}`" in text("cli.md")
        for field in table.find(transport).model_fields:
            assert f"| `{field}` |" in text("cli.md"), field
    for field, info in fleet.Device.model_fields.items():
        assert field in ("name", "own") or f"| `{info.alias or field}` |" in text("cli.md"), field


def test_every_error_is_documented_and_in_the_tree() -> None:
    for module in (errors, models.errors, results.errors):
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and issubclass(kind, Exception) and name != "BenchError":
                assert name in text("cli.md"), name
                assert name in str(errors.__doc__), name


@pytest.mark.parametrize("field", Row.model_fields)
def test_every_field_of_a_row_is_documented(field: str) -> None:
    assert f"`{field}`" in text("cli.md")


def test_every_verdict_and_profile_is_documented() -> None:
    for verdict in Verdict:
        assert f"`{verdict.value}`" in text("measurement.md")
    for name, profile in PROFILES.items():
        (line,) = [line for line in text("measurement.md").splitlines() if line.startswith(f"| `{name}` |")]
        told = [float(number) for number in re.findall(r"[0-9.]+", line)]
        timed = (profile.min_iterations, profile.min_seconds, profile.max_seconds)
        warmup = (profile.warmup_min_iterations, profile.warmup_min_seconds, profile.warmup_max_seconds)
        assert told == [profile.restarts, *timed, *warmup]


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target
