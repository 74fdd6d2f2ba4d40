//! `include/pan123.hpp`: it stands alone in every dialect, and does what it says, run against the emulator.
//!
//! Programs are compiled against the library of this build, or against the released one in `PAN123_LIB_DIR`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

#[path = "../programs/support.rs"]
#[allow(dead_code, reason = "shared with the programs in C")]
mod support;

use std::{fs, path::PathBuf, process::Command};

use support::{Link, Service, compile, is_released, root, run, run_ok, scratch};

/// What is compiled with all warnings.
const STRICT: &[&str] = &["-g", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"];
const SANITIZED: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover"];
/// Without what some projects do without.
const PLAIN: &[&str] = &["-fno-exceptions", "-fno-rtti"];

/// Compiles `source`, a path in the workspace, as `name`.
#[track_caller]
fn build(name: &str, source: &str, dialect: &str, extra: &[&str]) -> PathBuf {
    let program = scratch("cpp").join(name);
    let dialect = format!("-std={dialect}");
    let arguments: Vec<&str> = [dialect.as_str()].iter().chain(STRICT).chain(extra).copied().collect();
    let link = if is_released() && extra == SANITIZED { Link::Static } else { Link::Shared };
    compile("g++", &root().join(source), &program, link, &arguments);
    program
}

/// Compiles and runs one of `tests/cpp`.
#[track_caller]
fn check_program(name: &str, dialect: &str, extra: &[&str]) {
    let service = Service::start();
    let source = format!("crates/pan123-capi/tests/cpp/{name}.cpp");
    let mut command =
        Command::new(build(&format!("{name}-{dialect}-{}", extra.len()), &source, dialect, extra));
    service.tell(&mut command);
    run_ok(&mut command);
}

#[test]
fn it_stands_alone_in_every_dialect() {
    let folder = scratch("cpp");
    // Twice in one file, and in two files of one program.
    let two = "#include <pan123.hpp>\n#include <pan123.hpp>\n";
    fs::write(folder.join("one.cpp"), format!("{two}int other();\nint main() {{ return other(); }}\n"))
        .unwrap();
    fs::write(
        folder.join("other.cpp"),
        format!("{two}int other();\nint other() {{ return pan123::version().empty(); }}\n"),
    )
    .unwrap();
    let other = folder.join("other.cpp");
    for dialect in ["c++17", "c++20", "c++23"] {
        for extra in [&[][..], PLAIN] {
            let extra: Vec<&str> = extra.iter().copied().chain([other.to_str().unwrap()]).collect();
            let program = folder.join("one");
            let dialect = format!("-std={dialect}");
            let arguments: Vec<&str> =
                [dialect.as_str()].iter().chain(STRICT).chain(&extra).copied().collect();
            compile("g++", &folder.join("one.cpp"), &program, Link::Shared, &arguments);
            assert!(run(&mut Command::new(program)).status.success());
        }
    }
}

/// The header's own first program is one.
#[test]
fn the_program_in_its_manual_works() {
    let header = fs::read_to_string(root().join("include/pan123.hpp")).unwrap();
    let lines = header.lines().take_while(|line| !line.contains("Rules that hold"));
    let lines = lines.filter_map(|line| line.strip_prefix("///"));
    let code: Vec<&str> = lines.filter_map(|line| line.strip_prefix("     ")).collect();
    assert!(code.len() > 10, "{code:?}");
    fs::write(scratch("cpp").join("manual.cpp"), code.join("\n")).unwrap();
    let program = scratch("cpp").join("manual");
    let arguments: Vec<&str> = ["-std=c++17"].iter().chain(STRICT).copied().collect();
    compile("g++", &scratch("cpp").join("manual.cpp"), &program, Link::Shared, &arguments);
    // It talks to the real service, so all that can be tried is how it fails before it does.
    let output = run(Command::new(program).args(["/nonexistent", "x"]).env("PAN123_ACCESS_TOKEN", "token"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("no such file"), "{text}");
}

/// Whether a program with these lines in it compiles, and if not, whether because of something deleted.
#[track_caller]
fn compiles(lines: &str, dialect: &str) -> bool {
    let file = scratch("cpp").join("refused.cpp");
    let code = format!(
        "#include <array>\n#include <pan123.hpp>\n#include <string>\n\
         #if __has_include(<span>)\n#include <span>\n#endif\n\
         pan123::Error error();\nint main() {{ {lines} }}\n"
    );
    fs::write(&file, code).unwrap();
    let mut command = Command::new("g++");
    command
        .arg(format!("-std={dialect}"))
        .arg("-fsyntax-only")
        .arg("-I")
        .arg(root().join("include"))
        .arg(file);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || text.contains("deleted function"), "{lines}: {text}");
    output.status.success()
}

#[test]
fn what_would_dangle_does_not_compile() {
    for (owned, borrowed) in [
        ("std::string(\"bytes\")", "std::string_view(\"bytes\")"),
        ("std::vector<char>(5)", "pan123::Bytes(\"bytes\", 5)"),
        ("std::array<unsigned char, 5>{}", "std::span<const std::byte>()"),
        ("std::vector<std::byte>(5)", "std::span<char>()"),
    ] {
        let source = |bytes| format!("(void)pan123::Source::from_memory({bytes});");
        assert!(compiles(&source(owned), "c++20"), "{owned}");
        assert!(!compiles(&source(borrowed), "c++20"), "{borrowed}");
        assert!(compiles(&source(&format!("pan123::Bytes({borrowed}), nullptr")), "c++20"), "{borrowed}");
    }
    for view in ["message", "step", "api_message", "trace_id", "advice", "failure_class", "json"] {
        assert!(compiles(&format!("const auto e = error(); (void)e.{view}();"), "c++17"), "{view}");
        assert!(!compiles(&format!("(void)error().{view}();"), "c++17"), "{view}");
    }
    let client = "extern pan123::Client c;";
    for (named, gone) in [
        (
            "auto r = c.token(); std::string_view t = r->token(); (void)t;",
            "std::string_view t = c.token()->token(); (void)t;",
        ),
        (
            "auto r = c.token(); for (char x : r->token()) (void)x;",
            "for (char x : c.token()->token()) (void)x;",
        ),
        (
            "auto s = pan123::Stop::make().value_or_throw(); pan123::Until u = s; (void)u;",
            "pan123::Until u = pan123::Stop::make().value_or_throw(); (void)u;",
        ),
    ] {
        assert!(compiles(&format!("{client} {named}"), "c++17"), "{named}");
        assert!(!compiles(&format!("{client} {gone}"), "c++17"), "{gone}");
    }
}

#[test]
fn everything_it_offers_does_what_the_manual_says() {
    check_program("everything", "c++17", &[]);
}

#[test]
fn sanitizers_find_nothing_in_everything_it_offers() {
    check_program("everything", "c++20", SANITIZED);
}

#[test]
fn objects_of_the_host_may_throw_and_may_go_at_any_time() {
    check_program("yours", "c++17", SANITIZED);
}

#[test]
fn calls_end_when_a_stop_token_asks() {
    check_program("stop_token", "c++20", SANITIZED);
}

/// Bytes that no other test uploads.
fn content(seed: u64) -> Vec<u8> {
    (0..20_000_000_u64).map(|at| (at.wrapping_mul(seed) >> 7) as u8).collect()
}

/// Builds an example in two dialects and runs it; returns what it printed.
#[track_caller]
fn check_example(name: &str, extra: &[&str], seed: u64) -> String {
    let service = Service::start();
    let (file, bytes) = (service.dir.path().join("local"), content(seed));
    fs::write(&file, &bytes).unwrap();
    let source = format!("examples/cpp/{name}.cpp");
    let mut text = String::new();
    for (dialect, extra) in [("c++17", extra), ("c++20", SANITIZED)] {
        let remote = format!("{name} as {dialect}");
        let mut command = Command::new(build(&format!("example-{name}"), &source, dialect, extra));
        command.arg(if name == "source" { "20000000".as_ref() } else { file.as_os_str() }).arg(&remote);
        service.tell(&mut command);
        let output = run(&mut command);
        text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let stored = fs::read(service.dir.path().join("drive/files").join(&remote)).unwrap();
        assert!(if name == "source" { stored.len() == 20_000_000 } else { stored == bytes });
    }
    text
}

#[test]
fn example_upload() {
    let text = check_example("upload", &[], 101);
    assert!(text.starts_with("file id "), "{text}");
    let program = build("example-upload-fails", "examples/cpp/upload.cpp", "c++17", &[]);
    let output = run(Command::new(program).args(["/nonexistent", "x"]).env("PAN123_ACCESS_TOKEN", "token"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.starts_with("PAN123_E_SOURCE_IO: "), "{text}");
}

#[test]
fn example_progress() {
    let text = check_example("progress", &[], 103);
    assert!(text.contains('#') && text.contains("done, file id "), "{text}");
}

/// Without exceptions and without RTTI.
#[test]
fn example_source() {
    let text = check_example("source", PLAIN, 105);
    assert!(text.starts_with("file id "), "{text}");
}
