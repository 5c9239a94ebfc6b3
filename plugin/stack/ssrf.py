"""The narrowest opening of Label Studio's SSRF protection: one address, and nothing else that it refuses.

Label Studio refuses webhooks to private and loopback addresses. It can be told to use another list of refused
networks, never to allow one: so the list is its own, with our one address cut out of it.

    python -m plugin.stack.ssrf 172.30.77.10      prints the variables for an address (docker-compose.yml)
"""

from __future__ import annotations

import ipaddress
import sys

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Label Studio 1.23.2, core.utils.io.validate_ip; a test compares it with the installed one.
REFUSED_BY_DEFAULT = (
    *(
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
    ),
    *(
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
    ),
    *("224.0.0.0/4", "233.252.0.0/24", "240.0.0.0/4", "255.255.255.255/32"),
    *("::/128", "::1/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("2001:0000::/32", "2001:20::/28", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
)


def refused_networks(allowed: str) -> list[str]:
    hole = ipaddress.ip_network(allowed)
    networks: list[Network] = [ipaddress.ip_network(network) for network in REFUSED_BY_DEFAULT]
    return [str(piece) for network in networks for piece in _without(network, hole)]


def environment(allowed: str) -> dict[str, str]:
    return {
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(refused_networks(allowed)),
    }


def _without(network: Network, hole: Network) -> list[Network]:
    if isinstance(network, ipaddress.IPv4Network) and isinstance(hole, ipaddress.IPv4Network):
        return sorted(network.address_exclude(hole)) if hole.subnet_of(network) else [network]
    if isinstance(network, ipaddress.IPv6Network) and isinstance(hole, ipaddress.IPv6Network):
        return sorted(network.address_exclude(hole)) if hole.subnet_of(network) else [network]
    return [network]


if __name__ == "__main__":
    for name, value in environment(sys.argv[1]).items():
        print(f"{name}={value}")
