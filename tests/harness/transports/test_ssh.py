"""The SSH transport against a real OpenSSH server: log-in and its errors, odd servers, faults of the network."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import (
    AgentError,
    AuthenticationFailed,
    CommandTimeout,
    ConnectError,
    HostKeyChanged,
    HostKeyUnknown,
    TransferError,
    WorkspaceError,
)
from harness.fleet.devices import Device
from harness.transports import base
from harness.transports.base import MAX_STDERR_BYTES
from harness.transports.ssh import address as ssh_address
from harness.transports.ssh import connection as ssh_connection
from harness.transports.ssh import known_hosts
from harness.transports.ssh import stream as ssh_stream
from harness.transports.ssh import transport as ssh_transport
from harness.transports.ssh.login import DEFAULT_TIMEOUT_S
from harness.transports.ssh.stream import SshStream
from harness.transports.ssh.transport import SshTransport
from tests.rigs.proxy import FaultProxy
from tests.rigs.sshd import Sshd, free_port, make_key, serving
from tests.rigs.waiting import LIMIT_S, SILENCE_S, wait_until


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's side must see neither this user's keys nor his configuration."""
    home = tmp_path / "host"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


def blob(path: Path, size: int = 4 << 20) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def same(one: Path, other: Path) -> bool:
    return hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


# Logging in


def test_an_unknown_host_key_is_refused_with_its_fingerprint(server: Sshd, tmp_path: Path) -> None:
    login = replace(server.login(), own_known_hosts=tmp_path / "none")
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / "host.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    with pytest.raises(HostKeyUnknown) as caught:
        SshTransport(login)
    assert printed in str(caught.value)
    assert str(caught.value).startswith("box (")
    assert "bench devices add box" in str(caught.value)


def test_a_changed_host_key_is_refused(server: Sshd) -> None:
    server.change_host_key()
    with pytest.raises(HostKeyChanged, match="not the known one"):
        SshTransport(server.login())


def test_a_revoked_host_key_is_refused(server: Sshd) -> None:
    known = server.client / ".ssh" / "known_hosts"
    known.write_text(known.read_text() + "@revoked " + known.read_text())
    with pytest.raises(HostKeyChanged, match="revoked"):
        SshTransport(server.login())


@pytest.mark.parametrize("form", ["hashed", "pattern", "among nonsense"])
def test_forms_of_known_hosts(server: Sshd, form: str) -> None:
    known = server.client / ".ssh" / "known_hosts"
    if form == "hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
        assert known.read_text().startswith("|1|")
    elif form == "pattern":
        known.write_text(f"[127.0.0.*]:{server.port},!other {known.read_text().split(' ', 1)[1]}")
    else:
        known.write_bytes(b"\xff\xfe nonsense\n\n# comment\n|1|x ssh-rsa AAAA\n" + known.read_bytes())
    SshTransport(server.login()).close()


