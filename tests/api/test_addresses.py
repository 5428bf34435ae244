"""Who is one client, and who is one of ours."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.addresses import UNKNOWN, address_of, client_key, is_in, is_loopback, networks


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:4711 ", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        (None, None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113", None),
        ("203.0.113.7 evil", None),
        ("[2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]evil", None),
        ("0x7f.1", None),
    ],
)
def test_an_address_is_read_as_proxies_write_it(text: str | None, address: str | None) -> None:
    """With a port or without; what is none is none."""
    found = address_of(text)

    assert (None if found is None else str(found)) == address


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_a_subscriber_is_one_client_whatever_address_of_its_own_it_takes(address: IPv6Address, other: int) -> None:
    """All of an IPv6 network of 64 bits is one client, and nobody beyond it."""
    network = int(address) >> 64 << 64
    neighbour = IPv6Address((network + 2**64) % 2**128)
    if any(IPv6Address(each).ipv4_mapped for each in (int(address), network + other, int(neighbour))):
        return

    assert client_key(str(address)) == client_key(str(IPv6Address(network + other)))
    assert client_key(str(address)) != client_key(str(neighbour))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_a_client_also_where_it_comes_over_ipv6(address: object) -> None:
    """A server that listens on both sees it as ``::ffff:``; it has one account."""
    assert client_key(f"::ffff:{address}") == client_key(str(address)) == str(address)


def test_who_has_no_address_is_one_client() -> None:
    """They share what one may have."""
    assert client_key(None) == client_key("evil") == UNKNOWN


@pytest.mark.parametrize(
    ("text", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False)],
)
def test_this_machine_is_known_by_all_its_own_addresses(text: str, here: bool) -> None:
    """Those of the loopback and no others."""
    assert is_loopback(text) is here
    assert not is_loopback("localhost"), "an address is no name"


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_networks_hold_what_lies_in_them(address: object, bits: int) -> None:
    """An address alone is a network of one; a host's address with bits is its network."""
    found = networks([f"{address}/{bits}"])

    assert is_in(str(address), found)
    assert all(is_in(str(other), found) for other in (found[0][0], found[0][-1]))
    assert not is_in("2001:db8::1", found)
    assert not is_in("no address", found)


@pytest.mark.parametrize("text", ["proxy", "10.0.0.0/33", "", "*", "10.0.0.1-10.0.0.9"])
def test_what_is_no_network_is_refused_with_an_example(text: str) -> None:
    """A name is none: what it leads to may change."""
    with pytest.raises(ValueError, match=r"such as 192\.0\.2\.7 or 172\.16\.0\.0/12"):
        networks([text])


def test_an_address_of_the_library_is_an_address() -> None:
    """Round trip."""
    assert address_of(str(ip_address("192.0.2.1"))) == ip_address("192.0.2.1")
