"""How good a store's answers to labelled queries are, and which settings suit such queries best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import Unpack

from rise_store.asking import Asking, AskOptions
from rise_store.encoders import Encoders, LoadOptions, choose_space
from rise_store.evaluation.bootstrap import DEFAULT_BOOTSTRAP
from rise_store.evaluation.calibration import DEFAULT_MEASURE, check_bootstrap, preset_of, report_choice
from rise_store.evaluation.choice import DEFAULT_FOLDS, check_folds
from rise_store.evaluation.labels import Labels
from rise_store.evaluation.protocol import DEFAULT_KS, Target, check_ks, require_sklearn
from rise_store.evaluation.stored import RowProgress, check_scan, evaluate_store
from rise_store.evaluation.trial import Trial, require_same_examples
from rise_store.records import CalibrationReport, LabelledQuery, Preset, StoreEvaluation, validated
from rise_store.retrieval import Where, query_signatures

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder


class Evaluating(Asking):
    """Labelled queries: the part of `AttributionStore` that measures answers."""

    _encoders: Encoders

    def evaluate(
        self,
        labelled: Sequence[LabelledQuery],
        *,
        ks: Sequence[int] = DEFAULT_KS,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        bootstrap: int = DEFAULT_BOOTSTRAP,
        seed: int = 0,
        progress: RowProgress | None = None,
        **options: Unpack[AskOptions],
    ) -> StoreEvaluation:
        """How well the relevant examples of labelled queries rank, by the protocol of `rise_store.evaluation`.

        Every stored example that passes the filters is ranked; scores take 4 bytes a query and example of memory.

        Args:
            labelled: queries with what is relevant for them; see `read_labelled`.
            ks: how many of the highest and of the lowest rows count.
            where: conditions on what is ranked; a query's own filter holds beside them, its `k` does not count.
            model: as for `attribute_all`, like `space` and `options`.
            space: fingerprint of the space.
            bootstrap: resamples of the intervals; 0 for none.
            seed: of the resamples.
            progress: is told of rows read and rows in all.
            options: how examples are scored, and how the model is loaded.

        Raises:
            InputError: no queries, one that nothing stored is relevant for (with its file and line), or scikit-learn
                is missing.
            RiseStoreError: as `attribute_all` does; an approximate search is refused.
        """
        check_ks(ks)
        require_sklearn()
        collection = self._collection(space, options.get("preset"))
        search, loading = self._search(collection, labelled, options, where=where)
        check_scan(search)
        labels = Labels.of_store(collection, labelled, where)
        encoder = self._encoders.of_space(collection.space, model, loading)
        signatures = query_signatures(encoder, labelled)
        return evaluate_store(search, signatures, labels, ks=ks, bootstrap=bootstrap, seed=seed, progress=progress)

    def calibrate(
        self,
        labelled: Sequence[LabelledQuery],
        *,
        save: str | None = None,
        measure: str = DEFAULT_MEASURE,
        folds: int = DEFAULT_FOLDS,
        where: Where = (),
        model: str | Path | SignatureEncoder | None = None,
        space: str | None = None,
        bootstrap: int = DEFAULT_BOOTSTRAP,
        seed: int = 0,
        progress: RowProgress | None = None,
        **loading: Unpack[LoadOptions],
    ) -> CalibrationReport:
        """Choose metric, channel weights or lambdas, preconditioning and space by labelled queries.

        Every choice is measured on queries that it was not made with; see `docs/calibration.md`.

        Args:
            labelled: queries with what is relevant for them; see `read_labelled`.
            save: name of a preset to keep what is chosen in.
            measure: what to raise: average-precision, auroc, auprc@K or precision@K.
            folds: of the cross-validation; with fewer queries, each is a fold.
            where: conditions on what is ranked; a query's own filter holds beside them.
            model: as for `attribute_all`, like `loading`; for every space that is tried.
            space: fingerprint of the space to stay in; by default every space of the store is tried, the oldest being
                the default one.
            bootstrap: resamples of the gain's interval.
            seed: of folds and resamples.
            progress: is told of rows read and of rows to read in all passes.
            loading: how the model is loaded.

        Raises:
            InputError: fewer than 4 queries, one that nothing or everything ranked is relevant for (with its file and
                line), or scikit-learn is missing, which auroc needs.
            ConfigError: a setting that is off, or spaces that do not hold the same examples.
        """
        target = Target.parse(measure)
        if target.name == "auroc":
            require_sklearn()
        check_folds(len(labelled), folds)
        check_bootstrap(bootstrap)
        spaces = self._backend.spaces() if space is None else []
        spaces = spaces or [choose_space(self._backend, space)]
        if save is not None:
            validated(Preset, f"preset {save!r}", {"name": save, "space": spaces[0].fingerprint})
        trials = [Trial.of_space(self._backend.open_collection(one.fingerprint), labelled, where) for one in spaces]
        require_same_examples(trials)
        done, total = 0, sum(trial.rows_to_read for trial in trials)

        def read(rows: int) -> None:
            nonlocal done
            done += rows
            if progress:
                progress(done, total)

        values = []
        for trial in trials:
            encoder = self._encoders.of_space(trial.collection.space, model, loading)
            signatures = query_signatures(encoder, labelled)
            values.append(trial.run(signatures, target, self._second_moments.preconditioner, read))
        report = report_choice(
            np.concatenate(values),
            [setting for trial in trials for setting in trial.settings],
            target,
            rows=len(trials[0].labels.column),
            folds=folds,
            bootstrap=bootstrap,
            seed=seed,
        )
        if save is None:
            return report
        return report.model_copy(update={"preset": self.save_preset(preset_of(report, save))})
