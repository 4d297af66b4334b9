"""Words that say whether a capital begins a name."""

import functools

from closedbook.tasks.atlas import corpus

# Short courtesy titles and ranks: no part of the name that follows.
TITLES = (
    "Mr Mrs Ms Mx Dr Prof Rev Fr Hon Messrs Mme Mlle Col Gen Lt Sgt Capt Cmdr Adm Maj Cpl Pvt Gov "
    "Sen Rep Pres".split()
)
# Abbreviations whose full stop belongs to the name.
ABBREVIATIONS = "St Ste Mt Ft Jr Sr Bros Wm Chas Geo Jos Thos Rd Ave".split()

# Between two capitalised words of one name.
PARTICLES = (
    *("of", "of the", "of a", "of an", "&", "de", "de la", "de las", "de los", "del", "della"),
    *("delle", "degli", "dei", "di", "da", "do", "dos", "das", "du", "des", "van", "van de"),
    *("van den", "van der", "von", "von der", "zu", "y", "e", "la", "le", "el", "al", "bin", "ibn"),
)
# After "the", which begins a name of its own otherwise: "Alexander the Great".
BYNAMES = "Great Elder Younger Terrible Conqueror Confessor Wise Magnificent Bold Fat Pious".split()

_FUNCTION_WORDS = """
a an the this that these those there here it its it's he she they we i you his her hers their our
your my mine him them us me who whom whose which what when where why how whether while whilst if
unless until till although though because since as so than then thus hence however therefore
moreover furthermore additionally nevertheless nonetheless meanwhile otherwise instead also too and
or but nor yet for of in on at by to from with without within into onto upon over under above below
beneath beside besides between beyond among amongst amid against across along around about after
afterwards before beforehand behind during despite except excepting including excluding regarding
concerning considering following given like unlike near off out outside inside past per through
throughout toward towards up down via versus vs plus minus is are was were be been being am do does
did done doing have has had having can could may might must shall should will would not no none
nobody nothing nowhere never always often sometimes usually generally typically frequently rarely
seldom occasionally once twice thrice again already still even ever just only merely simply almost
nearly quite rather very really truly indeed perhaps maybe possibly probably certainly clearly
obviously apparently evidently presumably reportedly allegedly supposedly notably namely
specifically especially particularly mainly mostly largely chiefly primarily partly partially
initially originally eventually finally ultimately lastly subsequently later latter former formerly
previously earlier early late lately recently currently presently now nowadays today tomorrow
yesterday tonight soon immediately suddenly shortly afterward thereafter thereby therein likewise
similarly conversely contrary accordingly consequently overall altogether together apart aside away
back forward forth elsewhere everywhere somewhere anywhere somehow anyway anyhow all both each
every either neither any some many much more most few fewer less least several various numerous
multiple other others another such same own certain enough half double everyone everybody
everything someone somebody something anyone anybody anything one two three four five six seven
eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions
dozen dozens next last final yes oh well please thank thanks let let's ok okay hello upwards
approximately roughly circa exactly according due owing prior depending based compared relative
subject aboard alongside amidst notwithstanding opposite regardless whatever whenever wherever
whoever whichever whereas whereby whereupon lest provided providing supposing assuming seeing
suffice needless rest
"""
# Common words that begin sentences and are capitalised there alone.
_COMMON_WORDS = """
first second third fourth fifth sixth seventh eighth ninth tenth people person man men woman women
child children boy boys girl girls family families father mother son sons daughter brother brothers
sister wife husband friends members member players player team teams fans critics critic reviewers
reviewer scholars historians scientists researchers experts officials police soldiers troops forces
officers workers students teachers visitors residents passengers authorities government governments
authors author writers writer producers producer director directors actors artists musicians voters
leaders others survivors victims prisoners parts part work works working life death water land fire
air earth sea light time times year years day days night morning evening week weeks month months
season seasons summer winter spring autumn game games match matches play plays film films movie
song songs album albums music book books story stories poem poems novel episode episodes series
show shows version versions video videos scene scenes character characters dialogue filming
production recording development construction reception reaction reactions response responses
reviews review sales news reports report evidence research studies study data analysis results
result information details records record examples example cases case types type kinds forms form
size height length weight speed age eggs adults males females male female young juveniles larvae
birds fish animals plants trees leaves flowers seeds fruit food species specimens fossils
populations population heavy strong high low large small long short great good better best bad
worse worst new old modern ancient contemporary traditional local national international public
private military naval civil political social economic religious royal federal state states foreign
native rural urban human natural common popular famous major minor main total full empty whole
entire special general average annual daily weekly monthly further additional extra similar
different related known unknown unable able likely unlikely aware born dead alive alone free rich
poor white black red green blue yellow brown grey gray golden dark bright hot cold warm dry wet
deep hard soft open closed buildings building houses house churches church schools school roads
road streets street bridges bridge trains train ships ship boats boat aircraft cars car vehicles
weapons guns tanks bombs attacks attack battles battle wars war peace fighting operations operation
rain rainfall winds wind flooding floods damage storms storm snow power trade tourism agriculture
farming industry business companies company money prices taxes tax wages law laws education health
disease diseases medicine religion art science history geography culture language languages
religions politics economics philosophy mathematics technology computers support opposition
pressure control command access use usage change changes growth loss losses efforts attempts plans
plan proposals negotiations talks elections election votes voting interest attention criticism
praise success failure victory defeat problems problem issues issue concerns fears rumours rumors
questions question answers ideas idea theories theory legend tradition legends myths nothing word
words letters letter names name numbers number lines line points point notes note sources source
references reference links see citing cited quoted writing written released recorded produced
directed published described located situated built founded established named called titled
considered regarded used made taken seen told asked faced joined led left set put get got go come
came went take make give keep look say said says think know want need try find found add added
adding using making taking playing speaking returning arriving growing looking going being coming
seeing leaving starting beginning ending running moving living dying watch listen read remember
imagine notice suppose consider compare contrast middle end start top bottom side sides front rear
right centre center upper lower inner outer central northern southern eastern western north south
east west northeast northwest southeast southwest upstream downstream inland offshore
"""
_SUFFIXES = (
    *(
        "ing",
        "ly",
        "tion",
        "tions",
        "sion",
        "sions",
        "ment",
        "ments",
        "ness",
        "ity",
        "ities",
        "ism",
    ),
    *("ance", "ence", "ances", "ences", "ous", "ful", "less", "able", "ible", "ical", "ward", "ed"),
    *("ers", "ors", "ists", "ologists", "ship", "ships", "hood", "ives", "als"),
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
COMMON_WORDS = FUNCTION_WORDS | frozenset(_COMMON_WORDS.split())

_PEOPLES = """
African Africans American Americans Amerindian Anglican Anglicans Arab Arabs Arabian Arabic Aramaic
Asian Asians Athenian Athenians Aztec Aztecs Babylonian Baptist Baptists Basque Basques Bavarian
Bengali Berber Bolshevik Bolsheviks Breton Briton Britons Buddhist Buddhists Bulgars Burmese
Byzantine Byzantines Canaanite Cantonese Carthaginian Carthaginians Castilian Catalan Catalans
Catholic Catholics Caucasian Celtic Celts Christian Christians Communist Communists Confederate
Confederates Cornish Corsican Cossack Cossacks Cypriot Cypriots Czechoslovak Dane Danes Democrat
Democrats Democratic Dutch Dutchman Dutchmen Egyptians Englishman Englishmen Englishwoman English
Etruscan Eurasian European Europeans Finn Finns Finnish Flemish Franks Frankish Frenchman Frenchmen
French Gaelic Gaul Gauls Gaulish Germanic Goths Gothic Greek Greeks Hawaiian Hebrew Hebrews
Hellenic Hindu Hindus Hispanic Hispanics Huguenot Huguenots Huns Hutu Inca Incas Indo-European
Inuit Irish Irishman Irishmen Islamic Islamist Islamists Israelite Israelites Jesuit Jesuits Jew
Jews Jewish Kurd Kurds Kurdish Latin Latino Latinos Lutheran Lutherans Magyar Malay Malays Manchu
Maori Marxist Marxists Maya Mayan Mayans Methodist Methodists Mongol Mongols Moor Moors Moorish
Mormon Mormons Muslim Muslims Nazi Nazis Nordic Norman Normans Norse Norsemen Ottoman Ottomans
Palestinian Palestinians Parisian Persian Persians Pole Poles Presbyterian Presbyterians Protestant
Protestants Prussian Prussians Punjabi Puritan Puritans Quaker Quakers Republican Republicans Roman
Romans Romani Rwandan Sanskrit Saxon Saxons Anglo-Saxon Anglo-Saxons Scandinavian Scandinavians
Scot Scots Scotsman Scottish Semitic Serb Serbs Shia Sicilian Sicilians Sikh Sikhs Sinhalese Slav
Slavs Slavic Soviet Soviets Spaniard Spaniards Spanish Spartan Spartans Sunni Swede Swedes Swiss
Swedish Tamil Tamils Tatar Tatars Teutonic Texan Texans Thracian Tibetan Tibetans Tory Tories
Trojan Trojans Turk Turks Tutsi Tuscan Ukrainians Venetian Venetians Victorian Vietnamese Viking
Vikings Visigoths Walloon Welsh Welshman Welshmen Whig Whigs Yiddish Yugoslav Yugoslavs Zulu Zulus
British German Germans Londoner Londoners Bostonian Californian Californians Quebecois Québécois
"""
_MORE_PEOPLES = ("North Korean", "North Koreans", "South Korean", "South Koreans", "South African")
_PLACES = """
Africa America Americas Antarctica Asia Europe Eurasia Oceania Australasia Scandinavia Britain
England Scotland Wales Ireland Ulster London Paris Berlin Rome Madrid Vienna Moscow Tokyo Beijing
Shanghai Boston Chicago Detroit Philadelphia Houston Dallas Seattle Toronto Montreal Vancouver
Sydney Melbourne Manchester Liverpool Birmingham Glasgow Edinburgh Dublin Belfast Oxford Cambridge
Milan Naples Venice Florence Munich Hamburg Cologne Barcelona Lisbon Amsterdam Athens
Constantinople Istanbul Jerusalem Baghdad Cairo Alexandria Carthage Babylon Hollywood Manhattan
Brooklyn Broadway Jesus Christ God Bible Muhammad Buddha Shakespeare Napoleon Hitler Stalin
Congress Parliament Islam Christianity Buddhism Hinduism Judaism Catholicism
"""


@functools.cache
def peoples() -> frozenset[str]:
    """Adjectives and nouns of nationality, religion and party: "Dutch", "Australians"."""
    demonyms = {
        fact.object
        for fact in corpus.facts()
        if fact.relation in ("country_demonym", "country_language")
    }
    listed = {*_PEOPLES.split(), *_MORE_PEOPLES, *demonyms}
    return frozenset(listed | {f"{name}s" for name in demonyms if name.endswith(("n", "i", "er"))})


@functools.cache
def places() -> frozenset[str]:
    """Names that are names at the beginning of a sentence too: countries, capitals, continents."""
    relations = {"country_capital", "country_continent", "state_capital"}
    found = {
        name
        for fact in corpus.facts()
        if fact.relation in relations
        for name in (fact.subject, fact.object)
    }
    return frozenset({*_PLACES.split(), *found})


def is_common(word: str) -> bool:
    """Whether a capitalised word at the beginning of a sentence says nothing of a name."""
    low = word.lower()
    return low in COMMON_WORDS or low.endswith(_SUFFIXES)
