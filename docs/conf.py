from importlib.metadata import version as distribution_version

project = "sgt-sklearn"
author = "sgt_sklearn developers"
copyright = "sgt_sklearn developers"
release = version = distribution_version("sgt-sklearn")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

# what skorch and torch classes bring along is documented by skorch and torch
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
# written by scikit-learn with links into its own pages
autodoc_default_options = {
    "exclude-members": "set_fit_request, set_partial_fit_request, set_score_request"
}

html_theme = "furo"
html_title = f"sgt-sklearn {release}"
