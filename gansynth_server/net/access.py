"""Who may talk to the server from other machines, and how that is proved.

UDP tells who sent a datagram, but not whether that is true. So whoever is not
on this machine is sent no more than a few times the bytes that came from its
address, until it has repeated something that it can only know from an answer:
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

SHORTEST = 8
"""Characters of a password."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds after a wrong password until another is looked at, doubled each time."""
GUESSES = 10
"""Passwords a second that are looked at, of everybody."""
MOST_HOSTS = 1024
"""Hosts of wrong passwords that are remembered."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HERE = tuple(map(ipaddress.ip_address, ("127.0.0.1", "::1")))


class Access:
    """Which hosts may come in, and with which password.

    Args:
        bound: numeric address that the server listens on.
        allow: addresses and networks that may talk to it; empty allows all who log in.
        password: what ``/login`` asks for; None asks for none.

    Raises:
        UserError: the network could reach it and neither was given, or they cannot be.
    """

    def __init__(self, bound: str, allow: Sequence[str] = (), password: str | None = None) -> None:
        self._open = not _address(bound).is_loopback
        if self._open and not allow and not password:
            raise UserError(
                f"--bind {bound} lets the network play and stop the server: say who may with "
                "--allow and addresses or networks, or with --password (or $GANSYNTH_PASSWORD)"
            )
        if password is not None and len(password) < SHORTEST:
            raise UserError(f"--password must have at least {SHORTEST} characters")
        self._networks = tuple(_network(text) for text in allow)
        self._password = None if password is None else _digest(password)
        self._guesses = Bucket(GUESSES, 0.0)
        self._wrong: dict[str, tuple[int, float]] = {}  # by host: how often, and when it may again
        self.local = lru_cache(MOST_HOSTS)(self._local)
        self.allows = lru_cache(MOST_HOSTS)(self._allows)

    @property
    def remark(self) -> str | None:
        """What to tell who started an open server."""
        if not self._open:
            return None
        who = ", ".join(map(str, self._networks)) or "anywhere"
        how = " with the password" if self._password else ""
        return (
            f"warning: whoever sends from {who}{how} can play and stop this server; "
            "OSC is not encrypted, so use it in networks that you trust"
        )

    def _local(self, host: str) -> bool:
        """Whether a host is this machine, which is believed and asked for nothing."""
        return not self._open or _address(host) in _HERE

    def _allows(self, host: str) -> bool:
        """Whether a host may talk to the server at all."""
        if self._local(host) or not self._networks:
            return True
        address = _address(host)
        return any(address in network for network in self._networks)

    @property
    def asks_password(self) -> bool:
        """Whether other machines have to know one."""
        return self._open and self._password is not None

    def must_log_in(self, host: str) -> bool:
        """Whether a host has to know the password."""
        return self.asks_password and not self.local(host)

    def check(self, host: str, password: str, now: float) -> None:
        """UserError unless it is the password, or where a host has to wait."""
        assert self._password is not None
        times, again = self._wrong.get(host, (0, now))
        if now < again or not self._guesses.take(1, now):
            raise UserError(f"wait {max(again - now, FIRST_WAIT):.1f} s before you try again")
        if hmac.compare_digest(_digest(password), self._password):
            self._wrong.pop(host, None)
            return
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(times, 16))
        self._wrong.pop(host, None)
        self._wrong[host] = times + 1, now + wait
        if len(self._wrong) > MOST_HOSTS:
            del self._wrong[next(iter(self._wrong))]
        raise UserError("wrong password")


def new_token() -> int:
    """A number that is hard to guess; Pd prints six digits of one."""
    return 10**5 + secrets.randbelow(9 * 10**5)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode(errors="replace")).digest()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address  # of a socket for both kinds


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise UserError(
            f"--allow takes addresses and networks (192.168.1.7, 192.168.1.0/24), not {text}"
        ) from error
