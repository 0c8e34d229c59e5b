"""`bench devices`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.fleet.devices import Device
    from harness.transports.ssh.connection import Login

Fields = dict[str, str | int]


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
        where = device.serial or (device.host or device.name if device.transport == "ssh" else "")
        tags = ",".join(device.tags)
        table.add_row(device.name, device.transport, where, counts, device.class_ or "", tags, device.interpreter)
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
@click.option("--accept-new-host-key", is_flag=True, help="Trust an unknown host key without asking, for CI.")
def add(name: str, ssh: str | None, adb: str | None, accept_new_host_key: bool) -> None:
    """Add a device over SSH or adb that can be reached, and write it down.

    Over SSH: show its host key's fingerprint, and ask. With the name of a device over SSH that is in devices.toml
    already, only the host key.
    """
    from harness.fleet import devices as fleet
    from harness.fleet import file as fleet_file

    path = shared.devices_file()
    known = fleet.load(path)
    if ssh is not None and adb is not None:
        raise click.UsageError("a device is reached by --ssh or by --adb, not by both")
    is_known = name in known and path is not None
    if is_known and (ssh or adb or known[name].transport != "ssh"):
        raise click.UsageError(f"{path} has a device {name} already; see: bench devices show {name}")
    if adb is not None:
        fields, where = _add_adb(name, adb)
    else:
        fields, where = _add_ssh(known[name] if is_known else None, name, ssh, accept_new_host_key)
    if not is_known:
        fleet_file.add(path or Path.cwd() / fleet.FILE_NAME, name, fields)
    click.echo(f"{name} ({where}) is added; try it: bench devices check {name}")


def _add_adb(name: str, serial: str) -> tuple[Fields, str]:
    """Return the fields of a phone that is there and trusts this computer. Raises ConnectError, ConfigError."""
    from harness.fleet import devices as fleet
    from harness.transports.adb.transport import AdbTransport

    fleet.make(name, {"transport": "adb", "serial": serial})
    transport = AdbTransport(None if serial == "any" else serial)
    transport.close()
    return {"transport": "adb", "serial": transport.serial}, transport.serial


def _add_ssh(device: Device | None, name: str, target: str | None, accept_new_host_key: bool) -> tuple[Fields, str]:
    """Write down the host key when it is trusted; return the fields of the device. Raises ConnectError, ConfigError."""
    from harness.fleet import devices as fleet
    from harness.transports.ssh import address as ssh_address
    from harness.transports.ssh import connection as ssh_connection
    from harness.transports.ssh import known_hosts

    fields: Fields = {}
    if device is None:
        try:
            host, port, user = ssh_address.split(target or name)
        except ValueError as exc:
            raise click.BadParameter(str(exc), param_hint="--ssh") from exc
        given = {"host": host, "port": port, "user": user}
        fields = {"transport": "ssh", **{key: value for key, value in given.items() if value is not None}}
        device = fleet.make(name, fields)
    workspace = shared.open_workspace()
    login = device.login(workspace.known_hosts)
    key = ssh_connection.host_key(login)
    _trust(login, key, accept_new_host_key)
    if not known_hosts.KnownHosts(workspace.known_hosts).knows(login.address.key_name, key):
        known_hosts.add(workspace.known_hosts, login.address.key_name, key)
    return fields, str(login.address)


def _trust(login: Login, key: Any, accept: bool) -> None:
    """Return when the host key is known or the user trusts it. Raises HostKeyChanged, HostKeyUnknown."""
    from harness.errors import HostKeyUnknown
    from harness.transports.ssh.known_hosts import KnownHosts, fingerprint

    try:
        KnownHosts(login.own_known_hosts).check(login.address.key_name, key, login.remedy)
    except HostKeyUnknown:
        click.echo(f"{login.name} ({login.address}) shows the host key {key.get_name()} {fingerprint(key)}", err=True)
        if accept:
            return
        if not sys.stdin.isatty():
            raise
        if not click.confirm("Is that the device's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there)?", err=True):
            raise click.Abort from None


@devices.command()
@click.argument("name")
def forget(name: str) -> None:
    """Take a device out of devices.toml, and its host key out of the workspace. Results stay."""
    from harness.fleet import devices as fleet
    from harness.fleet import file as fleet_file
    from harness.transports.ssh import known_hosts

    path = shared.devices_file()
    device = fleet.find(fleet.load(path), name)
    if path is None:
        raise click.UsageError("there is no devices.toml; this machine is always there")
    key_name = device.login(None).address.key_name if device.transport == "ssh" else None
    fleet_file.forget(path, device.name)
    if key_name is not None:
        known_hosts.remove(shared.open_workspace().known_hosts, key_name)
    click.echo(f"{device.name} is forgotten")
