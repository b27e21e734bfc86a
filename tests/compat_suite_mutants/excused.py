"""Cases that no mutant can fail, and why."""

EXCUSED = {
    "test_an_atomic_write_of_several_ids_cannot_be_made": (
        "the model refuses such a write before any store sees it; the case guards the model"
    ),
}
EXCUSED |= dict.fromkeys(
    (
        "test_writing_one_by_one",
        "test_writing_batches_of_fifty",
        "test_writing_without_waiting",
        "test_recovering",
        "test_replaying_a_long_log",
        "test_saving_and_loading",
    ),
    "a measurement: off by default, it judges nothing but the order that other cases check",
)
