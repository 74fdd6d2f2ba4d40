//! Memory: nothing leaks and nothing is read that should not be, as valgrind and the sanitizers see it.

use std::process::Command;

use crate::support::{
    Link, STRICT, Service, answers, compile, crate_dir, is_released, run_ok, scratch, skipped,
};

#[track_caller]
fn check_valgrind(name: &str) {
    if !answers("valgrind", "--version") {
        return skipped("programs under valgrind: install it (on Debian: apt-get install valgrind)");
    }
    let service = Service::start();
    let program = scratch("valgrind").join(name);
    let flags: Vec<&str> = ["-std=gnu99"].iter().chain(STRICT).copied().collect();
    compile("gcc", &crate_dir().join(format!("tests/c/{name}.c")), &program, Link::Shared, &flags);
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"])
        .args(["--error-exitcode=9", "--fair-sched=yes"])
        .arg(program);
    service.tell(&mut command);
    run_ok(&mut command);
}

#[test]
fn valgrind_finds_nothing_in_what_every_function_does() {
    check_valgrind("conformance");
}

#[test]
fn valgrind_finds_nothing_in_what_host_objects_do() {
    check_valgrind("reentry");
}

#[test]
fn valgrind_finds_nothing_when_objects_are_freed_under_a_call() {
    check_valgrind("freed");
}

#[track_caller]
fn check_sanitized(name: &str) {
    let service = Service::start();
    let program = scratch("sanitized").join(name);
    let flags: Vec<&str> = ["-std=gnu99", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
        .iter()
        .chain(STRICT)
        .copied()
        .collect();
    let link = if is_released() { Link::Static } else { Link::Shared };
    compile("gcc", &crate_dir().join(format!("tests/c/{name}.c")), &program, link, &flags);
    let mut command = Command::new(program);
    service.tell(&mut command);
    run_ok(&mut command);
}

#[test]
fn sanitizers_find_nothing_in_what_every_function_does() {
    check_sanitized("conformance");
}

#[test]
fn sanitizers_find_nothing_in_what_host_objects_do() {
    check_sanitized("hosts");
}

#[test]
fn sanitizers_find_nothing_when_callbacks_hang() {
    check_sanitized("stuck");
}
