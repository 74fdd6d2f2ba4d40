//! The fuzz target `arguments` without a fuzzer.

#[path = "../../../fuzz/shared/arguments.rs"]
mod arguments;
#[path = "../../../fuzz/shared/seeded.rs"]
mod seeded;

#[test]
fn whatever_is_on_the_command_line_or_in_the_file_is_understood_or_refused_with_words() {
    for input in seeded::inputs("arguments", 5000) {
        arguments::run(&input);
    }
}
