"""Sites through the front door: what is set is shown, what breaks a rule is refused by name, and settings act."""

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chalice.app import Chalice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import observability, wiring
from chalicelib.aws.tables import DomainDocument
from chalicelib.core import passwords
from chalicelib.core.accounts import EVERYTHING, Permission
from chalicelib.pageviews import sites as rules
from chalicelib.pageviews.user_settings import DEFAULTS
from tests.endpoints import ENDPOINTS, PAGEVIEWS
from tests.front import FrontDoor, Reply
from tests.people import Person, address, settle

SITES = "/api/v0/sites"
UNSET = {
    "public": "private",
    "secret": "",
    "allow_counter": False,
    "allow_bosmang": False,
    "data_retention": 0,
    "ignore_ips": "",
    "collect": 190,
    "collect_regions": "US,RU,CN",
    "allow_embed": "",
}
"""The settings of a new site."""
once = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def door(quick: Chalice) -> Iterator[FrontDoor]:
    """The service. Nobody signs in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hashed", lambda password: password)
        yield FrontDoor(quick)


@pytest.fixture
def person(door: FrontDoor) -> Person:
    """The owner of an account with one site."""
    return settle(door)


@pytest.fixture(scope="module")
def shared(door: FrontDoor) -> Person:
    """Who `somebody` is."""
    return settle(door)


@pytest.fixture
def somebody(shared: Person) -> Iterator[Person]:
    """The owner of an account that tests share. None of them changes its sites."""
    before = found(shared.get(SITES))
    yield shared
    assert found(shared.get(SITES)) == before, "others see what this test has changed: give it an account of its own"


def ours(person: Person) -> str:
    return f"{SITES}/{person.created.site.id}"


def found(reply: Reply) -> Any:
    assert reply.status == 200, reply.text
    return reply.json()


def errors(reply: Reply) -> Any:
    """What is wrong with which field."""
    assert reply.status == 400, reply.text
    assert list(reply.json()) == ["errors"]
    return reply.json()["errors"]


def error(reply: Reply) -> str:
    assert reply.status == 400, reply.text
    assert list(reply.json()) == ["error"]
    return str(reply.json()["error"])


def patch(person: Person, **settings: Any) -> Reply:
    return person.ask("PATCH", ours(person), json_body={"settings": settings})


def child(person: Person, **fields: Any) -> Any:
    """A new site of the account."""
    return found(person.ask("PUT", SITES, json_body=fields))


def name() -> str:
    """A code that nobody has."""
    name.count += 1  # type: ignore[attr-defined]
    return f"made-{name.count}"  # type: ignore[attr-defined]


name.count = 0  # type: ignore[attr-defined]


# What is shown


def test_a_site_shows_these_fields_in_this_order(person: Person) -> None:
    """Page-view contract, section 2.3: with three t's, lists as strings, times in whole seconds."""
    [site] = found(person.get(SITES))["sites"]
    made = person.created.site
    assert list(site) == [
        "id",
        "parent",
        "cname",
        "cname_setup_at",
        "code",
        "link_domain",
        "setttings",
        "user_defaults",
        "received_data",
        "state",
        "created_at",
        "updated_at",
        "first_hit_at",
    ]
    assert (site["id"], site["parent"], site["code"], site["state"]) == (made.id, None, made.code, "a")
    assert site["setttings"] == UNSET
    assert list(site["setttings"]) == list(UNSET)
    assert site["user_defaults"] == DEFAULTS == found(person.get("/api/v0/me"))["user"]["settings"]
    assert (site["received_data"], site["updated_at"]) == (False, None)
    assert site["created_at"] == site["first_hit_at"]
    assert len(site["created_at"]) == len("2026-01-01T10:00:00Z")
    assert found(person.get(ours(person))) == site


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-62_135_640_000, "0001-01-01T00:00:00Z"),
        (-62_135_596_800, "0001-01-01T00:00:00Z"),
        (-62_135_596_799, "0001-01-01T00:00:01Z"),
        (-(10**17), "0001-01-01T00:00:00Z"),
        (10**17, "9999-12-31T23:59:59Z"),
        (0, "1970-01-01T00:00:00Z"),
    ],
)
def test_the_first_hit_may_be_older_than_the_calendar(person: Person, seconds: int, shown: str) -> None:
    """Imports from the first day of year 1 move it twelve hours before that; years have four digits always."""
    made = person.created.site
    document = DomainDocument.get(f"account#{made.account}", f"domain#{made.domain}", consistent_read=True)
    document.update(actions=[DomainDocument.first_hit_at.set(seconds)])
    assert found(person.get(ours(person)))["first_hit_at"] == shown


