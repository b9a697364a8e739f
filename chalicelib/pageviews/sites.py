"""Sites as clients see and set them (page-view contract, sections 2.3 and 10).

A body is decoded into a wish, which is a change to a site: it is applied to the site as it is at the moment of writing,
and refused then if the outcome breaks a rule. A site is selected by its host or, in paths, by its code, so that one of
them is enough; a site that is given no code gets a random one.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from chalicelib.core.accounts import DEFAULT_COLLECT, Collect, Site, Visibility
from chalicelib.core.errors import Invalid
from chalicelib.core.periods import time_text

from . import hosts, user_defaults
from .bodies import as_flag, as_list, as_object, as_text, as_whole, named, parse, refuse
from .faults import NOT_SET, Fault, Faults, between, cannot_be, one_of, within

SHORTEST_RETENTION, LONGEST_RETENTION = 31, 1825
"""Days."""
LONGEST_LIST = 8192
"""Characters of a list: all of an account's sites are read with each request."""
_SECRET = (8, 40)
_CODE = (2, 50)
_CNAME = (4, hosts.LONGEST_HOST)
_RESERVED = frozenset(
    {
        "www",
        "mail",
        "smtp",
        "imap",
        "static",
        "admin",
        "ns1",
        "ns2",
        "m",
        "mobile",
        "api",
        "dev",
        "test",
        "beta",
        "new",
        "staging",
        "debug",
        "pprof",
        "chat",
        "example",
        "yoursite",
        "sql",
        "license",
        "stat",
        "stats",
    }
)
_CODE_LETTERS = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_SECRET_LETTERS = re.compile(r"[A-Za-z0-9]*", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


# What is kept of values


def _visibility(word: str) -> Visibility:
    try:
        return Visibility(word)
    except ValueError:
        raise Fault(one_of(visibility.value for visibility in Visibility)) from None


def _secret(text: str) -> str:
    """What holds of a secret that nobody uses, too."""
    messages = within(text, 0, _SECRET[1])
    if not _SECRET_LETTERS.fullmatch(text):
        messages.append("must be ASCII letters and digits")
    if messages:
        raise Fault(*messages)
    return text


def _long_enough(text: str) -> None:
    if messages := [] if text else [NOT_SET]:
        raise Fault(*messages, *within(text, *_SECRET))
    if messages := within(text, *_SECRET):
        raise Fault(*messages)


def _retention(days: int) -> int:
    return between(days, SHORTEST_RETENTION, LONGEST_RETENTION) if days else 0


def _collect(flags: int) -> Collect:
    return Collect(between(flags, 0, sum(Collect))) or DEFAULT_COLLECT


def _each(rule: Callable[[str], str]) -> Callable[[list[str]], tuple[str, ...]]:
    """The rule of a list whose members have this one."""

    def every(texts: list[str]) -> tuple[str, ...]:
        if sum(map(len, texts)) + len(texts) > LONGEST_LIST:
            raise Fault(f"must be shorter than {LONGEST_LIST} characters")
        return tuple(dict.fromkeys(map(rule, texts)))

    return every


def _ip(text: str) -> str:
    try:
        if "%" not in text:
            ipaddress.ip_address(text)
            return text
    except ValueError:
        pass
    raise Fault("must be a valid IPv4 or IPv6 address")


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text.upper()):
        raise Fault("must be a country of two letters, such as ‘US’")  # noqa: RUF001 - the contract's quotes
    return text.upper()


def _embedder(text: str) -> str:
    if text == "*":
        raise Fault("'*' is not allowed")
    return hosts.address(text, wildcard=True)


def _texts(value: object, what: str) -> list[str]:
    """A list, as an array or joined by commas; blanks are dropped."""
    if isinstance(value, str):
        parts = value.split(",")
    else:
        if not isinstance(value, list):
            refuse(f"{what} must be a string or an array")
        parts = [part for text in as_list(value, what) for part in as_text(text, what).split(",")]
    return [stripped for part in parts if (stripped := part.strip())]


class _Setting(NamedTuple):
    field: str
    """Of `Site`."""
    read: Callable[[object, str], Any]
    """The value of the right type, or `Invalid`; told its dotted name."""
    rule: Callable[[Any], Any]
    """The value as it is kept, or `Fault`."""
    show: Callable[[Any], Any] = lambda value: value


def _flag(field: str) -> _Setting:
    return _Setting(field, as_flag, lambda value: value)


