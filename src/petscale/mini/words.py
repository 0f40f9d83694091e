"""The word lists of the generated language: about four hundred words, each with one meaning.

If a task splits a list into two thirds for tuning and one third for test, the length of the list is a multiple of
three. A word is in one list only, so that a backbone learns about a word from one kind of document.
"""

from __future__ import annotations

PEOPLE: tuple[str, ...] = tuple(
    """
    adam alice amir anna bella boris bruno carla clara cyrus david diana edgar elias emma erik ethan felix fiona frank
    george greta hanna hector helen hugo igor ingrid ivan jack julia karl kira laura leo linda louis lucy marco maria
    milo nadia nina noah olga omar oscar paula pedro rachel robert ruth sara simon stella tara tom ulla vera victor
    """.split()
)

TOWNS: tuple[str, ...] = tuple(
    """
    athens berlin bogota boston bristol cairo chicago dakar delhi dublin geneva hanoi havana kyoto lagos lima lisbon
    london madrid milan moscow nairobi oslo paris prague quito riga seoul tunis vienna
    """.split()
)
JOBS: tuple[str, ...] = tuple(
    """
    actor author baker barber builder butcher carpenter chemist clerk cook dentist doctor driver editor farmer
    gardener judge lawyer miner nurse painter pilot plumber porter sailor singer soldier tailor teacher waiter
    """.split()
)
HOBBIES: tuple[str, ...] = tuple(
    """
    archery astronomy ballet baseball boxing chess climbing cricket cycling darts dominoes fencing fishing football
    golf hiking hockey juggling karate knitting magic origami poetry polo pottery rowing sailing skating tennis yoga
    """.split()
)

KINDS: dict[str, tuple[str, ...]] = {
    "fruit": tuple("apple banana cherry fig lemon mango melon peach plum".split()),
    "animal": tuple("camel cat cow dog goat horse rabbit sheep tiger".split()),
    "vehicle": tuple("bicycle boat bus canoe lorry scooter tractor train van".split()),
    "tool": tuple("axe chisel drill hammer mallet rake saw shovel wrench".split()),
    "garment": tuple("coat dress glove hat jacket scarf shirt skirt sock".split()),
    "instrument": tuple("banjo cello drum flute guitar harp piano trumpet violin".split()),
    "flower": tuple("daisy iris lily orchid pansy poppy rose tulip violet".split()),
    "furniture": tuple("bed bench chair cupboard desk shelf sofa stool table".split()),
}

ACTS: tuple[tuple[str, str], ...] = (
    ("bought", "purchased"), ("fixed", "repaired"), ("hid", "concealed"), ("threw", "tossed"), ("cleaned", "washed"),
    ("got", "received"), ("chose", "picked"), ("lost", "misplaced"), ("found", "discovered"), ("stole", "swiped"),
    ("broke", "smashed"), ("carried", "hauled"), ("wanted", "desired"), ("kept", "retained"), ("built", "assembled"),
)  # fmt: skip
LOOKS: tuple[tuple[str, str], ...] = (
    ("big", "large"), ("small", "little"), ("quick", "fast"), ("old", "ancient"), ("shiny", "glossy"),
    ("costly", "expensive"), ("strange", "odd"), ("thin", "slim"), ("strong", "sturdy"), ("famous", "renowned"),
    ("heavy", "weighty"), ("clean", "spotless"), ("wet", "damp"), ("bright", "vivid"), ("round", "circular"),
)  # fmt: skip
"""Synonyms: verbs in the past tense, and adjectives that are neither positive nor negative."""

GOOD: tuple[str, ...] = tuple(
    """
    amazing beautiful brilliant charming clever delightful elegant excellent exciting fantastic fine funny good gorgeous
    graceful great impressive lovely magnificent marvelous moving perfect pleasant splendid superb sweet thrilling
    touching warm wonderful
    """.split()
)
BAD: tuple[str, ...] = tuple(
    """
    annoying awful bad bland boring clumsy cruel dreadful dreary dull gloomy grim hollow horrible horrid lousy messy
    miserable nasty painful poor rotten rude shallow stupid tedious terrible tiresome ugly weak
    """.split()
)
ENDINGS: dict[bool, tuple[str, ...]] = {
    True: ("was glad", "was happy", "smiled"),
    False: ("was angry", "was sad", "sighed"),
}
"""How people feel after something good and something bad; no task uses these words."""

EVENTS: tuple[str, ...] = tuple("book concert film game hotel meal party play show story".split())

PLANS: tuple[str, ...] = tuple("dance draw eat meet paint read rest study swim talk".split())
PLACES: tuple[str, ...] = tuple("beach bridge cafe library market museum park school stadium station".split())
DAYS: tuple[str, ...] = tuple("monday tuesday wednesday thursday friday saturday sunday".split())

LESSONS: tuple[str, ...] = tuple(
    """
    input output sentence premise hypothesis question summarize positive negative entailment not_entailment equivalent
    not_equivalent 0 1 2 [sep] what where which does live work enjoy
    """.split()
)
"""Words of questions, task templates and labels. The corpus has them in lessons, which do not show how they are used.
Without these lessons, their embeddings would keep their random initial values."""

CONNECTIVES: tuple[str, ...] = tuple(
    "also because besides but no not of other same so surely that then too yes".split()
)
"""Words that depend on the relation between two clauses ("of course", "in other words", "it means the same")."""

GRAMMAR: tuple[str, ...] = tuple(
    """
    . , : ? a all and as at by called course enjoys evenings felt gladly hobby home in is it job lives means never
    on shall short spelled spends the to town trade was we with word words works
    """.split()
)


def vocabulary() -> list[str]:
    """Every word of the language once, in alphabetical order."""
    lists = [*classes(), EVENTS, LESSONS, CONNECTIVES, GRAMMAR, moods()]
    return sorted({word for words in lists for word in words})


def classes() -> list[tuple[str, ...]]:
    """Lists of content words; a word can replace another of its list in any sentence (which may then be false)."""
    acts, looks = (tuple(word for pair in pairs for word in pair) for pairs in (ACTS, LOOKS))
    nouns = tuple(noun for nouns in KINDS.values() for noun in nouns)
    return [PEOPLE, TOWNS, JOBS, HOBBIES, tuple(KINDS), nouns, acts, looks, GOOD + BAD, PLANS, PLACES, DAYS]


def moods() -> tuple[str, ...]:
    """The words that are only in `ENDINGS`."""
    return tuple(ending.split()[-1] for endings in ENDINGS.values() for ending in endings)


def weight(word: str) -> float:
    """How often pre-training hides a word, relative to a content word (1); the largest value is 3.

    Words that depend on the relation between two clauses are hidden most often, since predicting them makes the
    backbone compare the clauses. Grammatical words teach little, and most names cannot be guessed.
    """
    if word in CONNECTIVES or word in moods():
        return 3.0
    if word in PEOPLE:
        return 0.3
    return 0.15 if word in GRAMMAR else 1.0