def test_an_import_from_the_first_hours_of_year_1_breaks_nothing(person: Person) -> None:
    hit = {"path": "/", "created_at": "0001-01-01T03:00:00Z"}
    assert person.post("/api/v0/count", json_body={"no_sessions": True, "hits": [hit]}).status == 202
    site = found(person.get(ours(person)))
    assert (site["first_hit_at"], site["received_data"]) == ("0001-01-01T00:00:00Z", True)


# What is set


domains = st.sampled_from(["example.com", "www.example.org", "a-b.c1.example", "xn--mller-kva.example"])
pages = st.sampled_from(["https://example.com", "http://example.com:8080/a/b", "example.com", "localhost:3000"])
SOUND: dict[str, st.SearchStrategy[Any]] = {
    "public": st.sampled_from(["private", "public"]),
    "secret": st.text("abcXYZ019", max_size=40),
    "allow_counter": st.booleans(),
    "allow_bosmang": st.booleans(),
    "data_retention": st.integers(31, 1825) | st.just(0),
    "ignore_ips": st.lists(st.ip_addresses().map(str), max_size=5, unique=True),
    "collect": st.integers(1, 511),
    "collect_regions": st.lists(st.sampled_from(["US", "NL", "DE", "CN"]), max_size=4, unique=True),
    "allow_embed": st.lists(domains | pages | st.just("*.example.com"), max_size=4, unique=True),
}
LISTS = {"ignore_ips", "collect_regions", "allow_embed"}


def onto_the_wire(given: Any, *, joined: bool) -> Any:
    return ",".join(given) if joined and isinstance(given, list) else given


