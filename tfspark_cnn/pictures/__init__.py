"""Pictures of runs and of what networks get wrong, with matplotlib: `pip install 'tfspark_cnn[plot]'`.

Each is a `matplotlib.figure.Figure` of its own, made without pyplot, so that it needs no window, keeps no global state,
and is shown by the cell of a notebook that ends with it.

Example:
    >>> from tfspark_cnn import pictures
    >>> matrix = pictures.confusion_matrix(scored, label="label")            # doctest: +SKIP
    >>> matrix.plot().savefig("confusion.png")                                # doctest: +SKIP
    >>> pictures.worst_mistakes(scored, label="label").plot()                 # doctest: +SKIP
"""

from tfspark_cnn.pictures.confusion import ConfusionMatrix, confusion_matrix
from tfspark_cnn.pictures.mistakes import Mistake, Mistakes, worst_mistakes

__all__ = ["ConfusionMatrix", "Mistake", "Mistakes", "confusion_matrix", "worst_mistakes"]
