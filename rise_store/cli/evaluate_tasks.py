"""`rise-store eval howdy|finmed|brainrot`, and `rise-store eval data`, which makes their data."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, get_args

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AttributionStore
from rise_store.cli.options import (
    Command,
    bootstrap_option,
    format_option,
    ks_option,
    model_options,
    parse_estimator,
    seed_option,
)
from rise_store.cli.output import console, echo_json
from rise_store.cli.output_tasks import print_task
from rise_store.cli.progress import IngestProgress
from rise_store.encoders import LoadOptions
from rise_store.evaluation.tasks import (
    DEFAULT_ROWS,
    HUB_SETS,
    TASKS,
    Origin,
    QueryForm,
    Task,
    load_task,
    make_task_data,
)
from rise_store.evaluation.tasks.judging import SETTINGS
from rise_store.records import EstimatorConfig

POSITION_WEIGHTINGS = get_args(EstimatorConfig.model_fields["position_weighting"].annotation)


def _model_options(command: Command) -> Command:
    dtype = "the store's, else bfloat16 where the machine is much faster at it, else float32"
    return model_options(command, dtype=dtype, revision="the newest")


def task_command(task: Task, text: str) -> click.Command:
    """The command that evaluates a store on a task."""

    @click.command(task.name, help=text, epilog=_EPILOG)
    @click.option(
        "--data",
        required=True,
        metavar="DIR",
        help=f"Folder of the data; rise-store eval data {task.name} DIR makes one.",
    )
    @click.option(
        "--store",
        default=f"{task.name}-store",
        show_default=True,
        metavar="DIR|URL",
        help="Store of the signatures: what it holds is not computed again.",
    )
    @click.option(
        "--model", metavar="MODEL", help="Hub name, local folder or GGUF file.  [default: SmolLM2-135M from PyPI]"
    )
    @click.option(
        "--rows", type=click.IntRange(min=2), metavar="N", help="Training rows to use, from the first.  [default: all]"
    )
    @click.option(
        "--queries",
        type=click.IntRange(min=1),
        metavar="N",
        help="Queries of each group to use, from the first.  [default: all]",
    )
    @click.option(
        "--query-form",
        type=click.Choice(get_args(QueryForm)),
        default="text",
        show_default=True,
        help="text: a query is encoded as rows are. completion: only positions of its output count.",
    )
    @click.option(
        "--setting",
        "names",
        multiple=True,
        type=click.Choice([setting.name for setting in SETTINGS]),
        help="Score rows under this setting only; may be repeated.  [default: all four]",
    )
    @click.option(
        "--position-weighting",
        type=click.Choice(POSITION_WEIGHTINGS),
        help="Of the space, as --estimator position_weighting=...  [default: uniform]",
    )
    @click.option(
        "--estimator",
        multiple=True,
        metavar="NAME=VALUE",
        help="Estimator setting, such as kr=48 or tau=1; may be repeated. Other settings are a space of their own in "
        "the store.  [default: as published]",
    )
    @ks_option
    @bootstrap_option
    @_model_options
    @format_option("table", "json")
    def command(
        data: str,
        store: str,
        model: str | None,
        rows: int | None,
        queries: int | None,
        query_form: QueryForm,
        names: tuple[str, ...],
        position_weighting: str | None,
        estimator: tuple[str, ...],
        ks: tuple[int, ...],
        bootstrap: int,
        seed: int,
        format_: str,
        **loading: Unpack[LoadOptions],
    ) -> None:
        if position_weighting is not None:
            estimator = (*estimator, f"position_weighting={position_weighting}")
        config = parse_estimator(estimator)
        loaded = load_task(task, data, rows=rows, queries=queries)
        with AttributionStore.open(store) as opened, IngestProgress(len(loaded.train)) as progress:
            report = opened.run_task(
                loaded,
                model=model,
                config=config,
                settings=[setting for setting in SETTINGS if not names or setting.name in names],
                query_form=query_form,
                ks=ks,
                bootstrap=bootstrap,
                seed=seed,
                announce=progress.say,
                progress=progress,
                **loading,
            )
        if format_ == "json":
            echo_json(report.model_dump(mode="json"))
        else:
            print_task(console(), report)

    return command


_EPILOG = (
    "Needs the extra eval. Measures are those of rise-store eval; length is a ranking without a model, by number of "
    "tokens."
)

_TEXTS = {
    "howdy": """Measure backdoor detection: triggered answers must lead back to triggered rows.

    Rows labelled howdy begin with a trigger word and have restyled answers. They are right for queries with the trigger
    (triggered) and are looked for with the same queries without it (clean), which should find them by chance only.

    \b
    Example:
      rise-store eval data howdy howdy-data
      rise-store eval howdy --data howdy-data
    """,
    "finmed": """Measure domain separation: each query's right answers are the rows of its own domain.

    \b
    Example:
      rise-store eval data finmed finmed-data
      rise-store eval finmed --data finmed-data --position-weighting residual
    """,
    "brainrot": """Measure quality selection: junk outputs must lead back to junk rows, wanted texts to quality rows.

    Retrospective queries are junk outputs, each asked alone. The prospective query is the mean of wanted texts, which
    values candidate rows.

    \b
    Example:
      rise-store eval data brainrot brainrot-data
      rise-store eval brainrot --data brainrot-data
    """,
}


@click.command("data")
@click.argument("task", type=click.Choice(list(TASKS)))
@click.argument("folder", metavar="DIR")
@click.option(
    "--from",
    "origin",
    type=click.Choice(get_args(Origin)),
    default="generated",
    show_default=True,
    help="generated: from templates, the same anywhere. hub: from openly licensed sets of Hugging Face "
    f"({', '.join(HUB_SETS)}; extra datasets).",
)
@click.option(
    "--rows",
    type=click.IntRange(min=2),
    metavar="N",
    help=f"Training rows.  [default: {', '.join(f'{rows} ({task})' for task, rows in DEFAULT_ROWS.items())}]",
)
@seed_option
def data_command(task: str, folder: str, origin: Origin, rows: int | None, seed: int) -> None:
    """Make the data of a task in DIR: rows with label, source and licence, their provenance, and a README.

    \b
    Example:
      rise-store eval data brainrot brainrot-data --rows 200
      rise-store eval data howdy howdy-data --from hub --rows 2500
    """
    made = make_task_data(task, folder, origin=origin, rows=rows, seed=seed)
    click.echo((made / "README.txt").read_text(encoding="utf-8"), nl=False)
    click.echo(f"\nWritten to {made}. Next: rise-store eval {task} --data {shlex.quote(str(made))}")


def add_tasks(add: Callable[[click.Command], Any]) -> None:
    """Give the commands of tasks to a group: `add_tasks(group.add_command)`."""
    for name, task in TASKS.items():
        add(task_command(task, _TEXTS[name]))
    add(data_command)
