"""The command `bench`: reads what was typed and calls the rooms. Modules are imported when a command needs them."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

import click

from harness.cli import (
    accuracy,
    best,
    check,
    check_models,
    devices,
    diff,
    doctor,
    models,
    provisioning,
    report,
    results,
    run,
    train,
)
from harness.cli.shared import INTERRUPTED, drop, say


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="edgebench", prog_name="bench")
@click.option(
    "--devices-file",
    type=click.Path(dir_okay=False),
    help="The fleet's devices.toml (default: the nearest one at or above this folder).",
)
@click.pass_context
def cli(context: click.Context, devices_file: str | None) -> None:
    """Which model, under which runtime and precision, should run on this device?"""
    context.obj = devices_file


for command in (
    run.run,
    accuracy.accuracy,
    models.models,
    devices.devices,
    results.results,
    report.report,
    best.best,
    train.train,
    doctor.doctor,
):
    cli.add_command(command)
for command in (check.check, provisioning.setup, provisioning.clean):
    devices.devices.add_command(command)
for command in (check_models.check, diff.diff):
    models.models.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; docs/cli.md lists the codes."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal has no letters for
    logging.basicConfig(level=logging.WARNING, format="bench: %(message)s")
    signal.signal(signal.SIGTERM, _as_interrupt)
    sys.exit(_exit_code(arguments))


def _open_closed_streams() -> None:
    """Open on nothing what the caller closed (`2>&-`): the next file opened would get its number, and our words."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        result = cli.main(args=arguments, prog_name="bench", standalone_mode=False)
        print(end="", flush=True)
    except click.ClickException as exc:
        with suppress(OSError):  # nobody reads what was wrong
            exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("bench: interrupted", err=True)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit) as exc:
        # The reader of a pipe (`| head`) has seen enough. Click and Rich make that an exit with 1: a failed case.
        if isinstance(exc, SystemExit) and not isinstance(exc.__context__, BrokenPipeError):
            raise
        drop(sys.stdout)
        return 0
    except Exception as exc:
        from harness.errors import USER_ERRORS, BenchError

        if isinstance(exc, OSError) and exc.errno in _DISK:
            drop(sys.stdout)
            say(f"bench: {exc.filename or 'standard output'} cannot be written: {exc.strerror}", err=True)
            return BenchError.exit_code
        if not isinstance(exc, USER_ERRORS):
            raise
        say(f"bench: {exc}", err=True)
        return exc.exit_code
    return result if isinstance(result, int) else 0


# What a disk says that takes no more.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
