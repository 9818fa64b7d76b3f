"""Display of what training hides from one sample, epoch by epoch."""

import numpy as np

from sgt_sklearn.inspection._masking_drawings import draw_images, draw_raster, draw_series
from sgt_sklearn.inspection._masking_records import fitted_records, names_for

_KINDS = ("tabular", "series", "image", "tokens")
_DRAW = {
    "tabular": draw_raster,
    "tokens": draw_raster,
    "series": draw_series,
    "image": draw_images,
}


class MaskingDisplay:
    """What saliency guided training hides from one sample, epoch by epoch.

    Make it by :meth:`from_recorder` or :meth:`from_estimator`; all parameters are kept as
    attributes.

    - Tables and texts: a raster of features (words) and epochs, beside it the share of the epochs
      in which each was hidden.
    - Series and images: some epochs side by side, and how often each cell was hidden.

    On top a line tells how many groups k are hidden in each epoch, as the schedule has it.

    Parameters
    ----------
    hidden : ndarray of bool, shape (n_epochs, ...)
        What was hidden: (n_epochs, n_features), (n_epochs, n_timesteps, n_features), (n_epochs,
        n_channels, height, width) or (n_epochs, n_tokens). Without padding.
    masked : ndarray of the same shape
        What the sample became.
    inputs : ndarray of the shape of one epoch
        The sample.
    epochs : ndarray of int, shape (n_epochs,)
        The epochs, from 1.
    n_hidden : ndarray of int, shape (n_epochs,)
        Number k of hidden groups.
    n_groups : int
        Number of groups of the sample.
    kind : {"tabular", "series", "image", "tokens"}
        Kind of the input.
    feature_names : list of str, default=None
        Names of columns or of the features of a series, or the words of a text. None: "x0", "x1",
        ...; of a text its ids.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The raster, or the first panel.
    axes_ : ndarray of matplotlib Axes
        All panels: the line of k first.
    line_ : matplotlib Line2D
        k by epoch.
    images_ : list of matplotlib AxesImage
        The raster; or the masks of the chosen epochs (for images a second row with what the
        network gets) and last how often each cell was hidden.
    bars_ : matplotlib BarContainer or None
        Tables and texts: share of the epochs in which each feature was hidden.
    colorbar_ : matplotlib Colorbar or None
        Series and images: of the last panel.

    See Also
    --------
    sgt_sklearn.callbacks.MaskRecorder : Records what is drawn here.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.inspection import MaskingDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> net = SaliencyGuidedClassifier(max_epochs=4, random_state=0)
    >>> display = MaskingDisplay.from_estimator(net, X, y, sample=100)
    >>> display.n_hidden.tolist(), display.n_groups
    ([2, 2, 2, 2], 4)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self, hidden, *, masked, inputs, epochs, n_hidden, n_groups, kind, feature_names=None
    ):
        self.hidden = hidden
        self.masked = masked
        self.inputs = inputs
        self.epochs = epochs
        self.n_hidden = n_hidden
        self.n_groups = n_groups
        self.kind = kind
        self.feature_names = feature_names

    @classmethod
    def from_recorder(
        cls, recorder, sample=0, *, feature_names=None, token_names=None, ax=None, **kwargs
    ):
        """Draw what a callback has recorded.

        Parameters
        ----------
        recorder : MaskRecorder
            The callback, after a fit.
        sample : int, default=0
            Row of the recorder's X.
        feature_names : list of str, default=None
            Names of columns or of the features of a series, or the words of this text. None takes
            the columns of the recorder's X, if it is a DataFrame.
        token_names : array-like of str, default=None
            For texts, the name of each id, as from ``TokenEncoder.get_token_names_out()``.
        ax : matplotlib Axes, default=None
            Place of the drawing, which is divided. None makes a figure.
        **kwargs
            Passed on to :meth:`plot`.

        Returns
        -------
        MaskingDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `recorder` is no such callback.
        ValueError
            If it has recorded nothing, there is no such sample, or names do not fit.
        """
        records = getattr(recorder, "records_", None)
        if not isinstance(records, tuple):
            raise TypeError(
                "recorder must be a sgt_sklearn.callbacks.MaskRecorder that was among the "
                f"callbacks of a fit, got {type(recorder).__name__}"
                f"{' before any fit' if hasattr(recorder, 'on_epoch_end') else ''}."
            )
        if not records:
            raise ValueError(
                "recorder must hold a record, got none: fit the net with it among the callbacks "
                f"(it records every {recorder.every} epochs)."
            )
        known = getattr(recorder, "feature_names_", None)
        display = cls._from_records(records, sample, feature_names, token_names, known)
        return display.plot(ax, **kwargs)

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, sample=0, feature_names=None, ax=None, fit_params=None, **kwargs
    ):
        """Fit a clone of an estimator, and draw what was hidden from a sample while it trained.

        Parameters
        ----------
        estimator : estimator of this library, or Pipeline that ends in one
            What is cloned and fitted; it is not changed.
        X : array-like of shape (n_samples, ...)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample : int, default=0
            Row of X. The fill "marginal" takes its values from this and up to 31 other rows.
        feature_names : list of str, default=None
            Names of the columns that the net sees, of the features of a series, or the words of
            this text. None takes those of a DataFrame, and those that the steps of a pipeline
            give.
        ax : matplotlib Axes, default=None
            Place of the drawing, which is divided. None makes a figure.
        fit_params : dict, default=None
            Passed on to `fit` of the net, such as `sample_weight`.
        **kwargs
            Passed on to :meth:`plot`.

        Returns
        -------
        MaskingDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `estimator` is neither a net of this library nor a pipeline that ends in one.
        ValueError
            If the net trains without guidance, there is no such sample, or names do not fit.
        """
        records, names, token_names = fitted_records(estimator, X, y, sample, fit_params or {})
        display = cls._from_records(records, 0, feature_names, token_names, names)
        return display.plot(ax, **kwargs)

    @classmethod
    def _from_records(cls, records, sample, feature_names, token_names, known_names):
        last = records[-1]
        kind, n_samples = last["kind"], len(last["hidden"])
        if kind not in _KINDS:
            raise ValueError(
                f"MaskingDisplay draws tables, series, images and texts, got samples of shape "
                f"{last['hidden'].shape[1:]}: look at recorder.records_."
            )
        if isinstance(sample, bool) or not isinstance(sample, (int, np.integer)):
            raise TypeError(f"sample must be an int, got {sample!r}.")
        if not -n_samples <= sample < n_samples:
            raise ValueError(
                f"sample must be the row of one of {n_samples} recorded samples, got {sample}."
            )
        length = None if last["lengths"] is None else last["lengths"][sample]
        hidden, masked = (
            np.stack([record[name][sample][:length] for record in records])
            for name in ("hidden", "masked")
        )
        inputs = last["inputs"][sample][:length]
        return cls(
            hidden,
            masked=masked,
            inputs=inputs,
            epochs=np.array([record["epoch"] for record in records]),
            n_hidden=np.array([record["n_hidden"][sample] for record in records]),
            n_groups=int(last["n_groups"][sample]),
            kind=kind,
            feature_names=names_for(kind, inputs, feature_names, token_names, known_names),
        )

    def plot(
        self,
        ax=None,
        *,
        n_panels=4,
        sort=True,
        line_kwargs=None,
        image_kwargs=None,
        bar_kwargs=None,
    ):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Place of the drawing, which is divided. None makes a figure.
        n_panels : int, default=4
            Number of epochs side by side, for series and images.
        sort : bool, default=True
            Whether the columns of a table are ordered by how often they were hidden, the most
            often kept first. Words and features of series keep their order.
        line_kwargs : dict, default=None
            Passed on to ``plot`` of the line of k.
        image_kwargs : dict, default=None
            Passed on to ``imshow`` of the raster, and of how often each cell was hidden.
        bar_kwargs : dict, default=None
            Passed on to ``barh``.

        Returns
        -------
        MaskingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `n_panels` is below 1.
        """
        if n_panels < 1:
            raise ValueError(f"n_panels must be at least 1, got {n_panels!r}.")
        _DRAW[self.kind](
            self,
            ax,
            n_panels=n_panels,
            sort=sort,
            line_kwargs=line_kwargs or {},
            image_kwargs=image_kwargs or {},
            bar_kwargs=bar_kwargs or {},
        )
        return self

    @property
    def hidden_share(self):
        """Share of the recorded epochs in which each cell was hidden, of the sample's shape."""
        return self.hidden.mean(axis=0)