def test_the_wrong_key(server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    address = replace(server.login().address, identity_files=(tmp_path / "other", tmp_path / "missing"))
    with pytest.raises(AuthenticationFailed) as caught:
        SshTransport(replace(server.login(), address=address))
    assert f"{tmp_path / 'other'}" in str(caught.value)
    assert f"{tmp_path / 'missing'} (no such file)" in str(caught.value)
    assert "ssh-copy-id" in str(caught.value)


def test_a_key_with_a_passphrase_is_named(server: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(server.identity)], check=True)
    with pytest.raises(AuthenticationFailed, match="has a passphrase: load it into ssh-agent"):
        SshTransport(server.login())


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ssh-agent without keys, by its socket."""
    socket_path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL) as process:
        wait_until(socket_path.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
        yield socket_path
        process.kill()


def test_of_the_agent_s_keys_the_named_one_is_tried_first(server: Sshd, agent: Path, tmp_path: Path) -> None:
    """A server takes six tries."""
    for number in range(7):
        make_key(tmp_path / f"key{number}")
        subprocess.run(["ssh-add", "-q", str(tmp_path / f"key{number}")], check=True, capture_output=True)
    subprocess.run(["ssh-add", "-q", str(server.identity)], check=True, capture_output=True)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(server.identity)], check=True)
    SshTransport(server.login()).close()


def test_an_agent_that_does_not_answer_is_not_waited_for(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "silent"))
        SshTransport(server.login()).close()
        server.identity.unlink()
        with pytest.raises(AuthenticationFailed, match=rf"ssh-agent \(no answer within {SILENCE_S:g} s\)"):
            SshTransport(server.login(timeout_s=SILENCE_S))


def test_a_crowded_server_is_tried_again(tmp_path: Path) -> None:
    with serving(tmp_path / "server", options=["MaxStartups 1"]) as server:

        def greeted() -> socket.socket | None:
            found = socket.create_connection((server.address, server.port))
            return found if found.recv(7) == b"SSH-2.0" else found.close()

        stranger = wait_until(greeted)
        with pytest.raises(ConnectError, match="MaxStartups"):
            SshTransport(server.login(timeout_s=SILENCE_S))
        threading.Timer(0.5, stranger.close).start()
        SshTransport(server.login(timeout_s=60.0)).close()


def test_no_encryption_in_common(tmp_path: Path) -> None:
    options = ["Ciphers chacha20-poly1305@openssh.com"]
    refused = pytest.raises(ConnectError, match=r"no acceptable ciphers.*allow a current one")
    with serving(tmp_path / "server", options=options) as server, refused:
        SshTransport(server.login())


def test_a_server_without_key_log_in(tmp_path: Path) -> None:
    options = ["PubkeyAuthentication no", "KbdInteractiveAuthentication yes"]
    with serving(tmp_path / "server", options=options) as server, pytest.raises(AuthenticationFailed):
        SshTransport(server.login())


def test_a_closed_port(server: Sshd) -> None:
    with pytest.raises(ConnectError, match="nothing listens on port"):
        SshTransport(server.login(port=free_port()))


def test_a_name_that_does_not_resolve(server: Sshd) -> None:
    address = replace(server.login().address, host="no-such-host.invalid")
    with pytest.raises(ConnectError, match=r"the name no-such-host\.invalid cannot be resolved"):
        SshTransport(replace(server.login(), address=address))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 100_000])
def test_something_else_listens_there(server: Sshd, said: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    over = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(said)
            over.wait(LIMIT_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(ConnectError, match="is it the right port"):
            SshTransport(server.login(port=listener.getsockname()[1], timeout_s=SILENCE_S))
        assert time.monotonic() - begun < 45
        over.set()
    assert "Traceback" not in capfd.readouterr().err


def test_ssh_config_is_honored(server: Sshd, own_home: Path) -> None:
    (own_home / ".ssh" / "conf.d").mkdir()
    (own_home / ".ssh" / "config").write_text("Include conf.d/*\nHost *\n  User nobody\n")
    (own_home / ".ssh" / "conf.d" / "box").write_text(
        f"Host box\n  HostName {server.address}\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.identity}\n"
    )
    address = ssh_address.resolve("box")
    assert str(address) == f"{server.user}@{server.address}:{server.port}"
    SshTransport(replace(server.login(), address=address)).close()
    assert ssh_address.resolve("box", user="me", port=1).user == "me"


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1"])
def test_a_port_in_ssh_config_that_is_none(own_home: Path, port: str) -> None:
    (own_home / ".ssh" / "config").write_text(f"Host box\n  Port {port}\n")
    with pytest.raises(ConnectError, match=f"has the Port '{port}' for box"):
        ssh_address.resolve("box")
    assert ssh_address.resolve("box", port=22).port == 22


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("Include ~no-such-user/config\n", "cannot be read"),
        ("Host box\n  ProxyCommand nc %h %p\n", "use ProxyJump"),
        ("Host *\n  ProxyJump gate\n", "to gate through itself"),
    ],
)
def test_what_is_wrong_in_ssh_config_is_told(own_home: Path, lines: str, said: str) -> None:
    (own_home / ".ssh" / "config").write_text(lines)
    with pytest.raises(ConnectError, match=said):
        Device(name="box", transport="ssh").connect()


def test_a_proxy_command_that_is_switched_off(own_home: Path) -> None:
    (own_home / ".ssh" / "config").write_text("Host box\n  ProxyCommand none\n")
    assert ssh_address.resolve("box").host == "box"


@pytest.mark.parametrize(
    ("lines", "user"),
    [
        *(
            (f"Match {words}\n  User other", "me")
            for words in (
                'tagged "lab"',
                "localnetwork 127.0.0.0/8",
                "sessiontype shell",
                'command "x"',
                "version *",
                "no-such-word x",
                'exec "true"',
                '!exec "false"',
                "host box tagged x",
                "!tagged x",
            )
        ),
        ("Match host box\n  User other", "other"),
        ("Match HOST nobox\n  User other", "me"),
        ("Match !host nobox user me  # mine\n  User other", "me"),
        ("Match all\n  User other", "other"),
        ("Host box # and not other\n  User first", "first"),
        ("Host other # not box\n  User other", "me"),
        ("Host box\n  User first # the first one", "first"),
        ("Host box\n  User a#b", "a#b"),
    ],
)
def test_conditions_in_ssh_config_hold_only_when_they_are_known_to(own_home: Path, lines: str, user: str) -> None:
    (own_home / ".ssh" / "config").write_text(f"{lines}\nHost *\n  User me\n")
    assert ssh_address.resolve("box").user == user


def test_a_variable_in_an_identity_file(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_home / ".ssh" / "config").write_text("IdentityFile ${KEYS_AT}/box\n")
    monkeypatch.setenv("KEYS_AT", "/media/keys")
    assert ssh_address.resolve("box").identity_files == (Path("/media/keys/box"),)
    monkeypatch.delenv("KEYS_AT")
    with pytest.raises(ConnectError, match=r"IdentityFile .*, but the environment has no KEYS_AT"):
        ssh_address.resolve("box")


def test_a_key_that_is_a_pipe_is_refused(server: Sshd) -> None:
    server.identity.unlink()
    os.mkfifo(server.identity)
    with pytest.raises(AuthenticationFailed, match=r"id_ed25519 \(unreadable: it is not a file\)"):
        SshTransport(server.login())


def test_a_certificate_that_is_a_pipe_is_refused(server: Sshd) -> None:
    os.mkfifo(f"{server.identity}-cert.pub")
    with pytest.raises(AuthenticationFailed, match=r"id_ed25519 \(unreadable: it is not a file\)"):
        SshTransport(server.login())


@pytest.mark.parametrize("name", ["known_hosts", "id_ed25519.pub"])
def test_a_pipe_among_the_user_s_own_files_is_passed_over(server: Sshd, own_home: Path, name: str) -> None:
    os.mkfifo(own_home / ".ssh" / name)
    (own_home / ".ssh" / "id_ed25519").write_bytes(server.identity.read_bytes())
    login = replace(server.login(), address=replace(server.login().address, identity_files=()))
    SshTransport(login).close()
    if name == "known_hosts":
        with pytest.raises(HostKeyUnknown, match=r"known_hosts cannot be read: it is not a file\)"):
            SshTransport(replace(login, own_known_hosts=None))


@pytest.mark.parametrize("name", ["config", "included"])
def test_a_configuration_that_is_a_pipe_is_refused(own_home: Path, name: str) -> None:
    (own_home / ".ssh" / "config").write_text("Include included\n")
    (own_home / ".ssh" / name).unlink(missing_ok=True)
    os.mkfifo(own_home / ".ssh" / name)
    with pytest.raises(ConnectError, match=rf"config cannot be read: .*{name}: it is not a file"):
        ssh_address.resolve("box")


def test_a_configuration_that_includes_itself_ends(own_home: Path) -> None:
    for number in range(10):
        (own_home / ".ssh" / f"config{number}").write_text("Include config*\n")
    (own_home / ".ssh" / "config").write_text("Include config*\n")
    with pytest.raises(ConnectError, match="more than 200 files are included"):
        ssh_address.resolve("box")


def test_a_pipe_in_place_of_the_workspace_s_known_hosts(server: Sshd, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "known")
    with pytest.raises(WorkspaceError, match="known cannot be read: it is not a file"):
        known_hosts.add(tmp_path / "known", "box", ssh_connection.host_key(server.login()))
    with pytest.raises(WorkspaceError, match="known cannot be read: it is not a file"):
        known_hosts.remove(tmp_path / "known", "box")


def test_a_certificate_authority_is_named_as_not_read(server: Sshd) -> None:
    known = server.client / ".ssh" / "known_hosts"
    key = known.read_text()
    known.write_text(f"@cert-authority {key}")
    with pytest.raises(HostKeyUnknown, match="has a @cert-authority for it; bench reads no host certificates"):
        SshTransport(server.login())
    known.write_text(f"@cert-authority * {key.split(' ', 1)[1]}{key}")
    SshTransport(server.login()).close()


def test_a_jump_host(server: Sshd, tmp_path: Path, own_home: Path) -> None:
    with serving(tmp_path / "jump") as jump:
        jump_known = (jump.client / ".ssh" / "known_hosts").read_text()
        (own_home / ".ssh" / "known_hosts").write_text(jump_known)
        (own_home / ".ssh" / "config").write_text(
            f"Host box\n  ProxyJump {jump.user}@{jump.address}:{jump.port}\n  HostName {server.address}\n"
            f"  Port {server.port}\nHost *\n  IdentityFile {jump.identity}\n"
        )
        shutil.copy(jump.folder / "authorized_keys", server.folder / "authorized_keys")
        login = replace(server.login(), address=ssh_address.resolve("box"))
        connected = SshTransport(login)
        assert connected.run(["echo", "through"], timeout_s=10).stdout == b"through\n"
        connected.close()
        (own_home / ".ssh" / "known_hosts").unlink()
        with pytest.raises(HostKeyUnknown, match="jump host"):
            SshTransport(login)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pi", ("pi", None, None)),
        ("me@pi.lan:2222", ("pi.lan", 2222, "me")),
        ("[fe80::1%eth0]:22", ("fe80::1%eth0", 22, None)),
    ],
)
def test_split(text: str, parts: tuple[str, int | None, str | None]) -> None:
    assert ssh_address.split(text) == parts


@pytest.mark.parametrize("text", ["", "a b", "-oProxyCommand=x", "me@", "pi:0", "pi:99999", "a@b@c", "fe80::1"])
def test_split_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        ssh_address.split(text)


# Commands


def test_arguments_arrive_as_they_are(server: Sshd) -> None:
    odd = ["a b", "$(touch /tmp/x)", "'", '"', "`id`", "*", "~", "-n", "\\", "ä\n!", ";exit 7", ""]
    with server.transport() as connected:
        code = "import sys, os; os.write(1, repr(sys.argv[1:]).encode())"
        answered = connected.run([sys.executable, "-c", code, *odd], timeout_s=60)
    assert answered.stdout.decode() == repr(odd)


def test_what_the_log_in_shell_gets_means_the_same_to_every_shell() -> None:
    """Also to csh, which takes neither a line break nor an exclamation mark between quotes."""
    odd = 'it\'s "$1"! `x` \xfc%b\\n\n\nline'
    wrapped = ssh_stream._wrapped(["printf", "<%s>", odd], "marker")
    before, script, after = wrapped.split("'")
    assert (before, after) == ("exec sh -c ", "")
    assert not set(script) & set("\n!`#&;<>*?[]{}~^"), script
    for shell in (["sh"], ["bash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            done = subprocess.run([*shell, "-c", wrapped], capture_output=True, text=True, check=True)
            assert done.stdout.split("\n", 2)[2] == f"<{odd}>", done


def test_exit_code_stderr_and_signals_are_told_apart(server: Sshd) -> None:
    with server.transport() as connected:
        answered = connected.run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout_s=60)
        assert (answered.exit_code, answered.stdout, answered.stderr) == (7, b"out\n", b"err\n")
        killed = connected.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], timeout_s=60)
        assert (killed.exit_code, killed.signal) == (None, 9)
        missing = connected.run(["no-such-program"], timeout_s=60)
        assert missing.exit_code == 127
        assert b"not found" in missing.stderr


def test_time_outs_end_what_runs(server: Sshd) -> None:
    with server.transport() as connected:
        with pytest.raises(CommandTimeout):
            connected.run(["sleep", "1234"], timeout_s=0.5)
        stream = connected.stream(["sh", "-c", "sleep 1234 & sleep 1234"], stdin=b"")
        with pytest.raises(CommandTimeout, match=r"no answer within 0\.5 s"):
            stream.read_line(0.5)
        assert stream.close().exit_code is None
        wait_until(lambda: not server.processes("1234"))


def test_a_time_out_ends_what_runs_below_a_log_in_shell_that_stays(tmp_path: Path) -> None:
    """There the command's shell does not lead its process group."""
    login_shell = '/bin/sh -c "$SSH_ORIGINAL_COMMAND"; exit $?'
    with serving(tmp_path / "server", login_shell=login_shell) as server, server.transport() as connected:
        stream = connected.stream(["sh", "-c", "echo up; exec sleep 987"], stdin=b"")
        assert stream.read_line(60) == b"up"
        assert server.processes("987")
        stream.close()
        wait_until(lambda: not server.processes("987"))


