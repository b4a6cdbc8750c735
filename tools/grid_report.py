"""The grid as Markdown tables and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
INK, MUTED = "#1f2328", "#8c959f"
STORED = ("uniform", "residual", "surprisal")  # those that a space can have: of them the whole grid is shown
COLOURS = ("#8c959f", "#0969da", "#bc4c00")


def markdown(report: dict[str, Any]) -> str:
    """Tables: sizes, each weighting's settings, the grid of each task, and what was chosen on other rows."""
    parts = [_best_table(report), *(_grid_table(report, task) for task in report["tasks"]), _held_out_table(report)]
    return "\n\n".join(parts) + "\n"


def _cell(values: Sequence[float]) -> str:
    mean, low, high = values
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def _auprc(row: Row) -> str:
    return "/".join(f"{row[f'auPRC@{k}'][0]:.3f}" for k in (5, 10, 50))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _alpha(alpha: float) -> str:
    return f"{alpha:g}" if alpha else "none"


def _best_table(report: dict[str, Any]) -> str:
    """For each task and weighting: as published, and the best of its grid."""
    rows = []
    for task in report["tasks"]:
        for name in report["weightings"]:
            found = [row for row in report["results"] if (row["task"], row["weighting"]) == (task, name)]
            plain = next(row for row in found if row["lambdas"] == "1/0.3" and not row["alpha"])
            best = max(found, key=lambda row: row["AP"][0])
            rows.append(
                [
                    task,
                    name,
                    _cell(plain["AP"]),
                    _cell(best["AP"]),
                    best["lambdas"],
                    _alpha(best["alpha"]),
                    _auprc(best),
                ]
            )
    header = ["task", "weighting", "AP at 1/0.3, none", "best AP", "lambdas", "alpha", "auPRC@5/10/50 there"]
    return _table(header, rows)


def _grid_table(report: dict[str, Any], task: str) -> str:
    """AP of one task: a row for weighting and lambdas, a column for alpha."""
    found = {(r["weighting"], r["lambdas"], r["alpha"]): r for r in report["results"] if r["task"] == task}
    alphas = list(dict.fromkeys(key[2] for key in found))
    rows = [
        [name, lambdas, *(_cell(found[name, lambdas, alpha]["AP"]) for alpha in alphas)]
        for name, lambdas in dict.fromkeys(key[:2] for key in found)
        if name in STORED
    ]
    header = [f"{task}: weighting", "lambdas", *(f"alpha {_alpha(alpha)}" for alpha in alphas)]
    return _table(header, rows)


def _held_out_table(report: dict[str, Any]) -> str:
    rows = [
        [
            row["task"],
            row["weighting"],
            _cell(row["AP"]),
            _cell(row["less residual"]),
            *(_cell(row[f"less residual at {lambdas}, none"]) for lambdas in ("1/0.3", "0.7/1")),
        ]
        + [f"{s['lambdas']}, {_alpha(s['alpha'])}" for s in row["chosen"].values()]
        for row in report["held_out"]
    ]
    header = [
        "task",
        "weighting",
        "held-out AP",
        "less residual",
        "less residual at 1/0.3",
        "less residual at 0.7/1",
        "chosen on even",
        "chosen on odd",
    ]
    return _table(header, rows)


def draw(report: dict[str, Any], folder: Path) -> None:
    """Write `weightings.png` (AP with intervals) and `grid.png` (AP of every setting) into a folder."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    _draw_weightings(report, folder / "weightings.png")
    _draw_grid(report, folder / "grid.png")


def _draw_weightings(report: dict[str, Any], path: Path) -> None:
    from matplotlib import pyplot as plt

    names, tasks = list(report["weightings"]), list(report["tasks"])
    kinds = (("1/0.3", 0.0), ("0.7/1", 0.0), ("0.7/1", 0.01))
    figure, panels = plt.subplots(
        1, len(tasks), figsize=(2 + 2.6 * len(tasks), 1.4 + 0.3 * len(names)), sharey=True, squeeze=False
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        for shift, (lambdas, alpha), colour in zip((-0.22, 0, 0.22), kinds, COLOURS, strict=True):
            found = {
                row["weighting"]: row["AP"]
                for row in report["results"]
                if (row["task"], row["lambdas"], row["alpha"]) == (task, lambdas, alpha)
            }
            means = [found[name][0] for name in names]
            errors = [
                [found[name][0] - found[name][1] for name in names],
                [found[name][2] - found[name][0] for name in names],
            ]
            panel.errorbar(
                means,
                [i + shift for i in range(len(names))],
                xerr=errors,
                fmt="o",
                markersize=3.5,
                linewidth=1.2,
                color=colour,
                label=f"lambdas {lambdas}, alpha {_alpha(alpha)}",
            )
        panel.set_title(task, color=INK, fontsize=11)
        panel.set_xlabel("average precision", color=INK)
        panel.grid(axis="x", color="#d8dee4", linewidth=0.6)
        panel.set_axisbelow(True)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
        panel.tick_params(colors=INK, length=0)
    panels[0][0].set_yticks(range(len(names)), names)
    panels[0][0].invert_yaxis()
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.5 / figure.get_figheight(), 1, 1))
    figure.savefig(path, dpi=66, facecolor="white")
    plt.close(figure)


def _draw_grid(report: dict[str, Any], path: Path) -> None:
    from matplotlib import pyplot as plt

    tasks = list(report["tasks"])
    found = {(r["task"], r["weighting"], r["lambdas"], r["alpha"]): r["AP"][0] for r in report["results"]}
    rows = [row for row in dict.fromkeys(key[1:3] for key in found) if row[0] in STORED]
    alphas = list(dict.fromkeys(key[3] for key in found))
    figure, panels = plt.subplots(
        1, len(tasks), figsize=(2.6 + 2.3 * len(tasks), 1 + 0.22 * len(rows)), sharey=True, squeeze=False
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        values = [[found[task, row[0], row[1], alpha] for alpha in alphas] for row in rows]
        low, high = min(map(min, values)), max(map(max, values))
        panel.imshow(values, aspect="auto", cmap="YlGnBu", vmin=low, vmax=high)
        for i, line in enumerate(values):
            for j, value in enumerate(line):
                dark = value > low + 0.6 * (high - low)
                panel.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=8, color="white" if dark else INK)
        panel.set_title(f"{task}: AP", color=INK, fontsize=11)
        panel.set_xticks(range(len(alphas)), [_alpha(alpha) for alpha in alphas])
        panel.set_xlabel("alpha", color=INK)
        panel.tick_params(colors=INK, length=0, labelsize=8)
        for side in panel.spines.values():
            side.set_visible(False)
    panels[0][0].set_yticks(range(len(rows)), [f"{name}  {lambdas}" for name, lambdas in rows])
    figure.tight_layout()
    figure.savefig(path, dpi=66, facecolor="white")
    plt.close(figure)
