//! Logging in with an OAuth2 refresh token, through the C interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    ffi::{CStr, CString},
    io::{Read, Write},
    net::TcpStream,
    ptr,
};

use pan123::{
    client::{pan123_client, pan123_client_free, pan123_client_new},
    error::{pan123_error_free, pan123_error_str},
    numbers::*,
    options::{pan123_options_free, pan123_options_new, pan123_options_set_str},
    result::{pan123_result_free, pan123_result_str},
    service::{pan123_api_domain, pan123_api_token},
};
use pan123_emulator::{Emulator, Options};
use pan123_upload::proto::Endpoint;

/// A client with these options, or what is said against them.
fn client(options: &[(u32, &str)]) -> Result<*mut pan123_client, (i32, String)> {
    let (mut o, mut c, mut err) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: handles are used while they live, and texts outlive the calls that they are given to.
    unsafe {
        assert_eq!(pan123_options_new(&raw mut o, ptr::null_mut()), PAN123_OK);
        for (option, text) in options {
            let status =
                pan123_options_set_str(o, *option, text.as_ptr().cast(), text.len(), ptr::null_mut());
            assert_eq!(status, PAN123_OK);
        }
        let none = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let status = pan123_client_new(o, none.0, none.1, none.2, none.3, &raw mut c, &raw mut err);
        pan123_options_free(o);
        if status == PAN123_OK {
            return Ok(c);
        }
        let text = CStr::from_ptr(pan123_error_str(err, PAN123_F_MESSAGE, ptr::null_mut()));
        let text = text.to_string_lossy().into_owned();
        pan123_error_free(err);
        Err((status, text))
    }
}

/// The service's answer to an authorization: a refresh token.
fn authorize(emulator: &Emulator) -> String {
    let host = emulator.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(&host).unwrap();
    let query = "client_id=emulator-id&client_secret=emulator-secret&grant_type=authorization_code&code=emulator-code";
    let path = Endpoint::OauthToken.path();
    write!(stream, "POST {path}?{query} HTTP/1.1\r\nHost: {host}\r\nPlatform: open_platform\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let rest = answer.split_once("\"refresh_token\":\"").unwrap().1;
    rest.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_refresh_token_logs_in_and_the_next_client_goes_on_with_what_came_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(Options::new(dir.path().join("drive"))).unwrap();
    let (refresh_token, cache) = (authorize(&emulator), dir.path().join("tokens"));
    let options = [
        (PAN123_OPT_BASE_URL, emulator.base_url()),
        (PAN123_OPT_CLIENT_ID, "emulator-id"),
        (PAN123_OPT_CLIENT_SECRET, "emulator-secret"),
        (PAN123_OPT_REFRESH_TOKEN, &refresh_token),
        (PAN123_OPT_TOKEN_CACHE, cache.to_str().unwrap()),
    ];
    let refreshed =
        || emulator.requests().iter().filter(|it| it.endpoint == Some(Endpoint::OauthToken)).count() - 1;
    for expected in [1, 1, 2] {
        if expected == 2 {
            emulator.expire_tokens().unwrap();
        }
        let c = client(&options).unwrap();
        let (mut r, stop) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: handles are used while they live.
        unsafe {
            assert_eq!(pan123_api_token(c, stop, &raw mut r, ptr::null_mut()), PAN123_OK);
            let token = CStr::from_ptr(pan123_result_str(r, PAN123_F_TOKEN, 0, ptr::null_mut()));
            assert!(!token.is_empty() && token != &*CString::new(&*refresh_token).unwrap());
            pan123_result_free(r);
            assert_eq!(pan123_api_domain(c, stop, &raw mut r, ptr::null_mut()), PAN123_OK);
            pan123_result_free(r);
            pan123_client_free(c);
        }
        assert_eq!(refreshed(), expected);
    }
    emulator.stop();
}

#[test]
fn what_does_not_go_together_is_refused_with_what_is_missing() {
    let (id, secret) = ((PAN123_OPT_CLIENT_ID, "i"), (PAN123_OPT_CLIENT_SECRET, "s"));
    let (refresh, token) = ((PAN123_OPT_REFRESH_TOKEN, "r"), (PAN123_OPT_ACCESS_TOKEN, "t"));
    let cases: &[(&[(u32, &str)], &str)] = &[
        (&[refresh], "refresh_token needs client_id"),
        (&[refresh, id], "client_id needs client_secret"),
        (&[refresh, id, secret], "refresh_token needs token_cache"),
        (&[refresh, token], "not both"),
        (&[token, id, secret], "not both"),
        (&[secret], "client_secret needs client_id"),
        (&[], "no access token"),
    ];
    for (options, words) in cases {
        let (status, text) = client(options).unwrap_err();
        assert_eq!(status, PAN123_E_INVALID_ARGUMENT, "{text}");
        assert!(text.contains(words), "{text:?} should contain {words:?}");
    }
}
