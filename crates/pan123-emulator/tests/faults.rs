//! Scripted faults and standing behaviour, as a client meets them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use pan123_emulator::{Action, At, ErrorKind, Fault, Faults, Garbage, Request};
use pan123_proto::Endpoint;
use serde_json::{Value, json};
use support::{Answer, BOUNDARY, Rig, connect, md5, noise, read_answer, send, slice_body};

/// A rig under this script, with an upload of three slices begun.
fn begun(script: Value) -> (Rig, String, Vec<u8>) {
    let rig = Rig::with(|options| options.faults = Faults::load(&script.to_string()).unwrap());
    let bytes = noise(2500);
    let id = rig.create("a.bin", &bytes)["preuploadID"].as_str().unwrap().to_owned();
    (rig, id, bytes)
}

fn last(rig: &Rig) -> Request {
    rig.emulator.requests().pop().unwrap()
}

/// How a request ended, for tables.
fn told(result: io::Result<Answer>) -> String {
    match result {
        Ok(answer) if answer.body.is_empty() => format!("{} empty", answer.status),
        Ok(answer) => match serde_json::from_slice::<Value>(&answer.body) {
            Ok(json) => {
                format!("{} {} {}", answer.status, json["code"], json["message"].as_str().unwrap_or("-"))
            }
            Err(_) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        },
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn each_verdict_is_what_the_client_sees_once() {
    let cases = [
        (json!({"status": {"status": 500}}), "500 empty"),
        (json!({"status": {"status": 502, "body": "bad gateway"}}), "502 bad gateway"),
        (json!({"code": {"code": 7, "message": "odd"}}), "200 7 odd"),
        (json!({"code": {"code": 7, "message": "odd", "status": 503}}), "503 7 odd"),
        (json!("reset"), "ConnectionReset"),
        (json!("empty"), "200 empty"),
        (json!({"unauthorized": {}}), "200 401 token is expired"),
        (json!({"unauthorized": {"http": true}}), "401 401 token is expired"),
        (json!({"throttled": {}}), "200 429 操作频繁，请稍候再试"),
        (json!({"throttled": {"http": true}}), "429 429 操作频繁，请稍候再试"),
        (json!({"redirect": {"location": "http://127.0.0.1:1/x"}}), "307 empty"),
        (json!({"garbage": "truncated"}), r#"200 {"code":0,"message":"ok","data":{"reu"#),
        (json!({"garbage": "no_code"}), "200 null ok"),
        (json!({"garbage": "html"}), "200 <html><body><h1>Welcome to the captive portal</h1></body></html>"),
    ];
    for (action, expected) in cases {
        for at in ["head", "early", "body", "done"] {
            let fault = json!({"on": "slice", "server": 0, "times": 1, "at": at, "do": action});
            let (rig, id, bytes) = begun(json!({"faults": [fault]}));
            assert_eq!(told(rig.try_slice(0, &id, 2, &bytes[1000..2000])), expected, "{action} at {at}");
            let seen = last(&rig);
            assert_eq!(seen.faults.len(), 1, "{action} at {at}");
            let is_stored = rig.complete(&id).code().2.contains("缺2个");
            assert_eq!(is_stored, at == "done", "{action} at {at}");
            for (no, slice) in (1..).zip(bytes.chunks(1000)) {
                assert_eq!(
                    rig.slice(0, &id, no, slice).code().1,
                    0,
                    "the second try of slice {no} after {action} at {at}"
                );
            }
            rig.completed(&id);
            assert_eq!(fs::read(rig.stored("a.bin")).unwrap(), bytes);
        }
    }
}

#[test]
fn faults_find_their_slice_server_and_attempt() {
    let fault = json!({"on": "slice", "slice_no": "2..3", "server": 1, "attempt": "2..", "do": {"status": {"status": 500}}});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    let status = |server, no: u32| {
        let at = (no as usize - 1) * 1000;
        rig.slice(server, &id, no, &bytes[at..bytes.len().min(at + 1000)]).status
    };
    assert_eq!([status(1, 1), status(1, 1), status(1, 1)], [200, 200, 200], "another slice");
    assert_eq!([status(1, 2), status(1, 2), status(0, 2), status(1, 2)], [200, 500, 200, 500]);
    assert_eq!([status(0, 3), status(0, 3), status(1, 3)], [200, 200, 500]);
    let attempts: Vec<u32> = rig.seen(Endpoint::Slice).iter().map(|it| it.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 1, 2, 3, 4, 1, 2, 3]);
}

#[test]
fn times_ends_a_fault() {
    let fault = json!({"on": "slice", "times": 2, "do": {"throttled": {"retry_after": "3"}}});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    let first = rig.slice(0, &id, 1, &bytes[..1000]);
    assert_eq!((first.code().1, first.header("Retry-After").as_deref()), (429, Some("3")));
    assert_eq!(rig.slice(0, &id, 2, &bytes[1000..2000]).code().1, 429);
    assert_eq!(rig.slice(0, &id, 1, &bytes[..1000]).code().1, 0);
}

/// The head and the fields of a slice request, up to its bytes.
fn unfinished_slice(rig: &Rig, id: &str, len: usize) -> TcpStream {
    let mut stream = connect(&rig.emulator.servers()[0]);
    let body = slice_body(id, 1, &md5(b""), b"");
    let opening = &body[..body.len() - BOUNDARY.len() - 8];
    let head = format!(
        "POST /upload/v2/file/slice HTTP/1.1\r\nHost: x\r\n{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        rig.headers(),
        body.len() + len
    );
    stream.write_all(&[head.as_bytes(), opening].concat()).unwrap();
    stream
}

#[test]
fn an_early_answer_comes_before_the_body_is_sent() {
    for at in ["head", "early"] {
        let fault = json!({"on": "slice", "at": at, "do": {"status": {"status": 503, "body": "later"}}});
        let (rig, id, _) = begun(json!({"faults": [fault]}));
        let mut stream = unfinished_slice(&rig, &id, 900);
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (503, &b"later"[..]), "at {at}");
        assert_eq!(answer.header("Connection").as_deref(), Some("close"));
    }
}

#[test]
fn an_early_answer_is_not_lost_when_the_client_goes_on_sending() {
    let fault = json!({"on": "slice", "at": "early", "do": {"status": {"status": 503}}});
    let (rig, id, _) = begun(json!({"faults": [fault]}));
    let mut stream = unfinished_slice(&rig, &id, 900_000);
    stream.write_all(&noise(900_000)).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 503);
}

