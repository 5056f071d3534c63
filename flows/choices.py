"""What a person may choose from when starting a flow: Prefect's pages show these as lists."""

from typing import Literal

Recipe = Literal["eqn", "plain", "paper"]
"""The recipes of `eqn.training.recipes`."""

NewModel = Literal["everything", "new files"]
"""What is annotated when the model is another one than the last release's."""
