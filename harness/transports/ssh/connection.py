"""A logged-in SSH connection: its socket, its jump hosts, the check of host keys, and the watch over it."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import paramiko

from harness.errors import ConnectError
from harness.transports.ssh import address as ssh_address
from harness.transports.ssh.known_hosts import KnownHosts
from harness.transports.ssh.login import FOREIGN, Login, log_in, plain

# AES-GCM first: with paramiko it carries half as much again as CTR with a separate MAC.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_MAX_HOPS = 8
_FIRST_PAUSE_S = 0.2

# paramiko prints tracebacks of its own thread; what went wrong is told by our errors.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Connection:
    """A server and the jump hosts before it, logged in; ended by `close` or when it has been silent too long.

    A peer that is gone is noticed three ways: by TCP when sent data stays unacknowledged (TCP_USER_TIMEOUT), by the
    watch when the server no longer answers a request (a jump host or a proxy may acknowledge on its behalf), and by
    whoever waits for an answer.
    """

    def __init__(self, login: Login) -> None:
        """Connect and log in. Raises ConnectError, AuthenticationFailed, HostKeyUnknown, HostKeyChanged."""
        self.login = login
        self.lost = ""  # why the connection ended, when it did not end by `close`
        self._heard = self._answered = time.monotonic()  # the latter: when the last answered question was asked
        self._asks_now = threading.Event()
        self._closed = threading.Event()
        self._others: list[Connection] = []
        with ExitStack() as opened:
            transport = _through(login, opened)
            log_in(transport, login)
            self._stack = opened.pop_all()
        self.transport = transport
        threading.Thread(target=self._watch, name=f"watch-{login.name}", daemon=True).start()

    def __str__(self) -> str:
        return str(self.login)

    @property
    def is_alive(self) -> bool:
        """Whether commands can be run."""
        return not self._closed.is_set() and self.transport.is_active()

    def open_channel(self) -> tuple[Connection, paramiko.Channel]:
        """Return a new session and the connection that carries it. Raises ConnectError.

        That is another one where the server allows no more sessions on this one (MaxSessions).
        """
        for connection in (self, *self._others):
            if channel := connection._open_session():
                return connection, channel
        other = Connection(self.login)
        self._others.append(other)
        if self._closed.is_set():
            other.close()
        if channel := other._open_session():
            return other, channel
        raise ConnectError(
            f"{self}: the server allows no sessions (MaxSessions 0?), so that no command can be run there"
        )

    def _open_session(self) -> paramiko.Channel | None:
        """Return a new session, None when the server refuses it. Raises ConnectError."""
        try:
            channel = self.transport.open_session(timeout=self.login.timeout_s)
        except paramiko.ChannelException:
            return None
        except FOREIGN as exc:
            raise self.error(exc) from exc
        channel.settimeout(self.login.timeout_s)
        return channel

    def heard(self) -> None:
        """Note that the device has just been heard of, which puts off the end of the watch's patience."""
        self._heard = time.monotonic()

    def answers(self) -> bool:
        """Ask for a sign of life now; False when there was none within the time-out, and the connection is lost.

        The watch alone may take half as long again to notice a dead connection.
        """
        asked = time.monotonic()
        self._asks_now.set()
        while self.is_alive and max(self._heard, self._answered) < asked:
            time.sleep(0.02)
        return self.is_alive

    def error(self, exc: BaseException | None = None) -> ConnectError:
        """Return what to raise when something failed here."""
        if self._closed.is_set() and not self.lost:
            return ConnectError(f"{self}: the connection is closed")
        said = self.lost or (plain(exc) if exc is not None and self.is_alive else "the other side ended it")
        return ConnectError(f"{self}: the connection was lost: {said}")

    def close(self) -> None:
        """Let the server go. Idempotent, from any thread; whoever reads sees the end."""
        self._closed.set()
        self._asks_now.set()  # ends the watch
        for other in self._others:
            other.close()
        self._stack.close()

    def _watch(self) -> None:
        limit = self.login.timeout_s
        while True:
            self._asks_now.wait(limit / 2)
            self._asks_now.clear()
            if not self.is_alive:
                return
            asked = time.monotonic()
            self._judge_later()
            with suppress(*FOREIGN):
                self.transport.global_request("keepalive@openssh.com", wait=True)
            self._timer.cancel()
            self._answered = asked

    def _judge_later(self) -> None:
        self._timer = threading.Timer(self.login.timeout_s, self._judge, (time.monotonic(),))
        self._timer.daemon = True
        self._timer.start()

    def _judge(self, asked: float) -> None:
        """The watch's request is unanswered: the connection is dead unless something else was heard meanwhile."""
        if self._heard > asked:
            self._judge_later()
            return
        self.lost = f"no sign of life for {self.login.timeout_s:g} s"
        self.close()


def host_key(login: Login) -> paramiko.PKey:
    """Return the key that the server shows, unchecked; jump hosts are checked. Raises ConnectError."""
    with ExitStack() as opened:
        return _negotiate(login, opened).get_remote_server_key()


def _through(login: Login, opened: ExitStack) -> paramiko.Transport:
    """Return a connection whose host key is right, not logged in yet."""
    transport = _negotiate(login, opened)
    try:
        known = KnownHosts(login.own_known_hosts)
        known.check(login.address.key_name, transport.get_remote_server_key(), login.remedy)
    except ConnectError as exc:
        raise type(exc)(f"{login}: {exc}") from exc
    return transport


