"""How a model's intensities agree with people's scores of how strong an emotion is.

What is read off the 28 intensities was fixed before any score was seen. All of it is in logit space,
z = log(p / (1 - p)), where sums over emotions are sums of evidence:

| target | readout | what it is |
|---|---|---|
| an emotion | label | z of the emotion of that name |
| an emotion of Ekman's | group | log of the sum of exp(z) over the emotions of its group |
| | max | the largest z of its group |
| valence | mass | log of the sum of exp(z) over the positive emotions, minus the same of the negative ones |
| | mean | mean z of the positive emotions minus that of the negative ones |

Arousal cannot be read off the 28; a probe can be fitted to it, as to any target, and is reported apart. Vote shares are
of the 28 emotions themselves, so that only `label` is read for them.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.intensity_layouts import EMOINT, LEAST_ROWS, SEMEVAL, SHARES, VALENCE, Intensities
from eqn.emotions import EKMAN, INDEX, SENTIMENT
from eqn.errors import UsageError
from eqn.evaluation.arrays import Floats
from eqn.evaluation.correlations import Correlated, Correlation, correlate, mean_of
from eqn.evaluation.probe import Fitting, fit_probe
from eqn.model.package import Package, load_network

MEAN = "mean"
"""Stands in place of a target for the mean over all emotions that were scored."""
PROBE = "probe"
UPPER_HALF = 0.5
"""EmoInt's second figure is over the rows whose score reaches this."""

_LEAST_PROBABILITY = 1e-6

Readouts = Mapping[str, Mapping[str, Floats]]
"""By target and readout, one value for each row that people scored."""


@dataclasses.dataclass(frozen=True, slots=True)
class Agreement:
    """How one readout agrees with people's scores of one target."""

    target: str
    """An emotion, valence, arousal, or `mean` for the mean coefficients over the emotions."""
    readout: str
    rows: int
    """Scored texts; for the mean, those that were scored for any of the emotions."""
    pearson: Correlation
    spearman: Correlation


@dataclasses.dataclass(frozen=True, slots=True)
class Agreements:
    """Figures of several readouts and targets."""

    all_rows: tuple[Agreement, ...]
    upper_half: tuple[Agreement, ...]
    """Only the rows whose score is at least 0.5; of SemEval-2018 and EmoInt, without valence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probed:
    """Figures of probes, each fitted on other texts than those it is measured on."""

    fitted_on: tuple[str, ...]
    split: str
    """Split of the rows it was fitted on, or `all`."""
    left_out: int
    """Rows it was not fitted on because their text is among those measured."""
    rows: Mapping[str, int]
    """Rows it was fitted on, by target."""
    alphas: Mapping[str, float]
    """Strength of each probe's penalty, by target."""
    agreements: Agreements


@dataclasses.dataclass(frozen=True, slots=True)
class IntensityFigures:
    """How a model agrees with people."""

    zero_shot: Agreements
    probed: Probed | None
    """None when no probe was asked for."""


def measure_intensity(
    package: Package,
    data: Intensities,
    fitting: Fitting | None = None,
    *,
    report: Callable[[int, int], None] | None = None,
) -> IntensityFigures:
    """Score the texts of `data` with a package and correlate with people's scores; `report(texts, tokens)` hears of it.

    With `fitting`, from `eqn.evaluation.probe.fitting_for`, probes are fitted and measured too; scikit-learn is needed
    then.

    Raises:
        UsageError: `data` has only arousal, and there is nothing to fit a probe on.
        ArtifactRefused: the package's weights cannot be used.

    """
    from eqn.model.inference import fast_scorer

    if fitting is None and not any(target == VALENCE or target in INDEX for target in data.gold):
        raise UsageError(
            f"expected an emotion or valence; {', '.join(data.gold)} cannot be read off the 28 intensities.",
            todo="Fit a probe on other scored texts with --probe.",
        )
    scorer = fast_scorer(*load_network(package), max_tokens=package.max_tokens)
    z = logits(scorer.scores(scorer.encode(data.texts), report=report))
    probed = None
    if fitting is not None:
        fitted_on = logits(scorer.scores(scorer.encode(fitting.texts), report=report))
        probed = measure_probe(data, z, fitting, fitted_on)
    return IntensityFigures(agreements(data, zero_shot_readouts(data, z)), probed)


