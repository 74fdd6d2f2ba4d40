//! Bad values in every parameter of every function: a code or nothing, never a crash.
//!
//! The program is made from the header, so that a new function is in it without anybody thinking of it.

use std::{fmt::Write, fs, process::Command};

use crate::support::{Link, Service, compile, crate_dir, root, run_ok, scratch};

struct Function {
    returns: String,
    name: String,
    parameters: Vec<(String, String)>,
}

/// The functions of the header.
fn functions() -> Vec<Function> {
    let header = fs::read_to_string(root().join("include/pan123.h")).unwrap();
    let mut functions = Vec::new();
    for part in header.split("\nPAN123_API").skip(1) {
        let declaration = part.split(';').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let (before, parameters) = declaration.split_once('(').unwrap();
        let name = before.rsplit([' ', '*']).next().unwrap();
        let returns = before[..before.len() - name.len()].trim().to_owned();
        let parameters = split_parameters(parameters.strip_suffix(')').unwrap());
        functions.push(Function { returns, name: name.to_owned(), parameters });
    }
    functions
}

fn split_parameters(text: &str) -> Vec<(String, String)> {
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    parts.push(part);
    let parts = parts.iter().map(|part| part.trim()).filter(|part| *part != "void");
    parts
        .map(|part| match part.split_once("(*") {
            Some((_, after)) => ("callback".to_owned(), after.split(')').next().unwrap().to_owned()),
            None => {
                let name = part.rsplit([' ', '*']).next().unwrap();
                (part[..part.len() - name.len()].trim().to_owned(), name.to_owned())
            }
        })
        .collect()
}

/// Values for a parameter: the first is a good one, or as good as can be; the others are bad.
fn values(kind: &str, name: &str) -> Vec<String> {
    let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let bare = kind.trim_start_matches("const ").trim();
    match bare {
        "char *" => list(&["\"name\"", "NULL", "\"\\xff\\xfe\"", "\"a\\0b\"", "\"\""]),
        "size_t" if name == "n" => list(&["0", "1", "SIZE_MAX", "SIZE_MAX / 2"]),
        "size_t" if name == "i" || name == "index" => list(&["0", "SIZE_MAX", "1000000"]),
        "size_t" => list(&["1", "0", "SIZE_MAX - 1", "(size_t)1 << 63"]),
        "uint8_t *" => list(&["bytes", "NULL"]),
        "uint32_t" => list(&["0", "UINT32_MAX", "1001", "2001", "77777"]),
        "int32_t" | "pan123_status" => list(&["200", "-1", "INT32_MAX", "INT32_MIN", "0"]),
        "int64_t" if name == "timeout_ms" => list(&["0", "1"]),
        "int64_t" => list(&["0", "-1", "INT64_MAX", "INT64_MIN"]),
        "uint64_t" => list(&["0", "UINT64_MAX", "1"]),
        "uintptr_t" => list(&["0", "UINTPTR_MAX"]),
        "int64_t *" => list(&["&number", "NULL"]),
        "size_t *" => list(&["&size", "NULL"]),
        "char **" => list(&["&text", "NULL"]),
        "callback" => list(&["NULL"]),
        // Only the library can make them, and only for a callback.
        "pan123_http *" | "pan123_sink *" => list(&["NULL"]),
        "pan123_error **" => list(&["&err", "NULL"]),
        "pan123_source *const *" => list(&["&good_source", "NULL"]),
        "pan123_event *" => {
            list(&["&event", "NULL", "sized_event(0)", "sized_event(7)", "sized_event(UINT32_MAX)"])
        }
        "pan123_progress *" => {
            list(&["&progress", "NULL", "sized_progress(0)", "sized_progress(UINT32_MAX)"])
        }
        vtable if vtable.ends_with("_vtable *") => {
            let name = vtable.trim_end_matches(" *");
            vec![
                format!("vtable(sizeof({name}), 0)"),
                "NULL".into(),
                "vtable(0, 0)".into(),
                "vtable(UINT32_MAX, 0)".into(),
                format!("vtable(sizeof({name}), 0xffff)"),
            ]
        }
        out if out.ends_with("**") => {
            let object = out.trim_end_matches("**").trim();
            vec![format!("({object} **)&out"), "NULL".into()]
        }
        handle if handle.starts_with("pan123_") => {
            let object = handle.trim_end_matches('*').trim().trim_start_matches("pan123_");
            vec!["NULL".into(), format!("good_{object}")]
        }
        other => panic!("{name}: no values for a parameter of type {other:?}"),
    }
}

