//! Token providers against a service on a real socket, judged by the requests that it saw.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

mod client_credentials;
mod log;
mod refresh_token;
mod service;

use pan123_upload::{ErrorKind, StaticToken, Token, TokenProvider};

#[test]
fn a_token_is_trimmed_checked_and_hidden() {
    let token = Token::new(" \tabc.def-123_\n", Some(5)).unwrap();
    assert_eq!(token.expose(), "abc.def-123_");
    assert_eq!(token.expires_unix_ms(), Some(5));
    assert_eq!(format!("{token:?}"), "Token { expires_unix_ms: Some(5), .. }");
    for bad in ["", " \n", "Bearer abc", "a\r\nHost: evil", "tökén", "a\0b"] {
        let error = Token::new(bad, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login, "{bad:?}");
        assert!(!error.advice().is_empty());
        for word in ["evil", "abc", "tökén"] {
            assert!(!format!("{error:?}").contains(word));
        }
    }
}

#[tokio::test]
async fn a_static_token_that_is_refused_is_the_end() {
    let provider = StaticToken::new(Token::new("one", None).unwrap());
    let token = provider.get(None).await.unwrap();
    assert_eq!(token.expose(), "one");
    let other = Token::new("other", None).unwrap();
    assert_eq!(provider.get(Some(&other)).await.unwrap().expose(), "one");
    let error = provider.get(Some(&token)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    assert!(!format!("{provider:?} {error:?}").contains("one\""));
}