@once
@given(st.fixed_dictionaries({}, optional=SOUND), st.booleans(), st.sampled_from(["settings", "setttings", "Settings"]))
def test_what_is_set_is_shown_and_the_rest_stays(
    person: Person,
    wanted: dict[str, Any],
    joined: bool,
    key: str,
) -> None:
    """Lists may come as strings or arrays, and keys as they should be or as they are shown."""
    before = found(person.get(ours(person)))
    sent = {name: onto_the_wire(value, joined=joined) for name, value in wanted.items()}
    after = found(person.ask("PATCH", ours(person), json_body={key: sent}))
    expected = {name: onto_the_wire(value, joined=True) for name, value in wanted.items()}
    assert after["setttings"] == {**before["setttings"], **expected}
    same = set(before) - {"setttings", "updated_at"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert found(person.get(ours(person))) == after


_IP, _URL = "must be a valid IPv4 or IPv6 address", "must be a valid url"
_LABELS = "must be a valid domain: labels are letters, digits and inner hyphens"
BROKEN = [
    ("public", "open", ["must be one of ‘private, secret, public’"]),  # noqa: RUF001 - the contract's quotes
    ("public", "", ["must be one of ‘private, secret, public’"]),  # noqa: RUF001
    ("secret", "a" * 41, ["must be shorter than 40 characters"]),
    ("secret", "abc-defgh", ["must be ASCII letters and digits"]),
    ("secret", "élan-vital", ["must be ASCII letters and digits"]),
    ("data_retention", 30, ["must be 31 or higher"]),
    ("data_retention", -1, ["must be 31 or higher"]),
    ("data_retention", 1826, ["must be 1825 or lower"]),
    ("ignore_ips", "1.1.1.1,1.1.1.0/24", [_IP]),
    ("ignore_ips", ["1.1.1.256"], [_IP]),
    ("ignore_ips", "fe80::1%eth0", [_IP]),
    ("ignore_ips", ",".join(f"2001:db8::{n:x}" for n in range(1000)), ["must be shorter than 8192 characters"]),
    ("collect", 512, ["must be 511 or lower"]),
    ("collect", -1, ["must be 0 or higher"]),
    ("collect_regions", "USA", ["must be a country of two letters, such as ‘US’"]),  # noqa: RUF001
    ("allow_embed", "https://a.example,*", ["'*' is not allowed"]),
    ("allow_embed", "'self'", [_LABELS]),
    ("allow_embed", "https://a.example; script-src *", [_LABELS.replace(_LABELS, _URL)]),
    ("allow_embed", "javascript://a.example", [_URL]),
]


@pytest.mark.parametrize(
    ("setting", "value", "messages"), BROKEN, ids=[f"{row[0]}-{n}" for n, row in enumerate(BROKEN)]
)
def test_what_breaks_a_rule_is_refused_by_its_dotted_name_and_nothing_changes(
    somebody: Person, setting: str, value: object, messages: list[str]
) -> None:
    """In the contract's words, whatever else was sent along."""
    before = found(somebody.get(ours(somebody)))
    other = {"allow_counter": not before["setttings"]["allow_counter"]}
    assert errors(patch(somebody, **other, **{setting: value})) == {f"settings.{setting}": messages}
    assert errors(somebody.ask("PUT", SITES, json_body={"code": name(), "setttings": {setting: value}})) == {
        f"settings.{setting}": messages
    }
    assert found(somebody.get(ours(somebody))) == before


unsound = {
    "data_retention": st.integers(1, 30) | st.integers(1826, 2**31 - 1) | st.integers(-(2**31) + 1, -1),
    "public": st.text(max_size=20).filter(lambda text: text not in {"private", "secret", "public"}),
    "secret": st.text("-_é ", min_size=1, max_size=50),
    "collect": st.integers(512, 2**31 - 1) | st.integers(-(2**31) + 1, -1),
    "ignore_ips": st.text("abcxyz.", min_size=1, max_size=20).map(lambda text: f"x{text}"),
    "collect_regions": st.text("abc1", min_size=3, max_size=9),
    "allow_embed": st.text("\"'<> \\", min_size=1).map(lambda text: f"a{text}b"),
}


@once
@given(st.fixed_dictionaries({}, optional=unsound).filter(bool))
def test_every_field_that_breaks_a_rule_is_named_and_no_other(somebody: Person, wrong: dict[str, Any]) -> None:
    before = found(somebody.get(ours(somebody)))
    assert set(errors(patch(somebody, **wrong))) == {f"settings.{name}" for name in wrong}
    assert found(somebody.get(ours(somebody))) == before


@pytest.mark.parametrize(
    ("secret", "messages"),
    [
        ("", ["must be set", "must be longer than 8 characters"]),
        ("abcdefg", ["must be longer than 8 characters"]),
    ],
)
def test_a_secret_site_needs_a_secret(person: Person, secret: str, messages: list[str]) -> None:
    """Given now, or before."""
    assert errors(patch(person, public="secret", secret=secret)) == {"settings.secret": messages}
    assert found(patch(person, secret="abcdefgh"))["setttings"]["public"] == "private"
    assert found(patch(person, public="secret"))["setttings"]["secret"] == "abcdefgh"
    assert errors(patch(person, secret=secret)) == {"settings.secret": messages}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"code": "x"}', 'unknown parameter: "code"'),
        ('{"user_defaults": {}}', 'unknown parameter: "user_defaults"'),
        ('{"id": 1}', 'unknown parameter: "id"'),
        ('{"settings": {"colour": 1}}', 'unknown parameter: "colour"'),
        ('{"settings": []}', "invalid JSON: settings must be an object"),
        ('{"settings": {"collect": "190"}}', "invalid JSON: settings.collect must be a whole number of 32 bits"),
        ('{"settings": {"allow_counter": 1}}', "invalid JSON: settings.allow_counter must be true or false"),
        ('{"settings": {"ignore_ips": 1}}', "invalid JSON: settings.ignore_ips must be a string or an array"),
        ('{"settings": {"ignore_ips": [1]}}', "invalid JSON: settings.ignore_ips must be a string"),
        ('{"cname": 1}', "invalid JSON: cname must be a string"),
        ('{"link_domain": {}}', "invalid JSON: link_domain must be a string"),
        ("[]", "invalid JSON: the body must be an object"),
        ("{", "invalid JSON: Expecting property name enclosed in double quotes at character 1"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_cannot_be_read_or_is_not_known_refuses_the_whole_request(
    somebody: Person, method: str, body: str, message: str
) -> None:
    before = found(somebody.get(ours(somebody)))
    reply = somebody.ask(method, ours(somebody), body=body, headers={"content-type": "application/json"})
    assert error(reply) == message
    assert found(somebody.get(ours(somebody))) == before


@pytest.mark.parametrize("how", [{}, {"content-type": "text/plain"}])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_nothing_is_a_body_only_where_it_is_called_json(person: Person, method: str, how: dict[str, str]) -> None:
    """A POST of nothing would take all settings back: whoever wants that says that it is JSON."""
    before = found(patch(person, data_retention=365))
    path = SITES if method == "PUT" else ours(person)
    reply = person.ask(method, path, headers=how)
    said = f'unable to handle Content-Type "{how.get("content-type", "")}"'
    assert (reply.status, reply.json()) == (415, {"error": said})
    assert found(person.get(ours(person))) == before


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["a.b.example", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "s", "views", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    ["settings", "setttings", "cname", "CNAME", "code", "link_domain", "user_defaults", "id", "x", ""]
)
inner_keys = st.sampled_from([*UNSET, *DEFAULTS, "x"])


@once
@given(st.dictionaries(keys, anything | st.dictionaries(inner_keys, anything, max_size=3), max_size=3), st.booleans())
def test_no_body_breaks_anything(person: Person, body: Any, new: bool) -> None:
    """It is taken or refused, in words for people; and what was refused has changed nothing."""
    before = found(person.get(SITES))
    method, path = ("PUT", SITES) if new else ("PATCH", ours(person))
    reply = person.ask(method, path, json_body=body)
    if reply.status == 200:
        assert found(person.get(f"{SITES}/{reply.json()['id']}")) == reply.json()
    else:
        assert (reply.status, len(reply.json())) == (400, 1)
        assert found(person.get(SITES)) == before


def test_patch_keeps_what_is_not_named_and_post_begins_anew(person: Person) -> None:
    """But for the code, by which the site is still found; null names nothing, save that there is no host."""
    host = f"{name()}.example"
    fields = {"cname": host.upper(), "link_domain": "https://www.example.com/", "settings": {"collect": 2}}
    first = found(person.ask("PATCH", ours(person), json_body=fields))
    assert (first["cname"], first["link_domain"]) == (host, "https://www.example.com")
    assert first["cname_setup_at"] == first["updated_at"]
    nothing = {"link_domain": None, "settings": {"collect": None, "ignore_ips": None}}
    assert found(person.ask("PATCH", ours(person), json_body=nothing)) == first
    assert found(person.ask("PATCH", ours(person), json_body={"settings": None})) == first
    kept = found(patch(person, ignore_ips="1.1.1.1"))
    assert kept["setttings"] == {**UNSET, "collect": 2, "ignore_ips": "1.1.1.1"}
    assert (kept["cname"], kept["link_domain"]) == (host, "https://www.example.com")
    blank = found(person.ask("POST", ours(person), json_body={"cname": host, "settings": {"allow_counter": True}}))
    assert (blank["cname"], blank["link_domain"]) == (host, "")
    assert blank["setttings"] == {**UNSET, "allow_counter": True}
    bare = found(person.ask("POST", ours(person), json_body={}))
    assert (bare["cname"], bare["cname_setup_at"], bare["code"]) == (None, None, kept["code"])
    assert found(person.ask("PATCH", ours(person), json_body={"cname": host}))["cname"] == host
    assert found(person.ask("PATCH", ours(person), json_body={"cname": None}))["cname"] is None


def test_collecting_nothing_in_particular_is_collecting_the_usual(person: Person) -> None:
    """0 is the default; whoever wants nothing says 1. A new value takes the old one's place (quirk Q3)."""
    assert found(patch(person, collect=1))["setttings"]["collect"] == 1
    assert found(patch(person, collect=0))["setttings"]["collect"] == 190
    assert found(patch(person, collect=2))["setttings"]["collect"] == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cname", "a.b", "must be longer than 4 characters"),
        ("cname", "localhost", "must be a valid domain: it must have at least 2 labels"),
        ("cname", "a..example", "must be a valid domain: there is nothing between two dots, or before or after one"),
        ("cname", "müller.example", "must be a valid domain: letters of other scripts are written as xn--…"),
        ("cname", "https://a.example", _LABELS),
        ("cname", "a.example:8000", _LABELS),
        ("cname", f"{'a' * 64}.example", "must be a valid domain: a label is longer than 63 characters"),
        ("cname", f"{'a.' * 130}example", "must be shorter than 255 characters"),
        ("link_domain", "ftp://a.example", _URL),
        ("link_domain", "javascript:alert(1)", _URL),
        ("link_domain", "https://a.example/<b>", _URL),
        ("link_domain", "https://a.example:99999", _URL),
        ("link_domain", "https://a.example/\ud800", _URL),
        ("link_domain", "a.example/\x85b", _URL),
        ("link_domain", "a example", _LABELS),
        ("link_domain", f"a.example/{'b' * 2048}", "must be shorter than 2048 characters"),
    ],
)
def test_hosts_and_addresses_are_held_to_what_they_are(somebody: Person, field: str, value: str, message: str) -> None:
    assert errors(somebody.ask("PATCH", ours(somebody), json_body={field: value})) == {field: [message]}
    assert errors(somebody.ask("PUT", SITES, json_body={"code": name(), field: value})) == {field: [message]}


