"""Does training on what RISE selects help more than training on other data? Select, train, measure: a closed loop.

    python tools/closed_loop.py --json loop.json --plots plots    # SmolLM2-135M, packaged texts: sized for 20 minutes
    python tools/closed_loop.py --model MODEL --device cuda --dtype bfloat16 --tokens 20000000 --batch 16 \\
        --length 1024 --candidates POOL --most-candidates 500000 --targets TARGETS --seeds 5

Candidates are ranked against some targets, and from one and the same model the pretraining is continued on equally many
tokens of each arm:

rise       from the best-ranked candidate downwards (the mean signature of the targets, preconditioned)
bm25       the same by BM25, mean over the targets (where the package bm25s is installed)
random     in a random order, another one for each seed
rejected   from RISE's lowest-ranked candidate upwards

Reported is the loss, nats a token, on text of the target domain that neither selection nor training saw. Every seed
trains each arm once, on its documents in another order. Intervals (95 %) are of a bootstrap over seeds and texts at
once. `docs/closed_loop.md` says how to read them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from closed_loop_data import Material, material_of_files, packaged_material, source_of
from continued_training import Ids, Look, Losses, Recipe, Trainee
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rise_store import AttributionStore
from rise_store.corpus import fetch_smollm2
from rise_store.digests import json_sha256
from rise_store.errors import InputError, RiseStoreError
from rise_store.records import EstimatorConfig, Query
from rise_store.retrieval import Search, parse_where, scan_scores
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.second_moments import SAMPLE
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from rise_store.version import __version__

DRAWS = 10_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """The documents that one run trains on, cut so that they have exactly the tokens of the budget."""

    name: str
    picked: list[int]  # numbers of the candidates
    documents: list[Ids]

    @property
    def tokens(self) -> int:
        """Of all documents."""
        return sum(map(len, self.documents))


def take(name: str, order: Sequence[int], ids: Sequence[Ids], budget: int) -> Arm:
    """The first candidates of an order, up to the budget; the last one is cut.

    Raises:
        InputError: all candidates together have fewer tokens.
    """
    picked: list[int] = []
    documents: list[Ids] = []
    left = budget
    for number in order:
        if left == 0:
            return Arm(name, picked, documents)
        picked.append(number)
        documents.append(ids[number][:left])
        left -= len(documents[-1])
    if left:
        raise InputError(
            f"the candidates have {budget - left:,} tokens, the budget is {budget:,}; give more candidates"
        )
    return Arm(name, picked, documents)


def rise_scores(material: Material, encoder: SignatureEncoder, folder: Path, *, precondition: float | None) -> Floats:
    """The score of each candidate for the mean signature of the targets."""
    with open_store(folder, create=True) as backend:
        number = {candidate.key: n for n, candidate in enumerate(material.candidates)}
        # A store that is kept may hold other candidates and other models' spaces: each set is a dataset of its own.
        digest = json_sha256([[candidate.key, candidate.content_sha256] for candidate in material.candidates])
        dataset = f"candidates-{digest[:16]}"
        AttributionStore(backend).ingest(material.candidates, dataset=dataset, model=encoder, new_space=True)
        collection = backend.open_collection(encoder.fingerprint)
        queries = [Query(text=target.content) for target in material.targets]
        own = parse_where(f"dataset={dataset}")
        search = Search.plan(collection, queries)
        if precondition is not None:  # by a sample of these candidates alone
            rows = [point.vector for point in islice(collection.scroll(own, with_vectors=True, fields=()), SAMPLE)]
            features = search.scoring.features(np.stack([row for row in rows if row is not None]))
            search = replace(search, preconditioner=Preconditioner.from_rows(features, precondition))
        mean = encoder.encode_queries(queries).signatures.mean(axis=0, keepdims=True)
        scores = np.full(len(number), -np.inf)  # candidates without a signature come last
        for page in scan_scores(collection, search.fold(mean), search.scoring, where=own, fields=["example_id"]):
            scores[[number[point.payload["example_id"]] for point in page.points]] = page.scores[:, 0]
    return scores


def bm25_scores(material: Material) -> Floats | None:
    """The mean score of each candidate over the targets; None without the package bm25s."""
    try:
        import bm25s
    except ImportError:
        return None
    index = bm25s.BM25()
    index.index(bm25s.tokenize([c.content for c in material.candidates], show_progress=False), show_progress=False)
    queries = bm25s.tokenize([t.content for t in material.targets], return_ids=False, show_progress=False)
    scores: Floats = np.mean([index.get_scores(query) for query in queries], axis=0, dtype=np.float64)
    return scores


def interval(differences: Floats, tokens: npt.NDArray[np.int64], draws: int = DRAWS) -> tuple[float, float]:
    """95 % interval of the mean difference a token, by a bootstrap over seeds and texts at once.

    Args:
        differences: sums over the tokens of a text, (seeds, texts).
        tokens: of each text, (texts,).
        draws: resamples.
    """
    seeds, texts = differences.shape
    random = np.random.default_rng(0)
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)  # (draws, seeds)
    of_texts = random.multinomial(texts, np.full(texts, 1 / texts), size=draws)  # (draws, texts)
    means = ((of_seeds @ differences) * of_texts).sum(axis=1) / (seeds * (of_texts @ tokens))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def run(args: argparse.Namespace, material: Material, say: Any = lambda line: None) -> dict[str, Any]:
    """Select, train, measure; the report."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    scores: dict[str, Floats] = {}
    say(f"ranking {len(material.candidates):,} candidates against {len(material.targets)} targets")
    encoder = SignatureEncoder.from_pretrained(args.model, args.estimator, dtype=args.dtype, device=args.device)
    with tempfile.TemporaryDirectory() as folder:
        where = args.store or Path(folder) / "store"
        scores["rise"] = rise_scores(material, encoder, where, precondition=args.precondition or None)
    space = encoder.fingerprint
    del encoder
    seconds["rise"] = time.perf_counter() - started
    bm25 = None if args.without_bm25 else bm25_scores(material)
    if bm25 is not None:
        scores["bm25"] = bm25
    recipe = Recipe(args.length, args.batch, args.steps, args.learning_rate, looks=args.looks)
    trainee = Trainee(args.model, device=args.device, dtype=args.dtype)
    ids = [text + trainee.end for text in trainee.token_ids([c.content for c in material.candidates])]
    held_out = trainee.token_ids([text.content for text in material.held_out])
    held_out = [text for text in held_out if len(text) > 1]
    budget = args.tokens - args.tokens % (recipe.length * recipe.batch)
    pool = sum(map(len, ids))
    if not 0 < budget <= pool // 2:
        raise InputError(
            f"--tokens {args.tokens:,}: an arm takes a multiple of {recipe.length * recipe.batch:,} tokens and at most "
            f"half of the candidates' {pool:,}, so that what is selected and what is rejected differ"
        )
    before = trainee.losses(held_out)
    say(f"loss of {len(held_out)} held-out texts before: {before.mean:.4f}")
    arms: dict[str, list[Arm]] = {}
    looks: dict[str, list[list[Look]]] = {}
    began = time.perf_counter()
    for seed in range(args.seeds):
        for arm in arms_of(scores, ids, budget, seed):
            done = trainee.train(arm.documents, recipe, seed=seed, held_out=held_out)
            arms.setdefault(arm.name, []).append(arm)
            looks.setdefault(arm.name, []).append(done)
            say(f"seed {seed}, {arm.name}: {len(arm.documents):,} documents, loss {done[-1].losses.mean:.4f}")
    seconds["training and looks"] = time.perf_counter() - began
    seconds["in all"] = time.perf_counter() - started
    return {
        "settings": {
            "model": Path(args.model).name if Path(args.model).exists() else args.model,
            "parameters": trainee.parameters,
            "dtype": args.dtype,
            "space": space,
            "precondition": args.precondition or None,
            "tokens": budget,
            "seeds": args.seeds,
            **asdict(recipe),
        },
        "data": {
            "candidates": len(material.candidates),
            "candidate_tokens": pool,
            "sources": material.sources,
            "targets": len(material.targets),
            "held_out": len(held_out),
            "held_out_tokens": int(before.tokens.sum()),
        },
        "loss_before": before.mean,
        "arms": [_arm_report(name, arms[name], looks[name], before, material) for name in arms],
        "differences": [_difference(name, other, looks) for name, other in _compared(list(arms))],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "version": __version__,
    }


