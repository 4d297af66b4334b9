"""A tagger by its name."""

from closedbook.corpora.taggers.base import Tagger
from closedbook.errors import unknown_name

DATES_TOO = "+dates"
FORMS = ("dates", "spacy", "spacy:MODEL", "hf:MODEL_OR_FOLDER", "module:function")


def load(name: str) -> Tagger:
    """The tagger of a name; heavy packages are imported here and not before.

    Args:
        name: "dates" (built in: dates, numbers with units, capitalised names; needs no model),
            "spacy" or "spacy:MODEL", "hf:MODEL_OR_FOLDER" (a token-classification model of
            Hugging Face), or "module:function" (own code: a function from a list of sentences to
            a list of (start, limit, label) for each, in characters). "spacy..." and "hf:..."
            take the ending "+dates": the built-in tagger's dates beside the model's entities.

    Raises:
        UserError: The name has none of these forms, or what it names is not installed.
    """
    model, too, _ = name.partition(DATES_TOO) if name.endswith(DATES_TOO) else (name, "", "")
    kind, _, rest = model.partition(":")
    tagger: Tagger
    if kind == "dates" and not rest and not too:
        from closedbook.corpora.taggers import builtin

        return builtin.BuiltinTagger()
    if kind == "spacy":
        from closedbook.corpora.taggers import spacy_tagger

        tagger = spacy_tagger.SpacyTagger(rest)
    elif kind == "hf" and rest:
        from closedbook.corpora.taggers import hf_tagger

        tagger = hf_tagger.HuggingFaceTagger(rest)
    elif kind and rest and not too and kind not in ("dates", "hf"):
        from closedbook.corpora.taggers import own

        return own.OwnTagger(name)
    else:
        raise unknown_name("tagger", name, FORMS)
    if not too:
        return tagger
    from closedbook.corpora.taggers import union

    return union.WithDates(tagger)
