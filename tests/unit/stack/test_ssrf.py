from __future__ import annotations

import ipaddress

import pytest

from plugin.stack import ssrf


def is_refused(networks: list[str], address: str) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in networks)


@pytest.mark.parametrize(
    ("allowed", "neighbours"),
    [
        ("127.0.0.1", ["127.0.0.0", "127.0.0.2", "127.255.255.255", "10.0.0.1", "::1", "169.254.169.254"]),
        ("172.30.77.10", ["172.30.77.9", "172.30.77.11", "172.16.0.1", "172.31.255.255", "127.0.0.1", "fe80::1"]),
    ],
)
def test_exactly_one_address_is_let_through(allowed: str, neighbours: list[str]) -> None:
    networks = ssrf.refused_networks(allowed)
    assert not is_refused(networks, allowed)
    assert all(is_refused(networks, neighbour) for neighbour in neighbours)
    assert not is_refused(networks, "8.8.8.8")


def test_a_public_address_needs_no_opening() -> None:
    assert ssrf.refused_networks("8.8.8.8") == [
        str(ipaddress.ip_network(network)) for network in ssrf.REFUSED_BY_DEFAULT
    ]


def test_no_address_but_the_allowed_one_is_lost() -> None:
    def addresses(networks: list[str]) -> int:
        parsed = [ipaddress.ip_network(network) for network in networks]
        return sum(item.num_addresses for item in ipaddress.collapse_addresses(n for n in parsed if n.version == 4))

    assert addresses(list(ssrf.REFUSED_BY_DEFAULT)) - addresses(ssrf.refused_networks("10.1.2.3")) == 1
