//! Programs in C that use the library as a stranger would, run against the emulator.
//!
//! They are compiled against the library of this build, or against the released one in `PAN123_LIB_DIR`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test program: what fails here is the test")]

mod examples;
mod layout;
mod memory;
mod plugins;
mod support;
mod sweep;

use support::{check_program, library};

#[test]
fn every_function_does_what_the_manual_says() {
    check_program("conformance", &[]);
}

#[test]
fn host_objects_are_used_as_promised_and_let_go_of_once() {
    check_program("hosts", &[]);
}

#[test]
fn what_a_callback_fails_with_is_what_the_host_is_told() {
    check_program("failures", &[]);
}

#[test]
fn stuck_callbacks_hold_up_nobody_but_themselves() {
    check_program("stuck", &[]);
}

#[test]
fn waiting_for_a_turn_is_no_hanging() {
    check_program("turns", &[]);
}

#[test]
fn a_token_provider_that_hangs_is_asked_again() {
    check_program("turns", &["token"]);
}

#[test]
fn a_client_that_leaves_takes_the_threads_of_its_transport_along() {
    let output = check_program("leaving", &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn objects_do_not_survive_a_fork_and_do_no_harm_after_it() {
    check_program("fork", &[]);
}

#[test]
fn a_child_with_the_number_of_its_parent_is_another_process() {
    check_program("fork", &["container"]);
}

#[test]
fn no_thread_descriptor_or_signal_handler_is_left_behind() {
    check_program("threads", &[]);
}

#[test]
fn a_thread_that_is_at_its_end_can_still_call() {
    for end in ["exit", "key"] {
        let output = check_program("late", &[end]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn a_cancelled_thread_ends_after_its_call() {
    check_program("late", &["cancel"]);
}

#[test]
fn the_signals_of_the_host_are_left_to_the_host() {
    check_program("signals", &[]);
}

#[test]
fn a_system_without_threads_is_told_of_and_not_waited_for() {
    let output = check_program("crowded", &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn waiting_inside_a_callback_is_refused() {
    check_program("reentry", &[]);
}

#[test]
fn it_can_be_loaded_and_unloaded_a_hundred_times() {
    let library = library().join("libpan123.so");
    check_program("dlopen", &[library.to_str().unwrap()]);
}