def test_floods_are_bounded(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ssh_stream, base):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 1 << 20)
    with server.transport() as connected:
        with pytest.raises(AgentError, match="bytes of output"):
            connected.run(["head", "-c", "9000000", "/dev/zero"], timeout_s=60)
        stream = connected.stream(["cat", "/dev/zero"], stdin=b"")
        with pytest.raises(AgentError, match="a line longer than"):
            stream.read_line(60)
        stream.close()
        noisy = connected.run(["sh", "-c", "head -c 3000000 /dev/zero >&2; echo the end >&2; echo done"], timeout_s=60)
    assert noisy.stdout == b"done\n"
    assert noisy.stderr.endswith(b"the end\n")
    assert len(noisy.stderr) <= MAX_STDERR_BYTES


def test_closing_from_another_thread_ends_a_read(server: Sshd) -> None:
    with server.transport() as connected:
        stream = connected.stream(["sleep", "1234"], stdin=b"")
        threading.Timer(0.5, connected.close).start()
        begun = time.monotonic()
        with pytest.raises(ConnectError, match="is closed"):
            stream.read_line(60)
        stream.close()
        assert time.monotonic() - begun < 45
        with pytest.raises(ConnectError):
            connected.run(["true"], timeout_s=5)


# Odd servers


@pytest.mark.parametrize("shell", ["dash", "busybox ash", "bash", "tcsh"])
def test_log_in_shells_and_profiles_that_print(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "login.sh"
    script.write_text(
        f'#!/bin/sh\nprintf \'{{"event":"done"}}\\nWelcome> \'\nsleep 0.5\necho >&2 greetings\n'
        f'exec {shell} -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    script.chmod(0o755)
    banner = tmp_path / "banner"
    banner.write_text("Property of nobody\n" * 50)
    odd = serving(tmp_path / "server", login_shell=str(script), options=[f"Banner {banner}"])
    with odd as server, server.transport() as connected:
        assert connected.run(["cat"], stdin=b"x\n", timeout_s=60).stdout == b"x\n"
        stream = connected.stream(["sh", "-c", "read A; echo $A"], stdin=b"line\n")
        assert stream.read_line(60) == b"line"
        stream.close()
        source, target = blob(tmp_path / "source"), tmp_path / "there" / "file"
        connected.push(source, PurePosixPath(target))
    assert same(source, target)


@pytest.mark.parametrize(
    ("login_shell", "said"),
    [
        ("echo no shell for you", "no shell for you"),
        ("internal-sftp", "sftp connections only"),
        ("/bin/true", "nothing was said"),
        ('PATH=/nowhere exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"', "not found"),
    ],
)
def test_an_account_that_runs_nothing(tmp_path: Path, login_shell: str, said: str) -> None:
    with serving(tmp_path / "server", login_shell=login_shell) as server, server.transport() as connected:
        words = rf"the command was not begun: .*{said}.*may run commands in a shell .*sh on its PATH"
        with pytest.raises(ConnectError, match=words):
            connected.push(blob(tmp_path / "source", 10), PurePosixPath("target"))


def test_a_profile_that_does_not_come_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_stream, "START_TIMEOUTS", 0.03)
    with (
        serving(tmp_path / "server", login_shell="sleep 1234") as server,
        server.transport(timeout_s=20) as connected,
        pytest.raises(ConnectError, match=r"no command begins there within 0\.6 s"),
    ):
        connected.push(blob(tmp_path / "source", 10), PurePosixPath("target"))


def test_a_server_that_allows_one_session_a_connection(tmp_path: Path) -> None:
    with serving(tmp_path / "server", options=["MaxSessions 1"]) as server:
        with server.transport() as connected:
            stream = connected.stream(["cat"], stdin=b"held\n")
            assert stream.read_line(60) == b"held"
            assert connected.run(["echo", "besides"], timeout_s=60).stdout == b"besides\n"
            with pytest.raises(CommandTimeout):
                connected.run(["sleep", "1234"], timeout_s=0.5)
        wait_until(lambda: not server.processes())


def test_a_server_that_allows_no_session(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "server", options=["MaxSessions 0"]) as server,
        server.transport() as connected,
        pytest.raises(ConnectError, match="allows no sessions"),
    ):
        connected.run(["true"], timeout_s=5)


