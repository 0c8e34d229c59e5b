"""`bench devices`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.fleet import Device
    from harness.transports.ssh_connection import Login


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
    from harness.fleet import choose

    (device,) = choose(shared.load_fleet(), [name])[:1]
    if as_json:
        shared.print_json(device=device.model_dump(mode="json", by_alias=True))
        return
    for key, value in device.model_dump(mode="json", by_alias=True, exclude_none=True).items():
        click.echo(f"{key}: {value}")


@devices.command()
@click.argument("name")
@click.option("--ssh", "target", metavar="USER@HOST[:PORT]", help="Where it is (default: what ~/.ssh/config says).")
@click.option("--accept-new-host-key", is_flag=True, help="Trust an unknown host key without asking, for CI.")
def add(name: str, target: str | None, accept_new_host_key: bool) -> None:
    """Add a device over SSH: show its host key's fingerprint, ask, and write both down.

    With the name of a device that devices.toml has already, only the host key.
    """
    from harness import fleet, fleet_file
    from harness.transports import known_hosts, ssh_address, ssh_connection

    path = shared.devices_file()
    known = fleet.load(path)
    fields: dict[str, str | int] = {}
    if name in known and path is not None:
        device = known[name]
        if target is not None or device.transport != "ssh":
            raise click.UsageError(f"{path} has a device {name} already; see: bench devices show {name}")
    else:
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
    if fields:
        fleet_file.add(path or Path.cwd() / fleet.FILE_NAME, name, fields)
    click.echo(f"{name} ({login.address}) is added; try it: bench devices check {name}")


def _trust(login: Login, key: Any, accept: bool) -> None:
    """Return when the host key is known or the user trusts it. Raises HostKeyChanged, HostKeyUnknown."""
    from harness.errors import HostKeyUnknown
    from harness.transports.known_hosts import KnownHosts, fingerprint

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
    from harness import fleet, fleet_file
    from harness.transports import known_hosts

    path = shared.devices_file()
    (device,) = fleet.choose(fleet.load(path), [name])[:1]
    if path is None:
        raise click.UsageError("there is no devices.toml; this machine is always there")
    fleet_file.forget(path, device.name)
    if device.transport == "ssh":
        address = device.login(None).address
        known_hosts.remove(shared.open_workspace().known_hosts, [address.key_name])
    click.echo(f"{device.name} is forgotten")


@devices.command()
@click.argument("names", nargs=-1)
@shared.json_option
@click.pass_context
def check(context: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Try devices (default: all): do they answer, which runtimes do they have, what state are they in?

    Exits with 1 when a device does not answer or has no runtime.
    """
    from harness.fleet import choose

    answers = [_check(device) for device in choose(shared.load_fleet(), names or ("all",))]
    if as_json:
        shared.print_json(devices=answers)
    else:
        for answer in answers:
            _print(answer)
    context.exit(0 if all(answer["usable"] for answer in answers) else 1)


def _check(device: Device) -> dict[str, Any]:
    """Start the agent there and return what it says."""
    import backends
    from harness.advice import advice
    from harness.errors import TransportError
    from harness.session import push_agent

    transport = None
    workspace = shared.open_workspace()
    try:
        transport = device.connect(workspace.known_hosts)
        agent = push_agent(workspace, device, transport, (), patience_s=60.0)
        probe = agent.probe(backends.DEFAULT, ())
    except TransportError as exc:
        steps = ["connects and logs in"] if transport is not None else []
        return {"name": device.name, "usable": False, "works": steps, "problem": str(exc)}
    finally:
        if transport is not None:
            transport.close()
    usable = any(probe.backends.values())
    return {
        "name": device.name,
        "usable": usable,
        "works": ["connects and logs in", f"{device.interpreter} runs the agent"],
        "advice": advice(device, probe),
        "problem": None if usable else f"none of the runtimes is installed for {device.interpreter}",
        "system": probe.system,
        "backends": probe.backends,
        "telemetry": probe.telemetry,
    }


def _print(answer: dict[str, Any]) -> None:
    import backends

    click.echo(f"{answer['name']}: {'ready' if answer['usable'] else answer['problem']}")
    for step in answer["works"]:
        click.echo(f"  works: {step}")
    system = answer.get("system")
    if not system:
        return
    memory = system.get("memory_bytes")
    gib = f"{memory / 2**30:.1f} GiB" if isinstance(memory, int) else memory
    click.echo(f"  {system.get('cpu')}, {system.get('cpus')} CPUs, {gib}, {system.get('os')} {system.get('kernel')}")
    click.echo(f"  Python {system.get('python')} on {system.get('machine')}")
    for name, version in answer["backends"].items():
        package = backends.find(name).packages[0]
        click.echo(f"  {name}: {version or f'not installed; pip install {package}'}")
    for key, value in answer["telemetry"].items():
        click.echo(f"  {key}: {value}")
    for line in answer["advice"]:
        click.echo(f"  advice: {line}")