def measure_probe(data: Intensities, z: Floats, fitting: Fitting, fitted_on: Floats) -> Probed:
    """Fit a probe for each target on the logits `fitted_on` of the fitting's texts, and measure it on `data`'s, `z`."""
    probes = {target: fit_probe(fitted_on[gold.rows], gold.scores) for target, gold in fitting.gold.items()}
    read = {target: {PROBE: probe.predict(z[data.gold[target].rows])} for target, probe in probes.items()}
    return Probed(
        fitted_on=fitting.files,
        split=fitting.split,
        left_out=fitting.left_out,
        rows={target: len(gold.rows) for target, gold in fitting.gold.items()},
        alphas={target: probe.alpha for target, probe in probes.items()},
        agreements=agreements(data, read),
    )


def logits(scores: Floats) -> Floats:
    """Turn intensities in [0, 1] into logits; 0 and 1 count as 1e-6 and 1 - 1e-6.

    >>> logits(np.array([0.5])).tolist()
    [0.0]
    """
    clipped = np.clip(np.asarray(scores, dtype=np.float64), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.log(clipped) - np.log1p(-clipped)


def readouts(target: str, z: Floats, *, grouped: bool = True) -> dict[str, Floats]:
    """Read a target off the logits `z`, (rows, 28), in each way that is defined for it; nothing for arousal.

    `grouped` says whether a name that is also one of Ekman's may mean the whole group.
    """
    if target == VALENCE:
        positive, negative = (z[:, _places(SENTIMENT[side])] for side in ("positive", "negative"))
        return {
            "mass": _log_sum_exp(positive) - _log_sum_exp(negative),
            "mean": positive.mean(axis=1) - negative.mean(axis=1),
        }
    if target not in INDEX:
        return {}
    read = {"label": z[:, INDEX[target]]}
    if grouped and target in EKMAN:
        group = z[:, _places(EKMAN[target])]
        read |= {"group": _log_sum_exp(group), "max": group.max(axis=1)}
    return read


def zero_shot_readouts(data: Intensities, z: Floats) -> Readouts:
    """Read every target of `data` off the logits of its texts, (texts, 28)."""
    grouped = data.layout is not SHARES
    return {target: readouts(target, z[gold.rows], grouped=grouped) for target, gold in data.gold.items()}


def agreements(data: Intensities, read: Readouts) -> Agreements:
    """Correlate what was read for each target with people's scores of it, and give the means over the emotions."""
    draws_of = _same_rows(data)
    whole, upper = {}, {}
    rows = {target: gold.rows for target, gold in data.gold.items()}
    high_rows = {}
    for target, values in read.items():
        scores = data.gold[target].scores
        whole[target] = correlate(scores, values, draws_of=draws_of[target])
        high = scores >= UPPER_HALF
        if data.layout in (SEMEVAL, EMOINT) and target in INDEX and high.sum() >= LEAST_ROWS:
            parts = {name: value[high] for name, value in values.items()}
            upper[target] = correlate(scores[high], parts, draws_of=f"upper half of {target}")
            high_rows[target] = rows[target][high]
    return Agreements(_listed(whole, rows), _listed(upper, high_rows))


def _listed(
    correlated: Mapping[str, Mapping[str, Correlated]], rows: Mapping[str, NDArray[np.int64]]
) -> tuple[Agreement, ...]:
    """Give the figures of each target and readout, then the means of the readouts that all emotions have."""
    found = [
        _agreement(target, name, len(rows[target]), one)
        for target, each in correlated.items()
        for name, one in each.items()
    ]
    emotions = {target: each for target, each in correlated.items() if target in INDEX}
    if len(emotions) > 1:
        common = [name for name in next(iter(emotions.values())) if all(name in each for each in emotions.values())]
        texts = len(np.unique(np.concatenate([rows[target] for target in emotions])))
        found += [_agreement(MEAN, name, texts, mean_of([each[name] for each in emotions.values()])) for name in common]
    return tuple(found)


def _agreement(target: str, readout: str, rows: int, correlated: Correlated) -> Agreement:
    pearson, spearman = correlated.figures()
    return Agreement(target, readout, rows, pearson, spearman)


def _same_rows(data: Intensities) -> dict[str, str]:
    """Give each target the name under which its rows are drawn: one name for targets that were scored on the same."""
    names: dict[bytes, str] = {}
    return {target: names.setdefault(gold.rows.tobytes(), target) for target, gold in data.gold.items()}


def _places(names: tuple[str, ...]) -> list[int]:
    return [INDEX[name] for name in names]


def _log_sum_exp(z: Floats) -> Floats:
    highest = z.max(axis=1)
    total: Floats = highest + np.log(np.exp(z - highest[:, None]).sum(axis=1))
    return total
