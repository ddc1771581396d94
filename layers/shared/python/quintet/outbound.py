"""Addresses that somebody else chose and we are to call: which they may be, so that nobody reaches inside through us.

What a name means is known only when it is resolved, and may change until it is used: so who calls resolves once, has
every address checked, and connects to exactly those.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from quintet.config import settings

MAX_URL = 2048

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out. What lies outside translates to IPv4 (mapped, NAT64) or is no public address."""
_NOBODYS = (IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
"""Relays to 6to4 (RFC 7526), and documentation (RFC 9637), which Python takes for global."""
_NOT_FOUND = "The URL's host cannot be found, or has an address that is not public."
"""One sentence for both, or it would tell which names there are where only we can look."""

Resolver = Callable[..., list[tuple[Any, ...]]]
"""`socket.getaddrinfo`, or what stands in for it."""


class NotAllowed(Exception):  # noqa: N818  (it is an outcome)
    """We do not call this address; the message is a sentence for whoever chose it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL points, in the parts a request is made of."""

    secure: bool
    host: str
    port: int
    authority: str
    """The Host header."""
    path: str
    """With the query."""


def private_allowed() -> bool:
    """Whether private addresses and plain http may be called; never so in a deployed environment."""
    return settings().webhooks_allow_private and settings().environment in ("local", "test")


def parse(url: str) -> Target:
    """The target of a URL that may be called, as far as can be told without resolving; raises NotAllowed."""
    if len(url) > MAX_URL or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise NotAllowed(f"Send a URL of {MAX_URL} characters at most, percent-encoded where they are not ASCII.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NotAllowed("This is not a URL.") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and private_allowed()):
        raise NotAllowed("Send a URL that begins with https://.")
    if "@" in parts.netloc:
        raise NotAllowed("A user name or password in the URL is not sent. Put a token into the path or the query.")
    if "#" in url:
        raise NotAllowed("What follows # is not sent. Leave it out.")
    literal = _literal(host)
    if literal is None and not (_HOST.fullmatch(host) and len(host) <= 253):
        raise NotAllowed("The URL's host is not a name or an address. International names are written as xn--….")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if not private_allowed():
        if literal is not None and not is_public(literal):
            raise NotAllowed("The URL's host is not a public address.")
        if port < 1024 and port not in _DEFAULT_PORTS.values():
            raise NotAllowed("Use port 443, or one above 1023.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme == "https", host, port, parts.netloc, path)


def resolve(target: Target, resolver: Resolver = socket.getaddrinfo) -> list[str]:
    """The addresses to connect to, the best first; raises NotAllowed when there are none or any is not public.

    One public address beside a private one is what an attack looks like, so one bad address condemns all.
    """
    try:
        found = resolver(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotAllowed(_NOT_FOUND) from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not (private_allowed() or all(is_public(ip_address(address)) for address in addresses)):
        raise NotAllowed(_NOT_FOUND)
    return addresses


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether this address belongs to one host on the Internet, whichever network asks for it."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _NOBODYS):
        return False
    if isinstance(address, IPv6Address):  # 6to4 and Teredo carry an IPv4 address of whoever made them up
        zoned = address.scope_id is not None  # for a network of ours alone
        return address in _GLOBAL_UNICAST and address.sixtofour is None and address.teredo is None and not zoned
    return True


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
