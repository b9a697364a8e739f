"""A headless Chromium, and pages for it to look at.

Every host name leads to this machine: pages have hosts of their own, so that they are none of the local addresses
that are not counted.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    # At run time it is imported by those who have found out whether it is there.
    from selenium import webdriver
    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PATIENCE = 15.0
"""Seconds until something that should happen at once is given up on: the machine may be busy with other tests."""
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
"""A person's: what a headless Chromium says of itself is known to be a robot's."""


def found() -> tuple[str, str] | None:
    """Where Chromium and its driver are; None if one of them is missing."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which(DRIVER)
    return (chromium, driver) if chromium and driver else None


def until(what: str, holds: Callable[[], Any]) -> Any:
    """Waits for something to become true; what it became."""
    end = time.monotonic() + PATIENCE
    while not (value := holds()):
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)
    return value


class Pages:
    """A web server for pages that tests write."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[str, dict[str, str]]] = {}
        self._held: dict[str, threading.Event] = {}
        self.asked: list[str] = []
        """Every path that was asked for."""
        pages, held, asked = self._pages, self._held, self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path in held:
                    held[self.path].wait(PATIENCE)
                body, headers = pages.get(self.path.partition("?")[0], ("", {}))
                self.send_response(200 if body else 404)
                for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                    self.send_header(name, value)
                content = body.encode()
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def put(self, path: str, head: str = "", body: str = "", headers: dict[str, str] | None = None) -> None:
        """Serves a page from now on."""
        page = f"<!doctype html><html><head><title>A page &amp; more</title>{head}</head><body>{body}</body></html>"
        self._pages[path] = page, headers or {}

    def hold(self, path: str) -> threading.Event:
        """Answers at a path only when the event is set, or after `PATIENCE`."""
        return self._held.setdefault(path, threading.Event())

    def url(self, host: str, path: str) -> str:
        return f"http://{host}:{self.port}{path}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Sent(NamedTuple):
    """A request that a page has sent to `/count`."""

    method: str
    data: dict[str, str]
    """Its query."""
    body: bool
    kind: str
    """`Ping` for a beacon, `Image` for an image."""


@dataclass
class Browser:
    """Chromium, driven by hand."""

    driver: "webdriver.Chrome"

    @classmethod
    def start(cls, chromium: str, driver: str) -> "Browser":
        """Starts the browser at one path by the driver at the other."""
        from selenium import webdriver  # noqa: PLC0415 - as above
        from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in (
            "--headless=new",
            "--no-sandbox",  # which root cannot have
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LocalNetworkAccessChecks",
            "--disable-blink-features=AutomationControlled",  # else the script finds out, and says so
            "--host-resolver-rules=MAP * 127.0.0.1",
            "--window-size=1280,720",
            f"--user-agent={USER_AGENT}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        options.set_capability("unhandledPromptBehavior", "ignore")
        made = webdriver.Chrome(options, Service(driver))
        made.set_page_load_timeout(PATIENCE)
        made.set_script_timeout(PATIENCE)
        return cls(made)

    def open(self, url: str) -> None:
        """Loads a page, with all that it loads at once."""
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script says in the page."""
        return self.driver.execute_script(script, *arguments)

    def counting(self) -> None:
        """Waits until the tracking script has run."""
        until("the tracking script runs", lambda: self.run("return !!(window.goatcounter && goatcounter.count)"))

    def click(self, selector: str) -> None:
        """A click with the left button."""
        self.driver.find_element("css selector", selector).click()

    def all(self, selector: str) -> "list[WebElement]":
        """Every element that a selector means."""
        found: list[WebElement] = self.driver.find_elements("css selector", selector)
        return found

    def tell(self, command: str, **arguments: Any) -> Any:
        """Sends a command of the developer tools' protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def sent(self, host: str) -> list[Sent]:
        """What has been sent to the `/count` of a host since the last call, by whichever tab."""
        requests = []
        for entry in self._log():
            message = json.loads(entry["message"])["message"]
            if message["method"] != "Network.requestWillBeSent":
                continue
            request = message["params"]["request"]
            parts = urlsplit(request["url"])
            if (parts.hostname, parts.path) == (host, "/count"):
                data = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
                body = bool(request.get("postData"))
                requests.append(Sent(request["method"], data, body, message["params"].get("type", "")))
        return requests

    def sends(self, host: str, number: int) -> list[Sent]:
        """Waits for that many requests to `/count`; fails on more."""
        found: list[Sent] = []

        def enough() -> bool:
            found.extend(self.sent(host))
            return len(found) >= number

        until(f"{number} requests", enough)
        assert len(found) == number, found
        return found

    def forget(self) -> None:
        """Empties the log of what has been sent."""
        self._log()

    def _log(self) -> list[dict[str, str]]:
        read: Callable[[str], list[dict[str, str]]] = self.driver.get_log  # which has no types
        return read("performance")

    def close(self) -> None:
        """Ends it."""
        self.driver.quit()
