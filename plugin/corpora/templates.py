"""Home Assistant's sentence templates: which a language has, for which domains, and a random walk through one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plugin.corpora.marked import NO_SLOT, MarkedText
from plugin.corpora.vocabulary import values

# The share of numbers written as a recogniser with number formatting would: 20, not twenty.
_DIGITS_SHARE = 0.6
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class TemplatesError(Exception):
    """The templates cannot be had: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence as hassil's syntax tree, and what it means."""

    expression: Any
    intent: str


def languages() -> list[str]:
    return [str(language) for language in _package().get_languages()]


def template_count(language: str) -> int:
    blocks = _blocks(_data(language))
    return sum(len(block["sentences"]) for _, block in blocks)


class Templates:
    """The templates of one language by domain: first the domains that intents declare, then those of devices."""

    def __init__(self, language: str) -> None:
        data = _data(language)
        self.language = language
        self._hassil = _hassil()
        self._trees: dict[str, Any] = {}
        self._rules = {name: self._parse(body) for name, body in data.get("expansion_rules", {}).items()}
        self._lists: Mapping[str, Any] = data.get("lists", {})
        self._numbers = _number_words(language)
        by_domain: dict[str, list[Template]] = {}
        declared = _package().get_intent_info() or {}
        for intent, block in _blocks(data):
            expressions = [self._parse(sentence) for sentence in block["sentences"]]
            for domain in _domains(intent, block, declared):
                name = intent_name(intent, domain)
                usable = [Template(tree, name) for tree in expressions if self._is_complete(tree, domain)]
                by_domain.setdefault(domain, []).extend(usable)
        of_intents = {info["domain"] for info in declared.values()}
        ranked = sorted(by_domain.items(), key=lambda item: (item[0] not in of_intents, -len(item[1]), item[0]))
        self.by_domain = {domain: templates for domain, templates in ranked if templates}

    def walk(self, template: Template, domain: str, random_: random.Random) -> MarkedText:
        """One sentence of a template, with values drawn for its lists."""
        marked = MarkedText()
        self._write(template.expression, domain, marked, NO_SLOT, random_)
        return marked.tidied()

    def _parse(self, sentence: str) -> Any:
        tree = self._trees.get(sentence)
        if tree is None:
            tree = self._trees[sentence] = self._hassil.parse_sentence(sentence).expression
        return tree

    def _is_complete(self, expression: Any, domain: str) -> bool:
        """Whether every rule and list that the template refers to exists."""
        hassil = self._hassil
        if isinstance(expression, hassil.RuleReference):
            rule = self._rules.get(expression.rule_name)
            return rule is not None and self._is_complete(rule, domain)
        if isinstance(expression, hassil.ListReference):
            return self._has_list(expression.list_name, domain)
        if isinstance(expression, hassil.expression.Group):
            return all(self._is_complete(item, domain) for item in expression.items)
        return True

    def _has_list(self, name: str, domain: str) -> bool:
        known = self._lists.get(name, {})
        return "range" in known or bool(known.get("values")) or bool(values(self.language, name, domain))

    def _write(self, expression: Any, domain: str, marked: MarkedText, mark: int, random_: random.Random) -> None:
        hassil = self._hassil
        parts: Iterable[Any] = ()
        if isinstance(expression, hassil.TextChunk):
            marked.write(expression.original_text, mark)
        elif isinstance(expression, hassil.RuleReference):
            parts = (self._rules[expression.rule_name],)
        elif isinstance(expression, hassil.ListReference):
            if mark == NO_SLOT:
                mark = marked.open_slot(expression.slot_name)
            parts = (self._value(expression.list_name, domain, random_),)
        elif isinstance(expression, hassil.Alternative):
            parts = (random_.choice(expression.items),)
        elif isinstance(expression, hassil.Permutation):
            parts = random_.sample(expression.items, len(expression.items))
        else:
            parts = expression.items
        for part in parts:
            self._write(part, domain, marked, mark, random_)

    def _value(self, name: str, domain: str, random_: random.Random) -> Any:
        known = self._lists.get(name, {})
        if "range" in known:
            return self._hassil.TextChunk(text=self._number(known["range"], random_))
        if known.get("values"):
            value = random_.choice(known["values"])
            return self._parse(value["in"] if isinstance(value, dict) else str(value))
        return self._hassil.TextChunk(text=random_.choice(values(self.language, name, domain)))

    def _number(self, bounds: Mapping[str, Any], random_: random.Random) -> str:
        number = random_.randrange(bounds["from"], bounds["to"] + 1, bounds.get("step", 1))
        if self._numbers is None or random_.random() < _DIGITS_SHARE:
            return str(number)
        return str(self._numbers.format_number(number).text).replace("-", " ")


def intent_name(intent: str, domain: str) -> str:
    """Home Assistant's intents span domains, ours belong to one: (HassTurnOn, light) -> light_turn_on."""
    action = _CAPITAL.sub("_", intent.removeprefix("Hass")).lower()
    return action if action.startswith(f"{domain}_") else f"{domain}_{action}"


def _domains(intent: str, block: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """Of the devices that a block of sentences says it is for, or else of the whole intent."""
    for place in ("slots", "requires_context"):
        domain = block.get(place, {}).get("domain")
        if domain:
            return [domain] if isinstance(domain, str) else list(domain)
    return [declared[intent]["domain"]] if intent in declared else []


def _blocks(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, block) for name, intent in data["intents"].items() for block in intent["data"]]


def _data(language: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] | None = _package().get_intents(language)
    if data is None:
        raise TemplatesError(f"there are no sentence templates for {language!r}, only for {', '.join(languages())}")
    return data


_EXTRA_IS_MISSING = "the demo corpus needs home-assistant-intents and hassil: pip install 'assay-label-studio[demo]'"


def _package() -> Any:
    try:
        import home_assistant_intents  # an extra, which only the demo needs
    except ImportError:
        raise TemplatesError(_EXTRA_IS_MISSING) from None
    return home_assistant_intents


def _hassil() -> Any:
    try:
        import hassil.expression
    except ImportError:
        raise TemplatesError(_EXTRA_IS_MISSING) from None
    return hassil


def _number_words(language: str) -> Any:
    from hassil.numbers import get_rbnf_engine

    try:
        return get_rbnf_engine(language)
    except ValueError:
        return None  # digits only