def test_a_profile_without_end(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "server", login_shell="yes") as server,
        server.transport() as connected,
        pytest.raises(AgentError, match="before the command began"),
    ):
        connected.run(["true"], timeout_s=60)


def test_a_folder_that_cannot_be_written(server: Sshd, tmp_path: Path) -> None:
    with server.transport() as connected, pytest.raises(TransferError, match=r"/proc/none"):
        connected.push(blob(tmp_path / "source", 10), PurePosixPath("/proc/none/file"))


# Files


def test_relative_paths_are_in_the_home(server: Sshd, tmp_path: Path) -> None:
    source = blob(tmp_path / "source", 1000)
    with server.transport() as connected:
        for name in (".cache/edgebench/file", "file with space", "-file"):
            connected.push(source, PurePosixPath(name))
            connected.pull(PurePosixPath(name), tmp_path / "back")
            assert same(source, server.home / name)
            assert same(source, tmp_path / "back")


@pytest.mark.parametrize("size", [200_000, 9 << 20])
def test_a_second_push_sends_nothing_and_mends_what_is_damaged(
    server: Sshd, proxy: FaultProxy, tmp_path: Path, size: int
) -> None:
    source, target = blob(tmp_path / "source", size), tmp_path / "there" / "target"
    with server.transport(port=proxy.port) as connected:
        connected.push(source, PurePosixPath(target))
        proxy.sent = 0
        connected.push(source, PurePosixPath(target))
        assert proxy.sent < 20_000
        target.write_bytes(bytes(size))
        connected.push(source, PurePosixPath(target))
    assert same(source, target)
    assert [path.name for path in target.parent.iterdir()] == ["target"]


