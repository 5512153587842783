"""Images in `tf.data`: what becomes of good and bad ones, of other sizes and formats; scaling and augmentation."""

from __future__ import annotations

import io
import re
from typing import Any

import map_funs
import numpy as np
import pytest
from tf_processes import run_workers

from tfspark_cnn import InputMode, TFCluster
from tfspark_cnn.errors import SchemaError

pytestmark = [pytest.mark.timeout(180), pytest.mark.beside]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_workers("image_scenarios:everything", 0, timeout_s=110)[0]


@pytest.mark.parametrize(
    ("kind", "received"),
    [
        ("truncated", r"received \d+ bytes that TensorFlow cannot decode: jpeg::Uncompress failed\. [^\[]*\n"),
        ("empty", "received none, or a null\n"),
        ("null", "received none, or a null\n"),
        ("garbage", "received 15 bytes that TensorFlow cannot decode: Unknown image file format"),
        ("animated", r"received \d+ bytes that TensorFlow cannot decode: Got 2 frames"),
        ("other size", r"received one of height 5 and width 5 in \d+ bytes\n.*resize=.bilinear"),
    ],
)
def test_a_bad_image_is_an_error_that_names_it(found: dict[str, Any], kind: str, received: str) -> None:
    text = found["raise"][kind]
    assert text.startswith("SchemaError: column 'image', partition 1, row 13: expected a png image")
    assert re.search(received, text), text
    assert text.endswith('ctx.dataset(..., on_bad_image="skip") leaves such rows out')


def test_rows_with_bad_images_are_left_out_and_no_others(found: dict[str, Any]) -> None:
    bad = {2, 3, 19, 25, 29, 40, 47}
    assert found["skip"]["ids"] == [[row for row in range(60) if row not in bad]] * 3
    assert found["skip"]["own share"]


def test_steps_are_those_of_all_rows(found: dict[str, Any]) -> None:
    assert found["skip"]["steps"] == [9, 9, 9]


def test_each_row_left_out_is_counted_once_and_told_at_once(found: dict[str, Any]) -> None:
    told = found["skip"]["skipped"]
    assert sorted({count for passes, count in told}) == list(range(8))
    assert {count for passes, count in told if passes > 1} == {7}, "later passes find nothing new"


def test_the_first_rows_left_out_are_named_in_the_log(found: dict[str, Any]) -> None:
    lines = found["skip"]["log"]
    assert len(lines) == 5 and len(set(lines)) == 5
    pattern = r"left out a row: column '(image|again)', partition [012], row \d+: expected a png image"
    assert all(re.match(pattern, line) for line in lines), lines


def test_a_step_without_enough_rows_is_an_error(found: dict[str, Any]) -> None:
    none_left, one_of_two, enough = found["too many"]
    assert none_left.startswith("SchemaError: 4 of the 4 rows of a step have images that cannot be decoded")
    assert "expected at least 1 to be left" in none_left and "larger batch_size" in none_left
    assert one_of_two.startswith("SchemaError: 3 of the 4 rows") and "at least 2 to be left" in one_of_two
    assert enough == "nothing"


def test_files_of_other_formats_depths_and_channels(found: dict[str, Any]) -> None:
    for name, (received, expected) in found["formats"].items():
        np.testing.assert_array_equal(received, expected, err_msg=name, strict=not isinstance(expected, tuple))


def test_images_of_many_sizes_are_brought_to_one_as_tensorflow_does(found: dict[str, Any]) -> None:
    assert len(found["resize"]) == 10
    for name, (received, expected) in found["resize"].items():
        np.testing.assert_array_equal(received, expected, err_msg=name, strict=True)


def test_raw_columns_are_cast_and_scaled(found: dict[str, Any]) -> None:
    for name, (received, expected) in found["scale"].items():
        np.testing.assert_array_equal(received, expected, err_msg=name, strict=True)


