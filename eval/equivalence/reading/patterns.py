"""Patterns of denial: what says no, what only sounds so, and what the truth is put behind."""

import re

_BE = r"(?:is|was|are|were|am|be|been|being|'s|'re)"
_ADVERBS = r"(?:\s+(?:\w+ly|in fact|of course|at all|also|ever|even))*"
# These deny nothing, although a word in them does.
HARMLESS = re.compile(
    r"without (?:a |any )?(?:doubt|question)|(?:there(?: i|')s )?no (?:doubt|question)\b|"
    r"beyond (?:a |any )?doubt|not? wonder|(?:if|unless) i(?:'m| am) (?:not )?mistaken|"
    r"not surprisingly|not to mention|no longer|"
    r"(?:no|not|n't) (?:later|earlier|fewer|less|more|bigger|smaller) than|"
    r"(?:not|n't) (?:only|just|merely|simply|solely|yet)\b|whether or not|not unlike|not a few|"
    r"(?:not|n't) (?:far|long) (?:from|after|before)|more often than not|last but not least|"
    r"(?:couldn't|can't|cannot|could not|can not) (?:have been|be) "
    r"(?:any(?:one|body|thing)?|an?y?) ?(?:else |other )?(?:but|than|except)|"
    r"(?:none|no one|nobody|nothing|no other|no-one)(?: else)? "
    r"(?:but|other than|except(?: for)?|besides|save|than)|"
    r"(?:nothing|no one|nobody|no-one|no(?: other)? \w+|none)(?: \w+){0,6} "
    r"(?:\w+er|more(?: \w+)?|better) than|"
    r"(?:nothing|no one|nobody|none|no other \w+|no \w+) (?:beats?|compares? (?:to|with))|"
    r",?\s*(?:is|was|are|were|do|does|did|has|have|had|can|could|will|would)n't "
    r"(?:it|he|she|they|that|there|we|you|i)\s*\?",
    re.I,
)
QUOTED = re.compile(r'(?<=\w)(?<!\bnot) +"[^"]{4,300}"|"[^"]{4,80}"(?= +\w)')
UNTIL = re.compile(
    r"\b(?:not|never|n't)\b(?:(?![.;]).)*?\b(?:until|till|before)\b|\bnot (?:until|till)\b", re.I
)
# Some way of naming another answer beside the one that is meant.
_BESIDE = re.compile(
    r"(?<![^\s(,;:-])(?:(?:but|and|yet)\s+)?(?:(?:most|quite)?\s*(?:certainly|definitely|surely|"
    r"probably|absolutely|clearly|obviously)\s+)?"
    r"(?:rather than|instead of|as opposed to|as distinct from|in contrast (?:to|with)|"
    r"in place of|in lieu of|not to be (?:confused|mistaken) (?:with|for)|other than|apart from|"
    r"aside from|except(?:ing)?(?: for)?|excluding|with the exception of|to the exclusion of|"
    r"unlike|barring|minus the|not|never|(?:it|this|that) (?:ain't|isn't|wasn't))\s+",
    re.I,
)
# "Not" in other languages, before what it denies.
_FOREIGN_NOT = re.compile(
    r"(?:(?<!\w)(?:не|нет|nicht|kein(?:e[nmrs]?)?|pas|niet|geen|n[aã]o|nie|ne|bukan|tidak|inte|ikke|"
    r"no es|no fue|non [eè])|^(?:Не|Нет|Nicht|Kein|Pas|Niet|Geen|N[aã]o|Nie|Ne|Bukan|Tidak|Inte|"
    r"Ikke|No es|Non [eè]))\s+"
)
ALL_BUT = re.compile(
    r"\b(?:(?:any|every)(?:one|body|thing|where)?|all(?:\s+of\s+them)?)(?:\s+\w+)?\s+"
    r"(?:but|save|bar)\s+(?!also\b)",
    re.I,
)
_NEITHER = re.compile(r"\bneither\b", re.I)
_COPULA = re.compile(
    rf"(?:\b{_BE}{_ADVERBS}\s+(?:not|never)\b|\b(?:isn't|wasn't|aren't|weren't|ain't)\b)", re.I
)
_AUXILIARY = re.compile(
    r"\b(?:(?:did|does|do|has|have|had|can|could|will|would|should|may|might|must|shall)"
    r"(?:n't|\s+(?:\w+ly\s+)?(?:not|never)\b)|cannot|won't|can't|couldn't|never\s+\w+)",
    re.I,
)
_UNTRUE = re.compile(
    rf"\b{_BE}{_ADVERBS}\s+(?:wrong|incorrect|false|untrue|mistaken|inaccurate|"
    r"(?:an? )?(?:\w+ )?(?:myth|misconception|mistake|error|fallacy|hoax)|out of the question|"
    r"ruled out|impossible)\b"
    r"|\b(?:had|has|have|having) (?:absolutely )?(?:nothing to do with|no (?:part|role|hand|"
    r"involvement|connection))\b|\b(?:played|took|plays) no (?:part|role)\b"
    r"|\b(?:highly|very|extremely|most) unlikely\b|\bhardly\b|\bby no means\b|\bin no way\b"
    r"|\b(?:falsely|wrongly|mistakenly|erroneously|incorrectly|wrongfully)\b"
    r"|\b(?:misconception|myth|fallacy) (?:is )?that\b",
    re.I,
)
IT_IS_UNTRUE = re.compile(
    rf"\b(?:it|this){_ADVERBS}\s*{_BE}{_ADVERBS}\s+(?:not (?:true|correct|the case|right|so)|false|"
    r"wrong|incorrect|untrue|a lie|(?:an? )?(?:\w+ )?(?:myth|misconception|fallacy)) that\b",
    re.I,
)
# The speaker does not know whether it is so.
WONDERING = re.compile(
    r"\b(?:not (?:\w+ )?(?:sure|certain|clear|known)|(?:don't|do not|doesn't|does not) (?:know|"
    r"remember|say)|"
    r"(?:cannot|can't|could not|couldn't) (?:say|tell|confirm|verify|determine)|unsure|uncertain|"
    r"unclear|no idea|wonder(?:ing)?|unknown)\s+(?:whether|if)\b|\bi (?:\w+ )?doubt\b",
    re.I,
)
GAVE_UP = re.compile(r"\b(?:fail|refus|declin|neglect)(?:s|es|ed|d|e)?\s+to\b", re.I)
ANSWERED_NO = re.compile(
    r"\?[\"')]*\s*(?:no|nope|nah|wrong|not at all|never|hardly|i don't (?:think|believe) so|"
    r"i doubt it|(?:of course|certainly|definitely|probably|surely) not|not (?:likely|really))\b"
    r"[,.!;:]*",
    re.I,
)
# People, or once the speaker, say so; what is so stands behind "but".
SAYING = re.compile(
    r"\b(?:think|thinks|thought|believe[sd]?|say|says|said|assume[sd]?|claim(?:s|ed)?|suppose[sd]?|"
    r"consider(?:s|ed)?|credit(?:s|ed)?|attribut(?:e|es|ed)|cited?|guess(?:ed)?|suspect(?:ed)?|"
    r"mistaken|regard(?:ed)?|used to be|belief|opinion|legend|rumou?red|tempting|confused?)\b",
    re.I,
)
_WHO = (
    r"(?:many|most|some|several|few|other|lots of|people|everyone|everybody|one|you|folks|fans|"
    r"students|textbooks|legend|tradition|popular|common|conventional|commonly|often|usually|"
    r"generally|frequently|widely|popularly|traditionally|sometimes|initially|once|long|first|"
    r"it (?:is|was|has been|had been|may be|might be|used to)|we|they|"
    r"i (?:\w+ )?(?:used to|first|initially|once|always|originally|thought|believed|assumed|"
    r"guessed|had))"
)
WHO_SAYS = re.compile(rf"\b{_WHO}\b", re.I)
BEGINS_SO = re.compile(rf"^\W*(?:\w+\W+)?{_WHO}\b", re.I)
# What comes next is put forward as the truth.
_TRUTH = (
    r"(?:it(?:'s| is| was| were| turned out| turns out| has to be| must)|that(?:'s| is| was) "
    r"(?:wrong|not)|(?:in fact|actually|really|in reality|in truth)|no\b|now it|"
    r"i(?:'d| would)? (?:say|think|believe|go (?:with|for)|choose|pick)|my (?:answer|guess)|"
    r"the (?:answer|correct|real|actual|true|truth|right|reality|fact|inventor|author|winner|"
    r"capital|first)|he (?:was|is)|she (?:was|is)|they (?:were|are))"
)
_NO_DOUBT = (
    r"(?!(?:it(?:'s| is| was)) (?:not|also|debated|disputed|unclear|uncertain|unknown|possible|"
    r"sometimes|often|generally|commonly|widely|believed|thought|said|important|worth|likely|"
    r"probable|difficult|hard|based|only|just|still|usually|never|called|known)\b)"
)
TURN = re.compile(
    rf"[,;.]?\s+(?:but|however|yet|whereas|though)\b,?\s*(?={_NO_DOUBT}{_TRUTH})"
    rf"|[,;.]\s*(?:actually|in fact|in reality|in truth|really|instead)\b,?\s*"
    rf"|[,;.]?\s+(?:but|yet)\s+(?:really|actually|in fact|in reality)\b|[,;]\s+now\b",
    re.I,
)
TURNED = re.compile(
    rf"\s*(?:(?:but|however|yet)\b,?\s*(?={_NO_DOUBT}{_TRUTH})|"
    r"(?:actually|in fact|in reality|in truth)\b)",
    re.I,
)
THOUGH_THEY_SAY = re.compile(
    r"[,;]\s+(?:although|though|while|whilst|even though|but)\s+(?:some|many|most|others|several|"
    r"a few|few|people|critics|everyone|legend)\s+(?:\w+\s+){0,3}?(?:say|think|believe|claim|argue|"
    r"assume|suggest|consider|attribute|credit|says|has it)\b[^.;]*",
    re.I,
)
SUBORDINATE = re.compile(
    r"^\W*(?:(?:al)?though|while|whilst|even though|despite|contrary to|against)\b[^,;]*,\s*", re.I
)
# The speaker takes back what stands before.
CORRECTED = re.compile(
    r"(?:\bno,? wait\b|\bwait,? no\b|\bscratch that\b|\b(?:sorry|oops|apologies)\b,?\s*(?:i meant?|"
    r"i'm wrong|it's|that's|no|correction|the)\b|\bi meant?\b(?! to)|\bcorrection\b|\bon second "
    r"thoughts?\b|"
    r"\blet me correct\b|(?<=[.!?])\s*actually,? (?=(?:it|that|the|i|no|this|he|she)\b)|"
    r"\bno,? actually\b|\bactually,? no\b|(?<=[.!?-])\s*no,? (?=(?:it|that|this|he|she)(?:'s| is| "
    r"was)\b))[,:.\s]*",
    re.I,
)
ALONE = re.compile(
    r"(?:\s+[\w'-]+){0,8}?\s+(?:alone|single-?handed(?:ly)?|by (?:him|her|it|them)sel(?:f|ves)|"
    r"on (?:his|her|its|their) own)\b",
    re.I,
)
BY_DEGREE = re.compile(
    r"\s+(?:very|particularly|especially|too|so|always|widely|well|quite|entirely|necessarily|exactly|"
    r"surprising|easy)\b",
    re.I,
)
RELATIVE = re.compile(r"\b(?:who|which|that|whose|whom|where|when|because|since|as|so)\b", re.I)
VERB = re.compile(
    r"\b(?:is|was|are|were|has|had|have|did|does|do|won|wrote|made|came|went|led|held|built|ran|"
    r"gave|took|got|says?|said|will|can|\w{2,}ed|isn't|wasn't)\b",
    re.I,
)
VERB_BEFORE = re.compile(
    rf"\b(?:{_BE}|did|does|do|has|have|had|can|could|will|would|should|may|might|must)"
    rf"{_ADVERBS}\s*$",
    re.I,
)
NEXT_CLAUSE = re.compile(
    r"\s+(?:but(?: rather)?|because|since|so|although|while|whereas|"
    r"(?:and )?(?:it|he|she|they|that)(?:'s| is| was| were| did| has))\b",
    re.I,
)
JOINT = re.compile(r"\s(?:and|but|so|yet|while|whereas|whilst|although|though)\s", re.I)


