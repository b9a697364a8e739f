"""What becomes of page views: page-view contract, sections 3.2, 4.2, 6, 7 and 10, and the checklist of section 15."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.accounts import Collect, Site
from chalicelib.core.drops import Reason
from chalicelib.core.errors import Invalid
from chalicelib.core.events import Bot, Hit
from chalicelib.core.salts import Salts
from chalicelib.pageviews import hits
from chalicelib.pageviews.hits import Accepted, Dropped
from chalicelib.pageviews.requests import decode_batch, decode_view
from chalicelib.pageviews.visitors import Visitors

PLACES = {"8.8.8.8": "US-CA"}
NOW = 1_790_000_000.9
SITE = Site("account", "domain", 1, "site", ignore_ips=("1.2.3.4",), collect=Collect(446))
SALTS = Salts(b"current", b"previous")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
IDENTIFIERS = "session or browser/IP not set; use no_sessions if you don't want to track unique visits"


def accept(*sent: dict[str, Any], site: Site = SITE, salts: Salts = SALTS, now: float = NOW, **fields: Any) -> Accepted:
    """What becomes of these hits, sent as JSON in one batch."""
    batch = decode_batch(json.dumps({"hits": sent, **fields}).encode())
    return hits.accept_batch(batch, site, now=now, salts=salts, locate=lambda ip: PLACES.get(ip, ""))


def accepted(site: Site = SITE, **fields: Any) -> Hit:
    """The hit that these fields become, in a session."""
    (hit,) = accept({"path": "/a", "session": "x", **fields}, site=site).hits
    return hit


def refused(**fields: Any) -> str:
    """What is said of the hit that these fields make, in a session."""
    return accept({"path": "/a", "session": "x", **fields}).errors[0]


def pixel(
    site: Site = SITE, ip: str = "8.8.8.8", agent: str = CHROME, language: str = "", **parameters: str
) -> Hit | Bot | Dropped:
    """What becomes of a request to `/count`."""
    return hits.accept_pixel(
        decode_view(parameters, target_length=3000),
        site,
        now=NOW,
        salts=SALTS,
        locate=lambda address: PLACES.get(address, ""),
        ip=ip,
        user_agent=agent,
        accept_language=language,
    )


def pixel_hit(**parameters: Any) -> Hit:
    """The hit that a request to `/count` becomes."""
    hit = pixel(**parameters)
    assert isinstance(hit, Hit)
    return hit


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_hit_without_identifiers_is_refused_and_the_others_are_taken() -> None:
    """Rows 19 and 20: per-hit errors carry the index, and every hit that is not listed was accepted."""
    assert accept({"path": "/a"}).errors == {0: IDENTIFIERS}
    result = accept({"path": "/a", "session": "x"}, {"path": "/a"})
    assert result.errors == {1: IDENTIFIERS}
    assert [hit.path for hit in result.hits] == ["/a"]


@pytest.mark.parametrize("fields", [{"user_agent": CHROME}, {"ip": "8.8.8.8"}])
def test_half_an_identifier_is_none(fields: dict[str, str]) -> None:
    """User-Agent and address identify a visitor only together."""
    assert accept({"path": "/a", **fields}).errors == {0: IDENTIFIERS}


def test_without_sessions_every_hit_is_its_own_visit() -> None:
    """Row 21: `no_sessions` allows hits without identifiers, which then belong to no session."""
    result = accept({"path": "/a"}, {"path": "/a"}, no_sessions=True)
    assert [(hit.session, hit.previous) for hit in result.hits] == [(0, 0), (0, 0)]


def test_without_sessions_identifiers_still_make_sessions() -> None:
    """`no_sessions` allows their absence and does not forbid their use."""
    result = accept(
        {"path": "/a", "session": "x"}, {"path": "/a", "user_agent": CHROME, "ip": "8.8.8.8"}, no_sessions=True
    )
    assert all(hit.session for hit in result.hits)


@pytest.mark.parametrize(("name", "values"), [("ip", ("8.8.8.8", "9.9.9.9")), ("user_agent", (CHROME, CHROME[:-1]))])
def test_without_sessions_half_an_identifier_tells_visitors_apart(name: str, values: tuple[str, str]) -> None:
    """As logs without User-Agents have: whoever comes from one address is one visitor."""
    one, other = values
    found = accept(*({"path": "/a", name: value} for value in (one, other, one, "")), no_sessions=True).hits
    assert found[0].session == found[2].session
    assert len({hit.session for hit in found}) == 3
    assert found[3].session == 0
    whole = accept({"path": "/a", "ip": "8.8.8.8", "user_agent": CHROME}, no_sessions=True).hits
    assert whole[0].session not in {hit.session for hit in found}


def test_sessions_are_told_apart_by_the_callers_key() -> None:
    """Row 22: the same key is the same session, another key is another."""
    first, second, third = accept(*({"path": "/a", "session": key} for key in "aba")).hits
    assert first.session == third.session != second.session


def test_sessions_are_told_apart_by_browser_and_address() -> None:
    """Row 23: the same User-Agent from two addresses is two visitors."""
    first, second, third = accept(
        *({"path": "/a", "user_agent": CHROME, "ip": ip} for ip in ("8.8.8.8", "9.9.9.9", "8.8.8.8"))
    ).hits
    assert first.session == third.session != second.session


SPELLINGS = ["8.8.8.8", "8.8.8.8:61264", "::ffff:8.8.8.8", "[::FFFF:8.8.8.8]:80", "8.8.8.8, 10.0.0.1", '\x00"8.8.8.8"']


def test_an_address_is_one_visitor_in_one_place_however_it_is_written() -> None:
    """Ports, IPv6 around it, lists of proxies and what files leave around it change neither visitor nor place."""
    found = accept(*({"path": "/a", "user_agent": CHROME, "ip": ip} for ip in SPELLINGS)).hits
    assert {hit.session for hit in found} == {pixel_hit(ip=ip, p="/a").session for ip in SPELLINGS}
    assert {hit.location for hit in found} == {pixel_hit(ip=ip, p="/a").location for ip in SPELLINGS} == {"US-CA"}


@pytest.mark.parametrize("listed", ["8.8.8.8", "::ffff:8.8.8.8"])
def test_an_ignored_address_is_ignored_however_it_is_written(listed: str) -> None:
    """On the list as well as in the hit."""
    site = replace(SITE, ignore_ips=(listed,))
    result = accept(*({"path": "/a", "session": "x", "ip": ip} for ip in [*SPELLINGS, "8.8.8.9"]), site=site)
    assert result.filtered == list(range(len(SPELLINGS)))
    assert {type(pixel(site=site, ip=ip, p="/a")) for ip in SPELLINGS} == {Dropped}


def test_the_callers_key_wins_over_browser_and_address() -> None:
    """A session that the caller names is the same wherever it comes from."""
    first, second = accept(
        *({"path": "/a", "session": "x", "user_agent": CHROME, "ip": ip} for ip in ("8.8.8.8", "9.9.9.9"))
    ).hits
    assert first.session == second.session


def test_an_ignored_address_is_filtered_unless_the_caller_says_otherwise() -> None:
    """Rows 24 and 25: filtered hits are neither counted nor errors, and are named by their index."""
    hit = {"path": "/a", "session": "x", "ip": "1.2.3.4"}
    for fields in ({}, {"filter": None}, {"filter": ["ip"]}):
        result = accept({"path": "/b", "session": "x"}, hit, **fields)
        assert (result.filtered, len(result.hits), result.errors) == ([1], 1, {})
    assert accept(hit, filter=[]).filtered == []
    assert len(accept(hit, filter=[]).hits) == 1


def test_a_filtered_hit_is_not_checked_further() -> None:
    """The ignore filter comes before everything else."""
    assert accept({"path": "", "ip": "1.2.3.4"}) == Accepted(filtered=[0], uncounted={Reason.ADDRESS: [0]})


def _at(moment: str) -> Hit:
    return accepted(created_at=moment)


def test_the_future_is_refused_but_for_a_clock_that_is_a_little_ahead() -> None:
    """Row 27: up to five seconds ahead are accepted."""
    ahead = {"created_at": "2026-09-21T14:14:20Z"}
    moment = 1_790_000_060
    assert accept({"path": "/a", "session": "x", **ahead}, now=moment - 60).errors == {0: "created_at: in the future."}
    assert accept({"path": "/a", "session": "x", **ahead}, now=moment - 5).hits[0].at == moment
    assert accept({"path": "/a", "session": "x", **ahead}, now=moment - 5.1).errors == {0: "created_at: in the future."}


def test_the_past_is_accepted_without_limit() -> None:
    """Row 28, and year 1."""
    assert _at("2020-01-18T14:42:00.9Z").at == 1579358520
    assert _at("0001-01-01T00:00:01Z").at == -62135596799


@pytest.mark.parametrize("moment", [None, "0001-01-01T00:00:00Z"])
def test_an_unset_time_is_now(moment: str | None) -> None:
    """Row 31: the zero time means unset; seconds are whole."""
    assert accepted(created_at=moment).at == int(NOW)


def test_a_bots_user_agent_is_kept_apart() -> None:
    """Row 29: a bot is accepted and not counted, and its User-Agent is kept with it."""
    result = accept({"path": "//a/", "session": "x", "user_agent": "curl/7.8"})
    assert result == Accepted(bots=[Bot("/a", int(NOW), 7, "curl/7.8")], uncounted={Reason.ROBOT: [0]})


def test_a_caller_can_say_that_a_hit_is_a_bots() -> None:
    """Any value above zero does; what the User-Agent says overrides it."""
    assert accept({"path": "/a", "session": "x", "bot": 3}).bots[0].code == 3
    assert accept({"path": "/a", "session": "x", "bot": 150, "user_agent": "curl/7.8"}).bots[0].code == 7
    assert accept({"path": "/a", "session": "x", "bot": -1}).bots == []


def test_no_user_agent_is_no_bot() -> None:
    """Unlike `/count`, the API says nothing by leaving it out."""
    assert accept({"path": "/a", "session": "x"}).bots == []


@pytest.mark.parametrize(("size", "width"), [("42,666,2", 42), ("42", 42), ("", 0), ([7, 8], 7), (-5, 0)])
def test_the_first_of_a_size_is_the_width(size: object, width: int) -> None:
    """Row 30."""
    assert accepted(size=size).width == width


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": ""}, "path: must be set, must be longer than 1 characters."),
        ({"path": "  "}, "path: must be set, must be longer than 1 characters."),
        ({"path": "a" * 2048}, "path: must be shorter than 2048 characters."),
        ({"title": "t" * 1025}, "title: must be shorter than 1024 characters."),
        ({"ref": "r" * 2049}, "ref: must be shorter than 2048 characters."),
        ({"query": "ref=" + "r" * 2049}, "ref: must be shorter than 2048 characters."),
        ({"user_agent": CHROME + "x" * 512}, "user_agent_header: must be shorter than 512 characters."),
        ({"size": "2147483648"}, "size: screen size 2147483648 is out of range of int32."),
        ({"size": "1,2147483649"}, "size: screen size 2147483649 is out of range of int32."),
        ({"path": "/\0"}, "path: must be UTF-8."),
        ({"title": "t\0"}, "title: must be UTF-8."),
        ({"ref": "\0"}, "ref: must be UTF-8."),
        ({"user_agent": CHROME + "\0"}, "user_agent_header: must be UTF-8."),
        (
            {"path": "", "title": "\0" + "t" * 1024, "created_at": "9999-12-31T23:59:59Z"},
            (
                "created_at: in the future.\n"
                "path: must be set, must be longer than 1 characters.\n"
                "title: must be UTF-8, must be shorter than 1024 characters.\n"
            ),
        ),
    ],
)
def test_an_invalid_hit_is_refused_in_the_words_of_the_contract(fields: dict[str, str], message: str) -> None:
    """One field's message stands on one line; several are sorted lines that each end."""
    assert refused(**fields) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/" + "a" * 2047},
        {"path": "/" + "ü" * 2047},
        {"title": "ü" * 1024},
        {"ref": "ü" * 2048},
        {"ref": "https://example.com/?" + "x" * 5000},
        {"size": "2147483647"},
        {"query": "utm_campaign=" + "x" * 100_000},
        {"session": "\0\ud800" * 1000},
        {"location": "\0"},
        {"ip": "\ud800"},
        {"language": "\0"},
    ],
)
def test_limits_count_characters_of_what_is_stored(fields: dict[str, Any]) -> None:
    """A hit just at its limits is accepted, and so is anything odd in what is never stored."""
    assert accepted(**fields)


