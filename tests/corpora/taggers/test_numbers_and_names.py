"""Numbers with units and capitalised names that the built-in tagger finds."""

import pytest

from closedbook.corpora.taggers import load

TAGGER = load("dates")


def found(text: str, *labels: str) -> list[str]:
    (spans,) = TAGGER.tag([text])
    return [text[span.start : span.limit] for span in spans if span.label in labels]


@pytest.mark.parametrize(
    "number",
    [
        *(
            "12 km",
            "12 kilometres",
            "7 @.@ 5 mi",
            "3.5 °C",
            "3 @.@ 5 ° C",
            "35 %",
            "35%",
            "35 per cent",
        ),
        *("$5 million", "$ 6 million", "$ 110 @,@ 000", "US$1.5 billion", "US $ 1 @.@ 7 million"),
        *("£ 3 @,@ 250", "€20", "$5m", "EUR 500", "5 million dollars", "2,000 people", "60 years"),
        *("46-yard", "46 @-@ yard", "6 @.@ 4 @-@ inch", "720 ft 6 in", "6 ft", "115 km / h"),
        *("80 – 85 millimetres", "10–12 kg", "5 square miles", "2 @,@ 000 square feet", "20 km²"),
        *(
            "330 million years",
            "3.5 million",
            "60 mph",
            "2½ hours",
            "1,5 l/min",
            "9 nautical miles",
        ),
    ],
)
def test_number_with_its_unit_is_one_span(number):
    assert found(f"It has {number} , he said .", "NUMBER") == [number]
    assert found(f"It has {number} (or so)", "NUMBER") == [number]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "18 games",
            "from 30 @.@ 4 in 1970 to 34 @.@ 6 in 2000",
            "5 mice",
            "7 @,@ 12",
            "2 pounders",
        ),
        *(
            "two 3 m'",
            "x5km",
            "Apollo 11 .",
            "B-52 metres",
            "13 – 4 victory",
        ),
    ],
)
def test_number_without_a_unit_is_left_alone(text):
    assert found(text, "NUMBER") == []


@pytest.mark.parametrize(
    "name",
    [
        *("London", "New Zealand", "Ludwig van Beethoven", "Charles de Gaulle", "Bank of England"),
        *("University of the Arts", "Alexander the Great", "J. R. R. Tolkien", "Henry W. Smith"),
        *(
            "St. Louis",
            "U.S. Congress",
            "NASA",
            "O'Neil",
            "McDonald",
            "Jean-Luc Picard",
            "ABBA",
        ),
        *("Émile Zola", "Łódź", "Ångström", "Пётр Чайковский", "Ελλάδα", "E\u0301mile"),
        *("World War II", "Hill 94", "Apollo 11", "2nd Infantry Division", "Simon & Garfunkel"),
        *("Vickers @-@ Armstrong", "Ford Motor Co", "Columbia Pictures , Inc.", "AT & T"),
    ],
)
def test_form_of_a_name_is_one_span(name):
    assert found(f"they saw {name} again", "NAME") == [name]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Mr. Smith met Dr. Jones and Capt. Ahab.", ["Smith", "Jones", "Ahab"]),
        ("They saw Michael's hat and Joyce’s and Homer 's .", ["Michael", "Joyce", "Homer"]),
        ("Then I saw Rome, and In was wrong.", ["Rome"]),
        ("Rain fell. However, nobody came. Construction began.", []),
        ("The Hague is far. Most of Europe is not.", ["Hague", "Europe"]),
        ("Richmond joined. Homer's hat. Rome is old.", ["Richmond", "Homer", "Rome"]),
        ('He said : " The Joshua Tree " is old', ["The Joshua Tree"]),
        ("pre-Columbian iPhone is eBay", ["Columbian"]),
        ("In New York it rained", ["New York"]),
    ],
)
def test_names_of_a_sentence(text, names):
    assert found(text, "NAME") == names


@pytest.mark.parametrize(
    ("text", "peoples"),
    [
        ("British and North Koreans met an Islamist", ["British", "North Koreans", "Islamist"]),
        ("the Franco @-@ Spanish force", ["Franco @-@ Spanish"]),
        ("Australians came", ["Australians"]),
        ("the British Army", []),
    ],
)
def test_words_of_nationality_have_their_own_label(text, peoples):
    assert found(text, "NORP") == peoples


def test_scripts_without_capitals_have_no_names():
    assert found("東京は日本の首都である。 القاهرة", "NAME", "NORP") == []
