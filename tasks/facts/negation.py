"""Prompts that deny what they said: "{} was not born in [Y]." for "{} was born in [Y]."

Kassner and Schütze 2020 wrote "not" into LAMA's templates by hand; their files are read where they
are (`lama`). For other statements there is a rule here, which says nothing where it does not fit.
"""

import re

from closedbook.tasks.facts import templates

# After the last of these before the object, or the first after it where none is before.
_AUXILIARY = re.compile(r"(?<![\w{])(is|are|was|were|can|could|will|would|must)(?!\w)")
_VERB = re.compile(re.escape(templates.SUBJECT) + r" ([a-z]+)(?!\w)")
_DENIED = {
    "became": "did not become",
    "has": "does not have",
    "participated": "did not participate",
    "used": "did not use",
}
_NO_VERBS = ("its", "as", "this", "us", "always", "often")


def negated(prompt: str) -> str | None:
    """The statement with "not" in it; None for a question, and where the rule finds no verb.

    The denied verb is the auxiliary nearest before the object ("The capital of {} is not [Y]."),
    else the first one behind it, else the verb right after the subject ("{} does not play [Y].").

    Args:
        prompt: With the marks of `templates`.

    >>> negated("{} was born in [Y] ."), negated("The country whose capital is {} is [Y].")
    ('{} was not born in [Y] .', 'The country whose capital is {} is not [Y].')
    >>> negated("{} plays [Y] music ."), negated("{} became independent in [Y].")
    ('{} does not play [Y] music .', '{} did not become independent in [Y].')
    >>> negated("[Y] is the capital of {}."), negated("The mother tongue of {} is")
    ('[Y] is not the capital of {}.', 'The mother tongue of {} is not')
    >>> negated("What is the capital of {}?") is None, negated("{} won [Y].") is None
    (True, True)
    """
    if prompt.endswith("?"):
        return None
    place = prompt.find(templates.OBJECT)
    limit = len(prompt) if place < 0 else place
    found = list(_AUXILIARY.finditer(prompt))
    before = [each for each in found if each.end() <= limit]
    if found:
        end = (before[-1] if before else found[0]).end()
        return f"{prompt[:end]} not{prompt[end:]}"
    verb = _VERB.search(prompt)
    denied = _verb_denied(verb[1]) if verb else None
    if verb is None or denied is None:
        return None
    return f"{prompt[: verb.start(1)]}{denied}{prompt[verb.end(1) :]}"


def _verb_denied(verb: str) -> str | None:
    """The verb with "not": of those that end in -s by their spelling, of others by the list.

    >>> [_verb_denied(verb) for verb in ("shares", "carries", "reaches", "lies", "its")]
    ['does not share', 'does not carry', 'does not reach', 'does not lie', None]
    """
    if verb in _DENIED:
        return _DENIED[verb]
    if verb in _NO_VERBS or not verb.endswith("s") or verb.endswith("ss"):
        return None
    if verb.endswith("ies") and len(verb) > len("lies"):
        base = f"{verb[:-3]}y"
    elif verb.endswith(("shes", "ches", "xes", "sses", "oes")):
        base = verb[:-2]
    else:
        base = verb[:-1]
    return f"does not {base}"