def test_two_changes_at_once_are_both_there_afterwards(person: Person) -> None:
    with ThreadPoolExecutor(2) as pool:
        wanted = [{"allow_counter": True}, {"data_retention": 365}, {"ignore_ips": "1.1.1.1"}, {"collect": 2}]
        replies = list(pool.map(lambda settings: patch(person, **settings), wanted))
    assert [reply.status for reply in replies] == [200] * 4
    shown = found(person.get(ours(person)))["setttings"]
    assert shown == UNSET | {"allow_counter": True, "data_retention": 365, "ignore_ips": "1.1.1.1", "collect": 2}


# Making


def test_a_new_site_is_a_child_of_the_first_and_copies_nothing_from_it(person: Person) -> None:
    """Whichever site the request is about: there is one level only."""
    patch(person, collect=2, allow_counter=True)
    parent = person.created.site.id
    first = child(person, cname=f"{name()}.example")
    assert (first["parent"], first["setttings"], first["user_defaults"]) == (parent, UNSET, DEFAULTS)
    assert first["code"].startswith("serve-")
    assert first["cname_setup_at"] == first["created_at"]
    about = f"/s/{first['code']}{SITES}"
    headers = {"authorization": f"Bearer {person.token}"}
    code = name()
    second = found(person.front.request("PUT", about, headers=headers, json_body={"code": code.upper()}))
    assert (second["parent"], second["code"], second["cname"]) == (parent, code, None)
    assert [site["id"] for site in found(person.get(SITES))["sites"]] == [
        parent,
        *(site["id"] for site in sorted((first, second), key=lambda site: site["code"])),
    ]
    assert found(person.front.get(about, headers=headers)) == {"sites": [first]}


