//! Records have the same layout in C and in Rust, and the one that was written down.

use std::{collections::BTreeMap, fmt::Write, fs, mem::offset_of, process::Command};

use crate::support::{Link, compile, root, run, scratch};

/// Name of a record, and its size and alignment, then its members with their offsets.
type Layout = BTreeMap<String, String>;

macro_rules! layout {
    ($into:ident, $type:ty { $($member:ident),* }) => {
        let mut text = format!("size {} align {}", size_of::<$type>(), align_of::<$type>());
        $( write!(text, " {}@{}", stringify!($member), offset_of!($type, $member)).unwrap(); )*
        let name = stringify!($type).rsplit("::").next().unwrap().trim().to_owned();
        $into.insert(name, text);
    };
}

fn of_rust() -> Layout {
    let mut all = Layout::new();
    layout!(all, pan123::vtable::pan123_vtable { struct_size, flags, release, extension });
    layout!(all, pan123::source::pan123_identity { struct_size, flags, size, inode, mtime_ns });
    layout!(all, pan123::source::pan123_source_vtable { h, read_at, identity });
    layout!(all, pan123::transport::pan123_transport_vtable { h, send, interrupt });
    layout!(all, pan123::tokens::pan123_tokens_vtable { h, get });
    layout!(all, pan123::store::pan123_store_vtable { h, load, save, remove, list });
    layout!(
        all,
        pan123::event::pan123_event {
            struct_size,
            kind,
            user,
            seq,
            bytes_done,
            bytes_total,
            value,
            code,
            slice_no,
            text,
            text_len
        }
    );
    layout!(all, pan123::event::pan123_observer_vtable { h, on_event });
    layout!(
        all,
        pan123::upload::pan123_progress {
            struct_size,
            state,
            slices_done,
            slices_total,
            retries,
            reserved,
            bytes_hashed,
            bytes_sent,
            bytes_confirmed,
            bytes_total
        }
    );
    layout!(
        all,
        pan123::plugin::pan123_host {
            struct_size,
            abi_version,
            error_new,
            error_code,
            error_i64,
            error_str,
            error_free,
            http_str,
            http_i64,
            http_header,
            http_set_header,
            http_read_body,
            http_forward,
            http_answer,
            sink_put
        }
    );
    layout!(
        all,
        pan123::plugin::pan123_plugin_parts {
            struct_size,
            flags,
            transport,
            transport_ctx,
            tokens,
            tokens_ctx,
            store,
            store_ctx
        }
    );
    layout!(all, pan123::plugin::pan123_plugin { magic, struct_size, abi_version, flags, id, version, open });
    all
}

/// The records of the header, with the names of their members.
fn records(header: &str) -> Vec<(String, Vec<String>)> {
    let mut records = Vec::new();
    for part in header.split("\ntypedef struct ").skip(1) {
        let Some((name, rest)) = part.split_once(" {\n") else { continue };
        if name.contains(['\n', ';']) {
            continue;
        }
        let body = rest.split("\n} ").next().unwrap();
        let mut members = Vec::new();
        let mut is_comment = false;
        let mut depth = 0_i32;
        for line in body.lines() {
            let line = line.trim();
            is_comment |= line.starts_with("/**");
            if !is_comment {
                let begins = depth == 0;
                depth += line.matches('(').count() as i32 - line.matches(')').count() as i32;
                if let Some((_, after)) = line.split_once("(*").filter(|_| begins) {
                    members.push(after.split(')').next().unwrap().to_owned());
                } else if begins && line.ends_with(';') {
                    let word = line.trim_end_matches(';').rsplit([' ', '*']).next().unwrap();
                    members.push(word.to_owned());
                }
            }
            is_comment &= !line.ends_with("*/");
        }
        records.push((name.to_owned(), members));
    }
    records
}

fn of_c() -> Layout {
    let header = fs::read_to_string(root().join("include/pan123.h")).unwrap();
    let mut code = String::from("#include <pan123.h>\n#include <stdio.h>\nint main(void) {\n");
    for (name, members) in records(&header) {
        writeln!(code, "printf(\"{name}|size %zu align %zu\", sizeof({name}), _Alignof({name}));").unwrap();
        for member in members {
            writeln!(code, "printf(\" {member}@%zu\", offsetof({name}, {member}));").unwrap();
        }
        code += "puts(\"\");\n";
    }
    code += "return 0;\n}\n";
    let folder = scratch("layout");
    fs::write(folder.join("layout.c"), code).unwrap();
    let program = folder.join("layout");
    compile("gcc", &folder.join("layout.c"), &program, Link::Shared, &["-std=c11", "-Wall", "-Werror"]);
    let output = run(&mut Command::new(program));
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split_once('|').unwrap()).map(|(a, b)| (a.into(), b.into())).collect()
}

#[test]
fn records_look_the_same_from_both_sides() {
    let (rust, c) = (of_rust(), of_c());
    assert!(c.len() >= 12, "{c:?}");
    assert_eq!(rust, c);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn no_record_has_changed() {
    let found: String = of_rust().iter().map(|(name, layout)| format!("{name}: {layout}\n")).collect();
    let path = root().join("abi/layout-64.txt");
    if std::env::var_os("PAN123_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let written = fs::read_to_string(path).unwrap();
    assert_eq!(
        found, written,
        "a record changed; if it only grew at its end: PAN123_BLESS=1 cargo test -p pan123-capi"
    );
}