# Up to 8 MiB `cat` receives, beyond it Python.
@pytest.mark.parametrize("size", [8 << 20, 9 << 20])
def test_a_cut_push_goes_on_where_it_ended(server: Sshd, proxy: FaultProxy, tmp_path: Path, size: int) -> None:
    source, target = blob(tmp_path / "source", size), tmp_path / "there" / "target"
    proxy.faults.cut_after = 5 << 20
    with server.transport(port=proxy.port) as connected, pytest.raises(ConnectError, match="was lost"):
        connected.push(source, PurePosixPath(target))
    assert not target.exists()
    proxy.heal()
    with server.transport(port=proxy.port) as connected:
        connected.push(source, PurePosixPath(target))
    assert same(source, target)
    assert proxy.sent < size - (2 << 20)
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_damaged_part_is_sent_anew(server: Sshd, tmp_path: Path) -> None:
    source, target = blob(tmp_path / "source", 9 << 20), tmp_path / "target"
    with server.transport() as connected:
        connected.push(blob(tmp_path / "other"), PurePosixPath(target))
        name = ssh_transport._likeness(source, source.stat().st_size)
        (tmp_path / f".part-{name}").write_bytes(b"x" * 1000)
        target.unlink()
        connected.push(source, PurePosixPath(target))
    assert same(source, target)


