"""EQN: 28 emotion intensities for text, and the whole life of the datasets annotated with them.

Importing this package loads nothing heavy; each stage imports what it needs when it is called.
"""

from eqn.emotions import EKMAN, EMOTIONS, SENTIMENT

__version__ = "0.1.0"
__all__ = ["EKMAN", "EMOTIONS", "SENTIMENT", "__version__"]
