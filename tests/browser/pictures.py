"""The pictures of docs/annotators.md and the README: `python -m tests.browser.pictures docs/images`.

Pictures of Urdu and Thai need fonts that have them (Debian: fonts-noto-core).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path

from playwright.sync_api import Page

from db.migrate import upgrade
from db.session import TransactionMaker, make_engine, transaction_maker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import project_title
from plugin.services import marks
from tests import servers
from tests.browser import pool
from tests.browser.annotator import HEIGHT, WIDTH, Annotator, chromium, find_chromium
from tests.browser.corpus import NOISE, RIGHT, THAI, URDU, VOCABULARY, WRONG
from tests.browser.opinions import TEXT, publish_adjudication
from tests.browser.pool import Heard
from tests.fakes.scorer import FakeScorer

DOMAIN = "music"
FADING_MS = 4000  # until Label Studio no longer says that it has saved
TABS_WIDTH, TABS_HEIGHT = 1680, 520
GOLD = (
    Heard("play giant steps by john coltrane", "music_play", [("song", "giant steps"), ("artist", "john coltrane")]),
    Heard("i love this one", "music_likeness"),
    Heard("who sings this", "music_query"),
    Heard("what did nina simone record in 1965", "music_query", [("artist", "nina simone"), ("date", "1965")]),
)


class Studio:
    """A real Label Studio, a database, and one annotator."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        where = stack.enter_context(servers.scratch_folder())
        postgres = stack.enter_context(servers.postgres_server(where))
        self.server = stack.enter_context(servers.label_studio_server(where, postgres))
        url = postgres.create("pictures")
        upgrade(url)
        engine = make_engine(url)
        stack.callback(engine.dispose)
        self.transaction: TransactionMaker = transaction_maker(engine)
        self.client = stack.enter_context(closing(SdkLabelStudio(self.server.url, self.server.token)))
        executable = find_chromium()
        assert executable is not None, "no Chromium here"
        self.page: Page = stack.enter_context(chromium(executable)).new_page(
            viewport={"width": WIDTH, "height": HEIGHT}
        )
        self.annotator = Annotator(self.page, self.server.url)
        self.annotator.log_in(self.server.annotators(1)[0])
        self.folder = folder

    def publish(self, locale: str, *heard: Heard, blind: tuple[Heard, ...] = ()) -> pool.Queue:
        return pool.publish(self.transaction, self.client, FakeScorer(VOCABULARY), locale, DOMAIN, heard, blind)

    def take(self, name: str, part: str = "body") -> None:
        self.page.wait_for_timeout(FADING_MS)
        self.page.locator(part).screenshot(path=self.folder / f"{name}.png")


def main(folder: Path) -> None:
    with ExitStack() as stack:
        studio = Studio(stack, folder)
        queue(studio)
        for name, locale, one in (("urdu", "ur-PK", URDU), ("thai", "th-TH", THAI)):
            studio.publish(locale, one)
            studio.annotator.open(project_title(locale, DOMAIN))
            studio.annotator.see(one.text)
            studio.take(name)
        adjudication(studio)


def adjudication(studio: Studio) -> None:
    """Two answers that differ, before anybody has decided."""
    _, title = publish_adjudication(studio.client, "en-IE")
    studio.annotator.open(title)
    studio.annotator.see(TEXT)
    studio.take("adjudication")


def queue(studio: Studio) -> None:
    """A queue from its guide to its tabs."""
    locale, annotator = "en-GB", studio.annotator
    with studio.transaction() as session:
        pool.add_gold(session, locale, DOMAIN, GOLD)
        pool.add_reviews(session, locale, DOMAIN, GOLD * 25)
    blind = Heard("turn it up a little", "music_play")
    found = studio.publish(locale, RIGHT, WRONG, NOISE, blind, blind=(blind,))
    annotator.open_guide(project_title(locale, DOMAIN))
    studio.take("guide", ".lsf-modal-ls__content")
    annotator.close_guide()
    for text in found.texts:
        annotator.see(text)
        if text == RIGHT.text:
            studio.take("queue")
        elif text == NOISE.text:
            annotator.press("c")
            studio.take("reject")
        elif text == WRONG.text:
            annotator.press("3", "6")
            annotator.mark("blue train")
            studio.take("fix")
        elif text == blind.text:
            studio.take("blind")
            annotator.press("Shift+Q")
            annotator.press(annotator.key_of("volume_up"))
        annotator.submit()
    annotator.see_the_end()
    pool.collect(studio.transaction, studio.client, found)
    with studio.transaction() as session:
        [queue_id] = marks.unmarked(session, pool.INSTANCE)
    marks.mark(studio.transaction, studio.client, pool.INSTANCE, queue_id)
    studio.page.set_viewport_size({"width": TABS_WIDTH, "height": TABS_HEIGHT})
    studio.page.goto(f"{studio.server.url}/projects/{found.project_id}/data")
    studio.page.get_by_text("Reviewed", exact=True).click()
    studio.page.get_by_text("accepted").first.wait_for()
    studio.take("tabs")
    studio.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
