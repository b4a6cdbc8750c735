"""Explanations in the terminal, as JSON and as JSON Lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from rise_store.cli.output import console, echo_json, echo_rows, print_query
from rise_store.records import ExampleToken, Explanation, QueryToken, TokenPair
from rise_store.reports.spans import Span, excerpt, in_context, largest_score, text_spans, visible

LEVELS = 4  # of a colour, and of marks two
SHOWN_CHARACTERS = 1500  # of a text
SHOWN_PAIRS = 8  # of either sign
BAR = 24  # columns
_BLUE = ("#d3e6fa", "#a6cdf2", "#6aaae4", "#2f7fcc")
_ORANGE = ("#fbe2c8", "#f6c08f", "#ee9850", "#d06a14")
_MARKS = {0: ("", ""), 1: ("[", "]"), 2: ("[[", "]]"), -1: ("{", "}"), -2: ("{{", "}}")}


def echo_explanations(explanations: Sequence[Explanation], format_: str, *, one: bool) -> None:
    """Print explanations.

    Args:
        explanations: of the hits of one query.
        format_: table, json or jsonl.
        one: whether an example was named: its JSON is an object, not a list.
    """
    documents = [explanation.model_dump(mode="json") for explanation in explanations]
    if format_ == "json":
        echo_json(documents[0] if one else documents)
    elif format_ == "jsonl":
        echo_rows(documents, format_)
    else:
        _print(console(), explanations)


def _print(out: Console, explanations: Sequence[Explanation]) -> None:
    if not explanations:
        out.print("no example passes the filter; there is nothing to explain")
        return
    print_query(out, explanations[0].query)
    for explanation in explanations:
        out.print()
        _print_one(out, explanation)
    out.print()
    out.print(_legend(out))
    out.print(_settings(explanations[0]), soft_wrap=True)


def _print_one(out: Console, explanation: Explanation) -> None:
    example = explanation.example
    title = Text("" if explanation.rank is None else f"{explanation.rank}. ", style="bold")
    title.append(_safe(example.example_id)).append(_safe(f" of {example.dataset}"), style="not bold")
    out.print(title)
    provenance = [
        f"version {example.dataset_version}" if example.dataset_version else "",
        f"licence {example.license or '-'}",
        example.source_uri or "",
        f"read from {example.read_from.file}:{example.read_from.row}" if example.read_from else "",
        f"vanished in {example.vanished_in}" if example.vanished_in else "",
    ]
    out.print(Text(_safe(", ".join(filter(None, provenance))), style="dim"), soft_wrap=True)
    channels = explanation.channels
    out.print(
        f"score {explanation.score:.4f} = RH {channels.rh:.4f} {_signed(channels.gh, 'GH')} "
        f"{_signed(explanation.rounding, 'rounding')}"
    )
    out.print(_bars(explanation))
    _print_text(out, "training text", text_spans(example.text, explanation.example_tokens))
    own = [token for token in explanation.query_tokens if token.part == "query"]
    other = explanation.query_tokens[len(own) :]
    answer = text_spans(explanation.query_text, own)
    if explanation.against_text is None:
        _print_text(out, "query", answer)
    else:
        against = text_spans(explanation.against_text, other, len(own))
        largest = max(largest_score(answer), largest_score(against))
        _print_text(out, "query", answer, largest)
        _print_text(out, "against", against, largest)
    out.print()
    out.print(_pair_table(out, explanation))


def _print_text(out: Console, name: str, spans: Sequence[Span], largest: float | None = None) -> None:
    largest = largest_score(spans) if largest is None else largest
    text = Text()
    for span in excerpt(spans, SHOWN_CHARACTERS):
        text.append_text(_span(out, span, largest))
    out.print(Text(f"\n{name}, strongest token {largest:.4f}", style="dim"))
    out.print(Padding(text, (0, 0, 0, 2), expand=False))


def _span(out: Console, span: Span, largest: float) -> Text:
    shown, behind = _safe(span.text), ""
    if not _coloured(out):
        level = span.level(largest, 3)  # the weakest third bears no mark
        opening, closing = _MARKS[max(abs(level) - 1, 0) * (1 if level > 0 else -1)]
        if not opening:
            return Text(shown)
        if not shown.strip():
            shown, behind = visible(shown), "\n" * shown.count("\n")
        return Text(f"{opening}{shown}{closing}{behind}")
    level = span.level(largest, LEVELS)
    if not level:
        return Text(shown, style="" if span.counts or not span.tokens else "dim")
    if not shown.strip():
        shown, behind = visible(shown), "\n" * shown.count("\n")
    colour = (_BLUE if level > 0 else _ORANGE)[abs(level) - 1]
    return Text.assemble((shown, Style(color="#10151c", bgcolor=colour, underline=level < 0)), behind)


def _coloured(out: Console) -> bool:
    return out.is_terminal and out.color_system is not None and not out.no_color


def _legend(out: Console) -> Text:
    coloured = _coloured(out)
    levels = [(level, LEVELS) for level in range(1, LEVELS + 1)] if coloured else [(2, 3), (3, 3)]
    legend = Text()
    for sign, word in ((1, "adds "), (-1, "  takes away ")):
        legend.append(word, style="dim")
        for level, most in levels:
            legend.append_text(_span(out, Span("much" if level == most else "some", sign * level / most), 1.0)).append(
                " "
            )
    return legend.append(" what predicting a token adds, beside the strongest of its text", style="dim")


def _settings(explanation: Explanation) -> Text:
    lambdas, weights = explanation.lambdas, explanation.weights
    parts = [
        f"metric {explanation.metric}",
        f"lambdas rh={lambdas.rh:g},gh={lambdas.gh:g}" if lambdas else f"weights rh={weights.rh:g},gh={weights.gh:g}",
        f"preconditioned, alpha {explanation.precondition:g}" if explanation.precondition is not None else "",
        f"preset {explanation.preset}" if explanation.preset else "",
        f"where {explanation.where}" if explanation.where and explanation.rank is not None else "",
        f"space {explanation.space}",
        f"model {explanation.model.name} ({explanation.model.dtype})",
    ]
    return Text(_safe(", ".join(filter(None, parts))), style="dim")


def _bars(explanation: Explanation) -> Text:
    parts = explanation.channels
    whole = abs(parts.rh) + abs(parts.gh)
    text = Text()
    for name, part in (("RH", parts.rh), ("GH", parts.gh)):
        width = round(BAR * abs(part) / whole) if whole else 0
        text.append(f"{name} ").append("█" * width, style=_BLUE[3] if part >= 0 else _ORANGE[3])
        text.append("░" * (BAR - width), style="dim").append(f" {part:+.4f}" + ("\n" if name == "RH" else ""))
    return text


def _pair_table(out: Console, explanation: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("training word", "answer word"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=46)
    for name in ("adds", "RH", "GH"):
        table.add_column(name, justify="right", no_wrap=True)
    for pairs in (explanation.positive_pairs, explanation.negative_pairs):
        for pair in pairs[:SHOWN_PAIRS]:
            table.add_row(*_pair_row(out, explanation, pair))
    return table


def _pair_row(out: Console, explanation: Explanation, pair: TokenPair) -> tuple[Text, Text, str, str, str]:
    token = explanation.query_tokens[pair.query_token]
    of = explanation.query_text if token.part == "query" else explanation.against_text or ""
    answer = _word(out, of, token)
    if token.part == "against":
        answer = Text.assemble(("against: ", "dim"), answer)
    return (
        _word(out, explanation.example.text, explanation.example_tokens[pair.example_token]),
        answer,
        f"{pair.score:+.4f}",
        f"{pair.channels.rh:+.4f}",
        f"{pair.channels.gh:+.4f}",
    )


def _word(out: Console, text: str, token: QueryToken | ExampleToken) -> Text:
    """The token among the words around it."""
    before, core, after = map(_safe, in_context(text, token))
    if not _coloured(out):
        return Text(f"{before}[{core}]{after}")
    return Text.assemble((before, "dim"), (core, "bold"), (after, "dim"))


def _signed(value: float, name: str) -> str:
    return f"{'-' if value < 0 else '+'} {name} {abs(value):.4f}"


def _safe(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "�" for char in text
    )
