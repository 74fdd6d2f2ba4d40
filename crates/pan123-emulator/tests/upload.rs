//! Uploads from `create` to the stored file.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::fs;

use pan123_emulator::{Emulator, ErrorKind, Options};
use pan123_proto::Endpoint;
use serde_json::{Value, json};
use support::{Rig, create_body, md5, noise};

#[test]
fn a_file_in_slices_is_stored_byte_for_byte() {
    let rig = Rig::new();
    let bytes = noise(4500);
    let created = rig.create("新建 文档.txt", &bytes);
    assert_eq!((&created["reuse"], &created["sliceSize"]), (&json!(false), &json!(1000)));
    assert_eq!(created["servers"], json!(rig.emulator.servers()));
    let id = created["preuploadID"].as_str().unwrap();
    // In any order, on any host.
    for no in [3, 1, 5, 2, 4] {
        let slice = &bytes[(no - 1) * 1000..bytes.len().min(no * 1000)];
        assert_eq!(rig.slice(no % 2, id, no as u32, slice).data(), Value::Null);
    }
    let file = rig.completed(id);
    assert_eq!(fs::read(rig.stored("新建 文档.txt")).unwrap(), bytes);
    assert_eq!(rig.completed(id), file, "asking again gives the same answer");
    let detail = rig.get(&format!("/api/v1/file/detail?fileID={file}")).data();
    assert_eq!(
        (&detail["etag"], &detail["size"], &detail["type"]),
        (&json!(md5(&bytes)), &json!(4500), &json!(0))
    );
    let slices = rig.seen(Endpoint::Slice);
    assert_eq!(slices.iter().map(|it| it.slice_no.unwrap()).collect::<Vec<_>>(), [3, 1, 5, 2, 4]);
    assert!(slices.iter().all(|it| it.content_length == Some(it.bytes) && !it.chunked && it.attempt == 1));
    assert_eq!(fs::read_dir(rig.folder.path().join("parts")).unwrap().count(), 0);
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    let rig = Rig::new();
    let bytes = noise(3000);
    let id = rig.create("a.bin", &bytes)["preuploadID"].as_str().unwrap().to_owned();
    rig.slice(0, &id, 2, &bytes[1000..2000]).data();
    let stored = rig.upload("kept.bin", b"kept");
    let rig = rig.restart();
    rig.slice(1, &id, 1, &bytes[..1000]).data();
    rig.slice(1, &id, 3, &bytes[2000..]).data();
    rig.completed(&id);
    assert_eq!(fs::read(rig.stored("a.bin")).unwrap(), bytes);
    assert_eq!(rig.get(&format!("/api/v1/file/detail?fileID={stored}")).data()["filename"], "kept.bin");
}

#[test]
fn wrong_bytes_never_become_a_file() {
    let rig = Rig::new();
    let bytes = noise(1500);
    let id = rig.create("a.bin", &bytes)["preuploadID"].as_str().unwrap().to_owned();
    let wrong_md5 = support::slice_body(&id, 1, &md5(b"other"), &bytes[..1000]);
    let head =
        format!("{}Content-Type: multipart/form-data; boundary={}\r\n", rig.headers(), support::BOUNDARY);
    let send = |body: &[u8]| {
        support::send(&rig.emulator.servers()[0], "POST", "/upload/v2/file/slice", &head, body)
            .unwrap()
            .code()
    };
    let (status, code, message) = send(&wrong_md5);
    assert_eq!((status, code), (200, 1));
    assert!(message.contains("md5"), "{message}");
    for (no, slice) in [(1, &bytes[..999]), (1, &bytes[..1001]), (0, &bytes[..1000]), (3, &bytes[..500])] {
        let (_, code, message) = rig.slice(0, &id, no, slice).code();
        assert_eq!(code, 1, "slice {no} of {} bytes: {message}", slice.len());
    }
    assert_eq!(rig.slice(0, "unknown", 1, b"x").code().1, 1);
    let (_, code, message) = rig.complete(&id).code();
    assert_eq!((code, message.as_str()), (1, "分片未全部上传: 缺2个，第一个是1"));
    // Slices that are each right and together wrong fail at the end, and for good.
    rig.slice(0, &id, 1, &noise(1000)).data();
    rig.slice(0, &id, 2, &bytes[1000..]).data();
    for _ in 0..2 {
        assert_eq!(rig.complete(&id).code(), (200, 1, "文件上传失败".to_owned()));
    }
    assert!(!rig.stored("a.bin").exists());
}

