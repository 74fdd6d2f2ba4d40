//! Tables of functions of any shape: the fuzz target `tables` without a fuzzer.

#![cfg(unix)]

#[path = "../../../fuzz/shared/seeded.rs"]
mod seeded;
#[path = "../../../fuzz/shared/tables.rs"]
mod tables;

#[test]
fn whatever_a_table_is_it_is_used_right_or_refused_with_words() {
    for input in seeded::inputs("tables", 5000) {
        tables::run(&input);
    }
}