def _negotiate(login: Login, opened: ExitStack) -> paramiko.Transport:
    """Connect and agree on keys, directly or through the jump hosts; `opened` closes all of it."""
    address = login.address
    if login.hop > _MAX_HOPS:
        raise ConnectError(f"~/.ssh/config leads to {address.host} through itself: say ProxyJump none for it there")
    if address.jumps:
        *before, last = address.jumps
        try:
            host, port, user = ssh_address.split(last)
        except ValueError as exc:
            raise ConnectError(f"{login.name}: the jump host {exc}") from exc
        via = ssh_address.resolve(host, port=port, user=user, jump=",".join(before) or None)
        hop = Login(
            f"{login.name}'s jump host {host}",
            via,
            login.own_known_hosts,
            f"bench devices add JUMP --ssh {via}",
            login.timeout_s,
            login.hop + 1,
        )
        transport = _through(hop, opened)
        log_in(transport, hop)
        return _greet(lambda: _forwarded(transport, host, login), login, opened)
    return _greet(lambda: _socket(login), login, opened)


def _forwarded(jump: paramiko.Transport, name: str, login: Login) -> paramiko.Channel:
    """Return a TCP connection from the jump host called `name`. Raises ConnectError."""
    there = (login.address.host, login.address.port)
    try:
        plug = jump.open_channel("direct-tcpip", there, ("127.0.0.1", 0), timeout=login.timeout_s)
    except FOREIGN as exc:
        raise ConnectError(f"{login.name}: {name} cannot reach {there[0]}:{there[1]}: {exc}") from exc
    plug.settimeout(login.timeout_s)
    return plug


def _socket(login: Login) -> socket.socket:
    """Return a TCP connection that ends itself when the peer is gone. Raises ConnectError."""
    address, limit = login.address, login.timeout_s
    try:
        plug = socket.create_connection((address.host, address.port), limit)
    except socket.gaierror as exc:
        raise ConnectError(
            f"{login}: the name {address.host} cannot be resolved ({exc.strerror}); is it right?"
        ) from exc
    except ConnectionRefusedError as exc:
        raise ConnectError(
            f"{login}: nothing listens on port {address.port}; is an SSH server running there, on that port?"
        ) from exc
    except TimeoutError as exc:
        raise ConnectError(f"{login}: no answer within {limit:g} s; is the device on, and in this network?") from exc
    except (OSError, UnicodeError) as exc:
        raise ConnectError(f"{login}: {plain(exc)}") from exc
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_USER_TIMEOUT", limit * 1000),
        ("TCP_KEEPIDLE", limit / 2),
        ("TCP_KEEPINTVL", limit / 4),
        ("TCP_KEEPCNT", 2),
        ("TCP_NOTSENT_LOWAT", 128 << 10),  # so that the watch's question does not stand behind megabytes
    ):
        if hasattr(socket, option):
            plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), max(1, int(value)))
    return plug


def _greet(
    connect: Callable[[], socket.socket | paramiko.Channel], login: Login, opened: ExitStack
) -> paramiko.Transport:
    """Connect and agree on keys; for `timeout_s` again and again where a crowded server turns us away (MaxStartups).

    Raises ConnectError.
    """
    deadline = time.monotonic() + login.timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return _agree(connect(), login, opened)
        except paramiko.ssh_exception.IncompatiblePeer as exc:
            raise ConnectError(
                f"{login}: bench (paramiko) and the SSH server there have no encryption in common: {plain(exc)}; "
                "allow a current one there (KexAlgorithms, HostKeyAlgorithms, Ciphers, MACs)"
            ) from exc
        except FOREIGN as exc:
            problem = plain(exc)
            if "banner" in problem:  # the other side did not greet
                problem = "no SSH server answers there (or one with too many log-ins at a time, see its MaxStartups)"
                if time.monotonic() + pause_s < deadline:
                    # Not in step with others that were turned away.
                    time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
                    pause_s *= 2
                    continue
            raise ConnectError(
                f"{login}: something accepts the connection, but {problem}; is it the right port?"
            ) from exc


def _agree(plug: socket.socket | paramiko.Channel, login: Login, opened: ExitStack) -> paramiko.Transport:
    """Agree on keys with whatever listens at the other end of `plug`. Raises what paramiko does, and OSError."""
    limit = login.timeout_s
    opened.callback(plug.close)
    transport = paramiko.Transport(plug)
    opened.callback(transport.close)
    transport.banner_timeout = transport.auth_timeout = limit
    options = transport.get_security_options()
    options.ciphers = [*_CIPHERS, *(cipher for cipher in options.ciphers if cipher not in _CIPHERS)]
    kinds = KnownHosts(login.own_known_hosts).kinds(login.address.key_name)
    wanted = [kind for kind in options.key_types if kind in kinds or (kind.startswith("rsa-") and "ssh-rsa" in kinds)]
    options.key_types = [*wanted, *(kind for kind in options.key_types if kind not in wanted)]
    guard = threading.Timer(2 * limit, transport.close)
    guard.daemon = True
    guard.start()
    try:
        transport.start_client(timeout=limit)
    finally:
        guard.cancel()
    if not transport.initial_kex_done:
        raise paramiko.SSHException(f"it did not finish the greeting within {limit:g} s")
    return transport