/// A program that calls every function with one bad value at a time, and with all of them bad.
fn program() -> String {
    let mut code = String::from(include_str!("../c/sweep.in.c"));
    let (mut calls, mut short) = (0, 0);
    for Function { returns, name, parameters } in functions() {
        if parameters.is_empty() {
            continue;
        }
        let all: Vec<Vec<String>> = parameters.iter().map(|(kind, name)| values(kind, name)).collect();
        let first: Vec<&str> = all.iter().map(|values| values[0].as_str()).collect();
        let mut call = |arguments: &[&str]| {
            let arguments = arguments.join(", ");
            // What is freed must be a reference of our own; freeing nothing is all that is tried here.
            if name.ends_with("_free") && !arguments.contains("NULL") {
                return;
            }
            // A client that is shut down would be no good for the calls after it.
            if name == "pan123_client_shutdown" && arguments.contains("good_client") {
                return;
            }
            calls += 1;
            let label = format!("{name}({arguments})").replace('\\', "\\\\").replace('"', "\\\"");
            writeln!(code, "    BEFORE(\"{label}\");").unwrap();
            if returns == "pan123_status" {
                writeln!(code, "    AFTER({name}({arguments}));").unwrap();
            } else if returns == "pan123_error *" {
                writeln!(code, "    pan123_error_free({name}({arguments}));").unwrap();
            } else if name.ends_with("_retain") {
                let free = name.replace("_retain", "_free");
                writeln!(code, "    {free}({name}({arguments}));").unwrap();
            } else {
                writeln!(code, "    (void){name}({arguments});").unwrap();
            }
        };
        for (index, values) in all.iter().enumerate() {
            for value in values {
                let mut arguments = first.clone();
                arguments[index] = value;
                call(&arguments);
                // The same among objects that are as they should be.
                let mut good = arguments.clone();
                for (at, values) in all.iter().enumerate().filter(|(at, _)| *at != index) {
                    if let Some(object) = values.get(1).filter(|value| value.starts_with("good_")) {
                        good[at] = object;
                    }
                }
                if good != arguments {
                    call(&good);
                }
            }
        }
        let worst: Vec<&str> = all.iter().map(|values| values[values.len() - 1].as_str()).collect();
        call(&worst);
        if let Some(at) = parameters.iter().position(|(kind, _)| kind.ends_with("_vtable *")) {
            let vtable = parameters[at].0.trim_start_matches("const ").trim_end_matches(" *");
            let mut arguments = first.clone();
            arguments[at] = "short_vtable(vtable_size)";
            *arguments.last_mut().unwrap() = "NULL";
            writeln!(code, "    SHORT({vtable}, {name}({}))", arguments.join(", ")).unwrap();
            short += 1;
        }
    }
    assert!(calls > 400 && short >= 5, "only {calls} calls, {short} with vtables");
    code += "    puts(\"ok\");\n    return 0;\n}\n";
    code
}

#[test]
fn bad_values_in_every_parameter_give_a_code() {
    let service = Service::start();
    let folder = scratch("sweep");
    fs::write(folder.join("sweep.c"), program()).unwrap();
    let binary = folder.join("sweep");
    let include = format!("-I{}", crate_dir().join("tests/c").display());
    let flags =
        ["-std=gnu99", "-g", "-O0", &include, "-fsanitize=address,undefined", "-fno-sanitize-recover"];
    compile("gcc", &folder.join("sweep.c"), &binary, Link::Shared, &flags);
    let mut command = Command::new(binary);
    // What functions made among bad neighbours is not always kept to be freed.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    service.tell(&mut command);
    run_ok(&mut command);
}

/// A program that makes every function panic, with nothing but NULL and 0 for parameters.
#[cfg(feature = "test-panic")]
fn panics() -> String {
    let mut code = String::from(
        "#include <pan123.h>\n#include <stdio.h>\nvoid pan123_test_panic(void);\n\
         static int failed;\n#define CHECK(c) ((c) || (failed = 1, fprintf(stderr, \"not so: %s\\n\", #c)))\n\
         int main(void)\n{\n",
    );
    for Function { returns, name, parameters } in functions() {
        let arguments = vec!["0"; parameters.len()].join(", ");
        let outcome = match &*returns {
            "pan123_status" => "== PAN123_E_PANIC",
            "int64_t" => "== 0",
            "void" => "",
            "const char *" if name == "pan123_status_name" || parameters.is_empty() => "!= NULL",
            _ => "== NULL",
        };
        let call = format!("{name}({arguments})");
        writeln!(code, "    pan123_test_panic();").unwrap();
        if outcome.is_empty() {
            writeln!(code, "    {call};").unwrap();
        } else {
            writeln!(code, "    CHECK({call} {outcome});").unwrap();
        }
        // Not armed any more: this function has struck.
        writeln!(code, "    CHECK(pan123_abi_check(PAN123_ABI_VERSION) == PAN123_OK);").unwrap();
    }
    code + "    if (!failed) puts(\"ok\");\n    return failed;\n}\n"
}

#[test]
#[cfg(feature = "test-panic")]
fn a_panic_in_every_function_is_caught() {
    let folder = scratch("panics");
    fs::write(folder.join("panics.c"), panics()).unwrap();
    let binary = folder.join("panics");
    let library = std::env::current_exe().unwrap().parent().unwrap().join("libpan123.so");
    let mut gcc = Command::new("gcc");
    gcc.arg("-I")
        .arg(root().join("include"))
        .arg("-o")
        .arg(&binary)
        .arg(folder.join("panics.c"))
        .arg(&library);
    let output = gcc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // By a link, because the name that the program looks for is the SONAME.
    let link = folder.join("libpan123.so.0.1");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(library, link).unwrap();
    let mut command = Command::new("env");
    run_ok(command.arg(format!("LD_LIBRARY_PATH={}", folder.display())).arg(binary));
}

#[test]
fn the_header_declares_what_is_exported() {
    let declared: Vec<String> = functions().into_iter().map(|function| function.name).collect();
    let written = fs::read_to_string(root().join("abi/exports.txt")).unwrap();
    let mut sorted = declared.clone();
    sorted.sort();
    assert_eq!(
        sorted.join("\n"),
        written.trim_end(),
        "abi/exports.txt lists the functions of another header"
    );
}
