"""Which corpus a run works on, and the inbox that stands ready on the first one."""

import csv
import io
import secrets
from pathlib import Path

from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.goemotions import Corpus, load_corpus

SAMPLE = "sample"


def sample_directory() -> Path:
    """Give the directory of the embedded sample: 1,464 comments over all 28 emotions, written for EQN."""
    return Path(__file__).parent / "sample_data"


def choose_corpus(directory: Path | None) -> Corpus:
    """Load the corpus in `directory`, or the embedded sample when there is none; raises what `load_corpus` raises."""
    return load_corpus(directory) if directory else load_corpus(sample_directory(), name=SAMPLE)


def fill_inbox(inbox: Path, corpus: Corpus) -> bool:
    """Make the folder `inbox` with the test split's comments, without labels; an inbox that exists is left alone."""
    if inbox.exists():
        return False
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([ID_COLUMN, TEXT_COLUMN])
    writer.writerows(zip(corpus.test.ids, corpus.test.texts, strict=True))
    temporary = inbox.with_name(f".tmp-{secrets.token_hex(8)}")
    temporary.mkdir(parents=True)
    (temporary / f"{corpus.ref.name}-comments.csv").write_text(buffer.getvalue(), "utf-8", newline="")
    temporary.rename(inbox)
    return True
