"""`rise-store query`."""

from __future__ import annotations

import click
from typing_extensions import Unpack

from rise_store.attribution_store import AskOptions, AttributionStore, make_query
from rise_store.cli.options import (
    format_option,
    model_options,
    scoring_options,
    space_option,
    store_option,
    where_option,
)
from rise_store.cli.output import echo_results
from rise_store.cli.output_groups import echo_groups
from rise_store.cli.progress import working
from rise_store.corpus import read_queries
from rise_store.errors import ConfigError
from rise_store.retrieval.groups import DEFAULT_OVER


@click.command()
@store_option
@click.option("--prompt", metavar="TEXT", help="What the model was given.")
@click.option("--completion", metavar="TEXT", help="What the model answered; only its tokens count.")
@click.option("--text", metavar="TEXT", help="A text to attribute as a whole.")
@click.option(
    "--file",
    "file_",
    metavar="FILE",
    help='JSON Lines of queries: "prompt" with "completion" (or "generation"), or a text; optional "id", "where", "k".',
)
@click.option(
    "-k", type=int, metavar="K", help="How many examples to show.  [default: 10, or all where fewer are stored]"
)
@click.option(
    "--offset",
    type=int,
    default=0,
    metavar="N",
    help="Pass over the N best examples, for pages; not with --approximate.",
)
@click.option("--min-score", type=float, metavar="S", help="Leave out examples that score less.")
@scoring_options
@where_option
@click.option("--group-by", metavar="FIELD", help="Show the share of influence by dataset, license, metadata.x ...")
@click.option(
    "--group-over",
    metavar="N",
    help=f"How many of the best examples the shares are of, or all.  [default: {DEFAULT_OVER}]",
)
@click.option("--approximate", is_flag=True, help="Search faster and miss some, where the space is stored for it.")
@click.option(
    "--oversampling", type=float, metavar="F", help="Of an approximate search: rescore F times K.  [default: 4]"
)
@click.option("--ef", type=int, metavar="N", help="Of an approximate search through a graph: width of the walk.")
@click.option("--model", metavar="MODEL", help="Where to load the model from.  [default: as the store says]")
@space_option
@model_options
@format_option("table", "json", "jsonl", "csv")
def query(
    store: str,
    prompt: str | None,
    completion: str | None,
    text: str | None,
    file_: str | None,
    k: int | None,
    offset: int,
    where: tuple[str, ...],
    group_by: str | None,
    group_over: str | None,
    model: str | None,
    space: str | None,
    format_: str,
    **options: Unpack[AskOptions],
) -> None:
    """Show which stored examples most influenced a model output, or with --group-by which datasets or licences did.

    The score is the dot product of the query's signature with an example's, unless --metric says otherwise; RH and GH
    are the channels it comes from.

    \b
    Examples:
      rise-store query --store my-store --prompt "Who wrote it?" --completion "Ada did." -k 5
      rise-store query --store my-store --text "Ada wrote it." --where license=MIT --weights rh=1,gh=0.5
      rise-store query --store my-store --text "Ada wrote it." --where 'tokens >= 50 and not topic in (spam, ads)'
      rise-store query --store my-store --text "Ada wrote it." --group-by license --group-over all
      rise-store query --store my-store --file answers.jsonl --format jsonl
    """
    if file_ is not None and (prompt, completion, text) != (None, None, None):
        raise click.UsageError("--file goes without --prompt, --completion and --text")
    if group_by is not None and (k is not None or offset):
        raise click.UsageError("--group-by goes without -k and --offset; --group-over says how many examples it takes")
    if group_by is None and group_over is not None:
        raise click.UsageError("--group-over goes with --group-by")
    if file_ is not None:
        queries = read_queries(file_)
    elif (prompt, completion, text) == (None, None, None):
        raise click.UsageError("give --prompt with --completion, or --text, or --file")
    else:
        queries = [make_query(prompt=prompt, completion=completion, text=text)]
    many = file_ is not None
    with AttributionStore.open(store, create=False) as opened, working("loading the model and searching"):
        if group_by is not None:
            groups = opened.influence_by(
                group_by, queries, over=_over(group_over), where=where, model=model, space=space, **options
            )
        else:
            results = opened.attribute_all(
                queries, k=k, offset=offset, where=where, model=model, space=space, **options
            )
    if group_by is not None:
        echo_groups(groups, format_, many=many)
    else:
        echo_results(results, format_, many=many)


def _over(value: str | None) -> int | None:
    if value is None:
        return DEFAULT_OVER
    if value == "all":
        return None
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"--group-over is {value!r}; give a number of examples, or all") from None
