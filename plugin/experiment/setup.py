"""What is the same in every trial of an experiment. Other values make another experiment, in another folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from plugin.records import Policy

TEST, DEV = "test", "dev"


@dataclass(frozen=True, slots=True)
class Setup:
    """The protocol's figures.

    trusted          gold utterances that the seed model and every arm are trained on
    dev, test        drawn of a corpus that has none of its own
    evaluate_on      `test`; or `dev`: the corpus's dev partition and `extra` of its training utterances, test
                     never touched, to choose strategies with
    seed_replicates  networks of the seed model; it makes hypotheses, NLU scores and scores
    seed_epochs, epochs, batch_size   of the seed model, of the evaluated replicate, of both
    """

    trusted: int = 1000
    dev: int = 500
    test: int = 2000
    evaluate_on: str = TEST
    extra: int = 1000
    seed_replicates: int = 5
    seed_epochs: int = 20
    epochs: int = 15
    batch_size: int = 32
    defect_recall: float = 0.8
    defect_false_rate: float = 0.05
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("trusted", "dev", "test", "seed_replicates", "seed_epochs", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.evaluate_on not in (TEST, DEV):
            raise ValueError(f"evaluate_on must be {TEST} or {DEV}, not {self.evaluate_on!r}")

    def to_json(self) -> dict[str, Any]:
        """What decides the results, with the window of the product's policy; the device does not."""
        values = asdict(self)
        del values["device"]
        return {**values, "nlu_band": list(Policy().nlu_band)}
