//! The calls around an upload, the tolerance for how they are written, and the refusals.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(clippy::type_complexity, reason = "tables of cases")]

mod support;

use std::{collections::HashSet, fs, io::Write, time::Duration};

use pan123_emulator::{Emulator, ErrorKind, Options};
use pan123_proto::Endpoint;
use serde_json::{Value, json};
use support::{BOUNDARY, Rig, connect, create_body, md5, noise, read_answer, send};

const PLATFORM: &str = "Platform: open_platform\r\n";

fn ask_token(rig: &Rig, id: &str, secret: &str) -> support::Answer {
    let body = json!({"clientID": id, "clientSecret": secret}).to_string();
    send(rig.emulator.base_url(), "POST", "/api/v1/access_token", PLATFORM, body.as_bytes()).unwrap()
}

fn issue(rig: &Rig) -> String {
    let data = ask_token(rig, "emulator-id", "emulator-secret").data();
    data["accessToken"].as_str().unwrap().to_owned()
}

fn user_info(rig: &Rig, token: &str) -> i64 {
    let head = format!("Authorization: Bearer {token}\r\n{PLATFORM}");
    send(rig.emulator.base_url(), "GET", "/api/v1/user/info", &head, b"").unwrap().code().1
}

#[test]
fn the_fourth_token_pushes_out_the_first() {
    let rig = Rig::new();
    let tokens: Vec<String> = (0..4).map(|_| issue(&rig)).collect();
    let codes: Vec<i64> = tokens.iter().map(|token| user_info(&rig, token)).collect();
    assert_eq!(codes, [401, 0, 0, 0]);
    assert_eq!(user_info(&rig, rig.emulator.token()), 0, "a given token does not count");
    let rig = rig.restart();
    assert_eq!(user_info(&rig, &tokens[3]), 0, "tokens outlive the process");
    assert_eq!(user_info(&rig, &tokens[0]), 401);
    rig.emulator.expire_tokens().unwrap();
    assert_eq!(user_info(&rig, &tokens[3]), 401);
    assert_eq!(user_info(&rig, rig.emulator.token()), 0);
}

#[test]
fn tokens_expire_and_wrong_logins_get_none() {
    let rig = Rig::with(|options| options.token_lifetime = Duration::from_millis(1));
    let data = ask_token(&rig, "emulator-id", "emulator-secret").data();
    assert!(data["expiredAt"].as_str().unwrap().ends_with("+08:00"), "{data}");
    let token = data["accessToken"].as_str().unwrap();
    assert!((0..1000).any(|_| user_info(&rig, token) == 401));
    assert_eq!(ask_token(&rig, "emulator-id", "wrong").code(), (200, 401, "无效的登录信息".to_owned()));
    assert_eq!(ask_token(&rig, "", "").code().1, 1);
    assert_eq!(user_info(&rig, ""), 401);
    assert_eq!(user_info(&rig, "made-up"), 401);
}

