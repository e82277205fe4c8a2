"""Who may be reached."""

import pytest

from orchestrion.core import PolicyDenied, UserError
from orchestrion.egress import Egress
from orchestrion.egress._rules import Rules


@pytest.mark.parametrize(
    ("allow", "host", "port"),
    [
        ("api.example.com", "api.example.com", 443),
        ("API.Example.com", "api.example.com", 443),
        ("api.example.com", "api.example.com.", 443),
        ("*.example.org", "a.example.org", 80),
        ("*.example.org", "a.b.example.org", 80),
        ("api.example.com:8443", "api.example.com", 8443),
        ("bücher.example", "xn--bcher-kva.example", 443),
        ("93.184.216.34", "93.184.216.34", 80),
        ("93.184.216.0/24", "93.184.216.34", 80),
        ("127.0.0.1", "127.0.0.1", 5000),
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        ("10.1.0.0/16", "10.1.2.3", 80),
        ("[::1]:8080", "::1", 8080),
        ("::1", "::1", 8080),
        ("169.254.169.254", "169.254.169.254", 80),
        ("localhost:8080", "localhost", 8080),
        ("my_service", "my_service", 80),
    ],
)
def test_what_is_listed_is_admitted(allow: str, host: str, port: int) -> None:
    Rules([allow]).admit(host, port)


@pytest.mark.parametrize(
    ("allow", "host", "port"),
    [
        ([], "api.example.com", 443),
        (["api.example.com"], "example.com", 443),
        (["api.example.com"], "evil-api.example.com", 443),
        (["api.example.com"], "api.example.com.evil.net", 443),
        (["*.example.org"], "example.org", 443),
        (["*.example.org"], "evilexample.org", 443),
        (["api.example.com:8443"], "api.example.com", 443),
        (["api.example.com"], "93.184.216.34", 443),
        (["127.0.0.1:5000"], "127.0.0.1", 5001),
        (["0.0.0.0/0"], "127.0.0.1", 80),
        (["0.0.0.0/0"], "10.0.0.1", 80),
        (["::/0"], "::1", 80),
        (["8.0.0.0/5"], "10.0.0.1", 80),
        (["169.254.0.0/16"], "169.254.169.254", 80),
        (["0.0.0.0/0", "::/0"], "::ffff:127.0.0.1", 80),
        (["::/0"], "::ffff:10.0.0.1", 80),
        (["::/0"], "64:ff9b::7f00:1", 80),
        (["::/0"], "2002:7f00:1::", 80),
        (["::/0"], "::127.0.0.1", 80),
        (["::/0"], "fe80::1", 80),
        (["0.0.0.0/0"], "224.0.0.1", 80),
        (["0.0.0.0/0"], "0.0.0.0", 80),
        (["0.0.0.0/0"], "100.100.100.200", 80),
        (["*.example.org"], "127.1", 80),
        (["*.example.org"], "2130706433", 80),
    ],
)
def test_everything_else_is_refused(allow: list[str], host: str, port: int) -> None:
    with pytest.raises(PolicyDenied, match=r"egress\.allow in orchestrion\.yaml") as caught:
        Rules(allow).admit(host, port)
    assert caught.value.code == "egress-refused"
    assert repr(host) in caught.value.message
    assert caught.value.problem.status == 403


@pytest.mark.parametrize(
    ("allow", "host", "addresses"),
    [
        (["api.example.com"], "api.example.com", ["93.184.216.34", "2606:2800:220:1::1"]),
        (["crm.internal", "10.0.0.0/8"], "crm.internal", ["10.0.0.5"]),
        (["crm.internal", "10.0.0.5"], "crm.internal", ["10.0.0.5"]),
        (["localhost"], "localhost", ["127.0.0.1", "::1"]),
    ],
)
def test_addresses_that_may_be_connected_to(allow: list[str], host: str, addresses: list[str]) -> None:
    Rules(allow).vet(host, 80, addresses)


@pytest.mark.parametrize(
    ("allow", "host", "addresses", "why"),
    [
        (["api.example.com"], "api.example.com", ["10.0.0.5"], "a private address"),
        (["api.example.com"], "api.example.com", ["93.184.216.34", "10.0.0.5"], "a private address"),
        (["api.example.com"], "api.example.com", ["127.0.0.1"], "a loopback address"),
        (["api.example.com", "localhost"], "api.example.com", ["127.0.0.1"], "a loopback address"),
        (["localhost"], "localhost", ["10.0.0.5"], "a private address"),
        (["api.example.com", "127.0.0.1:81"], "api.example.com", ["127.0.0.1"], "a loopback address"),
        (["api.example.com"], "api.example.com", ["169.254.1.1"], "a link-local address"),
        (["api.example.com", "169.254.0.0/16"], "api.example.com", ["169.254.169.254"], "a cloud metadata address"),
        (["api.example.com"], "api.example.com", ["::ffff:10.0.0.5"], "a private address"),
        (["api.example.com"], "api.example.com", ["fd00::1"], "a private address"),
        (["api.example.com"], "api.example.com", ["239.1.1.1"], "a multicast address"),
        (["crm.internal", "10.1.0.0/16"], "crm.internal", ["10.2.0.5"], "a private address"),
    ],
)
def test_a_listed_name_does_not_open_special_addresses(
    allow: list[str], host: str, addresses: list[str], why: str
) -> None:
    with pytest.raises(PolicyDenied, match=why):
        Rules(allow).vet(host, 80, addresses)


@pytest.mark.parametrize(
    "entry",
    ["https://api.example.com", "api.example.com/path", "*", "a.*.com", "host:0", "host:99999", "", " ", "10.0.0.0/33", "999.1.1.1",
     "user@host", "a b", "[::1", "*.", "-a.com", "host:port", "1.2.3"],
)  # fmt: skip
def test_entries_that_mean_nothing_are_refused(entry: str) -> None:
    with pytest.raises(UserError, match="not a host") as caught:
        Egress([entry])
    assert caught.value.code == "bad-egress-entry"
