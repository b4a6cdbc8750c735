"""What a method's index needs of memory and storage, worked out from the shapes of a model."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30
TOKENS = 256  # of the chunk in flight
FLOAT32 = 4
HOST = "in host memory: "  # begins the name of a part that a GPU need not hold


@dataclass(frozen=True)
class Shape:
    """A Llama-like model: attention with grouped keys, a gated MLP, an untied LM head."""

    name: str
    hidden: int  # D
    layers: int
    inner: int  # I, of the MLP
    heads: int
    key_heads: int
    vocabulary: int  # V

    @property
    def layer_parameters(self) -> int:
        """Of one layer: `2 D^2 + 2 D D_kv + 3 D I`, norms left out."""
        d_kv = self.hidden * self.key_heads // self.heads
        return 2 * self.hidden**2 + 2 * self.hidden * d_kv + 3 * self.hidden * self.inner

    @property
    def parameters(self) -> int:
        """`layers * layer_parameters + 2 V D`."""
        return self.layers * self.layer_parameters + 2 * self.vocabulary * self.hidden

    @property
    def largest_parameter(self) -> int:
        """The embedding or the MLP's matrix."""
        return self.hidden * max(self.vocabulary, self.inner)

    def forward_bytes(self, itemsize: int, tokens: int = TOKENS) -> int:
        """Activations of one layer at a time: about `tokens (6 D + 3 I)` numbers."""
        return tokens * (6 * self.hidden + 3 * self.inner) * itemsize

    def backward_bytes(self, itemsize: int, tokens: int = TOKENS) -> int:
        """Activations kept for the backward pass, `tokens layers (10 D + 4 I)`, and three float32 arrays of logits."""
        kept = tokens * self.layers * (10 * self.hidden + 4 * self.inner) * itemsize
        return kept + 3 * tokens * self.vocabulary * FLOAT32


OLMO = (
    Shape("OLMo-2 1B", 2048, 16, 8192, 16, 16, 100_352),
    Shape("OLMo-2 7B", 4096, 32, 11_008, 32, 32, 100_352),
    Shape("OLMo-2 13B", 5120, 40, 13_824, 40, 40, 100_352),
    Shape("OLMo-2 32B", 5120, 64, 27_648, 40, 8, 100_352),
)


def needed_bytes(method: str, shape: Shape, itemsize: int) -> dict[str, int]:
    """What a method holds at once while it indexes, by part, bytes; the index itself is on disk."""
    p = shape.parameters
    parts = {"weights": p * itemsize}
    if method in ("forward passes (RISE, loss, exact product)", "ZO-Inf"):
        parts["activations"] = shape.forward_bytes(itemsize)
        parts["logits of a block"] = TOKENS * shape.vocabulary * itemsize
    if method.startswith("forward passes"):
        parts["sketched LM head, V x 64"] = shape.vocabulary * 64 * FLOAT32
    elif method == "ZO-Inf":
        parts["perturbation of one tensor"] = shape.largest_parameter * (FLOAT32 + itemsize)
    elif method == "RapidIn":
        parts["gradient"] = p * itemsize
        parts["activations"] = shape.backward_bytes(itemsize)
        parts[f"{HOST}projection table, 3 bytes a parameter"] = 3 * p
    elif method == "full gradient":
        parts["gradient"] = p * itemsize
        parts["activations"] = shape.backward_bytes(itemsize)
    elif method == "EK-FAC":
        parts["activations"] = shape.backward_bytes(itemsize)
        parts["per-row gradient of the layers"] = shape.layers * shape.layer_parameters * FLOAT32
        parts["factors (eigenvectors of both sides)"] = kronecker_numbers(shape) * FLOAT32
        parts["eigenvalues, one a parameter"] = shape.layers * shape.layer_parameters * FLOAT32
    return parts


MEMORY_METHODS = ("forward passes (RISE, loss, exact product)", "ZO-Inf", "RapidIn", "full gradient", "EK-FAC")


def kronecker_numbers(shape: Shape) -> int:
    """Entries of the two square factors of each linear layer."""
    d, i, d_kv = shape.hidden, shape.inner, shape.hidden * shape.key_heads // shape.heads
    sides = [(d, d), (d, d_kv), (d, d_kv), (d, d), (d, i), (d, i), (i, d)]
    return shape.layers * sum(a * a + b * b for a, b in sides)


RAPIDIN_BYTES = 65_536 * 2


def storage_table() -> list[dict[str, object]]:
    """Bytes a row of indexes, and how many times RapidIn's that is; the payload is no part of it."""
    rows: list[tuple[str, int, float]] = [
        ("RISE 128/128/64, float16 (published)", 24_576, 16),
        ("RISE 128/128/64, turbo8", 24_576, 8),
        ("RISE 128/128/64, turbo4", 24_576, 4),
        ("RISE 64/64/32, float16", 6_144, 16),
        ("RISE 32/16/16, float16", 768, 16),
        ("RISE 16/8/28, float16 (profile small)", 352, 16),
        ("RISE 16/8/28, turbo8", 352, 8),
        ("RISE 16/8/28, turbo4", 352, 4),
        ("RapidIn, float16", 65_536, 16),
        ("ZO-Inf, 64 perturbations, float32", 64, 32),
        *((f"full gradient of {shape.name}, float16", shape.parameters, 16) for shape in (OLMO[0], OLMO[-1])),
    ]
    return [
        {
            "index": name,
            "coordinates": coordinates,
            "bytes_per_row": int(coordinates * bits // 8),
            "times_smaller_than_rapidin": RAPIDIN_BYTES / (coordinates * bits / 8),
            "gib_per_million_rows": coordinates * bits / 8 * 1e6 / GIB,
        }
        for name, coordinates, bits in rows
    ]
