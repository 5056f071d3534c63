"""The other ways to get the same scores from the same weights, each from a list of texts to an array of scores.

Reading and writing files is left out of all of them, and the model is ready before: that is in their favour.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.annotating.products import padded_rows
from eqn.emotions import EMOTIONS

if TYPE_CHECKING:
    from eqn.model.network import EmotionNetwork
    from eqn.model.package import Package

Scores = NDArray[np.float32]


class Peer(Protocol):
    """A way to annotate."""

    @property
    def name(self) -> str:
        """Give its name in JSON."""

    @property
    def words(self) -> str:
        """Say what it is, for the table."""

    @property
    def share(self) -> int:
        """Give one text of so many to it in a round: a slow one would else take all of the time."""

    def scores(self, texts: Sequence[str]) -> Scores:
        """Give the intensities, (texts, 28)."""

    def rows(self, lengths: Sequence[int]) -> int:
        """Give the rows that it multiplies for texts of these lengths in tokens, with its padding."""


class Seed:
    """The seed's way: pad to 128, batches of 16, float32, columns of a pandas frame written cell by cell."""

    name, words, share, batch = "seed", "the seed's way: pad to 128, batch 16, fp32, pandas columns", 64, 16

    def __init__(self, package: "Package") -> None:
        self._network, self._tokenizer, self._width = *_fresh(package), package.max_tokens

    def scores(self, texts: Sequence[str]) -> Scores:
        """Annotate a frame, with the seed's limits: 1 above 1, 0 below 0.01, else 2 decimals."""
        import pandas as pd
        import torch

        frame = pd.DataFrame({"text": list(texts)})
        for name in EMOTIONS:
            frame[name] = 0.0
        for start in range(0, len(frame), self.batch):
            rows = frame.iloc[start : start + self.batch]
            given = self._tokenizer(
                rows["text"].tolist(),
                padding="max_length",
                truncation=True,
                max_length=self._width,
                return_tensors="pt",
            )
            with torch.no_grad():
                outputs = self._network(given["input_ids"], given["attention_mask"])
            for (place, _), found in zip(rows.iterrows(), self._network.intensities(outputs).tolist(), strict=True):
                for name, score in zip(EMOTIONS, found, strict=True):
                    cell = 1 if score > 1 else 0 if score < 0.01 else round(score, 2)
                    frame.at[place, name] = cell  # noqa: PD008  cell by cell is the seed's way, and .at its fastest
        scores: Scores = frame[list(EMOTIONS)].to_numpy(np.float32)
        return scores

    def rows(self, lengths: Sequence[int]) -> int:
        """Pad to one width."""
        return padded_rows(lengths, self.batch, width=self._width)


class Pipeline:
    """The Hugging Face pipeline: text-classification, batches of 32 padded to their longest, float32."""

    name, words, share, batch = "hf_pipeline", "Hugging Face pipeline, batch 32, fp32", 32, 32

    def __init__(self, package: "Package") -> None:
        network, tokenizer = _fresh(package)
        self._width = package.max_tokens
        self._pipe = _pipeline(network, tokenizer)

    def scores(self, texts: Sequence[str]) -> Scores:
        """Run the pipeline over the texts as a data set."""
        answers = self._pipe(list(texts), batch_size=self.batch, top_k=None, truncation=True, max_length=self._width)
        by_name = [{label["label"]: label["score"] for label in answer} for answer in answers]
        return np.array([[said[name] for name in EMOTIONS] for said in by_name], dtype=np.float32)

    def rows(self, lengths: Sequence[int]) -> int:
        """Pad in the order given."""
        return padded_rows(lengths, self.batch)