def test_an_event_is_stored_by_its_name() -> None:
    """Row 32: without leading slash, and without a campaign."""
    hit = accepted(event=True, path="/foo", query="utm_source=x")
    assert (hit.path, hit.event, hit.ref, hit.campaign) == ("foo", True, "", "")


@pytest.mark.parametrize(("tag", "code"), [("fr", "fra"), ("en-US", "eng"), ("klingon", "")])
def test_a_language_is_stored_where_it_is_collected(tag: str, code: str) -> None:
    """Row 33."""
    assert accepted(language=tag, site=replace(SITE, collect=Collect(190 + 64))).language == code
    assert accepted(language=tag).language == ""


@pytest.mark.parametrize(
    ("ref", "query", "stored"),
    [
        ("", "?ref=AAA", ("AAA", "c", "")),
        ("", "utm_source=S&ref=R", ("S", "c", "")),
        ("https://a.example/", "utm_source=S&utm_campaign=C", ("S", "c", "C")),
        ("https://a.example/x/?y", "utm_campaign=C", ("a.example/x", "c", "C")),
        ("", "utm_campaign=C", ("", "o", "C")),
        ("https://www.google.co.nz/search?q=1", "", ("Google", "g", "")),
        ("https://example.com/a/?x=1", "", ("example.com/a", "h", "")),
        ("example", "", ("example", "o", "")),
        ("", "", ("", "o", "")),
    ],
)
def test_a_campaigns_source_takes_the_referrers_place(ref: str, query: str, stored: tuple[str, str, str]) -> None:
    """Rows 41 and 42, through the API as through the pixel."""
    for hit in (accepted(ref=ref, query=query), pixel_hit(p="/x", r=ref, q=query)):
        assert (hit.ref, hit.ref_scheme, hit.campaign) == stored


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ref": "https://sub.semalt.com/"}, "spam"),
        ({"ref": "http://localhost:8000/x"}, "localhost"),
        ({"ref": "https://semalt.com/", "query": "utm_source=x"}, "spam"),
        ({"path": "/favicon.ico"}, "ignored path"),
    ],
)
def test_some_hits_are_dropped_silently_and_counted_by_reason(fields: dict[str, str], reason: str) -> None:
    """Row 43: spam and ignored paths are neither errors nor hits."""
    hit = {"path": "/a", "session": "x", **fields}
    assert accept(hit, hit) == Accepted(uncounted={Reason(reason): [0, 1]})
    assert accept(hit, site=replace(SITE, collect=Collect.NOTHING)).uncounted == {reason: [0]}


