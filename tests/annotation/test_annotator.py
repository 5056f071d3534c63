"""The annotator: texts in, intensities, labels and marks out, in the same order."""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from eqn.annotation.annotator import Annotator, Pending
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError


def test_intensities_are_rounded_and_in_range(annotator: Annotator, texts: list[str]) -> None:
    """Every figure is float32 in [0, 1] with 4 decimals: what is shown is what is stored."""
    scores = annotator.scores(texts)

    assert scores.shape == (len(texts), 28)
    assert scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert np.array_equal(scores, np.round(scores.astype(np.float64), 4).astype(np.float32))


def test_labels_are_what_reaches_its_threshold_strongest_first(annotator: Annotator, texts: list[str]) -> None:
    """Each row has exactly the emotions whose intensity reaches that emotion's threshold, in falling order."""
    done = annotator.annotation(texts)

    limits = {name: np.float32(limit) for name, limit in annotator.package.thresholds.items()}
    for scores, labels in zip(done.scores, done.labels, strict=True):
        row = dict(zip(EMOTIONS, scores, strict=True))
        assert set(labels) == {name for name in EMOTIONS if row[name] >= limits[name]}
        assert [row[name] for name in labels] == sorted((row[name] for name in labels), reverse=True)
    assert 0 < sum(map(len, done.labels)) < len(texts) * 28


def test_an_intensity_equal_to_its_threshold_reaches_it(annotator: Annotator, texts: list[str]) -> None:
    """A threshold of 0.0266 and an intensity that is shown as 0.0266 make a label, for each of the 28."""
    scores = annotator.scores(texts[:1])[0]
    thresholds = {name: float(str(score)) for name, score in zip(EMOTIONS, scores, strict=True)}
    strict = Annotator(dataclasses.replace(annotator.package, thresholds=thresholds), annotator._back_end)

    assert set(strict.annotation(texts[:1]).labels[0]) == set(EMOTIONS)


def test_answers_come_in_the_order_of_the_texts(annotator: Annotator, texts: list[str]) -> None:
    """Inside, texts are sorted by length; outside, row i belongs to text i."""
    one_by_one = np.concatenate([annotator.scores([text]) for text in texts])
    together = annotator.scores(texts)
    backwards = annotator.scores(texts[::-1])[::-1]

    assert np.abs(together - one_by_one).max() < 5e-3
    assert np.abs(together - backwards).max() < 5e-3
    assert np.abs(together - together[::-1]).max() > 5e-2


def test_the_frame_has_a_row_for_each_text(annotator: Annotator, texts: list[str]) -> None:
    """Text, the 28 intensities by name, labels and mark, as a notebook wants them."""
    frame = annotator.annotate(texts)

    done = annotator.annotation(texts)
    assert list(frame.columns) == ["text", *EMOTIONS, "labels", "truncated"]
    assert frame["text"].tolist() == texts
    assert np.array_equal(frame[list(EMOTIONS)].to_numpy(), done.scores)
    assert frame["labels"].tolist() == done.labels
    assert frame["truncated"].tolist() == done.truncated


def test_no_texts_give_no_rows(annotator: Annotator) -> None:
    """An empty list is no error, and its frame has all columns."""
    frame = annotator.annotate([])

    assert frame.shape == (0, 31)


def test_only_a_text_longer_than_the_model_reads_is_marked(annotator: Annotator) -> None:
    """The tiny backbone reads a token a letter, 126 of them beside its two marks."""
    texts = ["", "a " * 126, "a " * 127, "a " * 5000]

    assert annotator.annotation(texts).truncated == [False, False, True, True]


def test_every_finished_batch_is_reported(annotator: Annotator, texts: list[str]) -> None:
    """Rows add up to the texts, and tokens to what was read."""
    heard: list[tuple[int, int]] = []
    annotator.annotation(texts * 3, report=lambda rows, tokens: heard.append((rows, tokens)))

    assert len(heard) > 1
    assert sum(rows for rows, _ in heard) == len(texts) * 3
    assert all(tokens >= rows * 2 for rows, tokens in heard)


def test_the_options_name_what_moves_the_last_digits(annotator: Annotator) -> None:
    """Back end, precision and batch plan are part of a job's identity, as plain values."""
    assert annotator.options.keys() == {"back_end", "precision", "batches"}
    assert all(isinstance(value, str) and value for value in annotator.options.values())
    assert annotator.package.digest[:12] in repr(annotator)


def test_a_damaged_package_is_not_loaded(package: Path, tmp_path: Path) -> None:
    """One changed byte in the weights, and nothing is annotated."""
    copy = shutil.copytree(package, tmp_path / "copy")
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy / "model.safetensors").write_bytes(weights)

    with pytest.raises(ArtifactRefused, match=r"model\.safetensors: changed"):
        Annotator.load(copy)


def test_one_string_is_not_a_list_of_texts(annotator: Annotator) -> None:
    """The letters of a string are not annotated as texts by mistake."""
    with pytest.raises(TypeError, match="list of texts"):
        annotator.annotate("I can't stop smiling")


