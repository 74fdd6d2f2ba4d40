use proptest::prelude::*;

use super::*;

/// When answers come.
const RECEIVED: &str = "2026-11-22T19:00:00Z";

fn answer(status: u16, body: &str) -> Answer<'_> {
    let received = RECEIVED.parse::<Timestamp>().unwrap().into();
    Answer { status, body: body.as_bytes(), trace_id: None, retry_after: None, date: None, received }
}

fn ok(data: &str) -> String {
    format!(r#"{{"code":0,"message":"ok","data":{data},"x-traceID":"t-1"}}"#)
}

/// Decodes `body` (HTTP 200) and compares the outcome: its `Debug` form, or the class of the failure.
#[track_caller]
fn check<T: std::fmt::Debug>(
    decode: fn(&Answer) -> Result<T, Failure>,
    body: &str,
    expected: impl std::fmt::Debug,
) {
    let shown = match decode(&answer(200, body)) {
        Ok(value) => format!("{value:?}"),
        Err(failure) => format!("{:?}", failure.class),
    };
    assert_eq!(shown, format!("{expected:?}"), "{body}");
}

fn created(preupload_id: &str, slice_size: u64, servers: &[&str]) -> Reply {
    let servers = servers.iter().map(|server| Arc::from(*server)).collect();
    Reply::Created { preupload_id: preupload_id.into(), slice_size, servers }
}

#[test]
fn create_tells_instant_uploads_from_the_others() {
    let documented = r#"{"fileID":0,"reuse":false,"preuploadID":"Wvjy","sliceSize":16777216,"servers":["http://a.example"]}"#;
    check(create, &ok(documented), created("Wvjy", 16 << 20, &["http://a.example"]));
    check(
        create,
        &ok(r#"{"reuse":true,"fileID":9007199254740993}"#),
        Reply::Stored { file_id: 9_007_199_254_740_993 },
    );
    check(create, &ok(r#"{"reuse":true,"fileID":"12","extra":[{}]}"#), Reply::Stored { file_id: 12 });
    check(create, &ok(r#"{"reuse":1,"fileId":12}"#), Reply::Stored { file_id: 12 });
    check(create, r#"{"code":"0","data":{"reuse":true,"fileID":1}}"#, Reply::Stored { file_id: 1 });
    // Loose forms of the same.
    check(create, &ok(r#"{"preuploadId":77,"sliceSize":"5","servers":null}"#), created("77", 5, &[]));
    check(
        create,
        &ok(r#"{"preuploadID":"p","sliceSize":5,"servers":["", " h ", 3, null]}"#),
        created("p", 5, &["h"]),
    );
    // Reuse without a file is no reuse.
    check(
        create,
        &ok(r#"{"reuse":true,"fileID":0,"preuploadID":"p","sliceSize":5,"servers":[]}"#),
        created("p", 5, &[]),
    );
    check(create, &ok(r#"{"reuse":true,"preuploadID":"p","sliceSize":5}"#), created("p", 5, &[]));
    check(create, &ok(r#"{"reuse":true,"fileID":0}"#), Class::Protocol);
    check(create, &ok(r#"{"reuse":true,"fileID":-1,"preuploadID":""}"#), Class::Protocol);
    // A file id without reuse is not taken for one.
    check(create, &ok(r#"{"fileID":5}"#), Class::Protocol);
    check(create, &ok(r#"{"reuse":false,"fileID":5}"#), Class::Protocol);
    for slice_size in
        ["0", "-1", "null", "\"big\"", "1e400", "16777216.5", "18446744073709551616", "10737418241", "[]"]
    {
        check(create, &ok(&format!(r#"{{"preuploadID":"p","sliceSize":{slice_size}}}"#)), Class::Protocol);
    }
    check(create, &ok(r#"{"preuploadID":"p\r\nx","sliceSize":5}"#), Class::Protocol);
    check(
        create,
        &ok(&format!(r#"{{"preuploadID":"{}","sliceSize":5}}"#, "p".repeat(4097))),
        Class::Protocol,
    );
    for data in ["null", "[]", "3", "\"x\"", "{}"] {
        check(create, &ok(data), Class::Protocol);
    }
    check(create, r#"{"code":0}"#, Class::Protocol);
}

#[test]
fn slice_is_taken_whatever_way_the_service_says_so() {
    for body in [ok("null"), ok("{}"), r#"{"code":0,"message":"ok"}"#.into(), String::new(), "\r\n".into()] {
        check(slice, &body, Reply::SliceTaken);
    }
    check(slice, r#"{"code":1,"message":"分片重复上传","data":null}"#, Reply::SliceTaken);
    check(slice, r#"{"code":1,"message":"分片md5校验失败"}"#, Class::Refused);
    for body in
        ["{}", r#"{"message":"ok"}"#, "null", "ok", "0", "[]", "{", r#"{"code":null}"#, r#"{"code":true}"#]
    {
        check(slice, body, Class::Protocol);
    }
    for status in [201, 204, 302] {
        assert_eq!(slice(&answer(status, "")).unwrap_err().class, Class::Protocol, "{status}");
    }
    assert_eq!(slice(&answer(500, "")).unwrap_err().class, Class::Server);
    // An empty answer is good news for a slice alone.
    check(complete, "", Class::Protocol);
    check(create, "", Class::Protocol);
    check(single, "", Class::Protocol);
}

#[test]
fn a_file_that_is_called_complete_and_has_no_id_is_nameless() {
    for data in
        [r#"{"completed":true,"fileID":0}"#, r#"{"completed":true}"#, r#"{"completed":1,"fileID":5.5}"#]
    {
        check(complete, &ok(data), Reply::Nameless);
        // There is nothing to poll with, and nobody to tell the two apart.
        check(single, &ok(data), Reply::NotYet);
    }
}

#[test]
fn a_byte_order_mark_in_front_changes_nothing() {
    let marked = |body: &str| format!("\u{feff}{body}");
    check(complete, &marked(&ok(r#"{"completed":true,"fileID":5}"#)), Reply::Stored { file_id: 5 });
    check(slice, &marked(""), Reply::SliceTaken);
    let refused = marked(r#"{"code":1,"message":"内部错误"}"#);
    let failure = create(&answer(200, &refused)).unwrap_err();
    assert_eq!((failure.class, failure.code, failure.message.as_str()), (Class::Server, Some(1), "内部错误"));
    check(complete, &format!("{}{{}}", marked("\u{feff}")), Class::Protocol);
}

#[test]
fn a_web_page_is_named_and_its_markup_not_shown() {
    for (body, words) in [
        ("<html><body>x", "a web page in place of the service's answer"),
        (
            "\u{feff}\n<!DOCTYPE HTML><title>\n Hotel\tWi-Fi </title>",
            "a web page in place of the service's answer: \"Hotel Wi-Fi\"",
        ),
        (
            "<!doctype html><TITLE lang=en>登录</TITLE>",
            "a web page in place of the service's answer: \"登录\"",
        ),
        ("<html><title></title>", "a web page in place of the service's answer"),
        ("<html><title", "a web page in place of the service's answer"),
        ("<html><title>never ends", "a web page in place of the service's answer"),
        ("<p>no page</p>", "<p>no page</p>"),
    ] {
        for status in [200, 404] {
            let failure = create(&answer(status, body)).unwrap_err();
            assert_eq!((failure.class, failure.message.as_str()), (Class::Protocol, words), "{body}");
        }
        // A gateway of the service that fails is no stranger, and its words count.
        assert_eq!(create(&answer(502, "<html>502</html>")).unwrap_err().class, Class::Server);
    }
    let blocked = create(&answer(200, "<html>123pan-global-slb forbidden client ip")).unwrap_err();
    assert_eq!(blocked.class, Class::Blocked);
}

#[test]
fn a_file_is_stored_only_when_it_is_completed_and_has_an_id() {
    for decode in [complete, single] {
        check(decode, &ok(r#"{"completed":true,"fileID":5}"#), Reply::Stored { file_id: 5 });
        check(decode, &ok(r#"{"completed":true,"fileID":"5"}"#), Reply::Stored { file_id: 5 });
        for data in [
            r#"{"completed":false,"fileID":5}"#,
            r#"{"completed":null,"fileID":5}"#,
            r#"{"fileID":5}"#,
            "{}",
            "null",
        ] {
            check(decode, &ok(data), Reply::NotYet);
        }
        check(
            decode,
            r#"{"code":20103,"message":"文件正在校验中,请间隔1秒后再试","data":null}"#,
            Reply::NotYet,
        );
        check(decode, r#"{"code":"20103"}"#, Reply::NotYet);
        check(decode, r#"{"code":1,"message":"文件上传失败"}"#, Class::VerifyFailed);
        check(decode, r#"{"completed":true,"fileID":5}"#, Class::Protocol);
        check(decode, r#"{"code":1,"data":{"completed":true,"fileID":5}}"#, Class::Refused);
    }
    check(
        single,
        r#"{"code":1,"message":"该任务已成功进入秒传队列,任务队列削峰中,请慢一点"}"#,
        Class::QueueBusy,
    );
    let trouble = answer(502, r#"{"code":0,"data":{"completed":true,"fileID":5}}"#);
    assert_eq!(complete(&trouble).unwrap_err().class, Class::Server);
}

#[test]
fn domain_names_at_least_one_host() {
    check(
        domain,
        &ok(r#"["https://a","https://b"]"#),
        Reply::Hosts(vec!["https://a".into(), "https://b".into()]),
    );
    for data in ["[]", "null", "{}", "[\"\"]", "[1]"] {
        check(domain, &ok(data), Class::Protocol);
    }
}

#[test]
fn tokens_expire_at_a_point_in_time() {
    let token = |expired_at: &str| ok(&format!(r#"{{"accessToken":"eyJ.a.b","expiredAt":"{expired_at}"}}"#));
    for (text, unix_ms) in [
        ("2025-03-23T15:48:37+08:00", 1_742_716_117_000),
        ("2025-03-23T07:48:37Z", 1_742_716_117_000),
        ("2025-03-23T07:48:37.25Z", 1_742_716_117_250),
        ("2025-03-23T02:18:37-05:30", 1_742_716_117_000),
        ("2025-03-23 15:48:37", 1_742_716_117_000),
        ("2028-02-29T00:00:00Z", 1_835_395_200_000),
        ("1970-01-01T00:00:00Z", 0),
    ] {
        let decoded = access_token(&answer(200, &token(text))).unwrap();
        assert_eq!(decoded.expires_at_unix_ms, unix_ms, "{text}");
        assert_eq!(decoded.access_token.expose(), "eyJ.a.b");
    }
    for text in
        ["", "soon", "2025-02-29T00:00:00Z", "2025-03-23T25:00:00Z", "99999-01-01T00:00:00Z", "1742716117"]
    {
        check(access_token, &token(text), Class::Protocol);
    }
    for data in [
        "null",
        r#"{"expiredAt":"2025-03-23T07:48:37Z"}"#,
        r#"{"accessToken":"a\r\nb","expiredAt":"2025-03-23T07:48:37Z"}"#,
    ] {
        check(access_token, &ok(data), Class::Protocol);
    }
    check(access_token, r#"{"code":1,"message":"clientID错误"}"#, Class::LoginRefused);
}

#[test]
fn oauth_answers_come_without_an_envelope() {
    let good =
        r#"{"token_type":"Bearer","access_token":"a","refresh_token":"r","expires_in":7200,"scope":"x"}"#;
    let decoded = oauth_token(&answer(200, good)).unwrap();
    assert_eq!((decoded.access_token.expose(), decoded.expires_in_secs), ("a", 7200));
    assert_eq!(decoded.refresh_token, Some(Secret::new("r")));
    for body in [
        "",
        "{}",
        "[]",
        r#"{"access_token":"","expires_in":1}"#,
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","expires_in":-1}"#,
    ] {
        check(oauth_token, body, Class::Protocol);
    }
    check(
        oauth_token,
        r#"{"code":1,"message":"refresh_token无效","access_token":"a","expires_in":1}"#,
        Class::LoginRefused,
    );
    check(oauth_token, r#"{"error":"invalid_grant","error_description":"used"}"#, Class::LoginRefused);
    let refused =
        oauth_token(&answer(400, r#"{"error":"invalid_grant","error_description":"used"}"#)).unwrap_err();
    assert_eq!((refused.class, refused.message.as_str()), (Class::LoginRefused, "invalid_grant: used"));
    assert_eq!(oauth_token(&answer(503, "")).unwrap_err().class, Class::Server);
    check(oauth_token, r#"{"code":429,"message":"请求太频繁"}"#, Class::RateLimited);
}

#[test]
fn lists_and_details_are_read_loosely() {
    let file = r#"{"fileId":8,"filename":"a","type":0,"size":3,"etag":"d41d8cd98f00b204e9800998ecf8427e","status":2,
        "parentFileId":0,"category":1,"trashed":0,"createAt":"2025-01-01 00:00:00","x":1}"#;
    let folder = r#"{"fileId":"9","filename":"b","type":1,"etag":"","trashed":1}"#;
    let page =
        list(&answer(200, &ok(&format!(r#"{{"lastFileId":-1,"fileList":[{file},{folder}]}}"#)))).unwrap();
    assert_eq!((page.next, page.files.len()), (None, 2));
    assert_eq!((page.files[0].file_id, page.files[0].size, page.files[0].trashed), (8, 3, false));
    assert_eq!(page.files[0].etag.unwrap().to_string(), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!((page.files[1].file_id, page.files[1].is_folder, page.files[1].trashed), (9, true, true));
    assert_eq!(page.files[1].etag, None);
    check(list, &ok(r#"{"lastFileId":77,"fileList":null}"#), ListAnswer { files: vec![], next: Some(77) });
    check(list, &ok(r#"{"fileList":[{"filename":"no id"}]}"#), Class::Protocol);
    check(list, &ok("null"), Class::Protocol);
    let one =
        detail(&answer(200, &ok(r#"{"fileID":8,"filename":"a","parentFileID":4,"etag":"ABC"}"#))).unwrap();
    assert_eq!((one.file_id, one.parent_id, one.etag), (8, 4, None));
    check(detail, &ok("null"), Class::Protocol);
    check(detail, r#"{"code":5066,"message":"文件不存在"}"#, Class::NotFound);
}

#[test]
fn small_answers() {
    check(mkdir, &ok(r#"{"dirID":14663228}"#), 14_663_228);
    check(mkdir, &ok(r#"{"dirID":0}"#), Class::Protocol);
    check(mkdir, r#"{"code":1,"message":"该目录下已经有同名文件夹,无法进行创建"}"#, Class::Exists);
    check(sha1_reuse, &ok(r#"{"reuse":true,"fileID":3}"#), Some(3));
    check(sha1_reuse, &ok(r#"{"reuse":true,"fileID":0}"#), None::<i64>);
    check(sha1_reuse, &ok(r#"{"reuse":false,"fileID":3}"#), None::<i64>);
    check(sha1_reuse, &ok("null"), None::<i64>);
    let user =
        user_info(&answer(200, &ok(r#"{"uid":"18","nickname":"n","spaceUsed":5,"vip":true}"#))).unwrap();
    assert_eq!((user.uid, user.space_used, user.vip), (18, 5, Some(true)));
    check(user_info, &ok("{}"), Class::Protocol);
}

#[test]
fn failures_keep_the_servers_words_and_the_trace_id() {
    let body =
        "{\"code\":1,\"message\":\"parentFileID不存在\\u0007\\n\",\"data\":null,\"x-traceID\":\"6a1f\"}";
    let mut from = answer(200, body);
    (from.trace_id, from.retry_after) = (Some("header"), Some(" 3 "));
    let failure = create(&from).unwrap_err();
    assert_eq!(failure.to_string(), "create: parentFileID不存在 (code 1, HTTP 200, trace 6a1f)");
    assert_eq!((failure.class, failure.retry_after), (Class::NoParent, Some(Duration::from_secs(3))));

    // The header's trace id counts when the body has none, an empty one included.
    for body in ["", "<html>", r#"{"code":1,"x-traceID":""}"#] {
        let from = Answer { trace_id: Some("header"), ..answer(500, body) };
        assert_eq!(create(&from).unwrap_err().trace_id.as_deref(), Some("header"), "{body}");
    }
    let message = |status, body: &str| create(&answer(status, body)).unwrap_err().message;
    assert_eq!(message(500, ""), "an empty answer with status 500");
    assert_eq!(message(429, ""), "an empty answer with status 429");
    assert_eq!(message(200, r#"{"code":7}"#), "the service gave no reason");
    assert_eq!(message(502, "<html>\r\n <h1>Bad</h1>"), "<html> <h1>Bad</h1>");
    assert_eq!(message(400, r#"{"message":"no code"}"#), "no code");
    assert_eq!(message(200, &ok("{}")), "the answer says it is a success, but there is no `preuploadID`");
    assert_eq!(message(500, &"长".repeat(9999)).chars().count(), MESSAGE_CHARS_MAX);
    let gbk = Answer { body: b"\xce\xc4\xbc\xfe", ..answer(500, "") };
    assert_eq!(create(&gbk).unwrap_err().class, Class::Server);
}

#[test]
fn retry_after_is_read_in_seconds_or_as_a_date_and_bounded() {
    for (header, wait) in [
        ("0", Some(0)),
        ("120", Some(120)),
        ("99999999999", Some(86_400)),
        ("99999999999999999999999", Some(86_400)),
        ("+5", None),
        ("-1", None),
        ("1.5", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", Some(0)),
        ("Sun, 22 Nov 2026 19:00:00 GMT", Some(0)),
        (" Sun, 22 Nov 2026 19:00:07 GMT ", Some(7)),
        ("Sunday, 22-Nov-26 19:00:07 GMT", Some(7)),
        ("Sun Nov 22 19:00:07 2026", Some(7)),
        ("Tue, 31 Dec 2999 23:59:59 GMT", Some(86_400)),
        ("Sun, 22 Nov 2026 19:00:07 +0800", None),
        ("Sun, 32 Nov 2026 19:00:07 GMT", None),
        ("2026-11-22T19:00:07Z", None),
        ("", None),
    ] {
        let from = Answer { retry_after: Some(header), ..answer(429, "") };
        assert_eq!(create(&from).unwrap_err().retry_after, wait.map(Duration::from_secs), "{header}");
    }
}

#[test]
fn a_date_in_retry_after_counts_from_the_clock_of_the_service_if_it_tells() {
    let until = Some("Sun, 22 Nov 2026 12:00:09 GMT");
    for (date, wait) in [
        (Some("Sun, 22 Nov 2026 12:00:00 GMT"), 9),
        (Some("Sun, 22 Nov 2026 12:00:10 GMT"), 0),
        (Some("Fri, 31 Dec 1999 23:59:59 GMT"), 86_400),
        (Some("yesterday"), 0),
        (None, 0),
    ] {
        let from = Answer { retry_after: until, date, ..answer(429, "") };
        let read = create(&from).unwrap_err().retry_after;
        assert_eq!(read, Some(Duration::from_secs(wait)), "{date:?}");
        // A number needs no clock.
        let from = Answer { retry_after: Some("3"), ..from };
        assert_eq!(create(&from).unwrap_err().retry_after, Some(Duration::from_secs(3)));
    }
}

#[test]
fn a_token_never_shows_in_a_failure() {
    for body in [
        r#"{"code":0,"data":{"accessToken":"s3cret","expiredAt":"nonsense"}}"#,
        r#"{"code":0,"data":{"accessToken":"s3cret","expi"#,
        r#"{"data":{"accessToken":"s3cret"}}"#,
        r#"{"access_token":"s3cret"}"#,
        r#"{"access_token":"s3cret","expires_in":"#,
    ] {
        for decoded in [access_token(&answer(200, body)).map(drop), oauth_token(&answer(200, body)).map(drop)]
        {
            let shown = format!("{:?}", decoded.unwrap_err());
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}

/// Every decoder, as a check that it ends and that what it gives keeps its promises.
fn decode_all(from: &Answer) {
    fn judge<T>(from: &Answer, decoded: Result<T, Failure>) -> Option<T> {
        let failure = match decoded {
            Ok(value) => return Some(value),
            Err(failure) => failure,
        };
        assert_eq!(failure.http_status, Some(from.status));
        assert!(failure.message.chars().count() <= MESSAGE_CHARS_MAX && !failure.message.is_empty());
        assert!(!failure.message.chars().any(char::is_control));
        assert!(failure.trace_id.is_none_or(|id| !id.is_empty() && !id.chars().any(char::is_control)));
        assert!(failure.retry_after.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        None
    }
    for decode in [create, slice, complete, single, domain] {
        match judge(from, decode(from)) {
            Some(Reply::Created { slice_size, preupload_id, .. }) => {
                assert!(slice_size > 0 && !preupload_id.is_empty())
            }
            Some(Reply::Stored { file_id }) => assert!(file_id > 0),
            Some(Reply::Hosts(hosts)) => assert!(!hosts.is_empty()),
            Some(Reply::SliceTaken | Reply::NotYet | Reply::Nameless) | None => {}
        }
    }
    judge(from, access_token(from));
    judge(from, oauth_token(from));
    judge(from, sha1_reuse(from));
    judge(from, mkdir(from));
    judge(from, list(from));
    judge(from, detail(from));
    judge(from, user_info(from));
}

#[test]
fn deep_and_huge_json_is_an_ordinary_failure() {
    let deep = "[".repeat(1 << 20);
    let number = "9".repeat(1 << 16);
    for body in [
        deep.clone(),
        format!(r#"{{"code":0,"data":{deep}"#),
        format!(r#"{{"code":0,"data":{}{}}}"#, "[".repeat(2000), "]".repeat(2000)),
        format!(r#"{{"code":{number}}}"#),
        format!(r#"{{"code":0,"data":{{"completed":true,"fileID":{number}}}}}"#),
        format!(r#"{{"code":0,"data":{{"reuse":true,"fileID":-{number}}}}}"#),
        format!(r#"{{"code":1,"message":"{}"}}"#, "\\u0000".repeat(9000)),
        "\u{feff}{}".into(),
    ] {
        for status in [200, 500] {
            decode_all(&answer(status, &body));
        }
    }
}

/// JSON with the keys that the decoders look for and values of every kind.
fn json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "code",
        "message",
        "data",
        "x-traceID",
        "reuse",
        "fileID",
        "preuploadID",
        "sliceSize",
        "servers",
        "completed",
        "accessToken",
        "expiredAt",
        "access_token",
        "expires_in",
        "error",
        "dirID",
        "fileList",
        "fileId",
        "filename",
        "lastFileId",
        "uid",
        "etag",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::from(0)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{1,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(
        status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..400),
        trace_id in any::<Option<String>>(), retry_after in any::<Option<String>>(),
        date in any::<Option<String>>(), received in any::<SystemTime>(),
    ) {
        decode_all(&Answer {
            status, body: &body, trace_id: trace_id.as_deref(), retry_after: retry_after.as_deref(),
            date: date.as_deref(), received,
        });
    }

    #[test]
    fn no_json_panics(status in prop::sample::select(vec![200, 200, 200, 302, 401, 500]), data in json()) {
        decode_all(&answer(status, &data.to_string()));
        decode_all(&answer(status, &format!(r#"{{"code":0,"data":{data}}}"#)));
    }
}
