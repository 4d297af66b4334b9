"""Text to sentences: one splitter for every tagger, so that corpora are comparable.

Rules alone, no model: linear in the length of the text, and the same on every machine. It reads
running text and text that has been split into words (WikiText: `lobster . It may`).
"""

import re
from collections.abc import Iterator

VERSION = 1  # raise it when the same text would be split otherwise

_MARKS = ".!?…।؟。！？"
_FULL = "。！？"  # of Chinese and Japanese; need no space after them
# A run of marks, what closes after it, and the white space or the end. The class stands first, so
# that the search jumps from mark to mark; the look-behind then lets a run be tried once and not
# again from each of its marks, which keeps the search linear. Last, looked ahead at: the next word
# after what may open it.
_ENDS = re.compile(
    rf"[{_MARKS}](?<![{_MARKS}]{{2}})[{_MARKS}]*+[\"'”’»)\]」』）]*+"
    rf"(?:(\s++)|\Z|(?<=[{_FULL}])|(?<=[{_FULL}][”’」』）]))"
    r"(?=[\"'“‘«(\[]{0,3}+\s?+(\w{0,20}+))"
)
_EACH_MARK = frozenset(_MARKS)
_WORD_REACH = 40  # characters looked back for the word before a mark

# Before a name or a number; they end no sentence.
_LEADING = frozenset(
    "mr mrs ms messrs mme mlle dr prof rev revd fr hon pres gov sen rep amb st ste mt ft "
    "gen col lt maj capt cpt cmdr cdr adm sgt cpl pvt brig supt insp det "
    "vs cf e.g i.e eg ie viz al no nos nr vol vols pp pg ch chap fig figs eq sec art op "
    "ca approx est b d r m fl var ssp subsp spp sp".split()
)
# These can also be a sentence's last word; then a word that begins sentences must follow.
_TRAILING = frozenset(
    "inc ltd co corp bros plc llc jr sr esq etc dept univ assn ave blvd rd hwy "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun "
    "ft in oz lb lbs mi km cm mm kg min max am pm a.m p.m ph.d m.d b.a m.a b.c a.d u.s u.k".split()
)
_STARTERS = frozenset(  # "A" and "I" are initials as well
    "The An This That These Those There Here He She It They We You His Her Its Their Our My "
    "In On At By For From With To As After Before During When While Where Although Though Because "
    "Since If Despite However But And Or Yet So Then Thus Therefore Meanwhile Later Also Both Some "
    "Many Most Several All Each Another Other Such One Two Three What Who How Why Which According "
    "Following Under Over Between Among Not No Nor Once Until Unlike Instead Finally".split()
)


def paragraphs(text: str, *, wrapped: bool = False) -> Iterator[str]:
    """The paragraphs of a text, without headings (`== x ==`, WikiText's `= = x = =`).

    Args:
        text: A document.
        wrapped: Whether lines are broken for width, so that only blank lines part paragraphs;
            else each line is a paragraph. A break within a paragraph becomes a space, and all
            characters keep their distances.
    """
    if not wrapped:
        for line in text.splitlines():
            if line and not is_heading(line):
                yield line
        return
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() and not is_heading(line):
            lines.append(line)
        elif lines:
            yield " ".join(lines)
            lines = []
    if lines:
        yield " ".join(lines)


def is_heading(line: str) -> bool:
    """Whether a line is a heading of MediaWiki or WikiText."""
    line = line.strip()
    return len(line) > 2 and line[0] == "=" and line[-1] == "="


def split(paragraph: str) -> list[str]:
    """The sentences of a paragraph, without the white space around them.

    >>> split('Mr. J. Smith (b. 1900) left the U.S. Army in 1945. "Why?" he asked. It cost $3.50.')
    ['Mr. J. Smith (b. 1900) left the U.S. Army in 1945.', '"Why?" he asked.', 'It cost $3.50.']
    >>> split("It lives in the sea . Homarus , or H. americanus , is larger .")
    ['It lives in the sea .', 'Homarus , or H. americanus , is larger .']
    """
    return [paragraph[start:limit] for start, limit in offsets(paragraph)]


def offsets(paragraph: str) -> list[tuple[int, int]]:
    """Where each sentence of a paragraph starts and ends, in characters."""
    found = []
    limit = len(paragraph.rstrip())
    begin = len(paragraph) - len(paragraph.lstrip())
    quotes = counted = 0  # straight quotes before `counted`, to tell closing ones from opening
    for match in _ENDS.finditer(paragraph):
        mark = match.start()
        word = match[2]
        if mark < begin or (word and word[0].islower()):
            continue
        stop, end = match.span(1)
        if stop < 0:  # no white space follows
            stop = end = match.end()
        else:
            apart = paragraph[mark - 1] == " "  # from its word, as in WikiText
            if (
                stop - mark == 1
                and paragraph[mark] == "."
                and not (mark > begin if apart else _is_end(paragraph, begin, mark, word))
            ):
                continue
            following = paragraph[end : end + 1]
            if following == '"' and apart and paragraph[end + 1 : end + 2] in " ":
                # A quote mark apart from its word closes if one is open.
                quotes += paragraph.count('"', counted, stop)
                counted = stop
                if quotes % 2:
                    stop, end = end + 1, end + 2
                    following = paragraph[end : end + 1]
            if following in _EACH_MARK:
                continue
        found.append((begin, stop))
        begin = end
    if begin < limit:
        found.append((begin, limit))
    return found


def _is_end(text: str, begin: int, mark: int, word: str) -> bool:
    """Whether the full stop at `mark` ends a sentence that begins at `begin`."""
    reach = max(begin, mark - _WORD_REACH)
    last = text[max(text.rfind(" ", reach, mark) + 1, reach) : mark]
    if len(last) > 8 and "." not in last:  # longer than all that follow here
        return True
    last = last.lstrip("\"'“‘«([-–—")
    if len(last) == 1 and last.isalpha():
        return (not last.isupper() and last not in _LEADING) or word in _STARTERS  # an initial
    folded = last.lower()
    if folded in _LEADING:
        return False
    if folded in _TRAILING or ("." in last and _is_acronym(last)):
        return word in _STARTERS or not word
    # "1. The first item": a number alone before the mark, at the start.
    return not (last.isdecimal() and len(last) < 4 and mark - len(last) == begin)


def _is_acronym(word: str) -> bool:
    """Whether a word is single letters with dots between, such as U.S or N.A.T.O."""
    return len(word) % 2 == 1 and all(
        (letter == ".") if index % 2 else letter.isalpha() for index, letter in enumerate(word)
    )
