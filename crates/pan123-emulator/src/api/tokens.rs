//! `access_token`, and the OAuth2 token call.

use jiff::{Timestamp, tz::Offset};
use serde_json::{Value, json};

use crate::{
    fields::Fields,
    reply::{Refusal, Reply},
    service::Service,
    tokens::OAUTH_LIFETIME,
};

/// The service's clocks show Beijing time.
const BEIJING: Offset = Offset::constant(8);

/// `POST /api/v1/access_token`
pub(super) fn access_token(service: &Service, fields: &Fields) -> Result<Value, Refusal> {
    let (id, secret) = (fields.text("clientID")?, fields.text("clientSecret")?);
    if id != service.settings.client_id || secret != service.settings.client_secret {
        return Err(Refusal::unauthorized("无效的登录信息"));
    }
    let fresh = service.tokens.issue(&service.drive, id, service.settings.token_lifetime)?;
    Ok(json!({"accessToken": fresh.token, "expiredAt": rfc3339(fresh.expires)}))
}

/// `POST /api/v1/oauth2/access_token`: parameters in the query, flat JSON without an envelope back.
pub(super) fn oauth(service: &Service, fields: &Fields) -> Result<Reply, Refusal> {
    let given = |name: &str| fields.get(name).unwrap_or_default();
    let settings = &service.settings;
    if given("client_id") != settings.client_id || given("client_secret") != settings.client_secret {
        return Ok(oauth_error(401, "invalid_client", "client_id or client_secret is wrong"));
    }
    let is_granted = match given("grant_type") {
        "authorization_code" => given("code") == settings.oauth_code,
        "refresh_token" => {
            service.tokens.refreshes(given("refresh_token")).as_deref() == Some(&settings.client_id)
        }
        other => {
            let message = format!("grant_type is authorization_code or refresh_token, not {other:?}");
            return Ok(oauth_error(400, "unsupported_grant_type", &message));
        }
    };
    if !is_granted {
        return Ok(oauth_error(400, "invalid_grant", "the code or refresh_token is wrong, used or expired"));
    }
    let (access, refresh) = service.tokens.issue_oauth(&service.drive, &settings.client_id)?;
    Ok(flat(
        200,
        &json!({
            "token_type": "Bearer",
            "access_token": access.token,
            "refresh_token": refresh.token,
            "expires_in": OAUTH_LIFETIME.as_secs(),
            "scope": "user:base,file:all:read,file:all:write",
        }),
    ))
}

fn oauth_error(status: u16, error: &str, description: &str) -> Reply {
    flat(status, &json!({"error": error, "error_description": description}))
}

fn flat(status: u16, json: &Value) -> Reply {
    Reply::raw(status, "application/json; charset=utf-8", json.to_string())
}

/// As in `expiredAt`: `2025-03-23T15:48:37+08:00`.
fn rfc3339(at: Timestamp) -> String {
    let seconds = Timestamp::from_second(at.as_second()).unwrap_or(at);
    seconds.display_with_offset(BEIJING).to_string()
}

/// As in every other time of the API: `2025-03-23 15:48:37`.
pub(super) fn local_time(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    BEIJING.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