def arms_of(scores: dict[str, Floats], ids: Sequence[Ids], budget: int, seed: int) -> list[Arm]:
    """The arms of a seed."""
    orders = {name: np.argsort(-values, kind="stable") for name, values in scores.items()}
    orders["random"] = np.random.default_rng(seed).permutation(len(ids))
    orders["rejected"] = orders["rise"][::-1]
    return [take(name, order.tolist(), ids, budget) for name, order in orders.items()]


def _compared(names: list[str]) -> list[tuple[str, str]]:
    pairs = [("rise", "random"), ("rise", "rejected"), ("rise", "bm25"), ("bm25", "random"), ("rejected", "random")]
    return [pair for pair in pairs if set(pair) <= set(names)]


def _arm_report(
    name: str, arms: list[Arm], looks: list[list[Look]], before: Losses, material: Material
) -> dict[str, Any]:
    last = [done[-1].losses for done in looks]
    low, high = interval(np.stack([after.sums - before.sums for after in last]), before.tokens)
    sources = Counter(source_of(material.candidates[number]) for arm in arms for number in arm.picked)
    documents = sum(len(arm.picked) for arm in arms)
    return {
        "arm": name,
        "tokens": arms[0].tokens,
        "documents": documents / len(arms),
        "sources": {source: round(count / documents, 4) for source, count in sources.most_common()},
        "losses": [after.mean for after in last],
        "loss": float(np.mean([after.mean for after in last])),
        "change": {"mean": float(np.mean([after.mean for after in last])) - before.mean, "low": low, "high": high},
        "curves": [
            [{"tokens": 0, "loss": before.mean}, *({"tokens": look.tokens, "loss": look.losses.mean} for look in done)]
            for done in looks
        ],
    }


