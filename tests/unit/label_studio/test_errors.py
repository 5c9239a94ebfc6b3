from __future__ import annotations

import pickle

from plugin.label_studio.errors import LabelStudioError


def test_an_error_goes_from_process_to_process() -> None:
    """As Celery sends it; what cannot be pickled comes as another error, of which nobody knows if it may pass."""
    error = LabelStudioError("import 3 tasks", 502, "Bad gateway", uncertain=True)
    found = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert isinstance(found, LabelStudioError)
    assert (str(found), found.status, found.uncertain, found.may_pass) == (str(error), 502, True, True)