#[test]
fn a_slice_may_come_again() {
    let rig = Rig::new();
    let bytes = noise(2000);
    let id = rig.create("a.bin", &bytes)["preuploadID"].as_str().unwrap().to_owned();
    rig.slice(0, &id, 1, &noise(1000)).data();
    rig.slice(1, &id, 1, &bytes[..1000]).data();
    rig.slice(1, &id, 1, &bytes[..1000]).data();
    let (_, code, _) = rig.slice(1, &id, 1, &bytes[..900]).code();
    assert_eq!(code, 1, "a bad copy is refused");
    rig.slice(0, &id, 2, &bytes[1000..]).data();
    rig.completed(&id);
    assert_eq!(fs::read(rig.stored("a.bin")).unwrap(), bytes, "and does no harm");
}

#[test]
fn known_content_needs_no_bytes() {
    let rig = Rig::new();
    let bytes = noise(1200);
    let first = rig.upload("first.bin", &bytes);
    let created = rig.create("second.bin", &bytes);
    assert_eq!((&created["reuse"], created["preuploadID"].as_str()), (&json!(true), Some("")));
    assert_ne!(created["fileID"], json!(first));
    assert_eq!(fs::read(rig.stored("second.bin")).unwrap(), bytes);
    let by_sha1 = |sha1: &str, name: &str| {
        let body = json!({"parentFileID": 0, "filename": name, "sha1": sha1, "size": 5});
        rig.post("/upload/v2/file/sha1_reuse", body).data()
    };
    rig.upload("hello", b"hello");
    assert_eq!(by_sha1("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", "again")["reuse"], true);
    assert_eq!(fs::read(rig.stored("again")).unwrap(), b"hello");
    assert_eq!(by_sha1("0000000000000000000000000000000000000000", "no")["reuse"], false);
}

#[test]
fn a_taken_name_goes_by_the_duplicate_policy() {
    let rig = Rig::new();
    let old = rig.upload("a.txt", b"old");
    let create = |bytes: &[u8], duplicate: u8| {
        let mut body = create_body("a.txt", bytes);
        body["duplicate"] = json!(duplicate);
        rig.post("/upload/v2/file/create", body)
    };
    assert_eq!(rig.post("/upload/v2/file/create", create_body("a.txt", b"new")).code().1, 1);
    assert_eq!(create(b"new", 3).code().1, 1);
    let both = create(b"both", 1).data()["preuploadID"].as_str().unwrap().to_owned();
    rig.slice(0, &both, 1, b"both").data();
    rig.completed(&both);
    assert_eq!(fs::read(rig.stored("a(1).txt")).unwrap(), b"both");
    assert_eq!(fs::read(rig.stored("a.txt")).unwrap(), b"old");
    let over = create(b"over", 2).data()["preuploadID"].as_str().unwrap().to_owned();
    rig.slice(0, &over, 1, b"over").data();
    assert_ne!(rig.completed(&over), old, "an overwritten file has a new id");
    assert_eq!(fs::read(rig.stored("a.txt")).unwrap(), b"over");
    assert_eq!(
        rig.get(&format!("/api/v1/file/detail?fileID={old}")).code(),
        (200, 5066, "文件不存在".to_owned())
    );
    // Instant upload over itself.
    assert_eq!(create(b"over", 2).data()["reuse"], true);
    assert_eq!(fs::read(rig.stored("a.txt")).unwrap(), b"over");
    assert_eq!(fs::read_dir(rig.folder.path().join("parts")).unwrap().count(), 0);
}

#[test]
fn a_path_makes_its_folders() {
    let rig = Rig::new();
    let mut body = create_body("/你好/123/测试文件.mp4", b"x");
    body["containDir"] = json!(true);
    let id = rig.post("/upload/v2/file/create", body).data()["preuploadID"].as_str().unwrap().to_owned();
    rig.slice(0, &id, 1, b"x").data();
    rig.completed(&id);
    assert_eq!(fs::read(rig.stored("你好/123/测试文件.mp4")).unwrap(), b"x");
    for path in ["/../a", "a/../../b", "/a/.", "a//"] {
        let mut body = create_body(path, b"x");
        body["containDir"] = json!(true);
        assert_eq!(rig.post("/upload/v2/file/create", body).code().1, 1, "{path}");
    }
}

