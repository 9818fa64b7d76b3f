"""What the results of `effects.py` look like: expectations, tables, and the summary of README."""

import math
import statistics
from dataclasses import dataclass

import numpy as np
from _report import describe, markdown_table, short

from sgt_sklearn.metrics import get_interpretability_scorer_names

USELESS = ("lambda = 1000", "constant")
# trainings of the summary, in the order of its cells
COMPARED = ("plain", "guided", "random order", "weight decay")

# column of the tables: key of the measure
COLUMNS = {
    "score": "score",
    "compr. gap": "comprehensiveness_gap",
    "suff. gap": "sufficiency_gap",
    "compr. gap, flips": "comprehensiveness_gap_flip",
    "suff. gap, flips": "sufficiency_gap_flip",
    "removal gap": "removal_gap",
    "infid. gap": "neg_infidelity",
    "sens. gap": "neg_max_sensitivity",
    "Gini": "gini_sparseness",
    "AP of relevant": "average_precision",
    "mass outside": "mass_outside",
}


@dataclass(frozen=True)
class Results:
    """Measures of all runs, asked by data set, model and name."""

    runs: dict
    data: list
    seeds: list

    @property
    def models(self):
        """Trained models in the order of their runs."""
        names = dict.fromkeys(key.split("/")[-1] for key in self.runs)
        return [name for name in names if name != "chance"]

    @property
    def tables(self):
        return [name for name in self.data if name not in self.images]

    @property
    def images(self):
        """Data of which the ink is known."""
        return [name for name in self.data if self.measured(name, "mass_outside")]

    @property
    def enough(self):
        """Seeds that a count needs: 4 of 5."""
        return math.ceil(0.8 * len(self.seeds))

    def values(self, data, model, measure):
        """One value a seed, None where the measure does not apply or an old file lacks it."""
        found = [self.runs[f"{data}/{seed}/{model}"].get(measure) for seed in self.seeds]
        return None if None in found else found

    def measured(self, data, measure):
        return self.values(data, "plain", measure) is not None

    def mean(self, data, model, measure):
        return statistics.mean(self.values(data, model, measure))

    def count(self, data, measure, better, *others):
        """Seeds in which `better` is above all `others`."""
        values = [self.values(data, model, measure) for model in (better, *others)]
        return sum(first > max(rest) for first, *rest in zip(*values, strict=True))


# expectations


@dataclass(frozen=True)
class Expectation:
    """What was expected, with the numbers that came out, and whether it holds."""

    holds: bool
    text: str

    def __str__(self):
        return f"- {'**holds**' if self.holds else '**does not hold**'}: {self.text}"


def mean_with_error(values):
    """Mean and its standard error (nan for one value)."""
    values = np.asarray(values)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def of_scores(results):
    """Guided scores within one point of plain ones."""
    for data in results.data:
        plain, guided = (results.values(data, m, "score") for m in ("plain", "guided"))
        within = sum(g >= p - 0.01 for g, p in zip(guided, plain, strict=True))
        yield Expectation(
            statistics.mean(guided) >= statistics.mean(plain) - 0.01,
            f"{data}: score of guided within one point of plain or better "
            f"({statistics.mean(guided):.3f} against {statistics.mean(plain):.3f}; "
            f"{within} of {len(results.seeds)} seeds)",
        )


def of_tables(results):
    """Guided above plain and above the control."""
    for data in results.tables:
        for measure in ("comprehensiveness_gap", "sufficiency_gap", "average_precision"):
            if not results.measured(data, measure):
                continue
            count = results.count(data, measure, "guided", "plain", "random order")
            means = [results.mean(data, m, measure) for m in ("guided", "plain", "random order")]
            yield Expectation(
                count >= results.enough,
                f"{data}: {measure} of guided above plain and control in {count} of "
                f"{len(results.seeds)} seeds ({means[0]:.3f} against {means[1]:.3f} and "
                f"{means[2]:.3f})",
            )


def of_images(results):
    """Mass outside the digit under the paper's setting, and accuracy of the defaults."""
    for data in results.images:
        upright = "inverted" not in data
        mass = [
            results.values(data, model, "mass_outside") for model in ("paper setting", "plain")
        ]
        ratio = statistics.mean(mass[0]) / statistics.mean(mass[1])
        lower = sum(p < q for p, q in zip(*mass, strict=True))
        expected = "at most .75 of plain" if upright else "no lower than plain"
        yield Expectation(
            ratio <= 0.75 if upright else lower < results.enough,
            f"{data}: mass outside the digit with the paper's setting {expected} "
            f"({statistics.mean(mass[0]):.3f} against {statistics.mean(mass[1]):.3f}, ratio "
            f"{ratio:.2f}; lower in {lower} of {len(results.seeds)} seeds)",
        )
        guided, plain = (results.values(data, model, "score") for model in ("guided", "plain"))
        difference, error = mean_with_error(np.subtract(guided, plain))
        yield Expectation(
            difference >= 0,
            f"{data}: accuracy of guided (defaults) not below plain "
            f"({statistics.mean(guided):.4f} against {statistics.mean(plain):.4f}, paired "
            f"difference {difference:+.4f}, standard error {error:.4f})",
        )


