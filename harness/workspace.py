"""The one folder with everything that is measured and made: `.bench/` beside devices.toml, or `$BENCH_HOME`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from harness.errors import RunNotFound, WorkspaceError
from harness.fleet import devices as fleet
from results import journal
from results.records import RUN_ID
from results.runs import in_order

# bench's own folder below the `root` of a device.
OWN_FOLDER = "edgebench"


@dataclass(frozen=True)
class Workspace:
    """Paths in the workspace.

    artifacts/    exported models, by hash
    datasets/     data sets as models are fed them, by what was prepared how
    runs/<run>/   journal.jsonl, devices/, run.json, report.html
    devices/      what is pushed to devices on this machine
    agent/        the agents that devices are given, by hash
    setup/        wheels and interpreters for devices, and what each was set up with
    tools/        files of the user's that backends have pushed
    known_hosts   host keys of devices over SSH
    runs.txt      the order in which the runs were recorded
    index.sqlite  the index over runs
    report.html   the page over everything stored
    """

    root: Path

    @classmethod
    def open(cls, devices_file: Path | None) -> Workspace:
        """Return the workspace, made if need be. Raises WorkspaceError."""
        home = os.environ.get("BENCH_HOME")
        try:
            root = Path(home).expanduser() if home else (devices_file.parent if devices_file else Path()) / ".bench"
        except RuntimeError as exc:  # ~name of nobody
            raise WorkspaceError(f"BENCH_HOME={home}: {exc}") from exc
        root = root if root.is_absolute() else working_folder() / root
        try:
            str(root).encode()
        except UnicodeEncodeError as exc:
            said = os.fsencode(root).decode("utf-8", "backslashreplace")
            raise WorkspaceError(
                f"the path of the workspace {said} is not UTF-8; set BENCH_HOME to one that is"
            ) from exc
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise WorkspaceError(f"the workspace {root} cannot be made: {exc.strerror}; set BENCH_HOME") from exc
        if not os.access(root, os.W_OK):
            raise WorkspaceError(f"the workspace {root} cannot be written; set BENCH_HOME to a folder that can")
        return cls(root)

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run_folder(self, run_id: str) -> Path:
        """The folder of one run. Raises RunNotFound for what is a path and no id."""
        if not re.fullmatch(RUN_ID, run_id):
            raise RunNotFound(f"{run_id!r} is not the name of a run: letters, digits, '_', '-' and '.', at most 64")
        return self.runs / run_id

    @property
    def known_hosts(self) -> Path:
        """The host keys that `bench devices add` was told to trust."""
        return self.root / "known_hosts"

    def device_root(self, device: fleet.Device) -> PurePosixPath:
        """Where a device's files are pushed to: a folder there that is bench's alone, or one in the workspace.

        What devices.toml names may hold other files, a home for instance.
        """
        if device.folder is None:
            return PurePosixPath(self.root / "devices" / device.name)
        root = PurePosixPath(device.folder)
        return root if root.name == OWN_FOLDER else root / OWN_FOLDER

    def run_ids(self) -> list[str]:
        """Return the runs, the earliest recorded first."""
        if not self.runs.is_dir():
            return []
        names = (journal.JOURNAL, journal.DOCUMENT)
        found = [
            folder.name
            for folder in self.runs.iterdir()
            if re.fullmatch(RUN_ID, folder.name) and any((folder / name).exists() for name in names)
        ]
        return in_order(self.root / "runs.txt", found)

    def find_run(self, name: str) -> str:
        """Return the run called `name`, `last`, or the only one that begins with `name`. Raises RunNotFound."""
        known = self.run_ids()
        if name == "last" and known:
            return known[-1]
        matches = [name] if name in known else [run for run in known if run.startswith(name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise RunNotFound(f"{name!r} begins the name of {len(matches)} runs: {', '.join(matches[-5:])}")
        newest = f"the newest are {', '.join(known[-5:])}" if known else "there are none yet"
        raise RunNotFound(f"no run is called {name!r} in {self.runs}; {newest}")


def working_folder() -> Path:
    """Return the folder that one stands in. Raises WorkspaceError when it is gone."""
    try:
        return Path.cwd()
    except OSError as exc:
        raise WorkspaceError(
            f"the folder that this was started in is gone ({exc.strerror}); change to another"
        ) from exc


def new_run_id(now: datetime | None = None) -> str:
    """Return a name that sorts by time and that no other process takes at the same moment."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return f"{moment}-{os.urandom(3).hex()}"
