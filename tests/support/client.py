"""The one OSC client of the tests: python-osc's codec on a plain socket."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable
from typing import Self

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

Words = tuple[object, ...]
"""A message or a reply: address, arguments…"""


def encode(address: object, *args: object) -> bytes:
    message = OscMessageBuilder(str(address))
    for arg in args:
        message.add_arg(arg)
    return message.build().dgram


def decode(datagram: bytes) -> Words:
    message = OscMessage(datagram)
    return (message.address, *message.params)


def bundle(tag: int, *messages: Words) -> bytes:
    """A bundle of messages; its time tag counts 2^-32 s from 1900 on."""
    parts = [encode(*words) for words in messages]
    sized = (struct.pack(">i", len(part)) + part for part in parts)
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(sized)


def time_tag(unix: float) -> int:
    """The time tag of a Unix time."""
    return round(unix * 2**32) + (2208988800 << 32)


class Client:
    """A socket connected to a server; ``source`` is the address that it sends from."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect((host, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def send(self, address: str, *args: object) -> None:
        self.socket.send(encode(address, *args))

    def send_at(self, when: float, *messages: Words) -> None:
        """Send messages for a Unix time, in a bundle."""
        self.socket.send(bundle(time_tag(when), *messages))

    def play(self, begin: float, score: Iterable[tuple[float, Words]]) -> None:
        """Send a score, each message a second before its time, or earlier where it is close."""
        start = time_tag(begin)
        for seconds, words in score:
            time.sleep(max(0.0, begin + seconds - 1.0 - time.time()))
            self.socket.send(bundle(start + round(seconds * 2**32), words))

    def receive(self, timeout: float = 10) -> Words:
        """The next reply; TimeoutError when none comes."""
        self.socket.settimeout(timeout)
        return decode(self.socket.recv(65536))

    def ask(self, address: str, *args: object) -> Words:
        """Send and return the reply."""
        self.send(address, *args)
        return self.receive()

    def until(self, address: str, timeout: float = 20) -> Words:
        """The next reply of one address; others are dropped."""
        while (reply := self.receive(timeout))[0] != address:
            pass
        return reply

    def sync(self, number: int = 99) -> None:
        """Return when the server has done all that was asked before."""
        self.send("/sync", number)
        while self.until("/synced") != ("/synced", number):
            pass

    def status(self) -> Words:
        """The reply to ``/status``; others that come before it are dropped."""
        self.send("/status")
        return self.until("/status.reply")

    def leave(self) -> None:
        """Silence what this client plays, close its stream, and close the socket."""
        try:
            self.send("/clearSched")
            self.send("/allsoundoff")
            self.send("/stream/close")
        except OSError:
            # the server has ended, and the system says so
            pass
        self.close()

    def close(self) -> None:
        self.socket.close()