def test_a_location_wins_over_its_address() -> None:
    """What the caller says counts; what is no location does not; each is cut to what the site keeps."""
    assert accepted(location="nl", ip="8.8.8.8").location == "NL"
    assert accepted(location="nowhere", ip="8.8.8.8").location == "US-CA"
    assert accepted(location="NL-NH").location == "NL"
    assert accepted(ip="9.9.9.9").location == ""
    assert accepted().location == ""


def test_each_address_of_a_batch_is_looked_up_once() -> None:
    """A lookup may be slow, a batch may hold one visitor many times."""
    asked: list[str] = []

    def locate(address: str) -> str:
        asked.append(address)
        return "NL"

    batch = decode_batch(json.dumps({"hits": [{"path": "/a", "session": "x", "ip": "9.9.9.9"}] * 3}).encode())
    hits.accept_batch(batch, SITE, now=NOW, salts=SALTS, locate=locate)
    assert asked == ["9.9.9.9"]


FULL = {
    "title": "T",
    "ref": "https://a.example/",
    "query": "utm_campaign=C",
    "user_agent": CHROME,
    "ip": "8.8.8.8",
    "size": "1920",
    "language": "nl",
}


@pytest.mark.parametrize(
    ("flag", "without"),
    [
        (Collect.REFERRER, {"ref": "", "ref_scheme": "o", "campaign": ""}),
        (Collect.USER_AGENT, {"browser": None, "system": None}),
        (Collect.SCREEN_SIZE, {"width": 0}),
        (Collect.REGION, {"location": "US"}),
        (Collect.LOCATION | Collect.REGION, {"location": ""}),
        (Collect.LOCATION, {}),
        (Collect.LANGUAGE, {"language": ""}),
        (Collect.SESSION, {"session": 0, "previous": 0}),
        (Collect.HITS, {"listed": False}),
    ],
)
def test_what_a_site_does_not_collect_is_not_kept(flag: Collect, without: dict[str, Any]) -> None:
    """Each flag of section 10 takes away its own fields and no others."""
    everything = Collect(510)
    hit = accepted(site=replace(SITE, collect=everything), **FULL)
    assert hit[:12] == (
        "/a", "T", False, "a.example", "c", "C", "Chrome\x00120", "Linux", "US-CA", "nld", 1920, int(NOW),
    )  # fmt: skip
    assert hit.session
    assert accepted(site=replace(SITE, collect=everything & ~flag), **FULL) == hit._replace(**without)


