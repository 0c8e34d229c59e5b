"""A 64-bit Arm machine with a Linux kernel of its own, under qemu-system-aarch64, as a device over SSH. Needs root.

The Raspberry Pi of `arm64.py` shares this machine's kernel. This one's power can be cut, its clock set and its memory
used up. It boots Debian's cloud kernel from an initramfs of our own; its disk holds the root of `make_pi`. All that is
made once and kept under .bench-cache. What it computes is what an Arm processor does, its times mean nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.transports.ssh import address as ssh_address
from harness.transports.ssh.login import Login
from harness.transports.ssh.transport import SshTransport
from tests.rigs import arm64
from tests.rigs.sshd import free_port, make_key
from tests.rigs.waiting import wait_for_ssh

TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
}
DISK_SIZE = "2G"  # sparse: what is not written takes no space

# In the order in which they need each other.
_MODULES = (
    "virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk "
    "failover net_failover virtio_net"
)
# The address is the one that qemu's user network forwards to. An SSH server is all that runs; it cannot be killed,
# being process 1.
_INIT = f"""\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
set -e
for name in {_MODULES}; do insmod /lib/$name.ko; done
mount -t devtmpfs dev /dev
mount -t ext4 /dev/vda /root
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount --move /dev /root/dev
mkdir /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin switch_root /root /usr/sbin/sshd -D -e
"""
_SSHD_CONFIG = """\
HostKey /etc/ssh/rig_host_key
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
"""
_LOGIN_S = 60.0


def need_arm64_system() -> None:
    """Make sure that the machine can be made and booted here: install what is missing; else skip, in CI fail."""
    arm64.require(arm64.missing_tools(TOOLS))


class Machine:
    """The machine, off at first. Its disk keeps what had reached it when the power was cut."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self.log = folder / "console.log"
        self.home = folder / "home"
        self._parts = _parts()
        self._disk = folder / "disk"
        subprocess.run(["cp", "--sparse=always", str(self._parts / "disk"), str(self._disk)], check=True)
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        shutil.copy(self._parts / "id_ed25519", self.home / ".ssh")
        kind, key = (self._parts / "host_key.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        self._known_hosts = folder / "known_hosts"
        self._process: subprocess.Popen[bytes] | None = None

    def power_on(self, *, memory_mib: int = 1536, clock: str = "utc") -> None:
        """Boot it and wait for its SSH server. `clock` is the UTC time it believes in then, like 2000-01-01."""
        # setpriv: it ends with this process however that ends
        command = ["setpriv", "--pdeathsig", "KILL", *self._command(memory_mib), "-rtc", f"base={clock}"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for_ssh(self._process, "127.0.0.1", self.port, self.log)

    def _command(self, memory_mib: int) -> Sequence[str]:
        machine = ("-M", "virt", "-cpu", arm64.CPU, "-smp", "2", "-m", str(memory_mib), "-accel", "tcg,thread=multi")
        boot = ("-kernel", str(self._parts / "kernel"), "-initrd", str(self._parts / "initramfs"))
        line = ("-append", "console=ttyAMA0 rdinit=/init quiet panic=-1")
        # Not flushed to this machine's disk: it is the emulated one's power that fails.
        drive = f"if=none,id=disk,format=raw,cache=unsafe,file={self._disk}"
        disk = ("-drive", drive, "-device", "virtio-blk-pci,drive=disk")
        forward = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"
        network = ("-netdev", forward, "-device", "virtio-net-pci,netdev=net,romfile=")
        rest = ("-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{self.log}")
        return ("qemu-system-aarch64", *machine, *boot, *line, *disk, *network, *rest)

    def cut_power(self) -> None:
        """End it as a pulled plug does. Nothing happens when it is off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def transport(self) -> Iterator[SshTransport]:
        """Log in for the length of a block."""
        identity = str(self.home / ".ssh" / "id_ed25519")
        address = ssh_address.resolve("127.0.0.1", port=self.port, user="root", identity_file=identity)
        connected = SshTransport(Login("pi", address, self._known_hosts, "bench devices add pi", _LOGIN_S))
        try:
            yield connected
        finally:
            connected.close()

    def call(self, *command: str) -> str:
        """Run a command there and return what it prints."""
        with self.transport() as transport:
            done = transport.run(command, timeout_s=_LOGIN_S)
        assert done.exit_code == 0, done.stderr.decode()
        return done.stdout.decode()


@contextmanager
def machine_in(folder: Path) -> Iterator[Machine]:
    """A machine that is off; whatever it is at the end of the block, it is off then."""
    machine = Machine(folder)
    try:
        yield machine
    finally:
        machine.cut_power()


def _parts() -> Path:
    """Return the folder with `disk`, `kernel`, `initramfs`, `host_key.pub`, `id_ed25519`; made anew with a source."""
    sources = Path(__file__).read_bytes() + Path(arm64.__file__).read_bytes()
    kept = arm64.CACHE / f"system-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not kept.exists():
        arm64.CACHE.mkdir(parents=True, exist_ok=True)
        for old in arm64.CACHE.glob("system-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=arm64.CACHE, prefix=".make-") as scratch:
            folder = Path(scratch, "parts")
            folder.mkdir()
            _write_kernel(folder)
            _write_disk(folder, Path(scratch, "pi"))
            folder.rename(kept)
    return kept


def _write_kernel(folder: Path) -> None:
    busybox, kernel, modules = b"", b"", {}
    with tarfile.open(arm64.unpacked("kernel", "linux-image-cloud-arm64 busybox-static")) as archive:
        for member in archive:
            path = Path(member.name)
            if not member.isfile() or not (source := archive.extractfile(member)):
                continue
            if path.name.startswith("vmlinuz-"):
                kernel = source.read()
            elif path.match("bin/busybox"):
                busybox = source.read()
            elif path.suffix == ".ko" and path.stem in _MODULES.split():
                modules[f"lib/{path.name}"] = (0o100644, source.read())
    folders = dict.fromkeys(("bin", "dev", "lib", "root"), (0o040755, b""))
    programs = {"init": (0o100755, _INIT.encode()), "bin/busybox": (0o100755, busybox)}
    (folder / "kernel").write_bytes(kernel)
    (folder / "initramfs").write_bytes(gzip.compress(_cpio({**folders, **programs, **modules}), mtime=0))


def _write_disk(folder: Path, scratch: Path) -> None:
    root = arm64.make_pi(scratch).root
    for key in (root / "etc/ssh/rig_host_key", folder / "id_ed25519"):
        make_key(key)
    shutil.copy(root / "etc/ssh/rig_host_key.pub", folder / "host_key.pub")
    shutil.copy(folder / "id_ed25519.pub", root / "root/.ssh/authorized_keys")
    (root / "root/.ssh").chmod(0o700)
    (root / "etc/ssh/sshd_config").write_text(_SSHD_CONFIG)
    command = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(root), str(folder / "disk"), DISK_SIZE]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=300)


def _cpio(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return an archive of path -> (mode, content) in the kernel's format: cpio "newc", see
    https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
    """
    archive = bytearray()
    for number, (name, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], start=1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + path
        archive += b"\0" * (-len(archive) % 4) + content
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
