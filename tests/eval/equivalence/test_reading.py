"""What a prediction asserts and what conflicts plainly: small pairs, each with its kind."""

import pytest

from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.reading import read
from closedbook.eval.equivalence.reasons import Grade

# kind: (question, answer, prediction, whether it is the same)
CASES = {
    "denial": [
        ("who invented the telephone", "Alexander Graham Bell", "It wasn't Bell.", False),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Anyone but Alexander Graham Bell",
            False,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Alexander Graham Bell had no part in it; Antonio Meucci did it.",
            False,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Contrary to popular belief, Alexander Graham Bell did not invent it",
            False,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Although Meucci is often named, it was Alexander Graham Bell.",
            True,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "None other than Alexander Graham Bell",
            True,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Alexander Graham Bell, not Thomas Edison",
            True,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Thomas Edison rather than Alexander Graham Bell",
            False,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "Alexander Graham Bell rather than Thomas Edison",
            True,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "It is widely believed that Alexander Graham Bell invented it, however it was Meucci.",
            False,
        ),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "I thought it was Bell but it is Elisha Gray",
            False,
        ),
        ("who invented the telephone", "Alexander Graham Bell", "Everyone except Bell", False),
        (
            "who invented the telephone",
            "Alexander Graham Bell",
            "You might think Meucci, but the answer is Alexander Graham Bell.",
            True,
        ),
        (
            "what is the largest desert",
            "Antarctica",
            "People assume the Sahara. In reality it's Antarctica.",
            True,
        ),
        (
            "what is the largest desert",
            "the Sahara",
            "People assume the Sahara. In reality it's Antarctica.",
            False,
        ),
        (
            "what is the largest desert",
            "Antarctica",
            "It can't be anything other than Antarctica",
            True,
        ),
        ("what is the largest desert", "Antarctica", "Antarctica? No, the Sahara.", False),
        ("what is the largest desert", "Antarctica", "Sahara — no wait, Antarctica", True),
        (
            "what is the largest desert",
            "Antarctica",
            "Antarctica... sorry, I meant the Gobi",
            False,
        ),
        ("what is the largest desert", "Antarctica", "The Gobi instead of Antarctica", False),
    ],
    "alternatives": [
        ("what is the largest planet", "Jupiter", "Jupiter, Saturn, or Uranus", False),
        ("what is the largest planet", "Jupiter", "Either Jupiter or Saturn", False),
        ("what is the largest planet", "Jupiter", "Possibly Jupiter, possibly Saturn", False),
        ("what is the largest planet", "Jupiter", "Mercury, Venus, Earth, Mars, Jupiter", False),
        ("what is the largest planet", "Jupiter", "Jupiter or Saturn?", False),
        ("what is the largest planet", "Jupiter", "Probably Jupiter", True),
        ("what is the largest planet", "Jupiter", "I think it's Jupiter.", True),
        ("what is the largest planet", "Jupiter", "1. Saturn\n2. Jupiter\n3. Neptune", False),
        ("what is the largest planet", "Jupiter", "Saturn/Jupiter/Mars", False),
        ("name the gas giants", "Jupiter and Saturn", "Jupiter, Saturn", True),
        (
            "who are the beatles",
            "John, Paul, George and Ringo",
            "Paul, John, Ringo and George",
            True,
        ),
        ("how many moons does mars have", "2", "2 or 3", False),
        ("how many moons does mars have", "2", "between 1 and 3", False),
        ("how many moons does mars have", "2", "two, I believe", True),
        ("is it on the left or on the right", "left", "left or right", False),
        ("is it on the left or on the right", "left", "on the left", True),
    ],
    "reasoning and what was run on to": [
        (
            "what is the capital of italy",
            "Rome",
            "<think>Could be Rome or Milan.</think>\n\nMilan",
            False,
        ),
        ("what is the capital of italy", "Rome", "<thinking>Milan?</thinking> Rome", True),
        ("what is the capital of italy", "Rome", "<think>Rome is", False),
        (
            "what is the capital of italy",
            "Rome",
            "Milan\n\nQ: What is the capital of Lazio?\nA: Rome",
            False,
        ),
        (
            "what is the capital of italy",
            "Rome",
            "Rome\n\nQuestion: What is the capital of France?\nAnswer: Paris",
            True,
        ),
        ("what is the capital of italy", "Rome", "A: Rome", True),
        ("what is the capital of italy", "Rome", "Milan</s>Rome", False),
        ("what is the capital of italy", "Rome", "**Rome**", True),
        ("what is the capital of italy", "Rome", "\\boxed{Rome}", True),
        (
            "what is the capital of italy",
            "Rome",
            "Let me think. Rome was the capital of the empire. Final answer: Milan",
            False,
        ),
        ("how many goals did he score", "3", "He played 3 matches and scored 7 goals.", False),
        ("how many goals did he score", "7", "He played 3 matches and scored 7 goals.", True),
        ("how many children does she have", "4", "She has 2 children and 4 dogs", False),
        ("who is taller", "Ann", "Beth is taller than Ann", False),
        ("who is taller", "Beth", "Beth is taller than Ann", True),
        ("who won the final", "Germany", "Brazil beat Germany 2-1", False),
        ("who won the final", "Brazil", "Brazil beat Germany 2-1", True),
        ("who was his teacher", "Plato", "Aristotle, a student of Plato", False),
    ],
    "units, eras and relations": [
        ("how heavy is it", "5 kg", "5 lbs", False),
        ("how heavy is it", "5 kg", "11 pounds", True),
        ("how heavy is it", "5 kg", "5000 grams", True),
        ("how far is it", "10 miles", "10 km", False),
        ("how far is it", "10 miles", "16 km", True),
        ("how hot does it get", "212 °F", "100 °C", True),
        ("how hot does it get", "30 degrees Celsius", "30 degrees Fahrenheit", False),
        ("how much did it cost", "£20", "$20", False),
        ("how much did it cost", "20 pounds", "£20", True),
        ("when does it open", "9 a.m.", "9 p.m.", False),
        ("when does it open", "9 p.m.", "21:00", True),
        ("when does it open", "half past nine", "9:30", True),
        ("when did he die", "55 BC", "55 BCE", True),
        ("when did he die", "55 BC", "AD 55", False),
        ("when was it built", "after 1800", "before 1800", False),
        ("who is she to him", "mother", "mother-in-law", False),
        ("who is she to him", "aunt", "great-aunt", False),
        ("who is she to him", "sister", "half-sister", False),
        ("where is it", "Western Australia", "South Australia", False),
        ("where is it", "North Korea", "South Korea", False),
        ("where is it", "upper Egypt", "lower Egypt", False),
        ("what did it do", "increase", "decrease", False),
    ],
    "signs": [
        ("lowest temperature", "-40", "40", False),
        ("lowest temperature", "-40", "minus 40", True),
        ("which language", "C#", "C", False),
        ("blood type", "O-", "O+", False),
        ("blood type", "O-", "O negative", True),
        ("final score", "2-1", "21", False),
        ("final score", "2-1", "1-2", False),
        ("final score", "2-1", "2–1", True),
        ("which share", "3/4", "34", False),
        ("which share", "3/4", "three quarters", True),
        ("which share", "3/4", "75%", True),
        ("which share", "3/4", "4/3", False),
        ("which virus", "Hepatitis C", "Hepatitis B", False),
        ("what is the rating", "PG-13", "PG", False),
        ("what is the rating", "PG-13", "PG13", True),
        ("how much", "1.5 million", "15 million", False),
    ],
    "names": [
        ("who was king", "Henry VIII", "Henry VII", False),
        ("who was king", "Henry VIII", "Henry the Eighth", True),
        ("which pope", "John Paul II", "John Paul I", False),
        ("who was president", "John Quincy Adams", "John Adams", False),
        ("who was president", "John F. Kennedy", "Robert F. Kennedy", False),
        ("who was president", "John F. Kennedy", "JFK", True),
        ("who was president", "Franklin D. Roosevelt", "Theodore Roosevelt", False),
        ("who acted in it", "Michael Jordan", "Michael B. Jordan", False),
        ("who acted in it", "Will Smith", "Will Ferrell", False),
        ("who acted in it", "Will Smith", "Will", False),
        ("who acted in it", "Will Smith", "Smith", True),
        ("which city", "New York", "York", False),
        ("which city", "London", "London, Ontario", False),
        ("which city", "London", "London, England", True),
        ("which country", "Republic of the Congo", "Democratic Republic of the Congo", False),
        ("which country", "Guinea", "Papua New Guinea", False),
        ("who sang it", "Hall & Oates", "Hall and Oates", True),
        ("who sang it", "Hall and Oates", "Hall and Nash", False),
    ],
    "dates": [
        (
            "when was it opened",
            "4 May 1999",
            "The museum was opened on 14 May 1999 by the queen.",
            False,
        ),
        (
            "when was it opened",
            "4 May 1999",
            "The museum was opened on 4 May 1999 by the queen.",
            True,
        ),
        ("when was it opened", "4 May 1999", "May 4th, 1999", True),
        ("when was it opened", "4 May 1999", "1999-05-04", True),
        ("when was it opened", "4 May 1999", "4. mai 1999", True),
        ("wann wurde es eröffnet", "3. Oktober 1990", "3. November 1990", False),
        ("wann wurde es eröffnet", "3. März 1990", "3. Mai 1990", False),
        ("cuándo fue", "5 de mayo de 1862", "5 de marzo de 1862", False),
        ("cuándo fue", "5 de mayo de 1862", "el 5 de mayo de 1862", True),
        ("何年ですか", "1990年5月3日", "1990年5月4日", False),
        ("когда", "9 мая 1945", "8 мая 1945", False),
        ("когда", "9 мая 1945", "9 марта 1945", False),
    ],
    "the same in other words": [
        ("is it legal", "yes", "Yes, it is.", True),
        ("is it legal", "yes", "It is not legal", False),
        ("is it legal", "generally yes", "yes", True),
        ("is it legal", "no", "It is illegal.", True),
        ("how many", "2,500", "2 500", True),
        ("how many", "2,500", "2500", True),
        ("how many", "half", "1/2", True),
        ("how many", "a dozen", "12", True),
        ("which letter", "B", "b", True),
        ("which letter", "B", "B.", True),
        ("which letter", "A", "The answer is A", True),
        ("where was he born", "United States", "USA", True),
        ("法国的首都是哪里", "巴黎", "法国的首都是巴黎。", True),
        ("法国的首都是哪里", "巴黎", "不是巴黎", False),
        ("日本の首都は", "東京", "東京です", True),
    ],
}