def test_the_same_seed_gives_the_same_augmented_batches(found: dict[str, Any]) -> None:
    first, again = found["augmented"]
    for ours, theirs in zip(first, again, strict=True):
        for (x, y), (other_x, other_y) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, other_x)
            np.testing.assert_array_equal(y, other_y)
    for other in found["augmented otherwise"]:
        assert not np.array_equal(first[0][0][0], other[0][0][0])


def test_each_epoch_and_step_and_node_has_a_seed_of_its_own(found: dict[str, Any]) -> None:
    seeds = found["seeds"]
    assert seeds["first"] == seeds["again"]
    every = [tuple(seed) for run in ("first", "other share") for epoch in seeds[run] for seed in epoch]
    assert len(set(every)) == len(every) and all(len(seed) == 2 for seed in every)


def test_augment_gets_features_alone_and_must_give_some(found: dict[str, Any]) -> None:
    assert found["dict"] == ["id", "image", "float32", "int64"]
    assert found["refused augment"].startswith("ConfigError: augment returned None, expected the features")


# --- through Spark, into fit on two nodes ----------------------------------------------------------------------------

SIZES = (37, 60)
BAD = {(0, 3): b"", (0, 36): None, (1, 4): b"no image", (1, 5): b"no image", (1, 59): b"\x89PNG"}


def grey(partition: int, row: int) -> np.ndarray:
    return np.random.default_rng([partition, row]).integers(0, 256, (4, 4), dtype="uint8")


def frame(spark, bad):
    """Png files in exactly these partitions: `image binary, y bigint`."""
    from PIL import Image

    def file(partition, row):
        held = io.BytesIO()
        Image.fromarray(grey(partition, row)).save(held, "PNG")
        return bad.get((partition, row), held.getvalue())

    data = [[(file(p, row), row % 3) for row in range(rows)] for p, rows in enumerate(SIZES)]
    rdd = spark.sparkContext.parallelize(range(len(data)), len(data)).flatMap(data.__getitem__)
    return spark.createDataFrame(rdd, "image binary, y bigint")


def fit(spark, bad, on_bad_image, look=lambda cluster: None):
    args = {"on_bad_image": on_bad_image, "look_first": on_bad_image == "skip"}
    with TFCluster.run(spark, map_funs.fit_images, args, 2, input_mode=InputMode.SPARK) as cluster:
        cluster.train(frame(spark, bad), num_epochs=3)
        results = cluster.shutdown()
        look(cluster)
    return results