def test_a_new_site_may_come_with_all_that_can_be_set(person: Person) -> None:
    """And with all that is shown: what can only be read is passed over (page-view contract, section 1.7)."""
    [shown] = found(person.get(SITES))["sites"]
    wanted = {
        "code": name(),
        "cname": f"{name()}.example",
        "link_domain": "example.com/blog/",
        "setttings": {
            **UNSET,
            "public": "secret",
            "secret": "abcdefgh",
            "ignore_ips": ["1.1.1.1", "::1"],
            "collect": 511,
        },
        "user_defaults": {**DEFAULTS, "theme": "dark", "timezone": "NL.Europe/Amsterdam", "email_reports": 2},
    }
    sent = {**shown, "id": 7, "parent": 9, "state": "d", "received_data": "yes", **wanted}
    made = child(person, **sent)
    assert made["setttings"] == {**wanted["setttings"], "ignore_ips": "1.1.1.1,::1"}  # type: ignore[dict-item]
    assert made["user_defaults"] == wanted["user_defaults"]
    assert (made["code"], made["cname"], made["link_domain"]) == (wanted["code"], wanted["cname"], "example.com/blog")
    assert (made["parent"], made["state"], made["received_data"]) == (person.created.site.id, "a", False)
    assert made["id"] > person.created.site.id
    assert found(person.get(f"{SITES}/{made['id']}")) == made


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"cname": ["must be set"]}),
        ({"cname": "", "code": None}, {"cname": ["must be set"]}),
        ({"code": "a"}, {"code": ["must be longer than 2 characters"]}),
        ({"code": "a" * 51}, {"code": ["must be shorter than 50 characters"]}),
        ({"code": "www"}, {"code": ["cannot be ‘www’"]}),  # noqa: RUF001 - the contract's quotes
        ({"code": "my.site"}, {"code": ["must be letters, digits and inner hyphens"]}),
        ({"code": "my_site"}, {"code": ["must be letters, digits and inner hyphens"]}),
        ({"code": "-site"}, {"code": ["must be letters, digits and inner hyphens"]}),
        ({"cname": "x"}, {"cname": ["must be longer than 4 characters"]}),
    ],
)
def test_a_new_site_needs_a_host_or_a_code_that_it_may_have(
    somebody: Person, body: dict[str, Any], wrong: dict[str, list[str]]
) -> None:
    before = found(somebody.get(SITES))
    assert errors(somebody.ask("PUT", SITES, json_body=body)) == wrong
    assert found(somebody.get(SITES)) == before


