"""Where a call comes from, whatever port it has and however its network writes it."""

import pytest

from cinema_grpc.transport.peers import place_of


@pytest.mark.parametrize(
    ("peer", "place"),
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
def test_place(peer: str, place: str) -> None:
    assert place_of(peer) == place