def test_nodes_that_leave_rows_out_train_as_one_process_without_them(spark: Any) -> None:
    state = []
    results = fit(spark, BAD, "skip", lambda cluster: state.append(cluster._coordinator.state))
    steps = list(zip(*(result["batches"] for result in results), strict=True))
    batches = [tuple(np.concatenate(parts) for parts in zip(*step, strict=True)) for step in steps]
    good = [grey(p, row) for p, rows in enumerate(SIZES) for row in range(rows) if (p, row) not in BAD]
    seen = sorted((x * 255).round().astype("uint8").tobytes() for batch, _ in batches for x in batch)
    assert seen == sorted(image.tobytes() for image in good)
    assert any(len(first[1]) != len(second[1]) for first, second in steps), "or every row would weigh the same anyhow"

    (alone,) = run_workers("map_funs:fit_alone", 0, arguments=([batches, batches],), timeout_s=120)
    for result in results:
        assert result["steps"] == 2 * len(batches)
        for ours, theirs in zip(result["weights"], alone["weights"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    for ours, theirs in zip(results[0]["weights"], results[1]["weights"], strict=True):
        np.testing.assert_array_equal(ours, theirs)

    consumed = state[0].feeds.by_id["input-1"].readers[0].consumed
    assert sum(event.skipped for event in consumed.values()) == len(BAD)
    reported = {number: node.metrics["skipped"] for number, node in state[0].nodes.items()}
    assert reported == {number: event.skipped for number, event in consumed.items()}


def test_a_bad_image_ends_the_run_with_its_place(spark: Any) -> None:
    words = "column 'image', partition 1, row 41: expected a png image, received 8 bytes"
    with pytest.raises(SchemaError, match=words) as caught:
        fit(spark, {(1, 41): b"no image"}, "raise")
    assert caught.value.node in ("worker:0", "worker:1") and 'on_bad_image="skip"' in (caught.value.hint or "")


# --- augmentation by name --------------------------------------------------------------------------------------------


def before_and_after(found: dict[str, Any], text: str) -> tuple[Any, Any]:
    before, after = found["augmentations"]["by name"][text]
    assert before.shape == after.shape and after.dtype == np.float32
    return before, after


@pytest.mark.parametrize(("name", "axis"), [("flip", 2), ("flip_vertical", 1)])
def test_half_of_the_images_are_flipped(found: dict[str, Any], name: str, axis: int) -> None:
    before, after = before_and_after(found, name)
    flipped = (after == np.flip(before, axis)).all(axis=(1, 2, 3))
    assert (flipped | (after == before).all(axis=(1, 2, 3))).all()
    assert 150 < flipped.sum() < 250


def test_a_crop_moves_images_by_each_number_of_pixels_and_fills_with_zeros(found: dict[str, Any]) -> None:
    before, after = before_and_after(found, "crop:2")
    surrounded = np.pad(before, ((0, 0), (2, 2), (2, 2), (0, 0)))
    side = before.shape[1]
    crops = [surrounded[:, y : y + side, x : x + side] for y in range(5) for x in range(5)]
    is_crop = np.array([(after == crop).all(axis=(1, 2, 3)) for crop in crops])
    assert (is_crop.sum(axis=0) == 1).all() and is_crop.any(axis=1).all()


def test_a_rotation_turns_around_the_middle_to_both_sides(found: dict[str, Any]) -> None:
    before, after = before_and_after(found, "rotate:30")
    middle = (before.shape[1] - 1) / 2
    y, x = (np.einsum("nhwc,hw->n", after, axis) / after.sum(axis=(1, 2, 3)) for axis in np.indices(after.shape[1:3]))
    degrees = np.degrees(np.arctan2(y - middle, x - middle))
    np.testing.assert_allclose(np.hypot(y - middle, x - middle), 3, atol=0.35)
    assert -31 < degrees.min() < -25 and 25 < degrees.max() < 31


def test_brightness_multiplies_an_image(found: dict[str, Any]) -> None:
    before, after = before_and_after(found, "brightness:0.25")
    ratio = after / before
    np.testing.assert_allclose(ratio.std(axis=(1, 2, 3)), 0, atol=1e-6)
    assert 0.75 <= ratio.min() < 0.78 and 1.22 < ratio.max() <= 1.2500001


@pytest.mark.parametrize(("text", "grey"), [("contrast:0.5", (1.0,)), ("contrast:0.25", (0.299, 0.587, 0.114))])
def test_contrast_keeps_the_mean_and_changes_the_distance_to_it(
    found: dict[str, Any], text: str, grey: tuple[float, ...]
) -> None:
    before, after = before_and_after(found, text)
    mean = np.einsum("nhwc,c->n", before, grey)[:, None, None, None] / before[0, ..., 0].size
    ratio = (after - mean).std(axis=(1, 2, 3)) / (before - mean).std(axis=(1, 2, 3))
    np.testing.assert_allclose((after @ grey).mean(axis=(1, 2)), mean.ravel(), rtol=1e-4)
    most = float(text.partition(":")[2])
    assert 1 - most <= ratio.min() < 1 - 0.9 * most and 1 + 0.9 * most < ratio.max() <= 1.0001 + most


@pytest.mark.parametrize("text", ["saturation:0.5", "hue:0.5"])
def test_colours_change_and_their_grey_does_not(found: dict[str, Any], text: str) -> None:
    before, after = before_and_after(found, text)
    grey = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(after @ grey, before @ grey, rtol=1e-3)
    assert (np.abs(after - before).max(axis=(1, 2, 3)) > 0.1).mean() > 0.9


def test_hue_turns_colours_and_saturation_stretches_them(found: dict[str, Any]) -> None:
    def colour(images: Any) -> Any:
        return images @ np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]).T

    before, after = map(colour, before_and_after(found, "hue:0.5"))
    np.testing.assert_allclose(np.linalg.norm(after, axis=-1), np.linalg.norm(before, axis=-1), rtol=0.02, atol=0.02)
    before, after = map(colour, before_and_after(found, "saturation:0.5"))
    ratio = np.square(after).sum(axis=(1, 2, 3)) ** 0.5 / np.square(before).sum(axis=(1, 2, 3)) ** 0.5
    assert 0.4999 <= ratio.min() < 0.55 and 1.45 < ratio.max() <= 1.5001


