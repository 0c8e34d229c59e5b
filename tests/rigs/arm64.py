"""Emulated 64-bit Arm devices: a Raspberry Pi and a phone without Python or C library. Root and qemu-user.

Programs run under qemu's user emulation, registered with the kernel (binfmt_misc), in namespaces of their own. What
they compute is what an Arm processor does, their times mean nothing. Debian's packages are only unpacked, no
maintainer script runs, and the unpacked system is kept under .bench-cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from harness.transports.adb.transport import AdbTransport
from harness.transports.ssh import address as ssh_address
from harness.transports.ssh.login import Login
from harness.transports.ssh.transport import SshTransport
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.adbd.device import Device
from tests.rigs.bench import ROOT
from tests.rigs.sshd import free_port, make_key
from tests.rigs.sysfs import write_pi, write_services
from tests.rigs.waiting import wait_for_ssh

CACHE = ROOT / ".bench-cache" / "arm64"
TOOLS = {"qemu-aarch64-static": "qemu-user-static", "mmdebstrap": "mmdebstrap", "arch-test": "arch-test"}
BINFMT = Path("/proc/sys/fs/binfmt_misc")
SUITE = "bookworm"

# Without fp16, so that OpenVINO computes in fp32 as on a Raspberry Pi 4.
CPU = "cortex-a72"

PI_PACKAGES = (
    "base-files bash coreutils dash findutils grep gzip hostname libc-bin libgomp1 libpython3-stdlib libstdc++6 mawk "
    "mount openssh-server openssh-sftp-server procps python3 sed tar util-linux"
)
_DUMPSYS = '#!/system/bin/sh\ncat "/system/dumpsys-$1"\n'
PHONE_TOOLS = "cat chmod dd df dirname env kill ls mkdir mv rm rmdir sh sha256sum sleep sync tail tar touch uname wc"

_START_S = 60.0
_SSHD_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey /etc/ssh/rig_host_key
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
SetEnv QEMU_CPU={cpu}
"""

# Mounts what the runtimes read, then becomes the command. $1 root, $2 folder with sys/ and cpuinfo, or nothing
_ENTER = """
root=$1; fake=$2; shift 2
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
for name in null zero random urandom full tty; do
  : > "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666
ln -s pts/ptmx "$root/dev/ptmx"
mount --rbind "$fake/sys" "$root/sys"
mount --bind "$fake/cpuinfo" "$root/proc/cpuinfo"
exec chroot "$root" "$@"
"""


def need_arm64() -> None:
    """Make sure that arm64 programs run here: install and register what is missing; else skip, in CI fail."""
    require(missing_tools(TOOLS) or _register())


def require(reason: str) -> None:
    """Skip the test, in CI fail it, when there is a reason why it cannot run."""
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def missing_tools(tools: Mapping[str, str]) -> str:
    """Install what is missing of `tools` (program -> Debian package); return why it cannot be had, else nothing."""
    if os.geteuid() != 0:
        return "emulating arm64 needs root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for tool, package in tools.items() if shutil.which(tool, path=path) is None})
    if missing:
        if shutil.which("apt-get") is None:
            return f"emulating arm64 needs the packages {', '.join(missing)}"
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        for command in (["apt-get", "update", "-qq"], install):
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return f"{', '.join(missing)} cannot be installed: {done.stderr.strip()[-300:]}"
    return ""


def _register() -> str:
    """Register qemu with the kernel; return why that cannot be done, else nothing."""
    try:
        if not (BINFMT / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "none", str(BINFMT)], check=True, capture_output=True)
        if not (BINFMT / "qemu-aarch64").exists():
            (BINFMT / "register").write_bytes(Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_bytes().strip())
    except (OSError, subprocess.CalledProcessError) as exc:
        return f"qemu cannot be registered for arm64 programs: {exc}"
    return ""


def unpacked(name: str, packages: str) -> Path:
    """Return a tar of Debian packages for arm64, unpacked only; made once."""
    kept = CACHE / f"{name}-{SUITE}.tar"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".make-") as folder:
            part = Path(folder, "root.tar")
            include = f"--include={','.join(packages.split())}"
            command = ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64", include, SUITE, str(part)]
            subprocess.run(command, check=True, timeout=600, stdin=subprocess.DEVNULL)
            part.rename(kept)
    return kept