def _difference(name: str, other: str, looks: dict[str, list[list[Look]]]) -> dict[str, Any]:
    one, two = ([done[-1].losses for done in looks[arm]] for arm in (name, other))
    differences = np.stack([a.sums - b.sums for a, b in zip(one, two, strict=True)])
    low, high = interval(differences, one[0].tokens)
    by_seed = [a.mean - b.mean for a, b in zip(one, two, strict=True)]
    return {"arm": name, "than": other, "mean": float(np.mean(by_seed)), "low": low, "high": high, "by_seed": by_seed}


def print_report(report: dict[str, Any]) -> None:
    """The table, and what it compares."""
    out = Console()
    table = Table(title=f"loss on held-out target text, {report['loss_before']:.4f} before", box=None)
    for column in ("arm", "documents", "loss", "change", "95 %", "sources"):
        table.add_column(column, justify="left" if column in ("arm", "sources") else "right")
    for arm in report["arms"]:
        change = arm["change"]
        sources = ", ".join(f"{name} {share:.0%}" for name, share in arm["sources"].items() if name)
        table.add_row(
            arm["arm"],
            f"{arm['documents']:,.0f}",
            f"{arm['loss']:.4f}",
            f"{change['mean']:+.4f}",
            f"{change['low']:+.4f} to {change['high']:+.4f}",
            Text(sources or "-"),
        )
    out.print(table)
    for one in report["differences"]:
        bounds = f"{one['low']:+.4f} to {one['high']:+.4f}"
        out.print(f"{one['arm']} - {one['than']}: {one['mean']:+.4f} ({bounds})")
    out.print(
        f"{report['settings']['tokens']:,} tokens an arm, {report['settings']['seeds']} seeds, {report['seconds']}"
    )