#[test]
fn what_create_cannot_take_is_refused_with_a_reason() {
    let rig = Rig::new();
    let good = create_body("a", b"x");
    let cases = [
        ("filename", json!("")),
        ("filename", json!("a/b")),
        ("filename", json!("..")),
        ("filename", json!("a\u{0}b")),
        ("filename", json!("x".repeat(256))),
        ("parentFileID", json!(77)),
        ("parentFileID", Value::Null),
        ("parentFileID", json!("x")),
        ("etag", json!("D41D8CD98F00B204E9800998ECF8427E")),
        ("etag", json!("abc")),
        ("size", json!(-1)),
        ("size", json!((10u64 << 30) + 1)),
        ("size", json!(1.5)),
        ("containDir", json!("maybe")),
    ];
    for (field, value) in cases {
        let mut body = good.clone();
        body[field] = value.clone();
        let (status, code, message) = rig.post("/upload/v2/file/create", body).code();
        assert_eq!((status, code), (200, 1), "{field} = {value}: {message}");
        assert!(message.contains(field) || message.contains("文件"), "{field}: {message}");
    }
    rig.create("a", b"x");
}

#[test]
fn an_empty_file_can_be_stored() {
    let rig = Rig::new();
    rig.upload("empty", b"");
    assert_eq!(fs::read(rig.stored("empty")).unwrap(), b"");
    let body = json!({"parentFileID": 0, "filename": "not empty", "etag": md5(b"x"), "size": 0});
    let id = rig.post("/upload/v2/file/create", body).data()["preuploadID"].as_str().unwrap().to_owned();
    assert_eq!(rig.complete(&id).code().2, "文件上传失败", "its etag is another file's");
}

#[test]
fn without_keeping_bytes_only_entries_remain() {
    let rig = Rig::with(|options| options.keep_bytes = false);
    let bytes = noise(2500);
    let file = rig.upload("a.bin", &bytes);
    assert!(!rig.stored("a.bin").exists());
    assert_eq!(rig.get(&format!("/api/v1/file/detail?fileID={file}")).data()["size"], 2500);
    assert_eq!(rig.create("b.bin", &bytes)["reuse"], true);
}

#[test]
fn one_folder_serves_one_emulator_at_a_time() {
    let rig = Rig::new();
    let error = Emulator::start(Options::new(rig.folder.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("in use by another emulator"), "{error}");
}

#[test]
fn a_kill_before_the_last_rename_loses_nothing() {
    let rig = Rig::new();
    let bytes = noise(1700);
    let created = rig.create("a.bin", &bytes);
    let id = created["preuploadID"].as_str().unwrap().to_owned();
    rig.slice(0, &id, 1, &bytes[..1000]).data();
    rig.slice(0, &id, 2, &bytes[1000..]).data();
    let file = rig.completed(&id);
    rig.emulator.stop();
    // As it is when the process dies after the index line and before the rename.
    fs::rename(rig.stored("a.bin"), rig.folder.path().join("parts").join(&id)).unwrap();
    let rig = rig.restart();
    assert_eq!(fs::read(rig.stored("a.bin")).unwrap(), bytes);
    assert_eq!(rig.completed(&id), file);
}

#[test]
fn a_torn_last_line_is_dropped_and_a_damaged_one_is_named() {
    let rig = Rig::new();
    let file = rig.upload("a.bin", b"a");
    rig.emulator.stop();
    let index = rig.folder.path().join("index.jsonl");
    let whole = fs::read_to_string(&index).unwrap();
    fs::write(&index, format!("{whole}{{\"op\":\"node\",\"id\"")).unwrap();
    let rig = rig.restart();
    assert_eq!(rig.get(&format!("/api/v1/file/detail?fileID={file}")).data()["filename"], "a.bin");
    rig.emulator.stop();
    fs::write(&index, format!("{{\"op\":\"odd\"}}\n{whole}")).unwrap();
    let error = Emulator::start(Options::new(rig.folder.path())).unwrap_err();
    assert!(error.to_string().contains("index.jsonl line 1"), "{error}");
}

#[test]
fn a_stored_file_that_is_taken_away_is_forgotten() {
    let rig = Rig::new();
    rig.upload("a.bin", b"gone");
    fs::remove_file(rig.stored("a.bin")).unwrap();
    assert_eq!(rig.create("b.bin", b"gone")["reuse"], false, "there is nothing to reuse");
    let rig = rig.restart();
    assert_eq!(rig.get("/api/v2/file/list?parentFileId=0&limit=10").data()["fileList"], json!([]));
}