@pytest.mark.parametrize("size", [4 << 20, 12 << 20])
def test_what_is_left_of_a_cut_push_writes_no_more(server: Sshd, tmp_path: Path, size: int) -> None:
    """The device still believes in a connection whose host has given it up; what it had sent may yet arrive."""
    source, target = blob(tmp_path / "large", size), PurePosixPath("there/large")
    part = f"./there/.part-{ssh_transport._likeness(source, size)}"
    arguments = [part, f"./{target}", str(size), hashlib.sha256(source.read_bytes()).hexdigest(), sys.executable]
    with server.transport() as vanished, server.transport() as present:
        remnant = SshStream(vanished._connection, ["sh", "-c", ssh_transport._PUSH, "sh", *arguments])
        assert remnant.read_line(60) == b"0"
        remnant.write(source.read_bytes()[: 1 << 20])
        wait_until(lambda: (server.home / part).stat().st_size == 1 << 20)
        present.push(source, target)
        wait_until(lambda: not server.processes(part))
        remnant.write(bytes(1 << 20))
        assert remnant.close().exit_code is None
        assert same(source, server.home / target)


def test_a_stalled_push_ends_in_time(server: Sshd, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.faults.stall_after = 1 << 20
    begun = time.monotonic()
    lost = pytest.raises(ConnectError, match="was lost")
    with server.transport(port=proxy.port, timeout_s=SILENCE_S) as connected, lost:
        connected.push(blob(tmp_path / "source", 16 << 20), PurePosixPath(tmp_path / "target"))
    assert time.monotonic() - begun < 45


def test_a_slow_push_arrives(server: Sshd, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.faults.bytes_per_s = 1 << 20
    source, target = blob(tmp_path / "source", 5 << 20), tmp_path / "target"
    with server.transport(port=proxy.port, timeout_s=2.0) as connected:
        connected.push(source, PurePosixPath(target))
    assert same(source, target)


@pytest.mark.parametrize("size", [2 << 20, 9 << 20])
def test_a_full_disk(server: Sshd, tmp_path: Path, size: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted")
    try:
        with server.transport() as connected, pytest.raises(TransferError, match="No space left on device"):
            connected.push(blob(tmp_path / "source", size), PurePosixPath(disk / "target"))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# The network during a command


@pytest.mark.parametrize("fault", ["cut", "stall", "killed server"])
def test_a_lost_connection_is_no_end_of_the_output(server: Sshd, proxy: FaultProxy, fault: str) -> None:
    with server.transport(port=proxy.port, timeout_s=SILENCE_S) as connected:
        stream = connected.stream(["sh", "-c", "echo first; sleep 1234"], stdin=b"")
        assert stream.read_line(60) == b"first"
        if fault == "cut":
            proxy.cut()
        elif fault == "stall":
            proxy.faults.stall_after = 0
        else:
            server.stop()
        begun = time.monotonic()
        with pytest.raises(ConnectError, match="was lost"):
            stream.read_line(60)
        assert time.monotonic() - begun < 45
        assert stream.close().exit_code is None


def test_silence_of_a_living_device_is_no_loss(server: Sshd) -> None:
    with server.transport(timeout_s=2.0) as connected:
        assert connected.run(["sh", "-c", "sleep 5; echo done"], timeout_s=60).stdout == b"done\n"


def test_a_silent_device_is_not_taken_for_a_silent_command(server: Sshd, proxy: FaultProxy) -> None:
    with server.transport(port=proxy.port, timeout_s=SILENCE_S) as connected:
        stream = connected.stream(["sh", "-c", "echo first; sleep 1234"], stdin=b"")
        assert stream.read_line(60) == b"first"
        with pytest.raises(CommandTimeout):
            stream.read_line(0.5)
        proxy.stall()
        with pytest.raises(ConnectError, match="no sign of life"):
            stream.read_line(0.5)  # long before the watch would have noticed by itself


def test_a_slow_link(server: Sshd, proxy: FaultProxy) -> None:
    proxy.faults.delay_s = 0.05
    with server.transport(port=proxy.port) as connected:
        assert connected.run(["cat"], stdin=b"far away", timeout_s=60).stdout == b"far away"


def test_no_process_of_a_session_is_left(server: Sshd) -> None:
    with server.transport() as connected:
        connected.stream(["cat"], stdin=b"")
        wait_until(lambda: server.processes("cat"))
    wait_until(lambda: not server.processes())


def test_the_watch_has_the_documented_default() -> None:
    assert DEFAULT_TIMEOUT_S == 20.0


def test_sending_a_little_is_no_sign_of_life(server: Sshd, proxy: FaultProxy) -> None:
    with server.transport(port=proxy.port, timeout_s=SILENCE_S) as connected:
        stream = connected.stream(["sleep", "1234"], stdin=b"")
        proxy.faults.stall_after = 0

        def is_lost() -> bool:
            with suppress(ConnectError):
                stream.write(b"\n")
            return not connected._connection.is_alive

        wait_until(is_lost)
        with pytest.raises(ConnectError, match="no sign of life"):
            stream.read_line(1)
        stream.close()
