"""The network: a BERT encoder, pooled, dropout, one linear layer to 28 outputs.

The intensity of an emotion is the sigmoid of its output, which keeps it in [0, 1] by construction. Original EQN takes
BERT's own pooler and regresses without an activation; its outputs are clipped (arXiv 2411.06160, eqn.py and 28pd.py).
"""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from eqn.emotions import EMOTIONS

if TYPE_CHECKING:
    from transformers import BertModel

Pooling = Literal["mean", "cls", "pooler"]
"""Mean of the token states, the first token's state, or that state through BERT's own pooling layer."""

Output = Literal["sigmoid", "clip"]
"""How the head's outputs become intensities."""


class EmotionNetwork(nn.Module):
    """Encoder, pooling, dropout and the 28-way head."""

    def __init__(self, encoder: "BertModel", *, pooling: Pooling, dropout: float, output: Output = "sigmoid") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.output = output
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, len(EMOTIONS))

    def start_from(self, prior: Tensor) -> None:
        """Set the head's bias so that an untrained network answers `prior`, (28,) shares of rows.

        Without it the first steps are spent on learning that most emotions are rare (Lin et al. 2017, Focal Loss, 4.1).
        """
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(prior.clamp(1e-4, 1 - 1e-4)))

    def recalibrate(self, scale: Tensor, shift: Tensor) -> None:
        """Replace each output z by scale * z + shift, both (28,), for good: the head takes them in."""
        with torch.no_grad():
            self.head.weight.mul_(scale.to(self.head.weight).unsqueeze(1))
            self.head.bias.mul_(scale.to(self.head.bias)).add_(shift.to(self.head.bias))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Give the head's outputs, (batch, 28), of token ids (batch, length) under their mask of 0 and 1."""
        outputs: Tensor = self.head(self.dropout(self.pooled(input_ids, attention_mask)))
        return outputs

    def pooled(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Give each text as one vector, (batch, width)."""
        encoded = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        states: Tensor = encoded.last_hidden_state
        if self.pooling == "pooler":
            pooled: Tensor = encoded.pooler_output
            return pooled
        if self.pooling == "cls":
            return states[:, 0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * mask).sum(dim=1) / mask.sum(dim=1)

    def intensities(self, outputs: Tensor) -> Tensor:
        """Give the intensities in [0, 1] that the head's outputs stand for."""
        return outputs.clamp(0, 1) if self.output == "clip" else torch.sigmoid(outputs)


def best_device() -> torch.device:
    """Give the CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_precision(device: torch.device) -> torch.dtype:
    """Give bfloat16 where `device` computes it natively, else float32.

    On CPUs without bf16 instructions bfloat16 is emulated and several times slower than float32.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # Older torch cannot tell: float32 is right everywhere.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    native = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32