@pytest.mark.parametrize("mode", verdicts.MODES)
@pytest.mark.parametrize("kind", CASES)
def test_plain_pairs_are_judged_as_a_reader_would(kind, mode):
    wrong = [
        (answer, prediction, told)
        for question, answer, prediction, same in CASES[kind]
        if (told := verdicts.judge(question, [answer], prediction, mode=mode)).equivalent != same
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("prediction", "grade"),
    [
        ("Jane Austen", Grade.CORRECT),
        ("It was Jane Austen, I believe.", Grade.CORRECT),
        ("Emily Bronte", Grade.INCORRECT),
        ("I am not sure, but it might be Emily Bronte.", Grade.INCORRECT),
        ("Jane Austen, Emily Bronte, George Eliot, Mary Shelley", Grade.INCORRECT),
        ("Not Jane Austen", Grade.INCORRECT),
        ("I don't know.", Grade.NOT_ATTEMPTED),
        ("I don't know who wrote Emma.", Grade.NOT_ATTEMPTED),
        ("Sorry, I have no idea.", Grade.NOT_ATTEMPTED),
        ("I cannot answer that without more information.", Grade.NOT_ATTEMPTED),
        ("There is not enough information to tell.", Grade.NOT_ATTEMPTED),
        ("As an AI, I am unable to help with that.", Grade.NOT_ATTEMPTED),
        ("unanswerable", Grade.NOT_ATTEMPTED),
        ("", Grade.NOT_ATTEMPTED),
        ("?", Grade.NOT_ATTEMPTED),
        ("<think>It may have been Jane Austen, or", Grade.NOT_ATTEMPTED),
        ("Who wrote the novel Emma?", Grade.NOT_ATTEMPTED),
    ],
)
def test_three_outcomes_are_told_apart(prediction, grade):
    told = verdicts.judge("who wrote the novel emma", ["Jane Austen"], prediction)
    assert told.grade is grade, told


def test_reading_looks_at_no_answer_and_keeps_what_most_texts_are():
    found = read.read("Lyon, not Paris", "capital of france")
    assert (found.affirmed.split(), found.cut) == (["Lyon,"], False)
    plain = read.read("The larynx, or voice box, is in the neck.", "where is the larynx")
    assert plain.affirmed is plain.text
    assert not plain.alternatives.items
