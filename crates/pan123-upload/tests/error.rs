//! What errors say, to people and to programs.

use std::time::Duration;

use pan123_proto::{
    Class, Endpoint, Failure,
    machine::{Failed, FailedKind},
};
use pan123_upload::{Error, ErrorKind};

fn failure(class: Class) -> Failure {
    Failure {
        endpoint: Endpoint::Slice,
        class,
        http_status: Some(200),
        code: Some(1),
        message: "分片md5校验失败".into(),
        trace_id: Some("6a1f".into()),
        retry_after: Some(Duration::from_secs(3)),
    }
}

fn failed(kind: FailedKind, class: Class) -> Failed {
    let advice = "Upload again.".into();
    Failed { kind, failure: failure(class), slice_no: Some(7), attempts: 4, advice, resumable: true }
}

#[test]
fn one_line_names_the_step_the_tries_and_the_words_of_the_service() {
    let error = Error::from(failed(FailedKind::GaveUp, Class::Server));
    assert_eq!(
        error.to_string(),
        "slice 7: 分片md5校验失败 (after 4 attempts, code 1, HTTP 200, trace 6a1f)"
    );
    let error = Error::from(failure(Class::Server));
    assert_eq!(error.to_string(), "slice: 分片md5校验失败 (code 1, HTTP 200, trace 6a1f)");
    let error = Error::new(ErrorKind::Source, "open source", "bad\r\n\u{1b}[31mname: no such file");
    assert_eq!(error.to_string(), "open source: bad   [31mname: no such file");
}

#[test]
fn a_program_reads_the_same_as_a_flat_object() {
    let json = serde_json::to_value(Error::from(failed(FailedKind::GaveUp, Class::Stalled))).unwrap();
    let expected = serde_json::json!({
        "kind": "timeout", "step": "slice", "slice_no": 7, "attempts": 4, "message": "分片md5校验失败",
        "code": 1, "http_status": 200, "trace_id": "6a1f", "advice": "Upload again.", "resumable": true,
    });
    assert_eq!(json, expected);
    let json = serde_json::to_value(Error::new(ErrorKind::Usage, "s", "m")).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 10, "{json}");
    assert!(json["code"].is_null());
}

#[test]
fn every_end_of_an_upload_has_its_kind() {
    for (kind, class, expected) in [
        (FailedKind::GaveUp, Class::Connect, ErrorKind::Network),
        (FailedKind::GaveUp, Class::Interrupted, ErrorKind::Network),
        (FailedKind::GaveUp, Class::Tls, ErrorKind::Tls),
        (FailedKind::GaveUp, Class::NoAnswer, ErrorKind::Timeout),
        (FailedKind::GaveUp, Class::BodyTimeout, ErrorKind::Timeout),
        (FailedKind::GaveUp, Class::Server, ErrorKind::Server),
        (FailedKind::GaveUp, Class::Verifying, ErrorKind::Server),
        (FailedKind::GaveUp, Class::RateLimited, ErrorKind::RateLimited),
        (FailedKind::SlowUplink, Class::BodyTimeout, ErrorKind::SlowUplink),
        (FailedKind::Login, Class::Auth, ErrorKind::Login),
        (FailedKind::Login, Class::LoginRefused, ErrorKind::Login),
        (FailedKind::Refused, Class::BadName, ErrorKind::Name),
        (FailedKind::Refused, Class::NoParent, ErrorKind::Refused),
        (FailedKind::Refused, Class::NoSpace, ErrorKind::Refused),
        (FailedKind::Verify, Class::VerifyFailed, ErrorKind::Verify),
        (FailedKind::Verify, Class::Refused, ErrorKind::Verify),
        (FailedKind::Protocol, Class::Protocol, ErrorKind::Protocol),
        (FailedKind::Source, Class::Source, ErrorKind::Source),
    ] {
        let error = Error::from(failed(kind, class));
        assert_eq!(error.kind(), expected, "{kind:?} {class:?}");
        assert_eq!((error.class(), error.attempts(), error.slice_no()), (Some(class), 4, Some(7)));
        assert!(error.is_resumable());
    }
}

#[test]
fn a_failure_survives_the_way_through_an_error() {
    for class in Class::ALL {
        let one = Failure { endpoint: Endpoint::AccessToken, ..failure(class) };
        let back = Error::from(one.clone()).to_failure(Endpoint::Create);
        // The call that needed the token is the one that failed; what it needed is named.
        let message = format!("access_token: {}", one.message);
        assert_eq!(back, Failure { endpoint: Endpoint::Create, message, ..one });
        let one = failure(class);
        assert_eq!(Error::from(one.clone()).to_failure(one.endpoint), one);
    }
    for (kind, class) in [
        (ErrorKind::Login, Class::LoginRefused),
        (ErrorKind::SourceChanged, Class::Source),
        (ErrorKind::Network, Class::Connect),
        (ErrorKind::Store, Class::Refused),
    ] {
        assert_eq!(Error::new(kind, "s", "m").to_failure(Endpoint::Create).class, class);
    }
}

#[test]
fn each_kind_has_a_name_of_its_own() {
    let names: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), ErrorKind::ALL.len());
    for kind in ErrorKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn a_clone_keeps_the_cause() {
    let cause = std::io::Error::other("the cause");
    let error = Error::new(ErrorKind::Internal, "s", "m").with_source(cause).clone();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the cause");
}
