"""What people see: hostile text as plain text, bars in order, and lines where there is no terminal."""

import io
import re

import pytest
from rich.console import Console

from eqn.emotions import EMOTIONS
from eqn.records import ReleaseRef
from eqn.terminal import Speed, annotation_progress, bars, lines, printable, show_outcome, table, training_progress
from eqn.training.progress import Event


def shown(drawn: object) -> str:
    """Give what a terminal of 200 columns would receive, colours included."""
    file = io.StringIO()
    Console(file=file, width=200, force_terminal=True, emoji=False, color_system="truecolor").print(drawn)
    return file.getvalue()


def plain(text: str) -> str:
    """Take the colours out that rich itself put in."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def event(step: int, *, stage: str = "training", dev: float | None = None, validation: float | None = None) -> Event:
    return Event(stage, step, 100, step / 50, 0.5, 1e-4, 123.4, 9.0, dev, validation)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred", "�[31mred"),
        ("a\x07b\x00c\x7f\x9b", "a�b�c��"),
        ("abc\u202ecba", "abc�cba"),
        ("half \ud800", "half �"),
        ("carriage\rreturn", "carriage�return"),
        ("a\tb\nc ü 日本 👨\u200d👩\u200d👧 \u200f", "a\tb\nc ü 日本 👨\u200d👩\u200d👧 �"),
    ],
)
def test_text_cannot_give_the_terminal_orders(text: str, expected: str) -> None:
    """Escapes, bells and turned directions become a mark; all that a person writes stays."""
    assert printable(text) == expected


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/nothing]", ":smile:", "[link=http://x]y[/link]", "a\\[b]"])
def test_a_table_shows_markup_as_it_is(hostile: str) -> None:
    """In title, head and cells, what looks like markup is printed letter by letter, and breaks nothing."""
    drawn = plain(shown(table(hostile, [{hostile: hostile}])))

    assert drawn.count(hostile) == 3


def test_a_table_lets_no_escape_through() -> None:
    """An escape in any place of a table does not reach the terminal."""
    assert "\x1b[5m" not in shown(table("\x1b[5m", [{"\x1b[5m": "\x1b[5m"}]))


def test_bars_are_sorted_and_as_long_as_the_intensity() -> None:
    """Twenty-eight bars, the strongest first, with the figure behind and the labels bold."""
    scores = {name: i / 27 for i, name in enumerate(EMOTIONS)}
    drawn = shown(bars(scores, ["neutral"]))
    rows = [line.split() for line in plain(drawn).splitlines()]

    assert [name for name, _, _ in rows] == sorted(scores, key=lambda name: -scores[name])
    assert [row[1].count("█") for row in rows] == [round(scores[row[0]] * 40) for row in rows]
    assert [row[2] for row in rows] == [f"{scores[row[0]]:.4f}" for row in rows]
    assert "\x1b[1mneutral" in drawn
    assert "\x1b[1msurprise" not in drawn


def test_training_without_a_terminal_is_told_in_lines() -> None:
    """A line at each check, at the end of a stage, and every so many seconds: a log stays readable."""
    said: list[str] = []
    listen = lines(said.append, every=3600.0)
    for step in (10, 20, 30):
        listen(event(step))
    listen(event(40, dev=0.25))
    listen(event(100))

    assert said[0].startswith("training: step 10 of 100, loss 0.5000, 123 texts/s")
    assert [line.split()[2] for line in said[1:]] == ["40", "100"]
    assert "dev mAP 0.250" in said[1]
    assert "left" in said[1]
    assert "left" not in said[2]


def test_a_check_on_held_out_rows_is_told_like_one_on_dev() -> None:
    """It has its line at once, with the loss; a step without a check says nothing of either."""
    said: list[str] = []
    listen = lines(said.append, every=3600.0)
    listen(event(10))
    listen(event(20, validation=0.03125))
    listen(event(30))
    assert len(said) == 2
    assert "validation" not in said[0]
    assert said[1].startswith("training: step 20 of 100, ")
    assert "validation loss 0.0312" in said[1]
    assert "dev" not in said[1]


def test_training_goes_to_standard_error_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to results."""
    with training_progress(Console(stderr=True)) as listen:
        listen(event(100))

    out, err = capsys.readouterr()
    assert out == ""
    assert "step 100 of 100" in err


def test_training_in_a_terminal_draws_one_bar_for_each_stage() -> None:
    """Each stage keeps its bar, with the latest figures."""
    file = io.StringIO()
    with training_progress(Console(file=file, force_terminal=True, width=120)) as listen:
        for stage in ("stage A fold 1 of 2", "stage B"):
            listen(event(50, stage=stage))
            listen(event(100, stage=stage, dev=0.3))

    drawn = plain(file.getvalue())
    for stage in ("stage A fold 1 of 2", "stage B"):
        assert re.search(rf"{stage} .* 100% .*dev mAP 0\.300", drawn)


def test_annotation_counts_rows_and_tokens() -> None:
    """Speed adds up what is reported, and says it at the end."""
    said: list[str] = []
    speed = Speed(1000)
    report = speed.lines(said.append, every=3600.0)
    report(400, 4000)
    report(600, 6000)

    assert (speed.rows, speed.tokens) == (1000, 10_000)
    assert len(said) == 1
    assert said[0].startswith("annotating: 1,000 of 1,000 rows, ")


def test_annotation_is_shown_in_either_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A line on standard error without a terminal, a bar in one."""
    with annotation_progress(Console(stderr=True), 2) as report:
        report(2, 10)
    assert "2 of 2 rows" in capsys.readouterr().err

    file = io.StringIO()
    with annotation_progress(Console(file=file, force_terminal=True, width=120), 2) as report:
        report(2, 10)
    assert "2 of 2 rows" in plain(file.getvalue())


@pytest.mark.parametrize(("before", "said"), [(False, "is published as"), (True, "is already published as")])
def test_the_outcome_names_every_place(capsys: pytest.CaptureFixture[str], *, before: bool, said: str) -> None:
    """After the main job a person finds figures, release, card, Data Docs and the commands to go on with."""
    figures = [dict.fromkeys(("model", "macro F1", "mAP", "ECE", "rows"), "0.5")]
    release = ReleaseRef("inbox", 2, "/store/inbox/files/ab", 1234, 5, already_published=before)
    show_outcome(release, figures, data_docs="/state/data_docs/index.html", model="/state/models/cd")

    out = capsys.readouterr().out
    assert f"inbox {said} release 2: 1,234 rows, 5 quarantined" in out
    for place in ("inbox/files/ab/data", "inbox/files/ab/README.md", "models/cd/README.md", "data_docs/index.html"):
        assert place in out
    assert "eqn annotate --text" in out