def test_what_another_account_has_is_taken(door: FrontDoor, person: Person) -> None:
    """Whatever its case; all that is taken is named, and nothing is made."""
    made = child(settle(door), code=name(), cname=f"{name()}.example")
    both = {"code": made["code"].upper(), "cname": made["cname"].upper()}
    for fields in (both, {"code": made["code"]}, {"cname": made["cname"]}):
        assert errors(person.ask("PUT", SITES, json_body=fields)) == {field: ["already exists"] for field in fields}
    assert len(found(person.get(SITES))["sites"]) == 1
    change = person.ask("PATCH", ours(person), json_body={"cname": made["cname"]})
    assert errors(change) == {"cname": ["already exists"]}


USER_DEFAULTS: list[tuple[str, Any, str]] = [
    ("language", "englisch!", "must be a language, such as ‘en-GB’"),  # noqa: RUF001 - the contract's quotes
    ("date_format", "a" * 51, "must be shorter than 50 characters"),
    ("date_format", "a\0", "must be UTF-8"),
    ("number_format", 59, "must be one of ‘8239, 160, 44, 46, 39, 1’"),  # noqa: RUF001
    ("timezone", "Europe/Amsterdam", "must be a time zone, such as ‘NL.Europe/Amsterdam’"),  # noqa: RUF001
    ("timezone", ".Europe/Atlantis", "must be a time zone, such as ‘NL.Europe/Amsterdam’"),  # noqa: RUF001
    ("timezone", "../../etc/passwd", "must be a time zone, such as ‘NL.Europe/Amsterdam’"),  # noqa: RUF001
    ("email_reports", 5, "must be one of ‘0, 1, 2, 3, 4’"),  # noqa: RUF001
    ("theme", "pink", "must be one of ‘light, dark’"),  # noqa: RUF001
    ("views", [{"name": "a", "group": 4, "period": "week"}], "must be 3 or lower"),
    ("views", [{}] * 51, "must be 50 or fewer"),
    ("widgets", [{"n": "pages", "s": {"limit_pages": 101}}], "limit_pages: must be 100 or lower"),
    ("widgets", [{"n": "pages", "s": {"style": "pie"}}], "style: must be one of ‘line, bar, text’"),  # noqa: RUF001
    ("widgets", [{"n": "sizes", "s": {"limit": 3}}], "limit: must be one of ‘sort-count, key’"),  # noqa: RUF001
]


@pytest.mark.parametrize(("field", "value", "message"), USER_DEFAULTS)
def test_defaults_for_users_are_held_to_their_rules(somebody: Person, field: str, value: Any, message: str) -> None:
    body = {"code": name(), "user_defaults": {field: value}}
    assert errors(somebody.ask("PUT", SITES, json_body=body)) == {f"user_defaults.{field}": [message]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": 1}, 'unknown parameter: "colour"'),
        ({"datepicker": "on"}, "invalid JSON: user_defaults.datepicker must be true or false"),
        ({"views": [{"colour": 1}]}, 'unknown parameter: "colour"'),
        ({"widgets": [1]}, "invalid JSON: user_defaults.widgets[0] must be an object"),
        (
            {"fewer_numbers_lock_until": "soon"},
            "invalid JSON: user_defaults.fewer_numbers_lock_until must be a time like 2026-01-31T23:59:59Z",
        ),
    ],
)
def test_defaults_for_users_that_cannot_be_read_refuse_the_whole_request(
    somebody: Person, given: dict[str, Any], message: str
) -> None:
    assert error(somebody.ask("PUT", SITES, json_body={"code": name(), "user_defaults": given})) == message