EXCEPT = re.compile(r"\bexcept|\bexclud|\bapart|\baside|\bother\b|\bexception\b", re.I)
SET_OFF = re.compile(r"(?:^|[,;:(-])\W*$")
PRONOUN = re.compile(
    r"^\W*(?:it|this|that|he|she|they|there|these|those|the (?:correct |right |final )?answer)\b",
    re.I,
)
WRONG = re.compile(r"\b(?:is|was|are|were)\s+(?:\w+ly\s+)?(?:wrong|incorrect|false|untrue)\b", re.I)


# Parts of words without which a pattern cannot match: to look for them costs a hundredth of it.
NEGATIVE = ("not", "never", "n't")
TURNING = (
    *(
        "but",
        "however",
        "yet",
        "though",
        "whereas",
        "actually",
        "in fact",
        "in reality",
        "in truth",
    ),
    *("really", "instead", "now", "while", "whilst", "despite", "contrary", "against"),
)
SAID = (
    *(
        "think",
        "thought",
        "belie",
        "say",
        "said",
        "assume",
        "claim",
        "suppose",
        "consider",
        "credit",
    ),
    *("attribut", "cite", "guess", "suspect", "mistaken", "regard", "used to be", "opinion"),
    *("legend", "rumo", "tempting", "confuse"),
)
UNTRUE_THAT = (
    *("true that", "correct that", "case that", "right that", "so that", "false that"),
    *("wrong that", "lie that", "myth that", "misconception that", "fallacy that"),
)
UNTIL_WORDS = ("until", "till", "before")
WHETHER = (" whether", " if", "doubt")
CORRECTING = (
    *(
        "wait",
        "scratch",
        "sorry",
        "oops",
        "apolog",
        "mean",
        "correct",
        "thought",
        "actual",
        "no,",
        "no ",
    ),
)
HARMLESS_WORDS = (
    *("not", "n't", "no ", "no-", "none", "nobody", "nothing", "without", "beyond", "last but"),
    *("if i", "unless"),
)
HARMLESS_WITH = (
    *("doubt", "question", "wonder", "mistaken", "not surprisingly", "not to mention", "?"),
    *("no longer", " than", "t only", "t just", "t merely", "t simply", "t solely", "t yet"),
    *("whether or not", "not unlike", "not a few", "t far ", "t long ", "often than not"),
    *("but not least", "n't have been ", "n't be ", "not have been ", "not be ", "none "),
    *("no one ", "nobody ", "nothing ", "no other ", "no-one ", " beat", " compare"),
)
Marked = tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]
VERBS: Marked = (
    (_COPULA, NEGATIVE),
    (_AUXILIARY, (*NEGATIVE, "cannot")),
    (
        _UNTRUE,
        (
            *("wrong", "correct", "false", "untrue", "mistake", "inaccura", "myth", "misconcep"),
            *("error", "fallacy", "hoax", "out of", "ruled out", "impossible", "nothing to", "no "),
            *("unlikely", "hardly", "by no", "in no", "errone"),
        ),
    ),
    (GAVE_UP, ("fail", "refus", "declin", "neglect")),
)
PHRASES: Marked = (
    (
        _BESIDE,
        (
            *(*NEGATIVE, "rather than", "instead of", "opposed", "distinct", "in contrast"),
            *("in place of", "in lieu of", "other than", "apart from", "aside from", "except"),
            *("exclu", "unlike", "barring", "minus"),
        ),
    ),
    (ALL_BUT, ("but ", "save ", "bar ")),
    (_NEITHER, ("neither",)),
    (_FOREIGN_NOT, ()),
)