def of_scorers(results):
    """No scorer may prefer a useless model."""
    for name in get_interpretability_scorer_names(relevance=False):
        if not all(results.measured(data, name) for data in results.data):
            continue
        fooled = []
        for data in results.data:
            means = {model: results.mean(data, model, name) for model in results.models}
            first = max(means, key=means.get)
            if first in USELESS:
                fooled.append(f"{first} on {data}")
        yield Expectation(
            not fooled,
            f"{name} ranks neither lambda = 1000 nor the constant predictor first"
            + (f" (first: {'; '.join(fooled)})" if fooled else ""),
        )


EXPECTATIONS = {
    "Scores": of_scores,
    "Gaps and average precision on tables": of_tables,
    "Images": of_images,
    "Scorers": of_scorers,
}


def beside_weight_decay(results):
    """Guided beside tuned weight decay, for which nothing was expected."""
    for data in results.tables:
        parts = []
        for measure in ("score", "comprehensiveness_gap", "sufficiency_gap", "average_precision"):
            if results.measured(data, measure):
                count = results.count(data, measure, "guided", "weight decay")
                parts.append(f"{measure} {count} of {len(results.seeds)}")
        yield f"- {data}: guided above tuned weight decay in {', '.join(parts)} seeds"


def expectations(results):
    """Return what was expected and what was only counted, as lists under headings."""
    found = [expectation for of in EXPECTATIONS.values() for expectation in of(results)]
    n_held = sum(expectation.holds for expectation in found)
    sections = EXPECTATIONS | {"Beside weight decay": beside_weight_decay}
    parts = [f"{n_held} of {len(found)} expectations hold."]
    for title, found in sections.items():
        if lines := list(map(str, found(results))):
            parts.append(f"{title}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


# the whole, for docs/results.md


def cell(values):
    if values is None:
        return ""
    spread = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def table(results, data):
    """Return the table of one data set: a row a model, mean and standard deviation over seeds."""
    shown = {title: name for title, name in COLUMNS.items() if results.measured(data, name)}
    rows = []
    for model in (*results.models, "chance"):
        cells = [cell(results.values(data, model, name)) for name in shown.values()]
        if model == "chance":
            cells = [
                text or ("0" if "gap" in title else "")
                for text, title in zip(cells, shown, strict=True)
            ]
        rows.append([model, *cells])
    return markdown_table([data, *shown], rows)


def whole(settings, results):
    """Return expectations, tables and settings as markdown."""
    tables = "\n\n".join(table(results, data) for data in results.data)
    decays = ", ".join(f"{value:g}" for value in settings["weight_decays"])
    return (
        f"{expectations(results)}\n\n{tables}\n\n"
        f"Mean over {len(results.seeds)} seeds (standard deviation); a seed sets the split, the "
        "generated data and `random_state`.\nAll models are out of the box but for what their "
        f"name says; images train {settings['image_epochs']} epochs. Weight decay: AdamW, the "
        f"best of {decays} on a quarter of the training data, of equally good ones the "
        f"{settings['of_tied_decays']}. Score: accuracy or R2 on the test data;\nother measures "
        f"on its first {settings['metric_rows']} rows, {settings['n_draws']} draws. Chance: "
        "majority class or mean of y, an order or a mass that knows nothing. "
        f"{describe(settings)}"
    )


# the summary, for README


def compared(results, data, measure, best=max):
    """Return the means of the compared trainings, the best in bold, with chance in brackets."""
    means = [round(results.mean(data, model, measure), 3) for model in COMPARED]
    cells = [f"**{short(m)}**" if m == best(means) else short(m) for m in means]
    chance = results.values(data, "chance", measure)
    bracket = f" ({short(statistics.mean(chance))})" if chance else ""
    return " / ".join(cells) + bracket


def compared_with_truth(results, data):
    """Return the cell of what is known about the relevant cells, if anything."""
    if results.measured(data, "average_precision"):
        return "AP " + compared(results, data, "average_precision")
    if results.measured(data, "mass_outside"):
        return "outside " + compared(results, data, "mass_outside", best=min)
    return "unknown"


def summary(results):
    """Return one table with a row a data set."""
    rows = [
        [
            data,
            compared(results, data, "score"),
            compared(results, data, "sufficiency_gap"),
            compared_with_truth(results, data),
        ]
        for data in results.data
    ]
    table = markdown_table(["data", "score", "sufficiency gap", "against the truth"], rows)
    return (
        f"In each cell: {' / '.join(COMPARED)}.\n\n{table}\n\n"
        f"Means over {len(results.seeds)} seeds, the best in bold however small its lead; in "
        "brackets what chance reaches, which is 0 for a gap. Score: accuracy, for friedman1 R2. "
        "Against the truth: AP, the average precision with which saliency finds the columns that "
        "matter, or the share of saliency outside the digit (less is better)."
    )


def pages(content):
    """Return the summary for README and the whole for docs/results.md."""
    settings = content["settings"]
    results = Results(content["runs"], settings["data"], settings["seeds"])
    return summary(results), whole(settings, results)