def _list(field: str, rule: Callable[[str], str]) -> _Setting:
    return _Setting(field, _texts, _each(rule), ",".join)


SETTINGS: Mapping[str, _Setting] = {
    "public": _Setting("visibility", as_text, _visibility, lambda visibility: visibility.value),
    "secret": _Setting("secret", as_text, _secret),
    "allow_counter": _flag("allow_counter"),
    "allow_bosmang": _flag("allow_bosmang"),
    "data_retention": _Setting("data_retention", as_whole, _retention),
    "ignore_ips": _list("ignore_ips", _ip),
    "collect": _Setting("collect", as_whole, _collect, int),
    "collect_regions": _list("collect_regions", _country),
    "allow_embed": _list("allow_embed", _embedder),
}
"""A site's settings, in the order in which they are shown."""
_SETTINGS = frozenset(SETTINGS)


def _cname(text: str) -> str | None:
    text = text.strip().lower()
    if not text:
        return None
    if messages := within(text, *_CNAME):
        raise Fault(*messages)
    return hosts.host(text, labels=2)


def _code(text: str) -> str:
    text = text.strip().lower()
    messages = within(text, *_CODE)
    if not _CODE_LETTERS.fullmatch(text):
        messages.append("must be letters, digits and inner hyphens")
    if text in _RESERVED:
        messages.append(cannot_be(text))
    if messages:
        raise Fault(*messages)
    return text


def _link_domain(text: str) -> str:
    text = text.strip()
    return hosts.address(text) if text.rstrip("/") else ""


# Wishes


class _Wish(NamedTuple):
    """What a body says of a site; values have the right type, and nothing else of them was checked."""

    settings: Mapping[str, Any]
    cname: str | None = None
    """None: nothing was said; empty: none."""
    link_domain: str | None = None
    code: str | None = None
    user_defaults: Mapping[str, Any] = {}

    def apply(self, site: Site, faults: Faults) -> Site:
        """The site after this change; what is wrong with it is added to `faults`, and then the site is of no use."""
        fields: dict[str, Any] = {}
        for name, value in self.settings.items():
            setting = SETTINGS[name]
            fields[setting.field] = faults.check(f"settings.{name}", setting.rule, value)
        if self.cname is not None:
            fields["cname"] = faults.check("cname", _cname, self.cname)
        if self.code:
            fields["code"] = faults.check("code", _code, self.code)
        if self.link_domain is not None:
            fields["link_domain"] = faults.check("link_domain", _link_domain, self.link_domain)
        if self.user_defaults:
            fields["user_defaults"] = user_defaults.checked(self.user_defaults, faults)
        changed = replace(site, **fields)
        if changed.visibility is Visibility.SECRET and "settings.secret" not in faults.fields:
            faults.check("settings.secret", _long_enough, changed.secret)
        return changed


def _settings(value: object, what: str) -> dict[str, Any]:
    fields = named(as_object(value, what), _SETTINGS)
    return {name: SETTINGS[name].read(given, f"{what}.{name}") for name, given in fields.items() if given is not None}


