"""Words are counted once for each text, in bounded memory, in any script."""

from eqn.drift.vocabulary import WordCounter, shared_words, words_in


def test_a_word_is_the_same_however_it_is_written() -> None:
    """Upper case, composed or not, and with an apostrophe inside."""
    assert words_in("Don't! DON'T, cafe\N{COMBINING ACUTE ACCENT} Caf\N{LATIN SMALL LETTER E WITH ACUTE}") == {
        "don't",
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    }
    assert words_in("日本 и мир 👨‍👩‍👧 ...") >= {"日本", "и", "мир"}
    assert words_in("?!") == set()


def test_a_text_that_repeats_a_word_counts_once() -> None:
    """One spammer is not a change of vocabulary."""
    counter = WordCounter()

    counter.add(["buy " * 1000, "buy it", "sell it"])

    assert counter.most_frequent(10) == {"buy": 2, "it": 2, "sell": 1}
    assert counter.total == 5


def test_rare_words_are_let_go_of_and_frequent_ones_counted_on() -> None:
    """However many different words come, no more than twice as many as wanted are held."""
    counter = WordCounter(kept=10)

    for number in range(500):
        counter.add([f"often word{number} another{number}"])
        assert len(counter.most_frequent(1000)) <= 22

    assert counter.most_frequent(1) == {"often": 500}
    assert counter.total == 1500


def test_an_endless_word_counts_without_being_kept() -> None:
    """A key of a megabyte is no word to name."""
    counter = WordCounter()

    counter.add(["a" * 1_000_000])

    assert (counter.total, counter.most_frequent(1)) == (1, {})


def test_shared_words_are_frequent_in_both_together() -> None:
    """Rare ones are left to chance; equally frequent ones are in the order of the alphabet."""
    assert shared_words({"b": 0.06, "rare": 0.03}, {"a": 0.06, "b": 0.05}, least=0.06, most=5) == ["b", "a"]
    assert shared_words({"b": 0.5, "c": 0.5}, {"a": 0.5}, least=0.1, most=2) == ["a", "b"]
