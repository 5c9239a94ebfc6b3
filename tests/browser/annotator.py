"""A person at Label Studio's pages, with a real Chromium: what the screen says, clicks and keys."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from plugin.stack.accounts import Account

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
# Nothing leaves the machine; a container has neither a sandbox nor a large /dev/shm.
FLAGS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTH, HEIGHT = 1280, 800
PATIENCE_MS = 30_000
TABS_TO_THE_NOTE = 40

# Where some characters of the utterance stand on the screen; `start` and `end` count UTF-16 units, as browsers do.
BOXES = """(utterance, [start, end]) => {
    const texts = document.createTreeWalker(utterance, NodeFilter.SHOW_TEXT);
    const boxOf = place => {
        texts.currentNode = utterance;
        for (let node = texts.nextNode(); node; node = texts.nextNode()) {
            if (place < node.length) {
                const range = document.createRange();
                range.setStart(node, place);
                range.setEnd(node, place + 1);
                return range.getBoundingClientRect();
            }
            place -= node.length;
        }
    };
    return [boxOf(start), boxOf(end - 1)].map(box => [box.left, box.right, (box.top + box.bottom) / 2]);
}"""


@dataclass(frozen=True)
class Screen:
    """What the labelling screen shows. `slots` are the marked words, in the order of the text; "" is nothing."""

    text: str
    reason: str
    domain: str
    intent: str
    slots: Sequence[tuple[str, str]]


class Annotator:
    def __init__(self, page: Page, url: str) -> None:
        page.set_default_timeout(PATIENCE_MS)
        self.page = page
        self._url = url
        # Clicks that the keyboard makes count no button presses.
        page.add_init_script(
            "window.mouse = 0; addEventListener('mousedown', event => { window.mouse += event.isTrusted }, true)"
        )
        self._utterance = page.locator(".assay-utterance .lsf-htx-richtext")

    def log_in(self, account: Account) -> None:
        self.page.goto(f"{self._url}/user/login/")
        self.page.fill("input[name=email]", account.email)
        self.page.fill("input[name=password]", account.password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/user/login" not in url)

    def open(self, title: str) -> None:
        """A project, from the list of all of them, and the first task that it serves."""
        self.open_guide(title)
        self.close_guide()

    def open_guide(self, title: str) -> None:
        """It comes before the first task."""
        self.page.goto(f"{self._url}/projects/")
        self.page.get_by_text(title, exact=True).click()
        self.page.get_by_role("button", name="Label All Tasks").press("Enter")
        self.page.get_by_text("Labeling Instructions").wait_for()

    def close_guide(self) -> None:
        self.press("Escape")
        self.page.get_by_text("Labeling Instructions").wait_for(state="hidden")

    def see(self, text: str) -> Screen:
        """Wait for the task with this text to be on the screen, filled in."""
        expect(self._utterance).to_have_text(text, timeout=PATIENCE_MS)
        expect(self.page.locator(".assay-reason")).to_have_text(re.compile(r"\S"), timeout=PATIENCE_MS)
        marks = self.page.locator(".assay-utterance .htx-highlight")
        return Screen(
            text=self._utterance.inner_text(),
            reason=self.page.locator(".assay-reason").inner_text().strip(),
            domain=self._chosen("Domain"),
            intent=self._chosen("Intent"),
            slots=[(_label(mark), mark.inner_text()) for mark in marks.all()],
        )

    def rejected(self) -> str:
        chosen = self.page.locator(".assay-reject input:checked")
        return ", ".join(one.get_attribute("name") or "" for one in chosen.all())

    def clicks(self) -> int:
        """How often a mouse was pressed on this page."""
        return int(self.page.evaluate("window.mouse"))

    def direction(self) -> str:
        return str(self._utterance.evaluate("element => getComputedStyle(element).direction"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, name: str) -> None:
        """A choice on the screen by mouse; beside its name stands its key."""
        self.page.locator("label", has_text=re.compile(rf"^{re.escape(name)}(\[.*\])?$")).filter(visible=True).click()

    def key_of(self, name: str) -> str:
        """What stands beside a choice; its first letter may hold Shift."""
        label = self.page.locator("label", has_text=re.compile(rf"^{re.escape(name)}\[.*\]$")).filter(visible=True)
        *shift, key = label.inner_text()[len(name) :].strip("[] \n").split("+")
        return f"Shift+{key.upper()}" if shift else key

    def mark(self, words: str) -> None:
        """Drag the mouse over some words, from a little within the first letter to a little within the last."""
        text = self._utterance.inner_text()
        start = _utf16(text[: text.index(words)])
        first, last = self._utterance.evaluate(BOXES, [start, start + _utf16(words)])
        inset = 0.25 * (first[1] - first[0]), 0.25 * (last[1] - last[0])
        self.page.mouse.move(first[0] + inset[0], first[2])
        self.page.mouse.down()
        self.page.mouse.move(last[1] - inset[1], last[2], steps=8)
        self.page.mouse.up()
        expect(self.page.locator(".assay-utterance .htx-highlight", has_text=words)).to_be_visible()

    def note(self, why: str, field: str = "Note") -> None:
        """By Tab to the field; Enter takes the note, and keys are shortcuts again after it."""
        box = self.page.get_by_placeholder(field)
        for _ in range(TABS_TO_THE_NOTE):
            self.press("Tab")
            if box.evaluate("element => element === document.activeElement"):
                break
        expect(box).to_be_focused()
        self.page.keyboard.type(why)
        self.press("Enter")
        expect(self.page.get_by_test_id("textarea-region").filter(has_text=why)).to_be_visible()

    def submit(self, key: str = "Control+Enter") -> None:
        """By the keyboard, and wait until Label Studio has taken it."""
        with self.page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
            self.press(key)

    def be_refused(self, message: str) -> None:
        """What is required is asked for, and nothing is submitted."""
        posted: list[str] = []
        self.page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
        self.press("Control+Enter")
        warning = self.page.get_by_text(message)
        warning.wait_for()
        self.press("Escape")
        warning.wait_for(state="hidden")
        assert not [url for url in posted if "/annotations" in url]

    def see_the_end(self) -> None:
        self.page.get_by_text("No More Tasks Left in Queue").wait_for()

    def _chosen(self, title: str) -> str:
        heading = self.page.get_by_role("heading", name=title, exact=True).filter(visible=True)
        chosen = heading.locator("xpath=following-sibling::*[1]").locator("input:checked")
        return ", ".join(one.get_attribute("name") or "" for one in chosen.all())


def _label(mark: Locator) -> str:
    """`data-label` is the region's number, a colon and its label."""
    return (mark.get_attribute("data-label") or "").partition(":")[2]


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def find_chromium() -> str | None:
    return next((path for name in EXECUTABLES if (path := shutil.which(name))), None)


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()