def _spelled(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    """A body's fields; the settings may be spelled as answers spell them, or as they should (quirk Q1)."""
    return {
        "settings" if name == "setttings" else name: value
        for name, value in named(as_object(parse(body), "the body"), known | {"settings", "setttings"}).items()
    }


def _wish(fields: Mapping[str, Any]) -> _Wish:
    """What both kinds of bodies say. A host that is null is none, which is more than not to be named."""
    link_domain = fields.get("link_domain")
    return _Wish(
        _settings(fields.get("settings"), "settings"),
        as_text(fields["cname"], "cname") if "cname" in fields else None,
        None if link_domain is None else as_text(link_domain, "link_domain"),
    )


_SHOWN = frozenset(
    {
        "id",
        "parent",
        "cname",
        "cname_setup_at",
        "code",
        "link_domain",
        "user_defaults",
        "received_data",
        "state",
        "created_at",
        "updated_at",
        "first_hit_at",
    }
)
"""What a site shows besides its settings."""
_CHANGED = frozenset({"cname", "link_domain"})


class Creation(NamedTuple):
    """A site that is asked for."""

    name: str
    """What its domain is called."""
    code: str | None
    cname: str | None
    settle: Callable[[Site], Site]
    """Gives a new site the rest."""


def creation(body: bytes) -> Creation:
    """What `PUT /sites` asks for; what can only be read is passed over.

    Raises:
        Invalid: no JSON, an unknown key, or, in `fields`, what is wrong with which.
    """
    fields = _spelled(body, _SHOWN)
    wish = _wish(fields)._replace(
        code=as_text(fields.get("code"), "code"), user_defaults=user_defaults.decode(fields.get("user_defaults"))
    )
    faults = Faults()
    made = wish.apply(Site(account="", domain="", id=0, code=""), faults)
    if not made.cname and not made.code and not {"cname", "code"} & faults.fields.keys():
        faults.fields["cname"] = [NOT_SET]
    faults.end()

    def settle(site: Site) -> Site:
        return wish._replace(cname=None, code=None).apply(site, Faults())

    return Creation(made.cname or made.code, made.code or None, made.cname, settle)


def change(body: bytes, *, blank: bool) -> Callable[[Site], Site]:
    """What `POST` (`blank`) and `PATCH /sites/{id}` ask for, as a change to the site: it starts from a site that was
    never told anything, or from the one that there is.

    The change raises `Invalid`, whose `fields` say what is wrong with which, if the site would break a rule.

    Raises:
        Invalid: no JSON, or a key that is unknown or cannot be changed.
    """
    wish = _wish(_spelled(body, _CHANGED))

    def changed(site: Site) -> Site:
        faults = Faults()
        after = wish.apply(_blank(site) if blank else site, faults)
        faults.end()
        return after

    return changed


_WORDS = {"true": True, "false": False, "on": True, "off": False, "yes": True, "no": False}


def told(words: Mapping[str, str]) -> Callable[[Site], Site]:
    """What somebody who types it asks for, by name of the setting: a change as `change` gives it.

    Raises:
        Invalid: a name is unknown, or a word cannot be the setting's value.
    """
    unknown = sorted(words.keys() - _SETTINGS - _CHANGED)
    if unknown:
        raise Invalid(
            f"There is no setting {', '.join(unknown)}; there are {', '.join([*SETTINGS, *sorted(_CHANGED)])}."
        )
    settings = {name: _typed(name, word) for name, word in words.items() if name in _SETTINGS}
    others = {name: word for name, word in words.items() if name in _CHANGED}
    return change(json.dumps({**others, "settings": settings}).encode(), blank=False)


def _typed(name: str, word: str) -> object:
    """A word as the value that the API would be sent."""
    read = SETTINGS[name].read
    if read is as_flag:
        if word.lower() not in _WORDS:
            raise Invalid(fields={name: ["must be true or false"]})
        return _WORDS[word.lower()]
    if read is as_whole:
        if not re.fullmatch(r"[0-9]{1,9}", word, re.ASCII):
            raise Invalid(fields={name: ["must be a whole number"]})
        return int(word)
    return word


def listed(site: Site) -> list[tuple[str, str]]:
    """The settings of a site as somebody would type them, but for its secret; what is empty is a hyphen."""
    rows = dict(_shown_settings(replace(site, secret="(set)" if site.secret else "")))
    rows |= {"cname": site.cname or "", "link_domain": site.link_domain}
    return [
        (name, (str(value).lower() if isinstance(value, bool) else str(value)) or "-") for name, value in rows.items()
    ]


def _blank(site: Site) -> Site:
    """The site without all that can be changed; its code stays, and leads to it."""
    new = Site(account="", domain="", id=0, code="")
    fields = ["cname", "link_domain", *(setting.field for setting in SETTINGS.values())]
    return replace(site, **{field: getattr(new, field) for field in fields})


# What is shown


def shown(site: Site, parent: int | None, *, secret: bool) -> dict[str, Any]:
    """A site, as clients see it. `secret` says whether they may see its secret."""
    return {
        "id": site.id,
        "parent": parent,
        "cname": site.cname,
        "cname_setup_at": _maybe(site.cname_setup_at),
        "code": site.code,
        "link_domain": site.link_domain,
        "setttings": dict(_shown_settings(site if secret else replace(site, secret=""))),
        "user_defaults": user_defaults.shown(site.user_defaults),
        "received_data": site.received_data,
        "state": site.state.value,
        "created_at": time_text(site.created_at),
        "updated_at": _maybe(site.updated_at),
        "first_hit_at": time_text(site.first_hit_at),
    }


def _shown_settings(site: Site) -> Iterator[tuple[str, Any]]:
    for name, setting in SETTINGS.items():
        yield name, setting.show(getattr(site, setting.field))


def _maybe(seconds: int | None) -> str | None:
    return None if seconds is None else time_text(seconds)