#[test]
fn a_reset_comes_in_the_middle_of_a_slice() {
    let fault = json!({"on": "slice", "at": {"byte": 400}, "do": "reset"});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    let mut stream = unfinished_slice(&rig, &id, 900);
    stream.write_all(&bytes[..500]).unwrap();
    let error = stream.read(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let seen = last(&rig);
    assert_eq!((seen.status, seen.faults.as_slice(), seen.slice_no), (None, &["reset"][..], Some(1)));
}

#[test]
fn a_hanging_request_is_never_answered() {
    let fault = json!({"on": "slice", "attempt": 1, "do": "hang"});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    let mut stream = unfinished_slice(&rig, &id, 0);
    stream.write_all(format!("\r\n--{BOUNDARY}--\r\n").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = stream.read(&mut [0; 100]).unwrap_err();
    assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    rig.slice(0, &id, 1, &bytes[..1000]).data();
}

#[test]
fn a_body_that_is_late_gets_the_gateways_500() {
    for (text, expected) in
        [(true, "500 Read from request Body failed: read tcp 127.0.0.1: i/o timeout"), (false, "500 empty")]
    {
        let (rig, id, bytes) =
            begun(json!({"behaviour": {"body_deadline_ms": 200, "body_deadline_text": text}}));
        let mut stream = unfinished_slice(&rig, &id, 900);
        stream.write_all(&bytes[..500]).unwrap();
        let started = Instant::now();
        assert_eq!(told(read_answer(&mut stream)), expected);
        assert!(started.elapsed() >= Duration::from_millis(100));
        rig.slice(0, &id, 1, &bytes[..1000]).data();
    }
    let fault = json!({"on": "slice", "attempt": 1, "do": {"body_deadline": {"ms": 150}}});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    let mut stream = unfinished_slice(&rig, &id, 900);
    stream.write_all(&bytes[..500]).unwrap();
    assert_eq!(told(read_answer(&mut stream)), "500 empty");
}

#[test]
fn rates_hold_a_body_back() {
    let cases = [
        json!({"behaviour": {"connection_bytes_per_sec": 5000}}),
        json!({"behaviour": {"total_bytes_per_sec": 5000}}),
        json!({"faults": [{"on": "slice", "do": {"rate": {"bytes_per_sec": 5000}}}]}),
        json!({"faults": [{"on": "slice", "do": {"delay": {"ms": 200}}}]}),
        json!({"behaviour": {"latency_ms": 200}}),
    ];
    for script in cases {
        let (rig, id, bytes) = begun(script.clone());
        let started = Instant::now();
        rig.slice(0, &id, 1, &bytes[..1000]).data();
        // 1000 bytes of slice and 500 of fields at 5000 a second, less what one read carries.
        assert!(started.elapsed() >= Duration::from_millis(190), "{script}: {:?}", started.elapsed());
        assert!(last(&rig).duration >= Duration::from_millis(190), "{script}");
    }
}

#[test]
fn a_deadline_ends_a_slow_body() {
    let script = json!({"behaviour": {"connection_bytes_per_sec": 1000, "body_deadline_ms": 300}});
    let (rig, id, bytes) = begun(script);
    assert_eq!(rig.slice(0, &id, 1, &bytes[..1000]).status, 500);
}

#[test]
fn completion_takes_its_time_as_told() {
    let (rig, id, bytes) = begun(json!({"behaviour": {"complete_pending": 2, "complete_unfinished": 1}}));
    for (no, slice) in (1..).zip(bytes.chunks(1000)) {
        rig.slice(0, &id, no, slice).data();
    }
    for _ in 0..2 {
        assert_eq!(rig.complete(&id).code(), (200, 20103, "文件正在校验中,请间隔1秒后再试".to_owned()));
    }
    assert_eq!(rig.complete(&id).data(), json!({"completed": false, "fileID": 0}));
    rig.completed(&id);
    assert_eq!(rig.complete("unknown").code().1, 1, "an unknown upload is not pending");
}

#[test]
fn a_failed_check_is_for_good() {
    let faults = json!([{"on": "upload_complete", "attempt": 1, "do": "pending"}, {"on": "upload_complete", "attempt": 2, "do": "failed"}]);
    let (rig, id, bytes) = begun(json!({"faults": faults}));
    for (no, slice) in (1..).zip(bytes.chunks(1000)) {
        rig.slice(0, &id, no, slice).data();
    }
    assert_eq!(rig.complete(&id).code().1, 20103);
    for _ in 0..2 {
        assert_eq!(rig.complete(&id).code(), (200, 1, "文件上传失败".to_owned()));
    }
    assert_eq!(rig.slice(0, &id, 1, &bytes[..1000]).code().1, 1);
}

#[test]
fn a_corrupted_byte_fails_the_whole_file_check() {
    let fault = json!({"on": "slice", "slice_no": 2, "do": {"corrupt_byte": {"offset": 1_000_077}}});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    for no in [3, 2, 1] {
        let at = (no as usize - 1) * 1000;
        rig.slice(0, &id, no, &bytes[at..bytes.len().min(at + 1000)]).data();
    }
    assert_eq!(rig.complete(&id).code().2, "文件上传失败");
}

#[test]
fn create_can_lie() {
    let script = |action: Value| json!({"faults": [{"on": "create", "do": action}]});
    let (rig, id, bytes) = begun(script(json!({"slice_size": {"bytes": 2000}})));
    rig.slice(0, &id, 1, &bytes[..2000]).data();
    rig.slice(0, &id, 2, &bytes[2000..]).data();
    rig.completed(&id);
    let (rig, id, bytes) = begun(script(json!({"announce_slice_size": {"bytes": -1}})));
    assert_eq!(rig.create("b", b"b")["sliceSize"], -1);
    rig.slice(0, &id, 1, &bytes[..1000]).data();
    let rig =
        Rig::with(|options| options.faults = Faults::load(&script(json!("reuse_zero")).to_string()).unwrap());
    let data = rig.create("a", b"a");
    assert_eq!((&data["reuse"], &data["fileID"]), (&json!(true), &json!(0)));
    let (rig, id, _) = begun(json!({"behaviour": {"ids_as_strings": true}}));
    assert_eq!(rig.create("b", b"b")["fileID"], "0");
    rig.emulator.forget_upload(&id).unwrap();
    assert!(rig.slice(0, &id, 1, b"x").code().2.contains("preuploadID"));
}

#[test]
fn uploads_and_tokens_can_be_forgotten() {
    let fault = json!({"on": "slice", "slice_no": 2, "do": "forget"});
    let (rig, id, bytes) = begun(json!({"faults": [fault]}));
    rig.slice(0, &id, 1, &bytes[..1000]).data();
    assert!(rig.slice(0, &id, 2, &bytes[1000..2000]).code().2.contains("preuploadID"));
    assert!(rig.complete(&id).code().2.contains("preuploadID"));
    let (rig, id, bytes) = begun(json!({"behaviour": {"upload_lifetime_ms": 1}}));
    let mut seen = String::new();
    for _ in 0..1000 {
        seen = rig.slice(0, &id, 1, &bytes[..1000]).code().2;
        if seen != "ok" {
            break;
        }
    }
    assert!(seen.contains("preuploadID"), "{seen}");
}

#[test]
fn a_slice_that_is_there_can_be_refused_and_answers_can_be_empty() {
    let (rig, id, bytes) =
        begun(json!({"behaviour": {"duplicate_slices": "refuse", "slice_answer": "empty"}}));
    assert_eq!(told(rig.try_slice(0, &id, 1, &bytes[..1000])), "200 empty");
    assert_eq!(told(rig.try_slice(0, &id, 1, &bytes[..1000])), "200 1 分片重复上传");
}

#[test]
fn chunked_bodies_pass_or_get_411() {
    for (is_required, expected) in [(false, 200), (true, 411)] {
        let (rig, id, bytes) = begun(json!({"behaviour": {"require_content_length": is_required}}));
        let body = slice_body(&id, 1, &md5(&bytes[..1000]), &bytes[..1000]);
        let mut stream = connect(&rig.emulator.servers()[1]);
        let head = format!(
            "POST /upload/v2/file/slice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nTransfer-Encoding: chunked\r\n\r\n",
            rig.headers()
        );
        stream.write_all(head.as_bytes()).unwrap();
        for chunk in body.chunks(700) {
            stream
                .write_all(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
                .unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().status, expected);
        assert!(last(&rig).chunked && last(&rig).content_length.is_none());
    }
}

#[test]
fn request_limits_are_per_endpoint() {
    let (rig, id, _) = begun(json!({"behaviour": {"qps": {"custom": {"upload_complete": 2}}}}));
    let codes: Vec<i64> = (0..3).map(|_| rig.complete(&id).code().1).collect();
    assert_eq!(codes, [1, 1, 429]);
    assert_eq!(rig.get("/upload/v2/file/domain").code().1, 0);
    let rig = Rig::with(|options| {
        options.faults = Faults::load(r#"{"behaviour":{"qps":"free","refusals_as_http":true}}"#).unwrap()
    });
    rig.create("a", b"a");
    let body = support::create_body("b", b"b");
    assert_eq!(told(Ok(rig.post("/upload/v2/file/create", body))), "429 429 操作频繁，请稍候再试");
}

#[test]
fn hosts_die_and_come_back() {
    let (rig, id, bytes) = begun(json!({"behaviour": {"dead_servers": [1]}}));
    let slice = |server| match rig.try_slice(server, &id, 1, &bytes[..1000]) {
        Ok(answer) => Ok(answer.status),
        Err(error) => Err(error.kind()),
    };
    let refused = Err(io::ErrorKind::ConnectionRefused);
    assert_eq!((slice(0), slice(1)), (Ok(200), refused));
    rig.emulator.kill_server(0);
    assert_eq!((slice(0), slice(1)), (refused, refused));
    rig.emulator.revive_server(1);
    assert_eq!((slice(0), slice(1)), (refused, Ok(200)));
    rig.emulator.set_faults(Faults::default()).unwrap();
    assert_eq!((slice(0), slice(1)), (refused, Ok(200)), "a script changes the hosts that it names alone");
    // By a fault, in the middle of a slice.
    rig.emulator.add_fault(Fault::new(Endpoint::Slice, Action::Die).at(At::Byte(10))).unwrap();
    assert_eq!(slice(1), Err(io::ErrorKind::ConnectionReset));
    let started = Instant::now();
    while slice(1) != refused {
        assert!(started.elapsed() < Duration::from_secs(20), "the host is still there");
    }
}

#[test]
fn the_script_can_change_at_run_time() {
    let rig = Rig::new();
    let fault = Fault::new(Endpoint::Domain, Action::Garbage(Garbage::Nested)).attempts(2..=2);
    rig.emulator.add_fault(fault).unwrap();
    rig.get("/upload/v2/file/domain").data();
    assert_eq!(rig.get("/upload/v2/file/domain").body.len(), 200_000);
    rig.emulator.set_faults(Faults::default()).unwrap();
    rig.get("/upload/v2/file/domain").data();
    // The same over HTTP, for tests in other languages.
    let script = json!({"faults": [{"on": "domain", "do": {"garbage": "huge"}}]}).to_string();
    let put = |script: &str| {
        send(rig.emulator.base_url(), "PUT", "/_emulator/faults", "", script.as_bytes()).unwrap()
    };
    assert_eq!(put(&script).status, 200);
    assert!(rig.get("/upload/v2/file/domain").body.len() > 16 << 20);
    assert_eq!(put(r#"{"faults":[{"on":"nothing"}]}"#).status, 400);
    let requests = send(rig.emulator.base_url(), "GET", "/_emulator/requests", "", b"").unwrap().json();
    assert_eq!(requests.as_array().unwrap().iter().filter(|it| it["endpoint"] == "domain").count(), 4);
    let mut foreign = connect(rig.emulator.base_url());
    foreign
        .write_all(b"GET /_emulator/requests HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut foreign).unwrap().status, 403, "only a name of loopback may ask");
}

#[test]
fn random_faults_depend_on_the_seed_alone() {
    let run = |seed: u64, order: [u32; 40]| {
        let fault = json!({"on": "slice", "probability": 0.5, "do": {"status": {"status": 500}}});
        let rig = Rig::with(|options| {
            options.slice_size = 1;
            options.faults = Faults::load(&json!({"seed": seed, "faults": [fault]}).to_string()).unwrap();
        });
        let id = rig.create("a.bin", &noise(40))["preuploadID"].as_str().unwrap().to_owned();
        let mut hit: Vec<u32> = order
            .into_iter()
            .filter(|&no| rig.slice(0, &id, no, &noise(40)[no as usize - 1..][..1]).status == 500)
            .collect();
        hit.sort_unstable();
        hit
    };
    let forward: [u32; 40] = std::array::from_fn(|index| index as u32 + 1);
    let mut backward = forward;
    backward.reverse();
    let one = run(1, forward);
    assert_eq!(one, run(1, backward));
    assert_ne!(one, run(2, forward));
    assert!((8..=32).contains(&one.len()), "{one:?}");
}

#[test]
fn a_client_that_retries_gets_through_random_trouble() {
    let rig = Rig::with(|options| options.faults = Faults::random(7, 0.5));
    let bytes = noise(30_000);
    let until_ok = |mut ask: Box<dyn FnMut() -> io::Result<Answer> + '_>| {
        let is_ok = |answer: &Answer| {
            let is_zero =
                || serde_json::from_slice::<Value>(&answer.body).is_ok_and(|json| json["code"] == 0);
            answer.status == 200 && (answer.body.is_empty() || is_zero())
        };
        (0..20).find_map(|_| ask().ok().filter(is_ok)).expect("no trouble lasts longer than three tries")
    };
    let create = || {
        send(
            rig.emulator.base_url(),
            "POST",
            "/upload/v2/file/create",
            &rig.headers(),
            support::create_body("a.bin", &bytes).to_string().as_bytes(),
        )
    };
    let id = until_ok(Box::new(create)).data()["preuploadID"].as_str().unwrap().to_owned();
    for (no, slice) in (1..).zip(bytes.chunks(1000)) {
        until_ok(Box::new(|| rig.try_slice(no as usize % 2, &id, no, slice)));
    }
    let body = json!({"preuploadID": id}).to_string();
    let complete = || {
        send(
            rig.emulator.base_url(),
            "POST",
            "/upload/v2/file/upload_complete",
            &rig.headers(),
            body.as_bytes(),
        )
    };
    assert_eq!(until_ok(Box::new(complete)).data()["completed"], true);
    assert_eq!(fs::read(rig.stored("a.bin")).unwrap(), bytes);
    let troubled = rig.emulator.requests().iter().filter(|it| !it.faults.is_empty()).count();
    assert!(troubled >= 5, "{troubled}");
}

#[test]
fn scripts_that_make_no_sense_are_named() {
    let cases = [
        (json!({"faults": [{"on": "slices", "do": "reset"}]}), "there is no endpoint \"slices\""),
        (json!({"faults": [{"on": "slice", "do": "explode"}]}), "unknown variant `explode`"),
        (json!({"faults": [{"on": "slice"}]}), "missing field `do`"),
        (json!({"faults": [{"slice_no": "5..2", "do": "reset"}]}), "is not a range"),
        (json!({"faults": [{"slice_no": [1], "do": "reset"}]}), "expected a number or a range"),
        (json!({"fault": []}), "unknown field `fault`"),
        (json!({"behaviour": {"qps": "fast"}}), "unknown variant `fast`"),
    ];
    for (script, expected) in cases {
        let error = Faults::load(&script.to_string()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Script);
        assert!(error.to_string().contains(expected), "{script}: {error}");
    }
    let checked = [
        (json!({"faults": [{"server": 2, "do": "reset"}]}), "fault 1: there is no server 2, only 0 to 1"),
        (json!({"faults": [{"at": "head", "slice_no": 1, "do": "reset"}]}), "use \"early\""),
        (json!({"faults": [{"probability": 1.5, "do": "reset"}]}), "0 to 1"),
        (json!({"faults": [{"do": {"rate": {"bytes_per_sec": 0}}}]}), "at least 1"),
        (json!({"faults": [{"do": {"status": {"status": 99}}}]}), "200 to 599"),
        (json!({"behaviour": {"dead_servers": [5]}}), "no server 5"),
        (json!({"behaviour": {"qps": {"custom": {"x": 1}}}}), "no endpoint \"x\""),
    ];
    let rig = Rig::new();
    for (script, expected) in checked {
        let error = rig.emulator.set_faults(Faults::load(&script.to_string()).unwrap()).unwrap_err();
        assert!(error.to_string().contains(expected), "{script}: {error}");
    }
    assert_eq!(Faults::load("/nonexistent/faults.json").unwrap_err().kind(), ErrorKind::Script);
}
