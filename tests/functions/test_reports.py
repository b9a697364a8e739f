"""Reports by mail: what they say, to whom, and that each is sent once, whatever fails."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.aws import calls, clients
from chalicelib.aws.reporting import FORGOTTEN
from chalicelib.core import passwords
from chalicelib.core.accounts import EmailReports, Roster, SiteState, User
from chalicelib.core.errors import Unavailable, Uncertain
from chalicelib.core.mail import Mail, Mailbox, NotSent, Refused
from chalicelib.functions import reporting as sending
from chalicelib.functions.reports import send_reports
from chalicelib.observability import NAMESPACE
from chalicelib.pageviews import reporting as report
from infrastructure.local import schedules
from infrastructure.local.context import LambdaContext
from infrastructure.local.pump import Pump
from tests.conftest import World
from tests.core.test_mail import body, read
from tests.front import FrontDoor
from tests.people import Person, settle

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MONDAY = datetime(2026, 3, 9, tzinfo=AMSTERDAM)


class Post:
    """Takes mails, or does not: what `wiring.mailer` gives in these tests."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.wrong: list[Exception | None] = []
        """What goes wrong with the next mails, one by one."""
        self.before: Callable[[], None] = lambda: None

    def send(self, mail: Mail) -> str:
        self.before()
        error = self.wrong.pop(0) if self.wrong else None
        if error is not None:
            raise error
        self.sent.append(mail)
        return "id"


