from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.errors import FeedError, SchemaError
from tfspark_cnn.feed import cache, schema
from tfspark_cnn.feed.cache import ColumnReader, FeedStore, wait_for
from tfspark_cnn.feed.dealing import Dealer

SCHEMA = pa.schema({"row": pa.int64(), "pair": pa.list_(pa.float32(), 2)})
COLUMNS = tuple(schema.resolve(SCHEMA, name) for name in SCHEMA.names)


def rows_of(partition: int, start: int, stop: int) -> pa.RecordBatch:
    """Rows [start, stop) of the share of a partition: each says which it is."""
    numbers = np.arange(start, stop) + 1000 * partition
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(numbers, 2).astype("float32")), 2)
    return pa.record_batch([pa.array(numbers), pairs], schema=SCHEMA)


def numbers(*shares: int) -> list[int]:
    """The rows of a feed whose partitions have so many rows, in Spark's order."""
    return [1000 * partition + row for partition, rows in enumerate(shares) for row in range(rows)]


@dataclass
class Moves:
    """What a store has told."""

    all: list[tuple[int, int, int]] = field(default_factory=list)

    def __call__(self, ready: int, rows: int, nbytes: int) -> None:
        self.all.append((ready, rows, nbytes))


def held(store: FeedStore) -> list[int]:
    return [row for chunk in store.chunks() for row in chunk.column("row").to_pylist()]


def filled(*cuts: list[int]) -> FeedStore:
    """A store of one partition for each argument, which came in batches of these sizes."""
    store = FeedStore(Moves())
    for partition, sizes in enumerate(cuts):
        start = 0
        for size in sizes:
            store.accept(partition, start, rows_of(partition, start, start + size))
            start += size
        store.commit(partition, start)
    store.close(len(cuts), sum(map(sum, cuts)))
    return store


def test_rows_of_the_first_partition_can_be_read_at_once() -> None:
    store = FeedStore(Moves())
    assert store.first_chunk() is None and store.ready_rows == 0
    store.accept(0, 0, rows_of(0, 0, 3))
    assert (store.ready_rows, held(store)) == (3, [0, 1, 2])
    chunk = store.first_chunk()
    assert chunk is not None and chunk.equals(store.chunk(0)) and chunk.num_rows == 3


def test_rows_of_later_partitions_are_parked_until_those_before_are_committed() -> None:
    store = FeedStore(Moves())
    store.accept(2, 0, rows_of(2, 0, 1))
    store.accept(1, 0, rows_of(1, 0, 2))
    store.commit(2, 1)
    assert store.ready_rows == 0
    assert store.missing == "rows of partition 0; 3 rows are here, 0 of them in order"
    store.accept(0, 0, rows_of(0, 0, 2))
    assert held(store) == numbers(2)
    store.commit(0, 2)
    assert held(store) == numbers(2, 2), "partition 1 is read while it arrives"
    store.accept(1, 2, rows_of(1, 2, 3))
    assert held(store) == numbers(2, 3)
    store.commit(1, 3)
    assert held(store) == numbers(2, 3, 1)


def test_empty_partitions_do_not_stop_the_others() -> None:
    store = FeedStore(Moves())
    store.accept(3, 0, rows_of(3, 0, 2))
    store.commit(3, 2)
    for partition in (1, 0, 2):
        store.commit(partition, 0)
    assert held(store) == [3000, 3001]
    store.close(4, 2)
    assert store.rows_total == 2


def test_each_change_is_told_with_rows_and_bytes() -> None:
    moves = Moves()
    store = FeedStore(moves)
    batch = rows_of(1, 0, 4)
    store.accept(1, 0, batch)
    store.accept(1, 0, batch)
    store.commit(0, 0)
    store.commit(1, 4)
    assert [move[:2] for move in moves.all] == [(0, 4), (4, 4), (4, 4)], "rows held already are no news"
    assert {move[2] for move in moves.all} == {batch.nbytes}


def test_record_batches_are_kept_as_they_came() -> None:
    store, batch = FeedStore(Moves()), rows_of(0, 0, 8)
    store.accept(0, 0, batch)
    mine, kept = (one.column("row").buffers()[1].address for one in (batch, store.chunk(0)))
    assert mine == kept, "no copy"


@pytest.mark.parametrize(
    ("partitions", "rows", "message"),
    [
        (3, 5, r"the feed ended with 5 rows in 3 partitions for this node, received 5"),
        (2, 6, r"the feed ended with 6 rows in 2 partitions for this node, received 5"),
        (2, 4, r"the feed ended with 4 rows in 2 partitions for this node, received 5"),
        (1, 5, r"closed with 1 partitions, received rows of partition 1"),
    ],
)
def test_a_feed_that_ends_otherwise_than_it_came_is_an_error(partitions: int, rows: int, message: str) -> None:
    store = FeedStore(Moves())
    for partition, share in enumerate((2, 3)):
        store.accept(partition, 0, rows_of(partition, 0, share))
        store.commit(partition, share)
    with pytest.raises(FeedError, match=message):
        store.close(partitions, rows)
    assert store.rows_total is None


