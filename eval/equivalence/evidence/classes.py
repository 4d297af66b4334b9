"""Closed classes of names: two different members are never two spellings of one."""

import functools

from rapidfuzz.distance import Indel

_CLASSES = """monday tuesday wednesday thursday friday saturday sunday
|january february march april june july august september october november december
|mercury venus earth mars jupiter saturn uranus neptune pluto
|hydrogen helium lithium beryllium boron carbon nitrogen oxygen fluorine neon sodium magnesium
aluminum aluminium silicon phosphorus sulfur sulphur chlorine argon potassium calcium scandium
titanium vanadium chromium manganese iron cobalt nickel copper zinc gallium germanium arsenic
selenium bromine krypton rubidium strontium yttrium zirconium niobium molybdenum technetium
ruthenium rhodium palladium silver cadmium indium tin antimony tellurium iodine xenon cesium barium
lanthanum cerium praseodymium neodymium promethium samarium europium gadolinium terbium dysprosium
holmium erbium thulium ytterbium lutetium hafnium tantalum tungsten rhenium osmium iridium platinum
gold thallium lead bismuth polonium astatine radon francium radium actinium thorium protactinium
uranium neptunium plutonium americium curium
|afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan bahamas
bahrain bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia botswana brazil
brunei bulgaria burundi cambodia cameroon canada chad chile china colombia comoros congo croatia
cuba cyprus denmark djibouti dominica ecuador egypt eritrea estonia eswatini ethiopia fiji finland
france gabon gambia georgia germany ghana greece grenada guatemala guinea guyana haiti honduras
hungary iceland india indonesia iran iraq ireland israel italy jamaica japan jordan kazakhstan kenya
kiribati kosovo kuwait kyrgyzstan laos latvia lebanon lesotho liberia libya liechtenstein lithuania
luxembourg macedonia madagascar malawi malaysia maldives mali malta mauritania mauritius mexico
moldova monaco mongolia montenegro morocco mozambique myanmar namibia nauru nepal netherlands
nicaragua niger nigeria norway oman pakistan palau panama paraguay peru philippines poland portugal
qatar romania russia rwanda samoa senegal serbia seychelles singapore slovakia slovenia somalia
spain sudan suriname sweden switzerland syria taiwan tajikistan tanzania thailand togo tonga
tunisia turkey turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu venezuela vietnam
yemen zambia zimbabwe
|austrian australian slovakian slovak slovenian iranian iraqi nigerian nigerien malian malawian
gambian zambian mauritian mauritanian swiss swedish latvian lithuanian guinean guyanese
indian indonesian dominican
|alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii
idaho illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan
minnesota mississippi missouri montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee
texas utah vermont virginia washington wisconsin wyoming
|dominica dominican|monet manet|keats yeats|lenin lennon|schubert schumann|picasso pissarro
|haydn handel|darwin darien|austen austin|kafka kaufman|gandhi ghandhara
|hamilton hampton|jefferson jeffers|stalactite stalagmite|mitosis meiosis
|centripetal centrifugal|ileum ilium|glucagon glycogen
|glucose fructose sucrose lactose maltose galactose|adenine guanine cytosine thymine uracil
|protein proton|neutron neuron|proton photon|trachea cochlea|ureter urethra|tibia fibula
|perineum peritoneum|alligator allegory|sixteen sixty|seventeen seventy|thirteen thirty
|fourteen forty|fifteen fifty|eighteen eighty|nineteen ninety
|triassic jurassic cretaceous|eocene oligocene miocene pliocene pleistocene holocene paleocene
|ionic covalent metallic|alkane alkene alkyne|methane ethane propane butane
|ethanol methanol propanol butanol|nitrate nitrite nitride|sulfate sulfite sulfide
|sulphate sulphite sulphide|phosphate phosphite phosphide|chlorate chlorite chloride
|nitric nitrous|sulfuric sulfurous|cation anion|igneous sedimentary metamorphic"""
_ONE = ({"aluminum", "aluminium"}, {"sulfur", "sulphur"}, {"slovakian", "slovak"})


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui" else word


_CLASS: dict[str, set[int]] = {}
for _number, _members in enumerate(_CLASSES.split("|")):
    for _word in _members.split():
        for _form in {_word, _stem(_word)}:
            _CLASS.setdefault(_form, set()).add(_number)
WORDS = _CLASS.keys()
"""All members, and their stems."""


def together(a: str, b: str) -> bool:
    """Whether two words are different members of one class.

    >>> together("mars", "venus"), together("mars", "tuesday")
    (True, False)
    """
    first, second = _CLASS.get(a), _CLASS.get(b)
    return bool(first and second and first & second) and _stem(a) != _stem(b)


@functools.lru_cache(maxsize=1 << 14)
def rivals(a: str, b: str) -> bool:
    """Whether two words that look alike are different members of one class.

    >>> rivals("austria", "australia"), rivals("tuesday", "thursday"), rivals("paris", "pari")
    (True, True, False)
    """
    if not together(a, b):
        return False
    return {a, b} not in _ONE and Indel.normalized_similarity(a, b) >= 0.5
