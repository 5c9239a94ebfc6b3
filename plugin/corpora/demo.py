"""A demo corpus for a machine that has none, drawn from Home Assistant's sentence templates (some 60 languages).

Templates, intents and domains are those of the PyPI package `home-assistant-intents`; the names of rooms and
devices come from `vocabulary`. A share of the utterances is roughened as a speech recogniser would, for clean
templates would be too easy to learn.
"""

from __future__ import annotations

import random

from plugin.corpora.marked import MarkedText, roughen
from plugin.corpora.templates import Template, Templates, TemplatesError, languages, template_count
from plugin.formats.record import LabelledUtterance
from plugin.records import Hypothesis

MAX_DOMAINS = 14
# A domain is given up when so many walks in a row only found texts that were there already.
_PATIENCE = 400


def demo_locales() -> list[tuple[str, int]]:
    """(locale, number of templates), best supplied first."""
    return sorted(((name, template_count(name)) for name in languages()), key=lambda item: -item[1])


def demo_corpus(
    locale: str = "en", size: int = 12_000, *, seed: int = 0, noise: float = 0.15
) -> list[LabelledUtterance]:
    """`size` utterances with distinct texts; the same for the same arguments and package version.

    Domains are drawn in proportion to the square root of their number of templates, so that small ones are
    not lost; the MAX_DOMAINS first of `Templates.by_domain` are kept. `noise` is the share of utterances with
    a recogniser's mistake.
    Raises TemplatesError for an unknown locale or one whose templates do not give `size` different texts.
    """
    random_ = random.Random(f"{locale}/{seed}")  # noqa: S311  # sampling, no secret
    templates = Templates(locale)
    open_domains = dict(list(templates.by_domain.items())[:MAX_DOMAINS])
    texts: set[str] = set()
    corpus: list[LabelledUtterance] = []
    while len(corpus) < size:
        if not open_domains:
            raise TemplatesError(
                f"the templates of {locale} give about {len(corpus)} different utterances, not {size}:"
                " ask for fewer, or for another locale"
            )
        weights = [len(own) ** 0.5 for own in open_domains.values()]
        domain = random_.choices(list(open_domains), weights)[0]
        drawn = _new_text(templates, domain, texts, noise, random_)
        if drawn is None:
            del open_domains[domain]
            continue
        template, marked = drawn
        texts.add(marked.text)
        label = Hypothesis(domain, template.intent, marked.slots)
        corpus.append(LabelledUtterance(f"demo-{locale}-{len(corpus):06d}", locale, marked.text, label))
    return corpus


def _new_text(
    templates: Templates, domain: str, texts: set[str], noise: float, random_: random.Random
) -> tuple[Template, MarkedText] | None:
    for _ in range(_PATIENCE):
        template = random_.choice(templates.by_domain[domain])
        marked = templates.walk(template, domain, random_)
        if marked.text and random_.random() < noise:
            marked = roughen(marked, random_)
        if marked.text and marked.text not in texts:
            return template, marked
    return None