#[test]
fn refresh_tokens_rotate() {
    let rig = Rig::new();
    let ask = |query: &str| {
        let path = format!(
            "/api/v1/oauth2/access_token?client_id=emulator-id&client_secret=emulator-secret&{query}"
        );
        send(rig.emulator.base_url(), "POST", &path, PLATFORM, b"").unwrap()
    };
    let first = ask("grant_type=authorization_code&code=emulator-code&redirect_uri=x").json();
    assert_eq!(
        (&first["expires_in"], &first["token_type"], &first["code"]),
        (&json!(7200), &json!("Bearer"), &Value::Null)
    );
    let text = |json: &Value, key: &str| json[key].as_str().unwrap().to_owned();
    assert_eq!(user_info(&rig, &text(&first, "access_token")), 0);
    let refresh = format!("grant_type=refresh_token&refresh_token={}", text(&first, "refresh_token"));
    let second = ask(&refresh).json();
    assert_eq!(user_info(&rig, &text(&second, "access_token")), 0);
    assert_eq!(user_info(&rig, &text(&first, "access_token")), 401, "refreshing ends the old one at once");
    assert_eq!(user_info(&rig, &text(&second, "refresh_token")), 401, "it is no access token");
    let again = ask(&refresh);
    assert_eq!((again.status, again.json()["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(ask("grant_type=password").status, 400);
    assert_eq!(ask("grant_type=authorization_code&code=x").status, 400);
}

#[test]
fn folders_list_page_by_page() {
    let rig = Rig::new();
    let mkdir = |parent: i64, name: &str| {
        rig.post("/upload/v1/file/mkdir", json!({"parentID": parent, "name": name}))
    };
    let folder = mkdir(0, "夹").data()["dirID"].as_i64().unwrap();
    assert_eq!(mkdir(0, "夹").code(), (200, 1, "该目录下已经有同名文件夹,无法进行创建".to_owned()));
    assert_eq!(mkdir(folder + 1000, "x").code().2, "parentFileID不存在");
    assert!(rig.stored("夹").is_dir());
    for index in 0..7 {
        mkdir(folder, &format!("d{index}")).data();
    }
    let (mut names, mut last) = (Vec::new(), 0);
    while last != -1 {
        let page =
            rig.get(&format!("/api/v2/file/list?parentFileId={folder}&limit=3&lastFileId={last}")).data();
        last = page["lastFileId"].as_i64().unwrap();
        names.extend(
            page["fileList"].as_array().unwrap().iter().map(|it| it["filename"].as_str().unwrap().to_owned()),
        );
        assert!(names.len() <= 7);
    }
    assert_eq!(names, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
    let root = rig.get("/api/v2/file/list?parentFileId=0&limit=100").data();
    assert_eq!((&root["lastFileId"], &root["fileList"][0]["type"]), (&json!(-1), &json!(1)));
    let found = rig.get("/api/v2/file/list?parentFileId=0&limit=100&searchData=d4").data();
    assert_eq!(found["fileList"].as_array().unwrap().len(), 1);
    for bad in ["limit=0", "limit=101", "parentFileId=5&limit=1", "limit=x", ""] {
        assert_eq!(rig.get(&format!("/api/v2/file/list?{bad}")).code().1, 1, "{bad}");
    }
}

#[test]
fn the_account_and_the_hosts_are_told() {
    let rig = Rig::with(|options| options.servers = 3);
    rig.upload("a", &noise(1500));
    assert_eq!(rig.get("/api/v1/user/info").data()["spaceUsed"], 1500);
    assert_eq!(rig.get("/upload/v2/file/domain").data(), json!(rig.emulator.servers()));
    assert_eq!(rig.emulator.servers().iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn requests_may_be_written_in_many_ways() {
    let rig = Rig::new();
    let head = |content_type: &str| format!("{}Content-Type: {content_type}\r\n", rig.headers());
    let create = |content_type: &str, body: &str| {
        send(rig.emulator.base_url(), "POST", "/upload/v2/file/create", &head(content_type), body.as_bytes())
            .unwrap()
    };
    let etag = md5(b"x");
    let field = |name: &str, value: &str| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let multipart = [("parentFileID", "0"), ("filename", "d"), ("etag", &etag), ("size", "1")];
    let multipart: String = multipart.iter().map(|(name, value)| field(name, value)).collect();
    let cases = [
        (
            "application/json",
            json!({"PARENTFILEID": 0, "FileName": "a", "ETag": etag, "Size": 1}).to_string(),
        ),
        (
            "application/json; charset=utf-8",
            json!({"parentFileId": "0", "filename": "b", "etag": etag, "size": "1", "duplicate": null})
                .to_string(),
        ),
        (
            "application/x-www-form-urlencoded",
            format!("parentFileID=0&filename=%E6%96%87+c&etag={etag}&size=1&containDir=false"),
        ),
        (&format!("multipart/form-data; boundary={BOUNDARY}"), format!("{multipart}--{BOUNDARY}--\r\n")),
        ("text/plain", json!({"parentFileID": 0, "filename": "e", "etag": etag, "size": 1}).to_string()),
    ];
    for (content_type, body) in &cases {
        assert!(create(content_type, body).data()["preuploadID"].is_string(), "{content_type}: {body}");
    }
}

#[test]
fn malformed_requests_get_a_reason_and_harm_nobody() {
    let rig = Rig::new();
    let url = rig.emulator.base_url().to_owned();
    let host = rig.emulator.servers()[0].clone();
    let json_head = format!("{}Content-Type: application/json\r\n", rig.headers());
    let form_head = format!("{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n", rig.headers());
    let plain_head = format!("{}Content-Type: text/plain\r\n", rig.headers());
    let no_boundary = format!("{}Content-Type: multipart/form-data\r\n", rig.headers());
    let deep = "[".repeat(100_000);
    let huge = vec![b' '; (1 << 20) + 1];
    let long_field = [
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=sliceNo\r\n\r\n").into_bytes(),
        noise(70_000),
    ]
    .concat();
    let no_slice = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=sliceNo\r\n\r\n1\r\n--{BOUNDARY}--\r\n"
    );
    let (create, slice) = ("/upload/v2/file/create", "/upload/v2/file/slice");
    let cases: [(&str, &str, &str, &str, &[u8], u16, &str); 14] = [
        (&url, "POST", create, &json_head, b"{\"a\":", 200, "JSON"),
        (&url, "POST", create, &json_head, b"[]", 200, "JSON"),
        (&url, "POST", create, &json_head, b"\xff\xfe", 200, "JSON"),
        (&url, "POST", create, &json_head, deep.as_bytes(), 200, "JSON"),
        (&url, "POST", create, &json_head, b"", 200, "etag"),
        (&url, "POST", create, &json_head, &huge, 413, "过大"),
        (&url, "GET", create, &json_head, b"", 405, "takes POST"),
        (&url, "POST", slice, &form_head, b"x", 404, "one of `servers`"),
        (&host, "POST", create, &json_head, b"{}", 404, "the base URL"),
        (&url, "GET", "/nothing", "", b"", 404, "no such call"),
        (&host, "POST", slice, &plain_head, b"x", 200, "must be multipart"),
        (&host, "POST", slice, &no_boundary, b"x", 200, "boundary"),
        (&host, "POST", slice, &form_head, b"x", 200, "ends before"),
        (&host, "POST", slice, &form_head, no_slice.as_bytes(), 200, "不能为空"),
    ];
    for (url, method, path, head, body, status, words) in cases {
        let (seen, code, message) = send(url, method, path, head, body).unwrap().code();
        assert_eq!(seen, status, "{method} {path}: {message}");
        assert!(code != 0 && message.contains(words), "{method} {path}: {code} {message}, not {words}");
    }
    assert!(send(&host, "POST", slice, &form_head, &long_field).unwrap().code().2.contains("过长"));
    let no_platform = format!("Authorization: Bearer {}\r\n", rig.emulator.token());
    assert!(send(&url, "GET", "/api/v1/user/info", &no_platform, b"").unwrap().code().2.contains("Platform"));
    let mut stream = connect(&url);
    stream.write_all(b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 400);
    let mut stream = connect(&url);
    let _ =
        stream.write_all(&[b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 2 << 20], b"\r\n\r\n"].concat());
    assert!(read_answer(&mut stream).map_or(431, |answer| answer.status) == 431);
    rig.upload("still.works", &noise(2200));
}

#[test]
fn a_slice_may_name_itself_after_its_bytes() {
    let rig = Rig::new();
    let bytes = noise(900);
    let id = rig.create("a", &bytes)["preuploadID"].as_str().unwrap().to_owned();
    let part = |head: &str, value: &[u8]| {
        [format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(), value, b"\r\n"]
            .concat()
    };
    let body = [
        part("name=\"slice\"; filename=\"../../../etc/passwd\"", &bytes),
        part("name=\"sliceMD5\"", md5(&bytes).as_bytes()),
        part("name=\"sliceNo\"", b"1"),
        part("name=\"preuploadID\"", id.as_bytes()),
        format!("--{BOUNDARY}--").into_bytes(),
    ]
    .concat();
    let head = format!("{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n", rig.headers());
    send(&rig.emulator.servers()[0], "POST", "/upload/v2/file/slice", &head, &body).unwrap().data();
    rig.completed(&id);
    assert_eq!(fs::read(rig.stored("a")).unwrap(), bytes);
}

#[test]
fn the_log_file_tells_all_but_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("requests.jsonl");
    let rig = Rig::with(|options| options.log = Some(path.clone()));
    let token = issue(&rig);
    assert_eq!(user_info(&rig, &token), 0);
    rig.upload("a.bin", &noise(1500));
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let endpoints: Vec<&str> = lines.iter().map(|line| line["endpoint"].as_str().unwrap()).collect();
    assert_eq!(endpoints, ["access_token", "user_info", "create", "slice", "slice", "upload_complete"]);
    assert_eq!(
        (&lines[4]["slice_no"], &lines[4]["server"], &lines[4]["code"]),
        (&json!(2), &json!(1), &json!(0))
    );
    for secret in [token.as_str(), rig.emulator.token(), "emulator-secret"] {
        assert!(!text.contains(secret));
        let index = fs::read_to_string(rig.folder.path().join("index.jsonl")).unwrap();
        assert!(!index.contains(secret));
    }
    assert_ne!(lines[1]["token"], lines[2]["token"], "tokens can be told apart");
}

#[test]
fn options_out_of_range_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let start = |change: fn(&mut Options)| {
        let mut options = Options::new(folder.path());
        change(&mut options);
        Emulator::start(options).unwrap_err()
    };
    let cases: [(fn(&mut Options), &str); 5] = [
        (|options| options.servers = 0, "servers must be 1 to 64"),
        (|options| options.slice_size = 0, "slice_size must be"),
        (|options| options.tokens = vec!["a b".to_owned()], "a token is"),
        (|options| options.client_id.clear(), "must not be empty"),
        (
            |options| {
                options.faults.faults.push(
                    pan123_emulator::Fault::new(Endpoint::Slice, pan123_emulator::Action::Reset).server(9),
                )
            },
            "no server 9",
        ),
    ];
    for (change, words) in cases {
        let error = start(change);
        assert!(error.to_string().contains(words), "{error}");
    }
    let rig = Rig::new();
    let port = rig.emulator.base_url().rsplit_once(':').unwrap().1.parse().unwrap();
    let error = Emulator::start(Options { port, ..Options::new(folder.path().join("other")) }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Listen, "{error}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Emulator::start(Options::new(&file)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
}

#[test]
fn names_longer_than_file_systems_take_are_stored() {
    let rig = Rig::new();
    let name = "文".repeat(251) + ".txt";
    let file = rig.upload(&name, b"long");
    assert_eq!(rig.get(&format!("/api/v1/file/detail?fileID={file}")).data()["filename"], name.as_str());
    assert_eq!(rig.post("/upload/v2/file/create", create_body(&name, b"other")).code().1, 1);
    let rig = rig.restart();
    let entry = fs::read_dir(rig.folder.path().join("files")).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read(entry.path()).unwrap(), b"long");
}
