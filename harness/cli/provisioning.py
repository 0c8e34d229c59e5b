"""`bench devices setup` and `bench devices clean`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.fleet.devices import Device
    from harness.link.ready import Reservation
    from harness.workspace import Workspace


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--backends", "expression", default="", help="Comma-separated runtimes (default: the built-in ones).")
@click.option("--bring-python", is_flag=True, help="Bring a Python with its C library even where the device has one.")
@click.option(
    "--interpreter",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Bring the Python of this cpython install_only archive instead of the distribution's.",
)
@click.option("--upgrade", is_flag=True, help="Look for newer versions than those chosen before.")
@shared.wait_option
@shared.json_option
@click.pass_context
def setup(
    context: click.Context,
    names: tuple[str, ...],
    expression: str,
    bring_python: bool,
    interpreter: Path | None,
    upgrade: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Bring the runtimes to devices, and Python to those that have none; nothing is fetched by the device.

    Done again it pushes only what is missing or damaged. Exits with 1 when a device has not every runtime after it.
    """
    from harness import provision

    chosen = shared.backend_names(expression)

    def one(workspace: Workspace, device: Device, reservation: Reservation) -> dict[str, Any]:
        outcome = provision.setup(
            workspace,
            device,
            reservation.transport,
            chosen,
            bring_python=bring_python,
            archive=interpreter,
            afresh=upgrade,
            say=_say(device.name),
            reserve=reservation.take,
        )
        return {
            "done": len(outcome.versions) == len(chosen),
            "python": outcome.python,
            "machine": outcome.machine,
            "own_python": outcome.own_python,
            "backends": {name: outcome.versions.get(name) for name in chosen},
            "problems": outcome.problems,
            "pushed": outcome.pushed,
            "pushed_bytes": outcome.pushed_bytes,
        }

    answers = _on_each(names, "bench devices setup", wait_s, one)
    context.exit(_conclude(answers, None if as_json else _print))


@click.command()
@click.argument("names", nargs=-1, required=True)
@shared.wait_option
@shared.json_option
@click.pass_context
def clean(context: click.Context, names: tuple[str, ...], wait_s: float, as_json: bool) -> None:
    """Remove what bench has put on devices: runtimes, Python, models, the agent. Results and other files are kept."""
    from harness import provision

    def one(workspace: Workspace, device: Device, reservation: Reservation) -> dict[str, Any]:
        left = provision.clean(workspace, device, reservation.transport, reserve=reservation.take)
        return {"done": True, "removed": str(workspace.device_root(device)), "left": left, "problems": []}

    answers = _on_each(names, "bench devices clean", wait_s, one)
    context.exit(_conclude(answers, None if as_json else _print_removed))


def _on_each(
    names: tuple[str, ...],
    reason: str,
    wait_s: float,
    work: Callable[[Workspace, Device, Reservation], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Do `work` on one device after the other, each held against other runs; what goes wrong on one is its answer."""
    from harness.errors import BenchError
    from harness.fleet import locks
    from harness.fleet.devices import choose
    from harness.link.manners import Claim, Manners
    from harness.link.ready import Reservation

    workspace = shared.open_workspace()
    answers = []
    for device in choose(shared.load_fleet(), names):
        answer: dict[str, Any] = {"name": device.name}
        claim, say = Claim(reason, token=secrets.token_hex(8)), _say(device.name)
        try:
            with (
                locks.hold(device.name, reason, wait_s=wait_s, on_wait=say),
                closing(device.connect(workspace.known_hosts)) as transport,
                Reservation(workspace, device, transport, claim, Manners(wait_s), say) as reservation,
            ):
                answer.update(work(workspace, device, reservation))
        except BenchError as exc:
            answer.update(done=False, problems=[str(exc)])
        answers.append(answer)
    return answers


def _conclude(answers: list[dict[str, Any]], show: Callable[[dict[str, Any]], None] | None) -> int:
    """Show the answers one by one, or all as JSON; return the exit code."""
    if show is None:
        shared.print_json(devices=answers)
    else:
        for answer in answers:
            show(answer)
    return 0 if all(answer["done"] for answer in answers) else 1


def _say(name: str) -> Callable[[str], None]:
    return lambda message: shared.say(f"{name}: {message}", err=True)


def _print_removed(answer: dict[str, Any]) -> None:
    left = ", ".join(answer.get("left", ())[:10])
    kept = f" but for what bench has not put there: {left}" if left else ""
    said = "; ".join(answer["problems"]) or f"removed {answer['removed']}{kept}"
    shared.say(f"{answer['name']}: {said}")


def _print(answer: dict[str, Any]) -> None:
    if "python" in answer:
        whose = "its own" if answer["own_python"] else "brought"
        shared.say(f"{answer['name']}: Python {answer['python']} ({whose}) on {answer['machine']}")
        for name, version in answer["backends"].items():
            shared.say(f"  {name}: {version or 'not there'}")
        size = answer["pushed_bytes"] / 1e6
        shared.say(
            f"  pushed: {', '.join(answer['pushed'])} ({size:.0f} MB)" if answer["pushed"] else "  pushed: nothing"
        )
    else:
        shared.say(f"{answer['name']}: not set up")
    for problem in answer["problems"]:
        shared.say(f"  {problem}")
