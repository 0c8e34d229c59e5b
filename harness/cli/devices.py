"""`bench devices`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.transports.kind import Fields, Trusts


@click.group()
def devices() -> None:
    """The fleet in devices.toml."""


@devices.command("list")
@shared.json_option
def list_(as_json: bool) -> None:
    """List the devices."""
    fleet = shared.load_fleet()
    if as_json:
        shared.print_json(devices=[device.model_dump(mode="json", by_alias=True) for device in fleet.values()])
        return
    from rich.table import Table

    table = Table("device", "transport", "where", "threads", "class", "tags", "python", box=None)
    for device in fleet.values():
        counts = ",".join(str(count) for count in device.threads)
        tags = ",".join(device.tags)
        table.add_row(
            device.name, device.transport, device.where, counts, device.class_ or "", tags, device.interpreter
        )
    shared.console().print(table)


@devices.command()
@click.argument("name")
@shared.json_option
def show(name: str, as_json: bool) -> None:
    """Show one device as devices.toml describes it."""
    from harness.fleet.devices import find

    device = find(shared.load_fleet(), name)
    if as_json:
        shared.print_json(device=device.model_dump(mode="json", by_alias=True))
        return
    for key, value in device.model_dump(mode="json", by_alias=True, exclude_none=True).items():
        click.echo(f"{key}: {value}")


@devices.command()
@click.argument("name")
@click.option("--ssh", metavar="USER@HOST[:PORT]", help="Where it is (default: what ~/.ssh/config says).")
@click.option("--adb", metavar="SERIAL", help="The phone's serial, as `adb devices` lists it; 'any' for the only one.")
@click.option("--transport", metavar="NAME", help="Another transport (docs/fleet.md).")
@click.option("--field", "fields", metavar="KEY=VALUE", multiple=True, help="A field of devices.toml; repeatable.")
@click.option("--accept-new-host-key", is_flag=True, help="Trust an unknown host key without asking, for CI.")
def add(
    name: str, transport: str | None, fields: tuple[str, ...], accept_new_host_key: bool, **targets: str | None
) -> None:
    """Add a device that can be reached, and write it down.

    Over SSH: show its host key's fingerprint, and ask. With the name of a device over SSH that is in devices.toml
    already, only the host key.
    """
    from harness.fleet import devices as fleet
    from harness.fleet import file as fleet_file

    path = shared.devices_file()
    known = fleet.load(path)
    named = {key: target for key, target in targets.items() if target is not None}
    if len(named) + (transport is not None) > 1:
        raise click.UsageError("a device is reached in one way: by --ssh, --adb or --transport")
    is_known = name in known and path is not None
    if is_known and (named or transport or fields or not known[name].own.has_key):
        raise click.UsageError(f"{path} has a device {name} already; see: bench devices show {name}")
    if is_known:
        device, written = known[name], {}
    else:
        # Without a word on how, it is what ~/.ssh/config calls by this name.
        (transport, target), *_ = [*named.items(), (transport, None)] if named or transport else [("ssh", name)]
        written = _fields(name, str(transport), target, fields)
        device = fleet.make(name, {**written, "transport": transport})
    own, where = device.own.introduce(device, shared.open_workspace().known_hosts, _trusts(accept_new_host_key))
    if not is_known:
        written = {"transport": device.transport, **own.model_dump(exclude_unset=True), **written}
        fleet_file.add(path or Path.cwd() / fleet.FILE_NAME, name, written)
    click.echo(f"{name} ({where}) is added; try it: bench devices check {name}")


def _fields(name: str, transport: str, target: str | None, given: tuple[str, ...]) -> Fields:
    """Return the fields of a new device: what its transport makes of `target`, and those given one by one."""
    from harness.transports import table

    try:
        found = table.find(transport).fields_of(name, target) if target is not None else {}
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint=f"--{transport}") from exc
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--field")
        found[key] = _value(value)
    return found


def _value(text: str) -> str | int | float | bool:
    """Return a field's value as TOML has it; what is none there is text."""
    import tomllib

    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _trusts(accept: bool) -> Trusts:
    """Return who is asked about a key: nobody with --accept-new-host-key, else the user, if there is one."""

    def trusts(shown: str) -> bool:
        click.echo(shown, err=True)
        if accept or not sys.stdin.isatty():
            return accept
        if not click.confirm("Is that the device's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there)?", err=True):
            raise click.Abort
        return True

    return trusts


@devices.command()
@click.argument("name")
def forget(name: str) -> None:
    """Take a device out of devices.toml, and its host key out of the workspace. Results stay."""
    from harness.fleet import devices as fleet
    from harness.fleet import file as fleet_file

    path = shared.devices_file()
    device = fleet.find(fleet.load(path), name)
    if path is None:
        raise click.UsageError("there is no devices.toml; this machine is always there")
    fleet_file.forget(path, device.name)
    device.own.forget(device, shared.open_workspace().known_hosts)
    click.echo(f"{device.name} is forgotten")
