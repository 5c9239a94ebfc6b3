from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Page

from db.session import TransactionMaker, make_engine, transaction_maker
from plugin.label_studio.client import SdkLabelStudio
from tests.browser.annotator import HEIGHT, WIDTH, chromium, find_chromium
from tests.servers import LabelStudioServer


@pytest.fixture
def transaction(clean_database_url: str) -> Iterator[TransactionMaker]:
    engine = make_engine(clean_database_url)
    yield transaction_maker(engine)
    engine.dispose()


@pytest.fixture
def client(label_studio_server: LabelStudioServer) -> Iterator[SdkLabelStudio]:
    with closing(SdkLabelStudio(label_studio_server.url, label_studio_server.token)) as client:
        yield client


@pytest.fixture
def page() -> Iterator[Page]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium here: install chromium to run the browser tests")
    with chromium(executable) as browser:
        yield browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
