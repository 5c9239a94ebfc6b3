"""The guide that Label Studio opens when labelling starts (`expert_instruction`), as HTML."""

from __future__ import annotations

import html

from plugin.label_studio.screen import LabelSet


def instruction(domain: str, labels: LabelSet) -> str:
    """The guide that opens when labelling starts, as HTML."""
    intents = ", ".join(html.escape(intent) for intent in labels.intents.get(domain, ()))
    return (
        "<p>Each utterance shows what the assistant understood: domain, intent and slots are filled in.</p>"
        "<p><b>Ctrl+Enter</b> submits, <b>Ctrl+Space</b> skips. The other keys stand beside their labels.</p>"
        f"<p>Intents of {html.escape(domain)}: {intents}</p>"
    )
