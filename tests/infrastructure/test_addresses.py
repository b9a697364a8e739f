"""Addresses that a local server prints are such that it answers there."""

import pytest

from infrastructure.local.addresses import url


@pytest.mark.parametrize(
    ("host", "bound", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:80"),
        ("0", "0.0.0.0", "http://127.0.0.1:80"),
        ("", "0.0.0.0", "http://127.0.0.1:80"),
        ("::", "::", "http://[::1]:80"),
        ("0:0:0:0:0:0:0:0", "::", "http://[::1]:80"),
        ("::1", "::1", "http://[::1]:80"),
        ("2001:db8::7", "2001:db8::7", "http://[2001:db8::7]:80"),
        ("fe80::1%eth0", "fe80::1%eth0", "http://[fe80::1%25eth0]:80"),
        ("localhost", "127.0.0.1", "http://localhost:80"),
        ("localhost", "::1", "http://localhost:80"),
        ("box.example.com", "10.0.0.7", "http://box.example.com:80"),
    ],
)
def test_an_address_is_one_that_answers(host: str, bound: str, expected: str) -> None:
    assert url(host, bound, 80) == expected