# --- sessions ---------------------------------------------------------------------------------------------------------


def _keys(site: Site = SITE, salts: Salts = SALTS, **fields: str) -> tuple[int, int]:
    (hit,) = accept({"path": "/a", **fields}, site=site, salts=salts).hits
    return hit.session, hit.previous


def test_a_session_is_recognised_after_a_change_of_salt() -> None:
    """What was the key under the current salt is then the key under the previous one."""
    current, _ = _keys(session="x")
    _, previous = _keys(session="x", salts=Salts(b"next", SALTS.current))
    assert previous == current


def test_a_missing_salt_makes_no_key() -> None:
    """A hash without a secret could be guessed back, so there is none."""
    assert _keys(session="x", salts=Salts(b"current", b""))[1] == 0


def test_two_sites_do_not_share_sessions() -> None:
    """The same visitor or the same caller's key on two sites, or in two accounts, is two sessions."""
    others = (replace(SITE, id=2), replace(SITE, account="another"))
    assert len({_keys(site, session="x")[0] for site in (SITE, *others)}) == 3
    assert len({_keys(site, user_agent=CHROME, ip="8.8.8.8")[0] for site in (SITE, *others)}) == 3


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, min_size=2, max_size=4))
def test_different_visitors_have_different_keys(who: list[tuple[str, str]]) -> None:
    """However User-Agent and address are cut, and whatever a caller's own key looks like; keys are 63 bits, never 0."""
    visitors = Visitors(SITE, SALTS)
    keys = [visitors.seen(*texts)[0] for texts in who] + [visitors.named(text)[0] for text in {"".join(t) for t in who}]
    assert len(set(keys)) == len(keys)
    assert all(0 < key < 2**63 for key in keys)