# Who sees what


def test_others_sites_are_not_there(person: Person, somebody: Person) -> None:
    """Neither another account's, nor the parent or a sibling of the one that the request is about."""
    one, other = (child(person, code=name()) for _ in range(2))
    headers = {"authorization": f"Bearer {person.token}"}
    hidden = [person.created.site.id, other["id"], somebody.created.site.id, 999_999, 0, -1, 10**17]
    for number in hidden:
        for method in ("GET", "POST", "PATCH"):
            path = f"/s/{one['code']}{SITES}/{number}"
            reply = person.front.request(method, path, headers=headers, client=address(), json_body={})
            assert (reply.status, reply.json()) == (404, {"error": "not found"})
    assert found(person.get(f"{SITES}/{one['id']}")) == one
    assert errors(person.get(f"{SITES}/one")) == {"id": ["must be a whole number"]}


def test_a_key_of_one_site_sees_no_other(person: Person) -> None:
    one, other = (child(person, code=name()) for _ in range(2))
    key = person.key(EVERYTHING, (person.created.site.id, one["id"]))
    headers = {"authorization": f"Bearer {key}"}
    shown = found(person.get(SITES, headers=headers))["sites"]
    assert [site["id"] for site in shown] == [person.created.site.id, one["id"]]
    refused = person.get(f"{SITES}/{other['id']}", headers=headers)
    assert (refused.status, refused.json()) == (403, {"error": "this token does not have access to this site"})


def test_a_site_that_was_just_made_is_there_for_processes_that_remember_the_account(person: Person) -> None:
    """What is managed is read as it is."""
    assert len(found(person.get(SITES))["sites"]) == 1
    remembered = wiring.accounts()
    wiring.accounts.cache_clear()
    made = child(person, code=name())
    wiring.accounts.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "accounts", lambda: remembered)
        assert found(person.get(f"{SITES}/{made['id']}")) == made


def test_the_secret_is_for_those_who_may_read_sites(person: Person) -> None:
    patch(person, public="secret", secret="opensesame1")
    allowed = found(person.get(SITES))
    assert allowed["sites"][0]["setttings"]["secret"] == "opensesame1"
    for permission in Permission:
        if permission is Permission.SITE_READ:
            continue
        headers = {"authorization": f"Bearer {person.key(permission)}"}
        for method, path, body in (
            ("GET", SITES, None),
            ("GET", ours(person), None),
            ("PATCH", ours(person), {"settings": {"allow_counter": True}}),
            ("PUT", SITES, {"code": name(), "setttings": {"secret": "opensesame1"}}),
            ("GET", "/api/v0/me", None),
            ("GET", "/api/v0/paths", None),
        ):
            assert "opensesame1" not in person.ask(method, path, headers=headers, json_body=body).text
    assert found(person.get(ours(person)))["setttings"]["secret"] == "opensesame1"


# What settings do


FIGURES = ("/api/v0/paths", "/api/v0/stats/total", "/api/v0/stats/hits")


def asked(person: Person, path: str, **headers: str) -> Reply:
    """A request without a key."""
    return person.front.get(f"{person.prefix}{path}", headers=headers, client=address())


