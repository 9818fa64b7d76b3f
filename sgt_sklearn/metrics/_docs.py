"""Text that the docstrings of several metrics share, written once."""

import inspect

_BLOCKS = {
    "data": """
        estimator : fitted estimator, pipeline or search
            The model to measure. A search stands for its `best_estimator_`, a calibrated, bagged
            or voting ensemble is measured as a whole. In a pipeline attribution and replacement
            happen in the space the last step sees: X passes through the steps before, and
            `attributions`, `groups` and `replacement` refer to the result.

        X : array-like of shape (n_samples, n_features) or (n_samples, ...), list or dict
            Samples the model is measured on, preferably held out. Series of unequal length are a
            list of arrays of shape (n_timesteps_i, n_features), a dict of "X" and "lengths", or an
            array in which trailing steps of NaN are padding. Integers of shape (n_samples,
            n_tokens) are tokens, 0 behind the end of a row, for an estimator whose `module` is a
            network for text or whose `embedding` is named; for any other where
            `replacement="unknown"`. Padding is never ranked, replaced, counted or drawn from; what
            it holds and how long it is changes nothing.
        """,
    "y": """
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Used for regressors without `target_scale_` only: its standard deviation is the unit of
            the change.
        """,
    "attribution": """
        attributions : array-like of the shape of X, or list, default=None
            Attributions that order the groups by their absolute values. None computes them, for
            skorch nets and ensembles of them as :func:`sgt_sklearn.inspection.explain` does, with
            `standardized=True`, which brings gradients of features with different units to one
            scale; an `attribute` of the estimator's own is asked instead. For samples of unequal
            length a list of arrays, or an array whose padding is ignored.

        method : str, default="auto"
            A method of :func:`sgt_sklearn.inspection.explain`; ignored if `attributions` is given.
            "auto" is "saliency", and "input_x_gradient" for tokens: behind a mean over tokens
            (module "text_bag"), saliency is the same for all of them and orders nothing.
            Estimators without gradients need one that perturbs, such as "feature_ablation".

        target : "predicted", label or array-like of shape (n_samples,), default="predicted"
            Output that is attributed and, for probabilities, measured: the class predicted for the
            unperturbed sample, one class label for all samples or one for each. For regressors an
            index of the output; "predicted" means all of them.
        """,
    "fractions": """
        fractions : sequence of float in (0, 1], default=(0.1, 0.2, 0.3, 0.4, 0.5)
            Shares of the groups that count as named by the attribution; results are averaged. Of
            the G groups of a sample that are not padding, these are the first
            `max(1, floor(fraction * G))`.
        """,
    "replacement": """
        replacement : {"auto", "marginal", "mean", "unknown"} or callable, default="auto"
            What replaced cells become. "auto": "unknown" for tokens, otherwise "marginal".
            "marginal": the values of another row of X, drawn anew for each group, one row for all
            cells of a group, never the sample itself; of series of unequal length one that is long
            enough, and where there is none the cells stay; of tokens any token of the other rows.
            "mean": the mean over X of the column (2-d), of the feature over samples and times
            (3-d), or of the channel (4-d). "unknown": the unknown token, 1. A callable gets X as
            an array (NaN on padding of series) and a :class:`numpy.random.RandomState`, and
            returns an array of its shape from which replaced cells are taken.

        n_draws : int, default=5
            How many times replacement and random order are drawn; results are averaged.

        groups : str or array-like of shape X.shape[1:], default=None
            Cells that are replaced together and ranked by their mean absolute attribution: "cell",
            "feature", "time" or "token" alone, "pixel" (all channels), "time_then_feature" (of the
            share f of the cells, the share `1 - sqrt(1 - f)` of the steps as a whole, then single
            cells of the others), or a label (integer or string) for each cell, as one-hot columns
            of one original column need. None takes `feature_groups` of the final estimator where
            its user has set it; else, in a pipeline, the original columns that its steps name, so
            that one-hot columns of one are replaced together; else what the estimator has chosen
            in training (`feature_groups_`), or each cell on its own.
        """,
    "outcome": """
        outcome : {"probability", "flip"}, default="probability"
            What is compared. "probability": for classifiers the probability of the target, for
            regressors the absolute change of the prediction over the standard deviation of y in
            training. "flip": the share of samples whose predicted class changes, which, unlike
            probabilities, does not shrink with the confidence of the model; classifiers only.
        """,
    "random_state": """
        random_state : int, RandomState instance or None, default=None
            Draws replacements and random orders, and the noise of attribution methods that use
            any. An int gives the same result at each call, and global generators are left as they
            are; None uses and advances them.
        """,
    "raises": """
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        ValueError
            If an argument has the wrong shape or an unknown value, or the model cannot be measured
            as asked: fewer than two samples with marginal replacement, a replacement that does not
            fit the kind of X, a regressor whose scale of y is unknown, flips of a regressor.
        TypeError
            If an argument has the wrong type, or `estimator` lacks what is needed (gradients,
            `predict_proba`).
        """,
    "noise_data": """
        estimator : fitted estimator, pipeline or search
            The model to measure. A search stands for its `best_estimator_`, an ensemble is
            explained by the mean over its nets. In a pipeline noise is added to what the last step
            sees.

        X : array-like of shape (n_samples, n_features) or (n_samples, ...), list or dict
            Numbers, preferably of samples that are held out. Series of unequal length as for
            :func:`comprehensiveness`; their padding gets no noise. Not tokens.
        """,
    "derivatives": """
        attributions : array-like of the shape of X, or list, default=None
            Derivatives of the explained output, per unit of X. None computes them, with
            `output="log_proba"`; of a calibrated, bagged or voting ensemble they are those of the
            mean of the log-probabilities of its nets, which is measured then in place of the
            log-probability of the ensemble.

        method : str, default="saliency"
            Attribution method whose values are derivatives: "saliency", "path_gradient",
            "smooth_grad", "guided_backprop" or "deconvolution". Ignored if `attributions` is
            given.
        """,
    "noise_target": """
        target : "predicted", label or array-like of shape (n_samples,), default="predicted"
            What is explained: the class predicted for the sample without noise, one class label
            for all samples or one for each. For regressors an index of the output; "predicted" is
            the only one, or the sum of the standardised ones.
        """,
    "noise_draws": """
        n_draws : int, default=10
            Noisy copies of each sample.
        """,
    "noise_method": """
        method : str, default="saliency"
            Attribution method. Gradients are multiplied by the standard deviation of each feature.
        """,
    "radius": """
        radius : float, default=0.1
            Noise is uniform within plus and minus this many standard deviations of each feature:
            those of training where the estimator knows them, else of X.
        """,
    "noise_random_state": """
        random_state : int, RandomState instance or None, default=None
            Draws the noise, and that of attribution methods that use any. An int gives the same
            result at each call; global generators are left as they are.
        """,
    "noise_raises": """
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        ValueError
            If an argument has the wrong shape or an unknown value, X holds tokens, the scale of y
            of a regressor is unknown, or derivatives are asked of an ensemble of pipelines: put
            the steps before the ensemble.
        TypeError
            If an argument has the wrong type, or `estimator` lacks a method that is needed.
        """,
    "spread_data": """
        attributions : array-like of shape (n_samples, n_features) or (n_samples, ...), or list
            Attributions, samples along the first axis. Signs are ignored, all further axes are
            flattened. Samples of unequal length are a list of arrays that differ in their first
            axis, or an array in which trailing NaN along the second axis are padding, which counts
            as no cell.
        """,
    "spread_raises": """
        ValueError
            If `attributions` is empty, one-dimensional or not finite, or its samples differ in
            more than their length.
        TypeError
            If `attributions` does not hold real numbers.
        """,
    "gap_notes": """
        Both orders are drawn for the same model and meet the same replacement values; groups with
        equal attributions are ordered as in the random order. So a constant predictor scores
        exactly 0, an attribution that orders nothing scores exactly 0, and one that is random
        scores 0 on average, whatever the accuracy, confidence or brittleness of the model.
        """,
    "eraser": """
        .. [1] DeYoung, Jain, Rajani, Lehman, Xiong, Socher, Wallace, "ERASER: A Benchmark to
           Evaluate Rationalized NLP Models", ACL 2020, https://arxiv.org/abs/1911.03429.
        """,
}


def with_shared_parameters(function):
    """Fill lines `{{name}}` of the docstring of `function` with the shared blocks."""
    if function.__doc__:
        text = inspect.cleandoc(function.__doc__)
        for name, block in _BLOCKS.items():
            text = text.replace(f"{{{{{name}}}}}", inspect.cleandoc(block))
        function.__doc__ = text
    return function