# --- the pixel --------------------------------------------------------------------------------------------------------


def test_a_view_of_a_browser_is_a_hit() -> None:
    """Rows 34 and 35: everything that the request tells about its visitor is in it, in a session."""
    hit = pixel_hit(p="/x", t="T", s="1920,1080,2", zzz="1", language="nl", site=replace(SITE, collect=Collect(510)))
    assert hit[:12] == ("/x", "T", False, "", "o", "", "Chrome\x00120", "Linux", "US-CA", "nld", 1920, int(NOW))
    assert hit.session
    assert hit.previous


def test_the_pixel_and_the_api_mean_the_same_visitor() -> None:
    """User-Agent and address make the same session on both ways."""
    (hit,) = accept({"path": "/x", "user_agent": CHROME, "ip": "8.8.8.8"}).hits
    assert (hit.session, hit.previous) == (pixel_hit(p="/x").session, pixel_hit(p="/x").previous)


def test_a_view_that_asks_for_no_session_has_none() -> None:
    """`ns` makes every view a visit."""
    hit = pixel_hit(p="/x", ns="1")
    assert (hit.session, hit.previous) == (0, 0)


@pytest.mark.parametrize(
    ("parameters", "header"),
    [
        ({}, "not valid: path: must be set, must be longer than 1 characters."),
        ({"p": "/x", "b": "100"}, "wrong value: b=100"),
        ({"p": "/x", "b": "1"}, "wrong value: b=1"),
        ({"p": "/x", "b": "149"}, "wrong value: b=149"),
        ({"p": "/" + "a" * 2048}, "ignored because path is longer than 2048 bytes (3000 bytes)"),
        ({"p": "/" + "ü" * 1024}, "ignored because path is longer than 2048 bytes (3000 bytes)"),
        ({"p": "a" * 2048}, "not valid: path: must be shorter than 2048 characters."),
        ({"p": "/x", "s": "3000000000"}, "not valid: size: screen size 3000000000 is out of range of int32."),
        ({"p": "/x", "agent": CHROME * 9}, "not valid: user_agent_header: must be shorter than 512 characters."),
        (
            {"t": "t" * 1025},
            (
                "not valid: path: must be set, must be longer than 1 characters. "
                "title: must be shorter than 1024 characters."
            ),
        ),
    ],
)
def test_a_wrong_view_is_refused_in_a_header(parameters: dict[str, Any], header: str) -> None:
    """Rows 36, 37 and 39: the text is the contract's and fits one line."""
    with pytest.raises(Invalid) as caught:
        pixel(**parameters)
    assert caught.value.message == header


