"""Every error a user can meet, and its exit code.

    Exception
    ├── BenchError                       2
    │   ├── ConfigError                  2   devices.toml is wrong: file, line, field
    │   ├── UnknownDevice                2   no such device; the message lists those there are
    │   ├── RunNotFound                  2   --resume names no run
    │   ├── WorkspaceError               2   the workspace cannot be written (a full disk, no permission)
    │   ├── DeviceBusy                       another run holds the device; the run goes on with the others
    │   │   └── LockUnusable                     what is in the place of its lock on this machine is no lock
    │   ├── NothingToRun                 2   the choice of models, backends and devices is empty
    │   ├── ProvisionError               2   a device cannot be set up: no wheel, no space, no interpreter for it
    │   └── TransportError               the device's fault; the run goes on with the others
    │       ├── ConnectError                 nobody answers there, or the connection was lost
    │       │   ├── AuthenticationFailed     the server answers and refuses our keys
    │       │   ├── HostKeyUnknown           the server's host key is in no known_hosts file
    │       │   └── HostKeyChanged           the server's host key is not the known one
    │       ├── TransferError                a file did not arrive
    │       │   └── Unwritable                   the device cannot write it: its disk is full, or read-only
    │       ├── DeviceFull                   a run's models do not fit on the device
    │       ├── CommandTimeout               a command did not answer in time
    │       └── AgentError                   the agent answered what it may not
    ├── models.errors.ModelError         2   UnknownModel, NoSuchWeights, UnreadableModel, UnusableModel,
    │                                        UnsupportedModel, MissingShape, WrongInput, ExportFailed, DamagedArtifact,
    │                                        UnknownDataset, UnreadableDataset
    ├── results.errors.ResultsError      2   stored results cannot be read or written
    └── backends.UnknownBackend          2   no backend of that name

The rooms below the harness have errors of their own because they may not import it. Every message says what, where and
what to do. Exit codes: 0 done, 1 a regression or a failed case, 2 bad input or infrastructure, 3 done with gaps,
130 interrupted.
"""

from __future__ import annotations

from backends import UnknownBackend
from models.errors import ModelError
from results.errors import ResultsError


class BenchError(Exception):
    """Base of the harness's errors."""

    exit_code = 2


class ConfigError(BenchError):
    """devices.toml is wrong; the message has the file, the line and the field."""


class UnknownDevice(BenchError):
    """No device of that name."""


class RunNotFound(BenchError):
    """No run of that name in the workspace."""


class WorkspaceError(BenchError):
    """The workspace cannot be read or written."""


class DeviceBusy(BenchError):
    """Another run holds the device."""


class LockUnusable(DeviceBusy):
    """Nobody can hold the device: what is in the place of its lock on this machine is no lock."""


class NothingToRun(BenchError):
    """The choice of models, backends and devices is empty."""


class ProvisionError(BenchError):
    """A device cannot be set up; the message says what is missing."""


class TransportError(BenchError):
    """Something between the host and a device went wrong."""


class ConnectError(TransportError):
    """The device does not answer, or the connection to it was lost."""


class AuthenticationFailed(ConnectError):
    """The device answers and refuses every key that it was shown."""


class HostKeyUnknown(ConnectError):
    """Nobody has said yet that the device's host key is the right one."""


class HostKeyChanged(ConnectError):
    """The device shows another host key than the known one."""


class TransferError(TransportError):
    """A file could not be pushed or pulled."""


class Unwritable(TransferError):
    """The device cannot write a file: its disk is full or read-only, or the folder another's. Waiting will not help."""


class DeviceFull(TransportError):
    """What a run needs does not fit on the device, or into the bound of its cache."""


class CommandTimeout(TransportError):
    """A command on the device did not answer in time."""


class AgentError(TransportError):
    """The agent answered something that the protocol does not allow."""


USER_ERRORS = (BenchError, ModelError, ResultsError, UnknownBackend)
