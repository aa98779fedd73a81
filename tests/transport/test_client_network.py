"""The client network of a peer, whatever its port and however its address is written; and what it calls itself."""

import pytest

from cinema_grpc.transport.call import Call, network_of


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("ipv4:192.0.2.1:50412", "192.0.2.1"),
        ("ipv4:192.0.2.1:1", "192.0.2.1"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:50412", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:50412", "2001:db8:1:2::/64"),
        ("ipv6:%5B::1%5D:50412", "::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50412", "fe80::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:50412", "192.0.2.1"),
        ("unix:", "unix:"),
        ("unix:/run/cinema.sock", "unix:/run/cinema.sock"),
        ("ipv4:nonsense:1", "ipv4:nonsense:1"),
        ("", ""),
    ],
)
def test_network(peer: str, network: str) -> None:
    assert network_of(peer) == network


@pytest.mark.parametrize(("length", "logged"), [(0, 0), (10, 10), (500, 200)])
def test_the_beginning_of_the_user_agent_is_logged(length: int, logged: int) -> None:
    call = Call("/test.Service/Method", (("accept", "no"), ("user-agent", "x" * length), ("user-agent", "y")))
    assert call.user_agent == "x" * logged
