"""The sample depends on the rows, not on their order."""

from eqn.drift.sample import CHARACTERS, TextSample

ROWS = [(f"id-{number}", f"text {number}") for number in range(300)]


def sample_of(rows: list[tuple[str, str]], texts: int = 20) -> tuple[str, ...]:
    sample = TextSample(texts=texts)
    sample.add([identifier for identifier, _ in rows], [text for _, text in rows])
    return sample.texts()


def test_any_order_gives_the_same_sample() -> None:
    """Also where an id comes twice, with other texts."""
    rows = [*ROWS, ("id-7", "the same id in another file"), ("id-7", "and in a third one")]
    shuffled = [*rows[100:], *reversed(rows[:100])]

    assert sample_of(rows) == sample_of(shuffled)
    assert sample_of(rows, 302) == sample_of(shuffled, 302)


def test_rows_that_two_releases_share_are_in_both_samples() -> None:
    """What was added does not shuffle the rest: a sample of more rows holds the smaller digests of both."""
    alone, with_more = set(sample_of(ROWS[:150])), set(sample_of(ROWS))

    assert {text for text in with_more if int(text.split()[1]) < 150} <= alone


def test_a_small_release_is_its_own_sample_and_texts_are_cut() -> None:
    """Nothing is drawn where everything fits; a text of a megabyte does not."""
    assert set(sample_of(ROWS[:5])) == {text for _, text in ROWS[:5]}
    assert sample_of([("a", "x" * 1_000_000)]) == ("x" * CHARACTERS,)
    assert sample_of([]) == ()
