"""Where a local server answers, for those who read it in a terminal or a file."""

from ipaddress import IPv6Address, ip_address


def url(host: str, bound: str, port: int) -> str:
    """The address at which a server answers that was told to listen on `host`, and is bound to the address `bound`.

    Whoever listens on all addresses of a family answers at the machine's own one of it. IPv6 addresses are written in
    brackets, names as they were given.
    """
    try:
        at = ip_address(bound)
    except ValueError:
        return f"http://{host}:{port}"
    if at.is_unspecified:
        return f"http://[::1]:{port}" if isinstance(at, IPv6Address) else f"http://127.0.0.1:{port}"
    try:
        ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"  # a name
    return f"http://[{_zoned(host)}]:{port}" if isinstance(at, IPv6Address) else f"http://{host}:{port}"


def _zoned(host: str) -> str:
    """With the percent sign before a zone as URLs have it (RFC 6874)."""
    return host.replace("%", "%25")
