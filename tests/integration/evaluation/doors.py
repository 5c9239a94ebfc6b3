"""What the doors take from `plugin.wiring`, without a broker: messages are kept instead of sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from db.session import TransactionMaker
from plugin.settings import Settings
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.integration.evaluation.conftest import INSTANCE


@dataclass
class FakeWiring:
    transaction: TransactionMaker
    settings: Settings = field(default_factory=lambda: Settings(broker_url="redis://nowhere.test"))  # type: ignore[arg-type]
    server: FakeLabelStudio = field(default_factory=FakeLabelStudio)
    instance: str = INSTANCE
    broker_is_there: bool = True
    sent: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def label_studio(self) -> FakeClient:
        return self.server.client()

    def send(self, name: str, *args: Any) -> bool:
        if self.broker_is_there:
            self.sent.append((name, *args))
        return self.broker_is_there
