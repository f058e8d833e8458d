"""Access from other machines: allowed hosts, a password, and proof of an address.

UDP tells the source address of a datagram, but not whether that is true. So an
address on another machine is sent no more than a few times the bytes that came
from it, until it has repeated something that it can only know from an answer:
the number of its stream, or what ``/login`` told it. A password proves as much.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from functools import lru_cache

from gansynth_server.errors import UserError
from gansynth_server.net.rate_limit import Bucket

MIN_PASSWORD = 8
"""Characters of a password, at least."""
MIN_WAIT_S, MAX_WAIT_S = 0.5, 60.0
"""Time (s) after a wrong password until another is looked at, doubled each time."""
MAX_GUESSES_PER_SECOND = 10
"""Passwords that are looked at, of all hosts together."""
MAX_HOSTS = 1024
"""Hosts of wrong passwords that are remembered."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HERE = tuple(map(ipaddress.ip_address, ("127.0.0.1", "::1")))


class Access:
    """Hosts that may send messages, and the password that they need.

    Args:
        bound: numeric address that the server listens on.
        allow: addresses and networks that may send; where empty, all that log in.
        password: what ``/login`` asks for; None asks for none.

    Raises:
        UserError: the network could reach the server and neither was given, or they
            are not valid.
    """

    def __init__(self, bound: str, allow: Sequence[str] = (), password: str | None = None) -> None:
        self._open = not _address(bound).is_loopback
        if self._open and not allow and not password:
            raise UserError(
                f"--bind {bound} lets the network play and stop the server: say who may with "
                "--allow and addresses or networks, or with --password (or $GANSYNTH_PASSWORD)"
            )
        if password is not None and len(password) < MIN_PASSWORD:
            raise UserError(f"--password must have at least {MIN_PASSWORD} characters")
        self._networks = tuple(_network(text) for text in allow)
        self._password = None if password is None else _digest(password)
        self._guesses = Bucket(MAX_GUESSES_PER_SECOND, 0.0)
        # by host: number of wrong passwords, and when the next one is looked at
        self._wrong: dict[str, tuple[int, float]] = {}
        self.local = lru_cache(MAX_HOSTS)(self._local)
        self.allows = lru_cache(MAX_HOSTS)(self._allows)

    @property
    def remark(self) -> str | None:
        """Warning for the user of an open server; None for a closed one."""
        if not self._open:
            return None
        senders = ", ".join(map(str, self._networks)) or "anywhere"
        how = " with the password" if self._password else ""
        return (
            f"warning: whoever sends from {senders}{how} can play and stop this server; "
            "OSC is not encrypted, so use it in networks that you trust"
        )

    def _local(self, host: str) -> bool:
        """Return whether a host is this machine, which is believed and asked for nothing."""
        return not self._open or _address(host) in _HERE

    def _allows(self, host: str) -> bool:
        """Return whether a host may send messages at all."""
        if self._local(host) or not self._networks:
            return True
        address = _address(host)
        return any(address in network for network in self._networks)

    @property
    def asks_password(self) -> bool:
        """Return whether other machines have to log in."""
        return self._open and self._password is not None

    def must_log_in(self, host: str) -> bool:
        """Return whether a host has to log in."""
        return self.asks_password and not self.local(host)

    def check(self, host: str, password: str, now: float) -> None:
        """Check a password; UserError where it is wrong, or where the host has to wait."""
        assert self._password is not None
        times, again = self._wrong.get(host, (0, now))
        if now < again or not self._guesses.take(1, now):
            raise UserError(f"wait {max(again - now, MIN_WAIT_S):.1f} s before you try again")
        if hmac.compare_digest(_digest(password), self._password):
            self._wrong.pop(host, None)
            return
        wait = min(MAX_WAIT_S, MIN_WAIT_S * 2.0 ** min(times, 16))
        self._wrong.pop(host, None)
        self._wrong[host] = times + 1, now + wait
        if len(self._wrong) > MAX_HOSTS:
            del self._wrong[next(iter(self._wrong))]
        raise UserError("wrong password")


def new_token() -> int:
    """Return a number that is hard to guess."""
    # of six digits, for Pd prints no more
    return 10**5 + secrets.randbelow(9 * 10**5)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode(errors="replace")).digest()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host.partition("%")[0])
    # a socket for both kinds has IPv4 addresses as ::ffff:1.2.3.4
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise UserError(
            f"--allow takes addresses and networks (192.168.1.7, 192.168.1.0/24), not {text}"
        ) from error