def draw(report: dict[str, Any], folder: Path) -> Path:
    """Loss curves as a PNG: the mean over seeds, and the seeds in pale."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("plots need the package matplotlib: pip install 'rise-store[eval]'") from None
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for number, arm in enumerate(report["arms"]):
        tokens = [point["tokens"] for point in arm["curves"][0]]
        losses = np.array([[point["loss"] for point in curve] for curve in arm["curves"]])  # (seeds, looks)
        axes.plot(tokens, losses.T, color=f"C{number}", alpha=0.25, linewidth=0.8)
        axes.plot(tokens, losses.mean(axis=0), color=f"C{number}", marker="o", label=arm["arm"])
    axes.set_xlabel("tokens of training")
    axes.set_ylabel("loss on held-out target text (nats a token)")
    axes.set_title(f"{report['settings']['model']}, {report['settings']['seeds']} seeds")
    axes.legend()
    axes.grid(alpha=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "closed_loop.png"
    figure.savefig(path)
    return path


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="hub name, folder or GGUF file; by default SmolLM2-135M from its PyPI wheel")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: %(default)s)")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="of products, in ranking and in training, whose weights stay float32; auto: what this machine is fast at",
    )
    parser.add_argument("--candidates", metavar="SOURCE", help="rows to choose from; by default texts of packages")
    parser.add_argument("--targets", metavar="SOURCE", help="rows of the target domain; goes with --candidates")
    parser.add_argument("--targets-where", metavar="FIELD=VALUE", help="only those rows")
    parser.add_argument("--source-field", metavar="FIELD", help="field that names a candidate's part of the mixture")
    parser.add_argument("--most-candidates", type=int, default=800, help="default: %(default)s")
    parser.add_argument("--most-targets", type=int, default=30, help="that steer the selection (default: %(default)s)")
    parser.add_argument("--most-held-out", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--tokens", type=int, default=12_288, help="of each arm (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of training (default: each block of tokens once)")
    parser.add_argument("--length", type=int, default=256, help="tokens of a block (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=2, help="blocks of a step (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="default: %(default)s")
    parser.add_argument("--looks", type=int, default=2, help="evaluations of a run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm (default: %(default)s)")
    parser.add_argument(
        "--precondition", type=float, default=0.01, metavar="ALPHA", help="0: none (default: %(default)s)"
    )
    parser.add_argument("--without-bm25", action="store_true")
    parser.add_argument("--store", type=Path, help="keep the candidates' signatures in this folder")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="also draw the loss curves there, as PNG")
    return parser


def load_material(args: argparse.Namespace) -> Material:
    if (args.candidates is None) != (args.targets is None):
        raise InputError("--candidates and --targets go together")
    if args.candidates is None:
        return packaged_material(args.most_candidates, args.most_targets, args.most_held_out)
    return material_of_files(
        args.candidates,
        args.targets,
        most_candidates=args.most_candidates,
        most_targets=args.most_targets,
        most_held_out=args.most_held_out,
        source_field=args.source_field,
        targets_where=args.targets_where,
    )


def main(arguments: Sequence[str] | None = None, estimator: EstimatorConfig | None = None) -> int:
    args = make_parser().parse_args(arguments)
    args.estimator = estimator

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        args.model = args.model or str(fetch_smollm2(progress=say))
        if args.dtype == "auto":
            from rise_store.signature.precision import fastest_dtype

            args.dtype = fastest_dtype(args.device)
        report = run(args, load_material(args), say)
        if args.json:
            args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print_report(report)
        if args.plots:
            say(f"drew {draw(report, args.plots)}")
    except RiseStoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
