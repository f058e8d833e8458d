"""Which addresses may send, and how passwords are tried."""

import pytest

from gansynth_server.errors import UserError
from gansynth_server.net.access import Access

PASSWORD = "correct horse battery"


def test_an_open_port_needs_a_bolt():
    for bound in ("0.0.0.0", "::", "192.168.1.5"):
        with pytest.raises(UserError, match=r"--allow.*--password"):
            Access(bound)
        assert Access(bound, password=PASSWORD).remark.startswith("warning")
    for bound in ("127.0.0.1", "127.0.0.9", "::1"):
        assert Access(bound).remark is None
    with pytest.raises(UserError, match="--allow"):
        Access("0.0.0.0", ["house"])
    with pytest.raises(UserError, match="8 characters"):
        Access("0.0.0.0", password="short")


def test_networks():
    access = Access("::", ["10.1.2.0/24", "192.168.0.7", "fe80::/10"])
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "192.168.0.7", "127.0.0.1", "::1", "fe80::1%eth0"):
        assert access.allows(host), host
    for host in ("10.1.3.3", "192.168.0.8", "127.0.0.2", "::2", "::ffff:10.1.3.3"):
        assert not access.allows(host), host
    assert access.local("127.0.0.1") and access.local("::ffff:127.0.0.1")
    assert not access.local("10.1.2.3") and not access.local("127.0.0.2")
    inside = Access("127.0.0.1", ["10.0.0.1"])
    assert inside.local("127.0.0.2") and inside.allows("127.0.0.2")


def test_wrong_passwords_wait_twice_as_long_each_time():
    access = Access("0.0.0.0", password=PASSWORD)
    now = 100.0
    for wait in (0.5, 1, 2, 4, 8, 16, 32, 60, 60):
        with pytest.raises(UserError, match="wrong"):
            access.check("10.0.0.1", "guess", now)
        with pytest.raises(UserError, match="wait"):  # the right one too
            access.check("10.0.0.1", PASSWORD, now + wait - 0.01)
        now += wait
    access.check("10.0.0.1", PASSWORD, now)
    access.check("10.0.0.2", PASSWORD, now)
    with pytest.raises(UserError, match="wrong"):  # forgiven
        access.check("10.0.0.1", "guess", now + 1)
    access.check("10.0.0.1", PASSWORD, now + 1.5)


def test_everybody_together_has_few_guesses():
    access = Access("0.0.0.0", password=PASSWORD)
    looked_at = 0
    for n in range(1000):
        with pytest.raises(UserError) as error:
            access.check(f"10.0.{n // 250}.{n % 250}", "guess", 5.0)
        looked_at += str(error.value) == "wrong password"
    assert looked_at == 20