class Arm64:
    """A root folder of arm64 programs, and how a command is run in it."""

    def __init__(self, root: Path, fake: Path) -> None:
        self.root = root
        self.fake = fake
        write_pi(fake)
        for name in ("proc", "sys", "dev"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def command(self, command: Sequence[str], *, network: bool = False) -> list[str]:
        """Return the command that runs `command` in there, in namespaces of its own, the network's among them."""
        spaces = ["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        inner = ["sh", "-e", "-c", _ENTER, "sh", str(self.root), str(self.fake), *command]
        own = [] if network else ["--net"]
        environment = [f"QEMU_CPU={CPU}", "PATH=/usr/bin:/bin:/usr/sbin:/sbin:/system/bin", "HOME=/root"]
        return ["env", "-i", *environment, "/usr/bin/unshare", *spaces, *own, *inner]

    def path(self, path: PurePosixPath) -> Path:
        """Return where a path in there lies on this machine."""
        return self.root / path.relative_to("/")


def make_pi(folder: Path) -> Arm64:
    """Unpack a Debian for arm64 with Python and an SSH server, as a Raspberry Pi."""
    root = folder / "root"
    root.mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(unpacked("pi", PI_PACKAGES)), "-C", str(root)], check=True, timeout=300)
    users = {"root": (0, "/root", "/bin/bash"), "sshd": (102, "/run/sshd", "/usr/sbin/nologin")}
    lines = [f"{name}:x:{uid}:0:{name}:{home}:{shell}\n" for name, (uid, home, shell) in users.items()]
    (root / "etc/passwd").write_text("".join(lines))
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    (root / "etc/hostname").write_text("raspberrypi\n")
    for name in ("run/sshd", "root/.ssh"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return Arm64(root, folder / "fake")


def make_phone(folder: Path) -> Arm64:
    """Make what a shell on a phone offers: a few tools below /system/bin, no glibc, no Python."""
    root = folder / "root"
    (root / "system/bin").mkdir(parents=True)
    (root / "data/local/tmp").mkdir(parents=True)
    archive = str(unpacked("phone", "busybox-static"))
    (folder / "busybox").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", str(folder / "busybox"), "--wildcards", "*bin/busybox"], check=True)
    (busybox,) = (path for path in (folder / "busybox").rglob("busybox") if path.is_file())
    shutil.copy(busybox, root / "system/bin/busybox")
    for name in PHONE_TOOLS.split():
        (root / "system/bin" / name).symlink_to("busybox")
    (root / "system/bin/dumpsys").write_text(_DUMPSYS)
    (root / "system/bin/dumpsys").chmod(0o755)
    write_services(root / "system")
    return Arm64(root, folder / "fake")


@contextmanager
def pi_over_ssh(machine: Arm64, folder: Path) -> Iterator[SshTransport]:
    """Start the Raspberry Pi's own SSH server on the loopback and log in; everything ends with the block."""
    folder.mkdir()
    port = free_port()
    host, client = machine.root / "etc/ssh/rig_host_key", folder / "id_ed25519"
    for key in (host, client):
        make_key(key)
    shutil.copy(f"{client}.pub", machine.root / "root/.ssh/authorized_keys")
    kind, public = Path(f"{host}.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {public}\n")
    config = _SSHD_CONFIG.format(port=port, cpu=CPU)
    (machine.root / "etc/ssh/sshd_config").write_text(config)
    with (folder / "log").open("wb") as log:
        command = machine.command(["/usr/sbin/sshd", "-D", "-e"], network=True)
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_ssh(server, "127.0.0.1", port, folder / "log")
        address = ssh_address.resolve("127.0.0.1", port=port, user="root", identity_file=str(client))
        transport = SshTransport(Login("pi", address, folder / "known_hosts", "bench devices add pi", _START_S))
        try:
            yield transport
        finally:
            transport.close()
    finally:
        server.kill()  # takes the whole process namespace with it
        server.wait()


@contextmanager
def phone_over_adb(machine: Arm64, server: AdbServer) -> Iterator[AdbTransport]:
    """Serve the phone's root by the rig's adb daemon and reach it by the real adb server."""
    device = Device(root=machine.root, shell=tuple(machine.command(["/system/bin/sh", "-c"])))
    with Phone(device) as phone:
        transport = AdbTransport(server.connect(phone), port=server.port, timeout_s=60.0)
        try:
            yield transport
        finally:
            transport.close()