def test_a_feed_cannot_end_before_its_partitions_are_committed() -> None:
    store = FeedStore(Moves())
    store.accept(0, 0, rows_of(0, 0, 2))
    with pytest.raises(FeedError, match="the feed ended with 2 rows in 1 partitions") as caught:
        store.close(1, 2)
    assert "a partition was lost, or changed between tries" in (caught.value.hint or "")


def test_the_ledger_speaks_through_the_store() -> None:
    store = FeedStore(Moves())
    with pytest.raises(FeedError, match="expected row 0 next, received row 5"):
        store.accept(0, 5, rows_of(0, 5, 6))
    store.accept(0, 0, rows_of(0, 0, 2))
    with pytest.raises(FeedError, match="changed between tries"):
        store.commit(0, 1)
    assert store.resume(0)[0] == 2 and store.resume(9)[0] == 0


# --- any arrival -----------------------------------------------------------------------------------------------------


@dataclass
class Try:
    """One feeder's way through a partition: it begins where the store stands, sends some batches, and may be killed."""

    partition: int
    rows: int
    killed_after: int | None
    cuts: list[int]
    at: int | None = None
    sent: int = 0
    ended: bool = False

    def step(self, store: FeedStore) -> None:
        if self.at is None:
            self.at = store.resume(self.partition)[0]
        elif self.killed_after is not None and self.sent >= self.killed_after:
            self.ended = True
        elif self.at >= self.rows:
            store.commit(self.partition, self.rows)
            self.ended = True
        else:
            size = self.cuts[self.sent % len(self.cuts)]
            stop = min(self.rows, self.at + size)
            store.accept(self.partition, self.at, rows_of(self.partition, self.at, stop))
            self.at, self.sent = stop, self.sent + 1


shares = st.lists(st.integers(0, 12), min_size=1, max_size=5)
cuts = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@given(shares, st.data())
def test_the_order_is_sparks_whatever_the_arrival(rows: list[int], data: st.DataObject) -> None:
    moves = Moves()
    store = FeedStore(moves)
    tries = [
        Try(partition, total, killed, data.draw(cuts))
        for partition, total in enumerate(rows)
        for killed in [*data.draw(st.lists(st.integers(0, 3), max_size=2)), *[None] * data.draw(st.integers(1, 2))]
    ]
    expected = numbers(*rows)
    while running := [one for one in tries if not one.ended]:
        data.draw(st.sampled_from(running)).step(store)
        assert held(store) == expected[: store.ready_rows], "what is ready is a prefix, at any time"
    store.close(len(rows), sum(rows))
    assert held(store) == expected
    ready = [move[0] for move in moves.all]
    assert ready == sorted(ready) and (moves.all[-1][:2] if moves.all else (0, 0)) == (sum(rows), sum(rows))


def test_partitions_from_many_threads_are_put_in_order() -> None:
    store, rows, start = FeedStore(Moves()), [40, 0, 70, 15, 33, 64], threading.Barrier(12)

    def feed(partition: int, size: int) -> None:
        start.wait()
        one = Try(partition, rows[partition], None, [size])
        while not one.ended:
            one.step(store)

    threads = [threading.Thread(target=feed, args=(p, size)) for p in range(6) for size in (1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close(6, sum(rows))
    assert held(store) == numbers(*rows)


# --- reading ---------------------------------------------------------------------------------------------------------

stores = st.lists(st.lists(st.integers(1, 7), max_size=4), min_size=1, max_size=4).filter(lambda cuts: any(cuts))


@given(stores, st.data())
def test_rows_are_found_in_their_chunk(cuts: list[list[int]], data: st.DataObject) -> None:
    store, expected = filled(*cuts), numbers(*map(sum, cuts))
    rows = np.array(data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=20)), np.int64)
    chunk, inner = store.locate(rows)
    found = [store.chunk(int(c)).column("row")[int(i)].as_py() for c, i in zip(chunk, inner, strict=True)]
    assert found == [expected[row] for row in rows]


@given(stores, st.data())
def test_a_span_covers_its_rows_in_order(cuts: list[list[int]], data: st.DataObject) -> None:
    store, expected = filled(*cuts), numbers(*map(sum, cuts))
    stop = data.draw(st.integers(0, len(expected)))
    start = data.draw(st.integers(0, stop))
    pieces = store.span(start, stop)
    assert all(a < b for _, a, b in pieces)
    assert [c for c, _, _ in pieces] == sorted({c for c, _, _ in pieces})
    assert [row for c, a, b in pieces for row in store.chunk(c).column("row")[a:b].to_pylist()] == expected[start:stop]


@given(stores, st.data())
def test_columns_are_read_as_numpy_would_from_one_array(cuts: list[list[int]], data: st.DataObject) -> None:
    store, whole = filled(*cuts), np.array(numbers(*map(sum, cuts)))
    reader = ColumnReader(store, COLUMNS)
    for _ in range(3):
        start = data.draw(st.integers(0, len(whole) - 1))
        stop = data.draw(st.integers(start + 1, len(whole)))
        check_columns(reader.range(start, stop)[:2], whole[start:stop])
        rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)), np.int64)
        check_columns(reader.take(rows)[:2], whole[rows])