def test_cutout_sets_one_square_to_zero_that_may_lie_across_the_border(found: dict[str, Any]) -> None:
    before, after = before_and_after(found, "cutout:3")
    cut = (after == 0)[..., 0]
    assert (after[~cut] == before[~cut]).all()
    rows, columns = cut.any(axis=2).sum(axis=1), cut.any(axis=1).sum(axis=1)
    assert (cut.sum(axis=(1, 2)) == rows * columns).all(), "a rectangle"
    assert set(rows) == set(columns) == {2, 3}, "its middle is in the image"


@pytest.mark.parametrize("text", ["mixup:0.2", "cutmix:1", "mixup:1, cutmix:1"])
def test_labels_are_mixed_as_images_are(found: dict[str, Any], text: str) -> None:
    for images, labels in found["augmentations"]["mixed"][text]:
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), labels @ (10.0 * np.arange(5)), rtol=1e-4, atol=1e-4)


def test_mixup_mixes_whole_images_cutmix_parts_and_of_both_one_is_drawn(found: dict[str, Any]) -> None:
    def patched(batches: Any) -> list[bool]:
        return [bool((np.ptp(images, axis=(1, 2, 3)) > 1e-3).any()) for images, _ in batches]

    mixed = found["augmentations"]["mixed"]
    assert not any(patched(mixed["mixup:0.2"]))
    assert sum(patched(mixed["cutmix:1"])) > 20, "a few boxes have no pixel"
    assert 5 < sum(patched(mixed["mixup:1, cutmix:1"])) < 25


def test_shares_of_mixup_are_drawn_from_a_beta_distribution(found: dict[str, Any]) -> None:
    shares = [labels.max(axis=1).min() for _, labels in found["augmentations"]["mixed"]["mixup:0.2"]]
    assert np.mean(np.array(shares) > 0.9) > 0.4, "with an alpha of 0.2 most are near 0 or 1"


def test_an_augmentation_is_the_same_by_the_same_seed(found: dict[str, Any]) -> None:
    first, again, other = found["augmentations"]["again"]
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[0] != other[0]).mean() > 0.5


def test_batches_of_one_row_and_labels_that_are_numbers_are_augmented_too(found: dict[str, Any]) -> None:
    images, labels = found["augmentations"]["one row"]
    assert images.shape == (1, 9, 9, 1) and np.isfinite(images).all() and labels.tolist() == [[1, 0, 0, 0, 0]]
    images, numbers = found["augmentations"]["numbers"]
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 10 * numbers, rtol=1e-4, atol=1e-4)
    images, labels = found["augmentations"]["none"]
    assert set(np.unique(labels)) == {0.0, 1.0} and (images.mean(axis=(1, 2, 3)) == 10 * labels.argmax(axis=1)).all()


def test_a_function_of_three_arguments_gets_labels_and_gives_both(found: dict[str, Any]) -> None:
    said = found["labels"]
    assert said["labels"] == [0, 2, 4, 6] and said["seed"] == [2] and said["rows"] == 4
    assert said["named"] >= 4, "pixels, of squares that may lie across a border"
    assert said["without"].startswith("ConfigError: augment takes (x, y, seed), and the dataset has no labels")
    assert re.match(r"ConfigError: augment returned .*, expected features and labels\n.*return x, y", said["one alone"])
