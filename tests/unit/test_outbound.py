"""Which addresses we call for somebody else: none that leads inside, however it is written or resolves."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from quintet.config import settings
from quintet.outbound import NotAllowed, is_public, parse, private_allowed, resolve


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As it is where it is deployed."""
    monkeypatch.delenv("WEBHOOKS_ALLOW_PRIVATE", raising=False)
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def resolving(*addresses: str) -> Any:
    """A resolver that answers these."""
    return lambda host, port, **_: [(None, None, None, "", (address, port)) for address in addresses]


def not_found(*_: Any, **__: Any) -> Any:
    """A resolver that knows nobody."""
    raise socket.gaierror


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00::8", "fd00:ec2::254", "ff02::1"),
        *("2001:db8::1", "100::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254", "::7f00:1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:808:808::"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "4000::1", "8000::1"),
        *("192.88.99.1", "3fff::1", "3fff:fff::1", "2606:4700::1111%eth0"),
    ],
)
def test_given_an_address_that_is_not_one_host_on_the_internet_then_it_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001:82a::200e"])
def test_given_an_address_on_the_internet_then_it_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "ftp://example.com/", "//example.com", "example.com", "", "https://", "https:///x"),
        *("https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/"),
        *("https://example.com/#x", "https://example.com/a b", "https://example.com/\r\nX: 1", "https://ex\tample.com"),
        *("https://example.com\\@127.0.0.1/", "https://bücher.example/", "https://exa_mple.com", "https://-a.example"),
        *("https://example.com:25/", "https://example.com:0/", "https://example.com:22/", "https://example.com:99999/"),
        *("https://example.com:x/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/"),
        *("https://169.254.169.254/latest/meta-data", "https://10.0.0.1:8443/", "https://[fe80::1%25eth0]/"),
        *("https://[2606:4700::1111%25eth0]/", "https://[2606:4700::1111%eth0]/"),
        *("https://[::1", "https://a..example/", "https://example.com./", f"https://example.com/{'x' * 2048}"),
    ],
)
def test_given_a_url_that_may_not_be_called_then_it_is_refused(url: str) -> None:
    with pytest.raises(NotAllowed):
        parse(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", (True, "example.com", 443, "example.com", "/")),
        ("HTTPS://Example.COM:8443/a/%20?b=c:@d", (True, "example.com", 8443, "Example.COM:8443", "/a/%20?b=c:@d")),
        ("https://xn--bcher-kva.example/?", (True, "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/")),
        ("https://8.8.8.8/x", (True, "8.8.8.8", 443, "8.8.8.8", "/x")),
        ("https://[2606:4700::1111]:443/", (True, "2606:4700::1111", 443, "[2606:4700::1111]:443", "/")),
    ],
)
def test_given_a_url_that_may_be_called_then_its_parts_are_those_of_a_request(url: str, expected: Any) -> None:
    target = parse(url)
    assert (target.secure, target.host, target.port, target.authority, target.path) == expected


@pytest.mark.parametrize(
    "addresses",
    [
        *(["127.0.0.1"], ["169.254.169.254"], ["::1"], ["93.184.215.14", "127.0.0.1"], ["10.0.0.1", "93.184.215.14"]),
        *(["93.184.215.14", "fd00::8"], ["::ffff:127.0.0.1"], []),
    ],
)
def test_given_a_name_with_any_address_that_is_not_public_then_it_is_refused(addresses: list[str]) -> None:
    with pytest.raises(NotAllowed) as refused:
        resolve(parse("https://hooks.example/"), resolving(*addresses))
    # AND in the words for a name that is not there, so that nobody learns which names there are inside
    with pytest.raises(NotAllowed) as unknown:
        resolve(parse("https://nowhere.invalid/"), not_found)
    assert str(refused.value) == str(unknown.value)


def test_given_a_public_name_then_its_addresses_are_those_to_connect_to() -> None:
    found = resolve(parse("https://hooks.example/"), resolving("2606:4700::1111", "8.8.8.8", "8.8.8.8"))
    assert found == ["2606:4700::1111", "8.8.8.8"]


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "0"])
def test_given_another_spelling_of_this_machine_then_the_real_resolver_gives_it_away(host: str) -> None:
    with pytest.raises(NotAllowed, match=r"public|cannot be found"):
        resolve(parse(f"https://{host}/"))


def test_given_a_name_that_is_not_there_then_it_is_refused() -> None:
    with pytest.raises(NotAllowed, match="cannot be found"):
        resolve(parse("https://nowhere.invalid/"))


@pytest.mark.parametrize(("environment", "allowed"), [("local", True), ("test", True), ("dev", False), ("prod", False)])
def test_given_an_environment_then_private_addresses_are_allowed_on_one_machine_alone(
    monkeypatch: pytest.MonkeyPatch, environment: str, allowed: bool
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    settings.cache_clear()
    assert not private_allowed()
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "true")
    settings.cache_clear()
    assert private_allowed() == allowed
    if allowed:
        assert resolve(parse("http://127.0.0.1:25/")) == ["127.0.0.1"]
    else:
        with pytest.raises(NotAllowed):
            parse("http://example.com/")
        with pytest.raises(NotAllowed):
            parse("https://127.0.0.1/")