@pytest.fixture(autouse=True)
def _deployment(quick: Chalice, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Users of this test alone want reports."""
    assert quick
    monkeypatch.setattr(passwords, "hashed", lambda password: password)
    yield
    for account in wiring.accounts().all_accounts():
        for user in wiring.accounts().roster(account).users:
            wiring.reporting().choose(user, EmailReports.NEVER)
    monkeypatch.undo()


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    taking = Post()
    monkeypatch.setattr(wiring, "mailer", lambda: taking)
    monkeypatch.setattr(wiring, "mail_sender", lambda: Mailbox("reports@countless.example", "Countless"))
    monkeypatch.setattr(sending, "PAUSE", 0.0)
    return taking


class Clock:
    """Time as these tests have it: everything that is wired goes by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = MONDAY.timestamp()
        monkeypatch.setattr(wiring, "now", lambda: self.at)

    def set(self, moment: datetime) -> None:
        self.at = moment.timestamp()

    def run(self, at: datetime | None = None) -> None:
        """The schedule fires."""
        if at is not None:
            self.set(at)
        moment = datetime.fromtimestamp(self.at, UTC)
        send_reports(schedules.event("send_reports", moment), LambdaContext("send_reports", timeout=300))

    def visit(self, person: Person, pump: Pump, *hits: tuple[str, datetime, str], site: str = "") -> None:
        """Visits to paths at moments, from referrers, told when they have all been."""
        listed = [
            {
                "path": path,
                "created_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "ref": ref,
                "event": not path.startswith("/"),
            }
            for path, at, ref in hits
        ]
        before = self.at
        self.at = max(before, *(at.timestamp() + 1 for _, at, _ in hits))
        answer = person.front.request(
            "POST",
            f"/s/{site or person.created.site.code}/api/v0/count",
            headers={"authorization": f"Bearer {person.token}"},
            json_body={"no_sessions": True, "hits": listed},
        )
        assert answer.status == 202, answer.text
        pump.settle()
        self.at = before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ann(front: FrontDoor, clock: Clock) -> Person:
    """Somebody who wants a report every week, said on a Monday in Amsterdam."""
    assert clock
    person = settle(front)
    wiring.reporting().choose(user(person), EmailReports.WEEKLY, zone="Europe/Amsterdam")
    return person


def user(person: Person) -> User:
    """The user as it is stored."""
    account = person.created.account.id
    wiring.accounts().forget(account)
    found = wiring.accounts().roster(account).user(person.created.user.id)
    assert found is not None
    return found


def rewrite(person: Person, change: str, **values: Any) -> None:
    """Changes the user's item behind the service's back."""
    words: dict[str, Any] = {"UpdateExpression": change}
    if values:
        words["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    clients.dynamodb().update_item(
        TableName=wiring.settings().documents_table,
        Key={
            "pk": {"S": f"account#{person.created.account.id}"},
            "sk": {"S": f"user#{person.created.user.id:010d}"},
        },
        **words,
    )


def shown(mail: Mail) -> tuple[str, str]:
    """The two parts of a mail, as it arrives."""
    found = read(mail.mime())
    return body(found, "plain"), body(found, "html")


NEXT = MONDAY + timedelta(days=7)


def test_a_report_says_what_was_visited_and_from_where(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """In the user's days: the first second of Monday belongs to it, the first of the next does not."""
    clock.visit(
        ann,
        pump,
        ("/first", MONDAY, "https://example.com/a"),
        ("/first", MONDAY + timedelta(days=3), ""),
        ("/last", NEXT - timedelta(seconds=1), ""),
        ("/late", NEXT, ""),
        ("/early", MONDAY - timedelta(seconds=1), ""),
        *[("/last", MONDAY - timedelta(days=2), "") for _ in range(2)],
        ("signup", MONDAY + timedelta(days=1), ""),
    )
    clock.run(NEXT + timedelta(hours=1))
    (mail,) = post.sent
    assert "List-Unsubscribe" not in mail.headers  # nobody said where a link would lead
    assert mail.subject == "Your Countless report for 9 Mar 2026 – 15 Mar 2026"  # noqa: RUF001
    assert [mailbox.address for mailbox in mail.to] == [ann.created.user.email]
    found = read(mail.mime())
    assert (found["auto-submitted"], found["x-auto-response-suppress"]) == ("auto-generated", "All")
    text, html = shown(mail)
    rows = [line.split() for line in text.splitlines()]
    assert ["2", "(new)", "/first"] in rows
    assert ["1", "-50%", "/last"] in rows
    assert ["1", "(new)", "signup", "(event)"] in rows
    assert ["3", "(no", "data)"] in rows
    assert ["1", "example.com/a"] in rows
    assert "Visits: 4 (+33%)" in text
    for absent in ("/late", "/early"):
        assert absent not in text + html
    for present in ("/first", "(new)", "-50%", "signup", "(no data)", "example.com/a", "Visits: 4", "Europe/Amsterdam"):
        assert present in html


def test_a_report_is_sent_once_and_the_next_is_about_the_next_week(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    clock.visit(ann, pump, ("/one", MONDAY, ""), ("/two", NEXT, ""))
    clock.run(NEXT - timedelta(hours=1))
    clock.run(NEXT)  # the last views may be on their way
    assert post.sent == []
    for hour in range(1, 5):
        clock.run(NEXT + timedelta(hours=hour))
    assert len(post.sent) == 1
    assert user(ann).last_report_at == NEXT.timestamp()
    assert user(ann).report_claim == ""
    clock.run(NEXT + timedelta(days=7, hours=1))
    assert [("/one" in shown(mail)[0], "/two" in shown(mail)[0]) for mail in post.sent] == [
        (True, False),
        (False, True),
    ]
    assert ann.get("/api/v0/me").json()["user"]["last_report_at"] == "2026-03-22T23:00:00Z"


def test_what_the_schedule_missed_is_made_up_for_once(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """After weeks of silence, the last week's report, and no heap of them."""
    weeks = [MONDAY + timedelta(days=7 * week) for week in range(4)]
    clock.visit(ann, pump, *[(f"/week{number}", week, "") for number, week in enumerate(weeks)])
    for hour in range(1, 4):
        clock.run(weeks[3] + timedelta(hours=hour))
    (mail,) = post.sent
    assert "/week2" in shown(mail)[0]
    assert "/week1" not in shown(mail)[0]


def test_nothing_is_sent_about_nothing_and_the_marker_waits(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """Views of that week that come in late are reported late; a quiet week is no reason to stay quiet for good."""
    before = user(ann).last_report_at
    clock.run(NEXT + timedelta(hours=1))
    assert (post.sent, user(ann).last_report_at) == ([], before)
    clock.visit(ann, pump, ("/imported", MONDAY, ""))
    clock.run(NEXT + timedelta(hours=3))
    assert len(post.sent) == 1
    after = NEXT + timedelta(days=21)
    clock.run(after + timedelta(hours=1))
    assert len(post.sent) == 1
    clock.visit(ann, pump, ("/again", after, ""))
    clock.run(after + timedelta(days=7, hours=1))
    assert "/again" in shown(post.sent[1])[0]


def test_every_active_site_with_visits_has_its_part(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    account = ann.created.account.id
    number = ann.created.site.id
    for name in ("second", "quiet", "gone"):
        wiring.accounts().create_site(account, f"{name}.example", f"{name}{number}", f"{name}{number}.example")
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.visit(ann, pump, ("/two", MONDAY, ""), site=f"second{number}")
    clock.visit(ann, pump, ("/three", MONDAY, ""), site=f"gone{number}")
    gone = next(site for site in wiring.accounts().roster(account).sites() if site.code.startswith("gone"))
    clients.dynamodb().update_item(
        TableName=wiring.settings().documents_table,
        Key={"pk": {"S": f"account#{account}"}, "sk": {"S": f"domain#{gone.domain}"}},
        UpdateExpression="SET #state = :deleted",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":deleted": {"S": SiteState.DELETED.value}},
    )
    wiring.accounts().forget(account)
    clock.run(NEXT + timedelta(hours=1))
    text, html = shown(post.sent[0])
    for part in (text, html):
        assert [name in part for name in ("/one", "/two", "/three")] == [True, True, False]
        assert [f"{name}{number}.example" in part for name in ("second", "quiet", "gone")] == [True, False, False]


def test_what_visitors_made_up_cannot_break_out(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """Markup is shown, not obeyed; line breaks and what turns text around are gone; endless paths end."""
    evil = "/<script>alert(1)</script>&amp;\u202egpj\r\nBcc: x@example.com"
    clock.visit(
        ann,
        pump,
        (evil, MONDAY, 'https://example.com/"><img src=x onerror=alert(2)>'),
        ("/" + "a" * 1500, MONDAY, "<b>free text</b>"),
    )
    clock.run(NEXT + timedelta(hours=1))
    text, html = shown(post.sent[0])
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    for part in (text, html):
        assert "\u202e" not in part
        assert "\nBcc" not in part
        assert "a" * 190 in part
        assert "a" * 210 not in part


def test_only_ten_of_each_are_listed(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """The ten most visited; numbers have the user's mark between thousands, which is a narrow space at first."""
    for _ in range(2):
        clock.visit(ann, pump, *[("/p14", MONDAY, "https://r14.example/") for _ in range(500)])
    clock.visit(
        ann, pump, *[(f"/p{i:02}", MONDAY, f"https://r{i:02}.example/") for i in range(15) for _ in range(i + 1)]
    )
    clock.run(NEXT + timedelta(hours=1))
    text, _ = shown(post.sent[0])
    assert [f"/p{i:02}" in text for i in range(15)] == [False] * 5 + [True] * 10
    assert "     1\u202f015    (new)  /p14" in text
    assert [f"r{i:02}.example" in text for i in range(15)] == [False] * 5 + [True] * 10


@pytest.mark.parametrize(
    ("reports", "last", "title"),
    [
        (EmailReports.DAILY, MONDAY, "9 Mar 2026 – 9 Mar 2026"),  # noqa: RUF001
        (EmailReports.WEEKLY, MONDAY + timedelta(days=6), "9 Mar 2026 – 15 Mar 2026"),  # noqa: RUF001
        (EmailReports.FORTNIGHTLY, MONDAY + timedelta(days=13), "9 Mar 2026 – 22 Mar 2026"),  # noqa: RUF001
        (EmailReports.MONTHLY, MONDAY + timedelta(days=22), "1 Mar 2026 – 31 Mar 2026"),  # noqa: RUF001
    ],
)
def test_each_comes_as_often_as_it_is_wanted(  # noqa: PLR0917 - fixtures
    ann: Person, clock: Clock, post: Post, pump: Pump, reports: EmailReports, last: datetime, title: str
) -> None:
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.set(MONDAY)
    wiring.reporting().choose(user(ann), reports)
    clock.run(datetime.combine(last, datetime.max.time(), AMSTERDAM))
    assert post.sent == []
    clock.run(datetime.combine(last + timedelta(days=1), datetime.min.time(), AMSTERDAM) + timedelta(minutes=30))
    (mail,) = post.sent
    assert mail.subject == f"Your Countless report for {title}"


def test_what_was_not_sent_is_tried_again_and_what_may_have_been_is_not(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    clock.visit(ann, pump, ("/one", MONDAY, ""), ("/two", NEXT, ""))
    before = user(ann)
    post.wrong = [NotSent("throttled")] * 3
    clock.run(NEXT + timedelta(hours=1))
    assert (post.sent, user(ann)) == ([], before)
    post.wrong = [NotSent("throttled")]  # by the second try it goes
    clock.run(NEXT + timedelta(hours=2))
    assert len(post.sent) == 1
    post.wrong = [Uncertain("lost")]
    clock.run(NEXT + timedelta(days=7, hours=1))
    clock.run(NEXT + timedelta(days=7, hours=2))
    assert len(post.sent) == 1
    assert (user(ann).last_report_at, user(ann).report_claim) == ((NEXT + timedelta(days=7)).timestamp(), "")


def test_a_mailbox_that_refuses_is_tried_again_with_the_next_period(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    clock.visit(ann, pump, ("/one", MONDAY, ""), ("/two", NEXT, ""))
    post.wrong = [Refused("550")]
    clock.run(NEXT + timedelta(hours=1))
    clock.run(NEXT + timedelta(hours=2))
    assert post.sent == []
    clock.run(NEXT + timedelta(days=7, hours=1))
    assert "/two" in shown(post.sent[0])[0]


class Killed(BaseException):
    """The function's process is gone."""


def test_a_function_that_dies_while_sending_sends_no_report_twice_and_somebody_is_told(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    """After the claim nobody knows whether the mail was taken; the next period's report comes as ever."""
    clock.visit(ann, pump, ("/one", MONDAY, ""), ("/two", NEXT, ""))

    def die() -> None:
        raise Killed

    post.before = die
    with pytest.raises(Killed):
        clock.run(NEXT + timedelta(hours=1))
    assert user(ann).report_claim != ""
    post.before = lambda: None
    clock.run(NEXT + timedelta(hours=1, seconds=FORGOTTEN + 1))
    assert post.sent == []
    assert user(ann).report_claim == ""
    clock.run(NEXT + timedelta(days=7, hours=1))
    (mail,) = post.sent
    assert "/two" in shown(mail)[0]


def test_two_schedules_at_once_send_one_report(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """Both have read that it is due, and one moves the marker."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.set(NEXT + timedelta(hours=1))
    again: list[Exception | None] = []

    def other() -> None:
        post.before = lambda: None
        thread = threading.Thread(target=clock.run)
        thread.start()
        thread.join()
        again.append(None)

    post.before = other
    clock.run()
    assert again == [None]
    assert len(post.sent) == 1
    stale = user(ann)
    held = [wiring.reporting().claim(stale, int(clock.at)) for _ in range(3)]
    assert [bool(claim) for claim in held] == [True, False, False]


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_claim_whose_answer_is_lost_is_looked_up(  # noqa: PLR0917 - fixtures
    ann: Person, clock: Clock, post: Post, pump: Pump, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """It took effect, then the report is sent; or it did not, then an hour later."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    whole = calls.update

    def losing(client: Any, **words: Any) -> Any:
        if ":until" not in words["ExpressionAttributeValues"]:
            return whole(client, **words)
        if lost == "after":
            whole(client, **words)
        raise Uncertain("lost")

    with monkeypatch.context() as patch:
        patch.setattr(calls, "update", losing)
        clock.run(NEXT + timedelta(hours=1))
    assert len(post.sent) == (1 if lost == "after" else 0)
    clock.run(NEXT + timedelta(hours=2))
    clock.run(NEXT + timedelta(hours=3))
    assert len(post.sent) == 1


def test_one_user_whose_report_fails_stops_nobody_elses(  # noqa: PLR0917 - fixtures
    ann: Person, front: FrontDoor, clock: Clock, post: Post, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: what was counted cannot be read, or the address is none."""
    others = [settle(front) for _ in range(3)]
    for person in others:
        wiring.reporting().choose(user(person), EmailReports.WEEKLY, zone="Europe/Amsterdam")
    for person in (ann, *others):
        clock.visit(person, pump, ("/one", MONDAY, ""))
    roster, gather = wiring.accounts().roster, report.gather
    broken, unread, misspelt = ann.created.account.id, others[0].created.account.id, others[1]

    def no_roster(account: str) -> Roster:
        if account == broken:
            raise Unavailable("documents")
        return roster(account)

    def no_figures(found: Roster, *rest: Any) -> Any:
        if found.account.id == unread:
            raise Unavailable("log")
        return gather(found, *rest)

    rewrite(misspelt, "SET email = :none", none={"S": "no address\r\nBcc: x@example.com"})
    wiring.accounts().forget(misspelt.created.account.id)
    with monkeypatch.context() as patch:
        patch.setattr(wiring.accounts(), "roster", no_roster)
        patch.setattr(report, "gather", no_figures)
        clock.run(NEXT + timedelta(hours=1))
    assert [mail.to[0].address for mail in post.sent] == [others[2].created.user.email]
    clock.run(NEXT + timedelta(hours=2))
    assert {mail.to[0].address for mail in post.sent[1:]} == {ann.created.user.email, others[0].created.user.email}


def test_who_has_no_time_left_leaves_the_rest_to_the_next_hour(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.set(NEXT + timedelta(hours=1))
    moment = datetime.fromtimestamp(clock.at, UTC)
    send_reports(schedules.event("send_reports", moment), LambdaContext("send_reports", timeout=sending.SPARE - 1))
    assert post.sent == []
    clock.run()
    assert len(post.sent) == 1


def test_no_mail_is_begun_or_tried_again_when_time_runs_out(
    ann: Person, clock: Clock, post: Post, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look up a report, or a server that does not answer, may take long: a function that is ended in the middle of
    a mail would leave a report that nobody can say was sent.
    """
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.set(NEXT + timedelta(hours=1))
    before, gather = user(ann), report.gather

    def run() -> None:
        context = LambdaContext("send_reports", timeout=300)

        def wait() -> None:
            context.timeout = sending.SPARE - 1

        post.before = wait
        send_reports(schedules.event("send_reports", datetime.fromtimestamp(clock.at, UTC)), context)

    post.wrong = [NotSent("no answer")] * 2
    run()
    assert (post.sent, len(post.wrong), user(ann)) == ([], 1, before)
    post.wrong = []
    slow = LambdaContext("send_reports", timeout=300)

    def long(*told: Any) -> Any:
        slow.timeout = sending.SPARE - 1
        return gather(*told)

    with monkeypatch.context() as patch:
        patch.setattr(report, "gather", long)
        send_reports(schedules.event("send_reports", datetime.fromtimestamp(clock.at, UTC)), slow)
    assert (post.sent, user(ann)) == ([], before)
    run()
    assert len(post.sent) == 1


def test_what_is_not_chosen_stays_whatever_the_chooser_remembers(ann: Person) -> None:
    """Somebody else may have chosen another zone since it was read."""
    stale = user(ann)
    wiring.reporting().choose(stale, EmailReports.WEEKLY, zone="Asia/Tokyo", sunday_starts_week=True)
    wiring.reporting().choose(stale, EmailReports.NEVER)
    found = user(ann)
    assert (found.email_reports, found.timezone, found.sunday_starts_week) == (EmailReports.NEVER, "Asia/Tokyo", True)


def test_a_user_from_before_there_were_reports_may_want_some(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """The item says nothing about them: weeks start on Monday then."""
    rewrite(ann, "REMOVE email_reports, last_report_at, sunday_starts_week, number_format")
    assert user(ann).email_reports is EmailReports.NEVER
    clock.set(MONDAY)
    wiring.reporting().choose(user(ann), EmailReports.WEEKLY)
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.run(NEXT + timedelta(hours=1))
    assert len(post.sent) == 1


def test_a_user_who_chooses_anew_while_it_is_due_gets_what_was_chosen(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    """The old choice's claim does not hold any more, and no report comes for the time before."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    stale = user(ann)
    clock.set(NEXT + timedelta(hours=1))
    wiring.reporting().choose(stale, EmailReports.DAILY)
    assert wiring.reporting().claim(stale, int(clock.at)) == ""
    clock.run()
    assert post.sent == []
    assert ann.get("/api/v0/me").json()["user"]["settings"]["email_reports"] == 1


def test_what_was_chosen_meanwhile_outlasts_a_report_that_was_not_sent(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    """The marker does not go back over the choice."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    post.before = lambda: wiring.reporting().choose(user(ann), EmailReports.MONTHLY)
    post.wrong = [NotSent("throttled")] * 3
    clock.run(NEXT + timedelta(hours=1))
    found = user(ann)
    assert (found.email_reports, found.last_report_at) == (EmailReports.MONTHLY, clock.at)


def test_an_address_that_nobody_has_confirmed_gets_no_mail(ann: Person, clock: Clock, post: Post, pump: Pump) -> None:
    """It may be a stranger's."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    rewrite(ann, "SET email_verified = :no", no={"BOOL": False})
    wiring.accounts().forget(ann.created.account.id)
    clock.run(NEXT + timedelta(hours=1))
    assert post.sent == []


def test_nothing_is_sent_where_nothing_sends_mails(
    ann: Person, clock: Clock, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the service comes, until the operator says what sends."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    monkeypatch.delenv("COUNTLESS_MAIL", raising=False)
    for kept in (wiring.settings, wiring.mailer):  # by tests before
        kept.cache_clear()
    before = user(ann)
    clock.run(NEXT + timedelta(hours=1))
    assert user(ann) == before


def test_logs_say_what_happened_and_to_nobody_else_who_it_was(
    ann: Person, clock: Clock, post: Post, pump: Pump
) -> None:
    """Ids, and never an address."""
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.dumps(record.__dict__, default=str))

    handler = Kept()
    named = logging.getLogger(NAMESPACE)
    named.addHandler(handler)
    try:
        post.wrong = [Uncertain("lost")]
        clock.run(NEXT + timedelta(hours=1))
    finally:
        named.removeHandler(handler)
    (line,) = [line for line in lines if "may not have been sent" in line]
    assert ann.created.account.id in line
    assert ann.created.user.email not in line


def test_whoever_gets_reports_stops_them_by_a_link(  # noqa: PLR0917 - fixtures
    ann: Person, clock: Clock, post: Post, pump: Pump, front: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a button, since programs load links ahead. A link made for another, changed, or old, is none."""
    monkeypatch.setenv("COUNTLESS_URL", "https://count.example/")
    wiring.settings.cache_clear()
    clock.visit(ann, pump, ("/one", MONDAY, ""))
    clock.run(NEXT + timedelta(hours=1))
    (mail,) = post.sent
    found = read(mail.mime())
    link = found["list-unsubscribe"].strip("<>")
    assert found["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    text, html = shown(mail)
    assert link in text
    assert link.replace("&", "&amp;") in html
    path = link.removeprefix("https://count.example")
    number = ann.created.user.id
    for wrong in (path.replace(f"/{number}/", f"/{number + 1}/"), path[:-1], path.partition("?")[0], f"{path}0"):
        assert front.request("POST", wrong).status == 403
    refused = front.request("PUT", path)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert front.request("GET", path).status == 200
    assert "<form method" in front.request("GET", path).text
    assert user(ann).email_reports is EmailReports.WEEKLY
    form = {"content-type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        answer = front.request("POST", path, headers=form, body="List-Unsubscribe=One-Click")
        assert (answer.status, "no more reports" in answer.text) == (200, True)
        assert user(ann).email_reports is EmailReports.NEVER
    # Another process has them sent again, which this one has not heard of.
    rewrite(ann, "SET email_reports = :daily", daily={"N": "1"})
    assert front.request("POST", path, headers=form, body="List-Unsubscribe=One-Click").status == 200
    assert user(ann).email_reports is EmailReports.NEVER
    clock.set(NEXT + timedelta(days=400))
    assert front.request("POST", path).status == 403
    wiring.settings.cache_clear()


def test_a_report_travels_by_ses(
    ann: Person, clock: Clock, pump: Pump, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the settings say, all the way."""
    from moto.ses.models import ses_backends  # noqa: PLC0415 - as heavy as it is

    clock.visit(ann, pump, ("/one", MONDAY, ""))
    world.client("sesv2").create_email_identity(EmailIdentity="reports@countless.example")
    monkeypatch.setenv("COUNTLESS_MAIL", "ses")
    monkeypatch.setenv("COUNTLESS_MAIL_FROM", "Countless <reports@countless.example>")
    for made in (wiring.settings, wiring.mailer):
        made.cache_clear()
    sent = ses_backends["123456789012"]["eu-central-1"].sent_messages
    before = len(sent)
    clock.run(NEXT + timedelta(hours=1))
    (message,) = sent[before:]
    found = read(message.raw_data.encode())
    assert found["to"] == ann.created.user.email
    assert "/one" in body(found, "plain")
    monkeypatch.undo()
    for made in (wiring.settings, wiring.mailer):
        made.cache_clear()
