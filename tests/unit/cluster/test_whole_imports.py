from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import gc, importlib.resources, inspect, sys
sys.path.insert(0, sys.argv[1])
from tfspark_cnn.cluster import whole_imports
whole_imports.install()
whole_imports.install()
"""
PACKAGE = """
import gc
within = gc.isenabled()
"""


def told(folder: Path, code: str) -> str:
    """What a fresh interpreter prints that has small packages in place of Keras and TensorFlow."""
    for name, body in {"tensorflow": PACKAGE, "keras": PACKAGE + "import tensorflow\nafter = gc.isenabled()\n"}.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(body)
    (folder / "small.py").write_text(PACKAGE)
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


WHAT_IT_IS = "type(keras.__loader__).__name__, 'within' in inspect.getsource(keras)"
WHAT_IT_HAS = "importlib.resources.files(keras).joinpath('__init__.py').is_file()"
OURS = "[one for one in sys.meta_path if type(one).__module__ == 'tfspark_cnn.cluster.whole_imports']"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import keras, tensorflow; print(keras.within, tensorflow.within, keras.after)", "False False False"),
        ("import keras; print(gc.isenabled(), gc.get_freeze_count() > 1000)", "True True"),
        ("import small; print(small.within, gc.get_freeze_count())", "True 0"),
        ("gc.disable(); import keras; print(gc.isenabled(), gc.get_freeze_count())", "False 0"),
        (f"import keras; print({WHAT_IT_IS}, {WHAT_IT_HAS})", "SourceFileLoader True True"),
        (f"print(len({OURS}))", "1"),
    ],
    ids=["without collections", "frozen", "others", "disabled before", "loader", "once"],
)
def test_large_packages_are_imported_without_collections_and_otherwise_as_ever(
    tmp_path: Path, code: str, expected: str
) -> None:
    assert told(tmp_path, code) == expected


def test_collections_come_back_after_an_import_that_fails(tmp_path: Path) -> None:
    code = """
sys.path.insert(0, sys.argv[1] + "/broken")
try:
    import tensorflow
except ZeroDivisionError:
    print(gc.isenabled(), "tensorflow" in sys.modules)
"""
    (tmp_path / "broken" / "tensorflow").mkdir(parents=True)
    (tmp_path / "broken" / "tensorflow" / "__init__.py").write_text("1 / 0")
    assert told(tmp_path, code) == "True False"


def test_a_package_that_is_missing_is_missing(tmp_path: Path) -> None:
    code = """
sys.path[:] = []
sys.path_importer_cache.clear()
try:
    import tf_keras
except ModuleNotFoundError as error:
    print(error)
"""
    assert told(tmp_path, code) == "No module named 'tf_keras'"


WRAPPERS = """
from keras import wrappers
print("sklearn_stub" in sys.modules, end=" ")
ASK
print("sklearn_stub" in sys.modules)
"""


@pytest.mark.parametrize(
    ("ask", "printed"),
    [
        ("wrappers", "False False"),
        ("wrappers.Wrapper; print(keras.wrappers is sys.modules['keras.wrappers'], end=' ')", "False True True"),
        ("from keras.wrappers import Wrapper", "False True"),
        ("import keras.wrappers as again; again.Wrapper; again.Wrapper", "False True"),
        ("print('Wrapper' in dir(wrappers), end=' ')", "False True True"),
        ("print(hasattr(wrappers, 'Other'), end=' ')", "False False True"),
    ],
    ids=["not asked", "attribute", "from", "as", "dir", "missing"],
)
def test_wrappers_are_imported_when_one_is_asked_for(tmp_path: Path, ask: str, printed: str) -> None:
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text("from keras import wrappers as wrappers")
    (tmp_path / "keras" / "wrappers.py").write_text("import sklearn_stub\nWrapper = 1")
    (tmp_path / "sklearn_stub.py").write_text("")
    code = HEAD + "import keras\n" + WRAPPERS.replace("ASK", ask)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == printed


PICTURES = """
import keras
print("plotting_stub" in sys.modules, end=" ")
ASK
print("plotting_stub" in sys.modules)
"""


@pytest.mark.parametrize(
    ("ask", "printed"),
    [
        ("", "False False"),
        ("print(keras.visualization.plot, end=' ')", "False 1 True"),
        ("from keras.src.visualization import plot; print(plot, end=' ')", "False 1 True"),
        ("from keras.src.visualization.gallery import plot; print(plot, end=' ')", "False 1 True"),
        ("import keras.src.visualization.gallery as gallery; print(gallery.plot, end=' ')", "False 1 True"),
    ],
    ids=["not asked", "attribute", "from", "from a module of it", "a module of it"],
)
def test_pictures_are_imported_when_one_is_asked_for(tmp_path: Path, ask: str, printed: str) -> None:
    files = {
        "keras/__init__.py": "from keras import src, visualization as visualization",
        "keras/src/__init__.py": "from keras.src import visualization",
        "keras/src/visualization/__init__.py": "from keras.src.visualization.gallery import plot",
        "keras/src/visualization/gallery.py": "import plotting_stub\nplot = 1",
        "keras/visualization/__init__.py": "from keras.src.visualization.gallery import plot",
        "plotting_stub.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    code = HEAD + PICTURES.replace("ASK", ask)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == printed


HIDDEN = """
import keras, tensorflow
known = keras, tensorflow, keras.__spec__, keras.__loader__
whole_imports.hide()
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('keras' in sys.modules, 'tensorflow' in sys.modules)", "False False"),
        ("import keras; print(keras is known[0], sys.modules['tensorflow'] is known[1])", "True True"),
        ("import tensorflow, keras; print((keras, tensorflow, keras.__spec__, keras.__loader__) == known)", "True"),
        ("import keras; whole_imports.hide(); import keras; print(keras is known[0])", "True"),
    ],
    ids=["hidden", "known", "as it was", "again"],
)
def test_what_was_hidden_is_there_again_when_it_is_imported(tmp_path: Path, code: str, expected: str) -> None:
    assert told(tmp_path, HIDDEN + code) == expected


@pytest.mark.parametrize("before", ["", HIDDEN], ids=["first import", "hidden"])
def test_who_wants_to_know_of_the_first_import_is_asked_before_it_once(tmp_path: Path, before: str) -> None:
    code = """
calls = []
whole_imports.before_the_first(lambda: calls.append("keras" in sys.modules))
import json
assert not calls
import keras, tensorflow
print(calls)
"""
    assert told(tmp_path, before + code) == "[False]"


def test_an_import_raises_what_is_raised_before_it_each_time(tmp_path: Path) -> None:
    code = """
def refuse():
    raise ValueError("not now")

whole_imports.before_the_first(refuse)
for _ in range(2):
    try:
        import keras
    except ValueError as error:
        print(error, end=";")
"""
    assert told(tmp_path, HIDDEN + code) == "not now;not now;"
