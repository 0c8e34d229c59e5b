"""`bench devices check`: one device after the other is tried, and whatever is wrong comes with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.fleet.devices import Device
    from harness.jobs.probe import Probed
    from harness.workspace import Workspace
    from results.records import Telemetry


@click.command()
@click.argument("names", nargs=-1)
@shared.json_option
@click.pass_context
def check(context: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Try devices (default: all): do they answer, which runtimes do they have, what state are they in?

    Exits with 1 when a device does not answer or has no runtime.
    """
    from harness.fleet.devices import choose

    workspace = shared.open_workspace()
    found = [_check(workspace, device) for device in choose(shared.load_fleet(), names or ("all",))]
    answers = [answer for answer, _ in found]
    if as_json:
        shared.print_json(devices=answers)
    else:
        for answer, probe in found:
            _print(answer, probe)
    context.exit(0 if all(answer["usable"] for answer in answers) else 1)


def _check(workspace: Workspace, device: Device) -> tuple[dict[str, Any], Probed | None]:
    """Start the agent there and return what is told of the device, and what it says itself."""
    import backends
    from harness import provision
    from harness.errors import TransportError
    from harness.fleet import locks
    from harness.jobs.probe import Probe
    from harness.link.advice import advice
    from harness.link.device_lock import since
    from harness.link.ready import push_agent

    setup = provision.status(workspace, device)
    busy = locks.holder(device.name)
    answer: dict[str, Any] = {"name": device.name, "usable": False, "works": [], "setup": setup, "in_use_by": busy}
    transport = None
    try:
        transport = device.connect(workspace.known_hosts)
        answer["works"].append("it can be reached")
        agent = push_agent(workspace, device, transport, ())
        probe = agent.carry_out(Probe(backends.DEFAULT))
    except TransportError as exc:
        return {**answer, "problem": str(exc)}, None
    finally:
        if transport is not None:
            transport.close()
    if probe.busy is not None and busy is None:
        answer["in_use_by"] = f"{probe.busy.owner}{since(probe.busy.held_s)}"
    usable = any(probe.backends.values())
    answer |= {
        "usable": usable,
        "works": [*answer["works"], f"{agent.command[0]} runs the agent"],
        "problem": None if usable else "its Python has none of the runtimes",
        "advice": [*_missing(device, probe, setup), *advice(device, probe)],
        "folder": str(workspace.device_root(device)),
        **probe.model_dump(mode="json", include={"system", "backends", "telemetry"}),
    }
    return answer, probe


def _missing(device: Device, probe: Probed, setup: dict[str, Any] | None) -> list[str]:
    """Say what to do about runtimes that are not there, or not the ones that they should be."""
    import backends

    found = []
    lacking = [name for name, version in probe.backends.items() if version is None]
    if lacking and setup is None and device.own.python is not None:
        packages = " ".join(backends.find(name).packages[0] for name in lacking)
        found.append(f"install {', '.join(lacking)}: {device.interpreter} -m pip install {packages}")
    elif lacking:
        found.append(f"bring {', '.join(lacking)}: bench devices setup {device.name}")
    if setup is None:
        return found
    changed = [
        f"{version} instead of {setup['backends'][name]}"
        for name, version in probe.backends.items()
        if version and setup["backends"].get(name, version) != version
    ]
    if changed:
        found.append(f"not as it was set up ({', '.join(changed)}): bench devices setup {device.name}")
    if setup["python_changed"]:
        found.append(
            f"set up for another python than devices.toml names now, and still used: bench devices setup {device.name}"
        )
    if setup["newer"]:
        found.append(
            f"set up before {', '.join(setup['newer'])} was chosen for such devices: bench devices setup {device.name}"
        )
    return found


def _print(answer: dict[str, Any], probe: Probed | None) -> None:
    shared.say(f"{answer['name']}: {'ready' if answer['usable'] else answer['problem']}")
    if not answer["usable"]:
        for step in answer["works"]:
            shared.say(f"  works: {step}")
    for label, value in _facts(answer, probe):
        shared.say(f"  {label:<13} {value}")
    for line in answer.get("advice", ()):
        shared.say(f"  to do: {line}")


def _facts(answer: dict[str, Any], probe: Probed | None) -> list[tuple[str, str]]:
    """Return what is worth a line to somebody who wants to measure there."""
    setup = answer["setup"]
    facts = [("in use by", answer["in_use_by"])] if answer["in_use_by"] else []
    if probe is not None:
        device, python = probe.identity, probe.system.get("python")
        facts += [
            ("device", f"{_word(device.cpu)}, {_word(device.cpus)} CPUs, {_gib(device.memory_bytes)} memory"),
            ("system", f"{_word(device.os)} {_word(device.kernel)} on {_word(device.machine)}"),
            ("Python", f"{python}{'' if setup is None or setup['own_python'] else ', brought by bench'}"),
            *((name, version or "not there") for name, version in probe.backends.items()),
            ("free space", f"{_gib(probe.free_bytes)} in {answer['folder']}"),
            *_state(probe.telemetry),
        ]
    if setup or probe is not None:
        facts.append(("set up", f"{setup['at']} by bench devices setup" if setup else "not by bench"))
    return facts


def _state(telemetry: Telemetry) -> list[tuple[str, str]]:
    hottest, load, quota = telemetry.hottest_c, telemetry.load_1min, telemetry.cpu_quota
    switches = {"boost": telemetry.boost, "SMT": telemetry.smt}
    told = [f"{name} {'on' if is_on else 'off'}" for name, is_on in switches.items() if is_on is not None]
    processor = [*(["virtual"] if telemetry.virtual else []), *told]
    charge = telemetry.battery_percent
    power = [*(telemetry.power_source or ()), *([f"battery at {charge:.0f} %"] if charge is not None else [])]
    return [
        ("temperature", "cannot be read" if hottest is None else f"{hottest:.0f} °C at the hottest sensor"),
        ("governor", ", ".join(telemetry.governor or ()) or "cannot be read"),
        *([("frequency", _frequency(telemetry))] if telemetry.frequency_khz else []),
        *([("processor", ", ".join(processor))] if processor else []),
        *([("nvpmodel", telemetry.power_mode)] if telemetry.power_mode else []),
        *([("power", ", ".join(power))] if power else []),
        *([("CPU quota", f"{quota:g} CPUs")] if quota is not None else []),
        ("load", "cannot be read" if load is None else str(load)),
    ]


def _frequency(telemetry: Telemetry) -> str:
    """The fastest core's, and within which limits the cores move."""
    now, least, most = (
        max((khz for khz in cores or () if khz is not None), default=None)
        for cores in (telemetry.frequency_khz, telemetry.frequency_least_khz, telemetry.frequency_limit_khz)
    )
    said = "unknown" if now is None else f"{now / 1e6:.3g} GHz"
    if telemetry.clocks_are_fixed:
        return f"{said}, fixed"
    return said if least is None or most is None else f"{said}, from {least / 1e6:.3g} to {most / 1e6:.3g} GHz"


def _word(said: str | int | None) -> str:
    return "unknown" if said is None else str(said)


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