@dataclasses.dataclass(frozen=True, slots=True)
class Onnx:
    """Plain ONNX Runtime: batches of 8 padded to their longest, all cores in one operation."""

    name: str
    words: str
    share: int
    session: Any
    encode: Callable[[Sequence[str]], list[list[int]]]
    is_sorted: bool = False
    batch: int = 8

    def scores(self, texts: Sequence[str]) -> Scores:
        """Encode all texts, sort them by length if so told, and run batch after batch."""
        ids = self.encode(texts)
        order = self._order([len(row) for row in ids])
        scores = np.empty((len(ids), len(EMOTIONS)), dtype=np.float32)
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            given = np.zeros((len(rows), max(len(ids[row]) for row in rows)), dtype=np.int64)
            mask = np.zeros_like(given)
            for place, row in enumerate(rows):
                given[place, : len(ids[row])] = ids[row]
                mask[place, : len(ids[row])] = 1
            scores[rows] = self.session.run(None, {"ids": given, "mask": mask})[0]
        return scores

    def rows(self, lengths: Sequence[int]) -> int:
        """Pad in the order in which it computes."""
        return padded_rows([lengths[row] for row in self._order(lengths)], self.batch)

    def _order(self, lengths: Sequence[int]) -> list[int]:
        places = list(range(len(lengths)))
        return sorted(places, key=lambda place: -lengths[place]) if self.is_sorted else places


def make_peers(package: "Package", folder: Path, threads: int) -> list[Peer]:
    """Make all peers of `package`; ONNX files are written into `folder`."""
    from eqn.model.encoding import encode
    from eqn.model.package import load_network

    fp32, int8 = (_session(path, threads) for path in _exported(package, folder))
    tokenizer = load_network(package)[1]

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return encode(tokenizer, texts, package.max_tokens).ids

    return [
        Seed(package),
        Pipeline(package),
        Onnx("ort_fp32_unsorted", "ONNX Runtime, batch 8, fp32", 16, fp32, ids),
        Onnx("ort_int8_unsorted", "ONNX Runtime, batch 8, int8", 8, int8, ids),
        Onnx("ort_int8_sorted", "ONNX Runtime, batch 8, int8, sorted by length", 4, int8, ids, is_sorted=True),
    ]


def _fresh(package: "Package") -> "tuple[EmotionNetwork, Any]":
    """Load a package as transformers would have it."""
    from transformers import PreTrainedTokenizerFast

    from eqn.model.package import load_network

    network, tokenizer = load_network(package)
    tokenizer.no_padding()
    named = {name: token for name, token in _SPECIAL.items() if tokenizer.token_to_id(token) is not None}
    names = ["input_ids", "attention_mask"]
    return network, PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **named)


_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def _pipeline(network: "EmotionNetwork", tokenizer: Any) -> Any:
    import transformers
    from transformers.modeling_outputs import SequenceClassifierOutput

    class Classifier(transformers.PreTrainedModel):  # type: ignore[misc]
        """The network as the pipeline wants one."""

        config_class = transformers.BertConfig
        _supports_sdpa = True  # its encoder does, and keeps to what this config says

        def __init__(self, config: transformers.BertConfig) -> None:
            super().__init__(config)
            self.network = network

        def forward(self, input_ids: Any, attention_mask: Any) -> SequenceClassifierOutput:
            return SequenceClassifierOutput(logits=self.network(input_ids, attention_mask))

    config = network.encoder.config
    config.id2label, config.label2id = dict(enumerate(EMOTIONS)), {name: place for place, name in enumerate(EMOTIONS)}
    model = Classifier(config).eval()
    function = "sigmoid" if network.output == "sigmoid" else "none"
    quiet = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)  # a class of ours is not on its list
    try:
        return transformers.pipeline(
            "text-classification", model=model, tokenizer=tokenizer, device="cpu", function_to_apply=function
        )
    finally:
        transformers.logging.set_verbosity(quiet)


def _exported(package: "Package", folder: Path) -> tuple[Path, Path]:
    """Write the network from ids and mask to intensities as ONNX, in float32 and with 8-bit weights."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from eqn.model.package import load_network

    network, _ = load_network(package)
    network.encoder.config._attn_implementation = "eager"  # noqa: SLF001  the tracer knows plain products only

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return network.intensities(self.network(ids, mask))

    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    ids = torch.ones(2, 16, dtype=torch.long)
    with warnings.catch_warnings(action="ignore"):  # of branches for shapes that BERT never has
        torch.onnx.export(
            Whole().eval(), (ids, ids), str(fp32), input_names=["ids", "mask"], output_names=["scores"],
            dynamic_axes={"ids": {0: "texts", 1: "tokens"}, "mask": {0: "texts", 1: "tokens"}, "scores": {0: "texts"}},
            dynamo=False, opset_version=17,
        )  # fmt: skip
    quantize_dynamic(fp32, int8, weight_type=QuantType.QInt8)
    return fp32, int8


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