def check_columns(found: tuple[np.ndarray, ...], expected: np.ndarray) -> None:
    row, pair = found
    assert (row.dtype, pair.dtype, pair.shape) == (np.int64, np.float32, (len(expected), 2))
    np.testing.assert_array_equal(row, expected)
    np.testing.assert_array_equal(pair, np.repeat(expected, 2).reshape(-1, 2).astype("float32"))


def test_a_range_within_one_batch_is_a_view_and_a_longer_one_is_not() -> None:
    store = filled([4, 4])
    reader = ColumnReader(store, COLUMNS)
    data = store.chunk(0).column("row").buffers()[1]
    view = reader.range(1, 3)[0]
    assert data.address <= view.__array_interface__["data"][0] < data.address + data.size
    assert not view.flags.writeable, "it belongs to the store"
    assert reader.range(2, 6)[0].tolist() == [2, 3, 4, 5]


def test_a_reader_follows_a_store_that_grows() -> None:
    store = FeedStore(Moves())
    reader = ColumnReader(store, COLUMNS)
    for start in (0, 3, 6):
        store.accept(0, start, rows_of(0, start, start + 3))
        assert reader.range(0, start + 3)[0].tolist() == list(range(start + 3))
        assert reader.take(np.array([start + 2, 0]))[0].tolist() == [start + 2, 0]


@given(stores, st.data())
def test_numbered_columns_say_which_rows_they_are(cuts: list[list[int]], data: st.DataObject) -> None:
    store, whole = filled(*cuts), np.array(numbers(*map(sum, cuts)))
    reader = ColumnReader(store, COLUMNS)
    start = data.draw(st.integers(0, len(whole) - 1))
    *columns, found = reader.range(start, len(whole))
    check_columns(tuple(columns), whole[found])
    rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)), np.int64)
    *columns, found = reader.take(rows)
    assert found.tolist() == rows.tolist()
    check_columns(tuple(columns), whole[rows])


def test_rows_that_are_taken_lie_where_tensorflow_need_not_copy_them() -> None:
    reader = ColumnReader(filled([30], [50]), COLUMNS)
    for _ in range(20):
        taken = reader.take(np.array([70, 3, 41], np.int64))
        assert [column.__array_interface__["data"][0] % 64 for column in taken[:2]] == [0, 0]
        check_columns(taken[:2], np.array(numbers(30, 50))[[70, 3, 41]])


# --- where a row is --------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), shares, cuts, st.data())
def test_the_origin_of_a_row_is_where_it_was_dealt_from(
    workers: int, partitions: list[int], sizes: list[int], data: st.DataObject
) -> None:
    share = data.draw(st.integers(0, workers - 1))
    store = FeedStore(Moves(), share=share, workers=workers)
    expected = []
    for partition in data.draw(st.permutations(range(len(partitions)))):
        dealt = Dealer(partition, workers).deal(0, 7 * partitions[partition])[share]
        one = Try(partition, len(dealt), None, sizes)
        while not one.ended:
            one.step(store)
    for partition, rows in enumerate(partitions):
        expected += [(partition, int(row)) for row in Dealer(partition, workers).deal(0, 7 * rows)[share]]
    assert [store.origins.of(row) for row in range(store.ready_rows)] == expected


def test_a_batch_that_is_here_in_part_keeps_its_place() -> None:
    store = FeedStore(Moves(), share=1, workers=3)
    store.accept(0, 0, rows_of(0, 0, 4))
    store.accept(0, 2, rows_of(0, 2, 9))
    dealer = Dealer(0, 3)
    assert [store.origins.of(row) for row in range(9)] == [(0, dealer.row_of(1, row)) for row in range(9)]


def test_errors_of_a_reader_name_partition_and_row_of_spark() -> None:
    store = FeedStore(Moves(), share=0, workers=2)
    store.commit(0, 0)
    store.accept(1, 0, pa.record_batch({"row": [0, 1, 2]}))
    store.accept(1, 3, pa.record_batch({"row": [3, None]}))
    reader = ColumnReader(store, [schema.resolve(store.chunk(0).schema, "row")])
    there = Dealer(1, 2).row_of(0, 4)
    assert there != 4, "or this test tells nothing"
    with pytest.raises(SchemaError, match=f"column 'row', partition 1, row {there}: expected a value, received a null"):
        reader.range(2, 4)


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_a_long_wait_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "REASON_EVERY_S", 0.001)
    said: list[str] = []
    condition = threading.Condition()
    with condition:
        waited = wait_for(condition, lambda: len(said) >= 3, lambda: "godot", said.append)
    assert said[0].startswith("waiting for godot since 0 s")
    assert waited >= 0.003


def test_a_wait_for_what_is_there_says_nothing() -> None:
    condition, said = threading.Condition(), []
    with condition:
        assert wait_for(condition, lambda: True, lambda: "nothing", said.append) < 1
    assert said == []