def test_a_stream_gives_what_is_annotated_as_plain_values(annotator: Annotator, texts: list[str]) -> None:
    """In the order of the texts, as the command line shows it, whatever the batch."""
    done = annotator.annotation(texts)

    found = list(annotator.stream(iter(texts)))

    assert [list(row) for row in found] == [["text", *EMOTIONS, "labels", "truncated"]] * len(texts)
    assert [row["text"] for row in found] == texts
    assert [row["labels"] for row in found] == done.labels
    assert [[row[name] for name in EMOTIONS] for row in found] == [[float(str(v)) for v in row] for row in done.scores]
    assert json.loads(json.dumps(found)) == found
    for batch in (1, 7, 59, 60):
        apart = list(annotator.stream(texts, batch=batch))
        assert [row["text"] for row in apart] == texts
        assert max(abs(one["joy"] - other["joy"]) for one, other in zip(apart, found, strict=True)) < 5e-3
    assert list(annotator.stream([])) == []


def test_a_stream_reads_no_further_than_the_next_batch(annotator: Annotator, texts: list[str]) -> None:
    """Of a source without end a few texts are held, and nothing is read before the first row is wanted."""
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for text in itertools.cycle(texts):
            read += 1
            yield text

    rows = annotator.stream(endless(), batch=10)
    assert read == 0
    for wanted in range(1, 96):
        next(rows)
        assert read <= (wanted + 9) // 10 * 10 + 10
    rows.close()
    assert read <= 110
    with pytest.raises(StopIteration):
        next(rows)


def test_whoever_closes_a_stream_stops_the_computing(annotator: Annotator, texts: list[str]) -> None:
    """What was under way is let go of: no block of the next batch is computed that was not begun."""
    cancelled: list[Pending] = []

    class Watched(Annotator):
        def start(self, texts: Sequence[str], *, uncertainty: bool = False) -> Pending:
            pending = super().start(texts, uncertainty=uncertainty)
            cancel = pending.cancel
            pending.cancel = lambda: (cancelled.append(pending), cancel())[1]  # type: ignore[method-assign]
            return pending

    rows = Watched(annotator.package, annotator._back_end).stream(texts * 5, batch=100)
    next(rows)
    rows.close()

    (pending,) = cancelled
    assert all(
        computing.future.cancelled() or computing.future.running() or computing.future.done()
        for computing in pending._blocks
    )
    assert annotator.scores(texts[:3]).shape == (3, 28)


def test_a_stream_says_at_once_what_it_cannot_take(annotator: Annotator) -> None:
    """Not when its first row is wanted, hours later perhaps; what is no text is named by its place in the stream."""
    with pytest.raises(TypeError, match="got one string"):
        annotator.stream("I can't stop smiling")
    with pytest.raises(UsageError, match="at least 1 text, got 0"):
        annotator.stream(["a"], batch=0)
    without = Annotator(dataclasses.replace(annotator.package, conformal={}), annotator._back_end)
    with pytest.raises(UsageError, match="limits for conformal sets"):
        without.stream(["a"], uncertainty=True)
    with pytest.raises(TypeError, match="row 25 is None"):
        list(annotator.stream(["fine"] * 25 + [None], batch=10))  # type: ignore[list-item]


def test_it_says_in_a_line_what_it_is(annotator: Annotator, texts: list[str]) -> None:
    """Model, digest and back end; an annotation says how many texts it is of, not all of its figures."""
    assert repr(annotator) == f"Annotator('plain', {annotator.package.digest[:12]}, {annotator.name!r})"
    assert repr(annotator.annotation([*texts, "a " * 500])) == "Annotation(61 texts, 1 truncated)"


def test_a_notebook_shows_a_small_table(annotator: Annotator) -> None:
    """With the figure on dev where it was measured; a name from elsewhere cannot give the notebook orders."""
    shown = annotator._repr_html_()
    macro_f1 = annotator.package.metrics["dev"]["macro_f1"]
    for said in ("plain", annotator.package.digest[:12], annotator.name, "128 tokens", f"{macro_f1:.3f}"):
        assert f"<td>{said}</td>" in shown
    evil = dataclasses.replace(annotator.package, recipe={"name": "<script>alert(1)</script>"}, metrics={})
    shown = Annotator(evil, annotator._back_end)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "not measured" in shown


def test_a_text_of_a_megabyte_is_truncated_and_moves_no_other(annotator: Annotator, texts: list[str]) -> None:
    """It is marked, reads as its beginning does, and stands beside the others as any long text would."""
    huge = "I can't stop smiling! " * 50_000
    plain = annotator.annotation([*texts, huge[:5000]])

    done = annotator.annotation([*texts, huge])

    assert len(huge) > 10**6
    assert done.truncated == [*plain.truncated[:-1], True]
    assert np.array_equal(done.scores, plain.scores)