@pytest.fixture(scope="module")
def logged() -> Iterator[io.StringIO]:
    """All that is logged meanwhile."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    loggers = [logging.getLogger(name) for name in ("", observability.NAMESPACE)]
    for logger in loggers:
        logger.addHandler(handler)
    yield lines
    for logger in loggers:
        logger.removeHandler(handler)


@pytest.mark.parametrize("path", FIGURES)
def test_the_figures_of_a_public_site_are_everybodys_and_those_of_a_secret_one_need_the_secret(
    person: Person, path: str, logged: io.StringIO
) -> None:
    """All others are told that they need a key, as ever, or that the secret is another; a key is as good as before."""
    assert asked(person, path).status == 401
    patch(person, public="secret", secret="opensesame1")
    own = found(person.get(path))
    for query in (
        "",
        "?access-token=",
        "?access-token=opensesame",
        "?access-token=opensesame11",
        "?access-token=%C3%A9",
    ):
        reply = asked(person, path + query)
        missing = query.removeprefix("?access-token=") == ""
        reason = "no Authorization header" if missing else "unknown access-token"
        assert (reply.status, reply.json()) == (401, {"error": reason})
    assert found(asked(person, f"{path}?access-token=opensesame1")) == own
    assert found(person.get(f"{path}?access-token=opensesame1")) == own
    assert asked(person, f"{path}?access-token=opensesame1", authorization="Bearer nonsense-nonsense").status == 401
    assert asked(person, f"{path}?access-token=opensesame1&unknown=1").json() == {
        "error": 'unknown parameter: "unknown"'
    }
    patch(person, public="public")
    assert found(asked(person, path)) == own
    assert found(asked(person, f"{path}?access-token=anything")) == own
    assert asked(person, path, authorization="Bearer nonsense-nonsense").status == 401
    patch(person, public="private")
    for query in ("", "?access-token=opensesame1"):
        assert asked(person, path + query).status == 401
    assert "opensesame1" not in logged.getvalue()


def test_every_kind_of_figures_of_a_public_site_is_everybodys(person: Person) -> None:
    """Whatever asks for the permission to read statistics, but for what was not counted, and nothing else."""
    assert patch(person, public="public").status == 200
    for endpoint in ENDPOINTS:
        if endpoint.protocol is PAGEVIEWS:
            reply = endpoint.ask(person, None, endpoint.parameters(person))
            figures = endpoint.permission is Permission.STATS and "/api/x/" not in str(endpoint)
            expected = endpoint.status if figures else 401
            assert (str(endpoint), reply.status) == (str(endpoint), expected)


def test_a_secret_is_not_logged_where_something_breaks(
    person: Person, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the one that is right nor one that was mistyped."""

    def broken() -> None:
        raise RuntimeError("reports are broken today")

    patch(person, public="secret", secret="opensesame1")
    monkeypatch.setattr(wiring, "reports", broken)
    assert asked(person, f"{FIGURES[0]}?access-token=opensesame1").status == 500
    assert asked(person, f"{FIGURES[0]}?access-token=opensesame2").status == 401
    assert "view failed" in logged.getvalue()
    assert "opensesame" not in logged.getvalue()


def test_visitors_of_a_public_site_see_nothing_but_figures(person: Person, somebody: Person) -> None:
    """And those of this site alone."""
    patch(person, public="public")
    hidden = child(person, code=name())
    for path in ("/api/v0/me", SITES, ours(person)):
        assert asked(person, path).status == 401
    for method, path in (("POST", "/api/v0/count"), ("PATCH", ours(person)), ("PUT", SITES)):
        assert person.front.request(method, f"{person.prefix}{path}", json_body={}, client=address()).status == 401
    for code in (hidden["code"], somebody.created.site.code, "nobodys"):
        assert person.front.get(f"/s/{code}/api/v0/paths", client=address()).status == 401


def test_a_secret_site_without_a_secret_is_nobodys(person: Person) -> None:
    """However it came to be: the rules do not let it."""
    made = person.created.site
    document = DomainDocument.get(f"account#{made.account}", f"domain#{made.domain}", consistent_read=True)
    document.update(actions=[DomainDocument.visibility.set("secret")])
    wiring.accounts().forget(made.account)
    wiring.accounts.cache_clear()
    for query in ("", "?access-token="):
        assert asked(person, FIGURES[0] + query).status == 401


@pytest.mark.parametrize("listed", ["2001:db8::1", "2001:0DB8:0:0::1", "192.0.2.7"])
def test_views_from_ignored_addresses_are_not_counted(person: Person, listed: str) -> None:
    """An IPv6 address is the same however it is written."""
    patch(person, ignore_ips=listed)
    own = "192.0.2.7" if "." in listed else "2001:db8::1"
    reply = person.front.get(f"{person.prefix}/count?p=/x", client=own)
    assert (reply.status, reply.headers["x-goatcounter"]) == (
        202,
        f'ignored because "{own}" is in the IP ignore list',
    )
    hit = {"path": "/x", "ip": listed}
    batch = person.post("/api/v0/count", json_body={"no_sessions": True, "hits": [hit, {**hit, "ip": own}]})
    assert (batch.status, batch.headers["x-goatcounter-filter"]) == (202, "0, 1")


def test_every_setting_of_a_site_can_be_set() -> None:
    """The tests above know all of them."""
    assert set(SOUND) == set(UNSET) == set(rules.SETTINGS)
    assert json.dumps(UNSET)