def test_a_path_just_within_the_limit_is_counted() -> None:
    """Row 39."""
    assert len(pixel_hit(p="/" + "a" * 2047).path) == 2048


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"b": "150"}, 150),
        ({"agent": ""}, 7),
        ({"agent": "curl/7.88.1 (x86_64)", "b": "150"}, 4),
    ],
)
def test_a_bots_view_is_kept_apart(parameters: dict[str, Any], code: int) -> None:
    """Row 37: by what the script reports or by the User-Agent, of which an empty one is a bot's here."""
    bot = pixel(p="/x", **parameters)
    assert bot == Bot("/x", int(NOW), code, parameters.get("agent", CHROME))


def test_a_view_from_an_ignored_address_says_so() -> None:
    """Row 38, before anything else of the view is looked at."""
    header = 'ignored because "1.2.3.4" is in the IP ignore list'
    assert pixel(ip="1.2.3.4") == Dropped(Reason.ADDRESS, header)
    assert hits.ignored_address(SITE, "1.2.3.4") == header
    assert hits.ignored_address(SITE, "1.2.3.5") == ""


def test_a_spammers_view_is_dropped_silently() -> None:
    """Row 43: the status is that of any other."""
    assert pixel(p="/x", r="https://sub.semalt.com/") == Dropped(Reason.SPAM)
    assert pixel(p="/favicon.ico") == Dropped(Reason.PATH)


@pytest.mark.parametrize(
    ("path", "stored"), [("foo.html", "/foo.html"), ("//page/", "/page"), ("/page?fbclid=1&a=b", "/page?a=b")]
)
def test_paths_are_normalised_on_both_ways(path: str, stored: str) -> None:
    """Row 40."""
    assert pixel_hit(p=path).path == accepted(path=path).path == stored
