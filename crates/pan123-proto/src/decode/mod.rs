//! From an answer's bytes to what it means: one function for each call.
//!
//! Tolerant where the service is known to be loose, strict where a wrong success would lose a
//! file:
//!
//! * An answer counts as a success only with a status of 200 to 299 *and* `code` 0. JSON without
//!   `code` is none, and neither is a page of a captive portal. The one exception is `slice`, which
//!   real servers also answer with 200 and an empty body.
//! * A file is stored only when the answer names its id: `reuse` or `completed` alone is not enough.
//! * Ids may be numbers or strings, keys may differ in ASCII case, unknown fields are skipped, and so is a byte order
//!   mark in front.
//! * Whatever the bytes are, the result is an answer or a [`Failure`], never a panic.

mod fields;
mod text;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, civil, tz::Offset};
use serde_json::Value;

use self::fields::Fields;
use crate::{
    Class, Endpoint, Failure, classify,
    machine::Reply,
    names::FILE_SIZE_MAX,
    wire::{FileInfo, ListAnswer, OauthAnswer, Secret, TokenAnswer, UserInfo},
};

/// The longest wait taken over from `Retry-After`. A longer one is cut to it; no upload waits a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The most characters that a [`Failure::message`] made here has.
pub const MESSAGE_CHARS_MAX: usize = 500;

/// Most characters of a `preuploadID`. Those of the official page have about 200.
const PREUPLOAD_ID_CHARS_MAX: usize = 4096;

/// One HTTP answer, read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// The body's bytes.
    pub body: &'a [u8],
    /// Header `x-traceID`; counts when the body has none.
    pub trace_id: Option<&'a str>,
    /// Header `Retry-After`: whole seconds, or a date (RFC 9110 §10.2.3).
    pub retry_after: Option<&'a str>,
    /// Header `Date`: what a date in `Retry-After` is held against.
    pub date: Option<&'a str>,
    /// When the answer came by the local clock, which serves where there is no `Date`.
    pub received: SystemTime,
}

/// `create`: [`Reply::Stored`] for an instant upload, else [`Reply::Created`].
///
/// `reuse` without a file id is no instant upload (seen on the web API): with a `preuploadID` the
/// bytes are uploaded after all, without one the answer is useless. `servers` may come back empty;
/// ask `domain` then.
///
/// # Errors
///
/// What the service said; [`Class::Protocol`] for an answer without `preuploadID`, or with a
/// `sliceSize` that is not between 1 and [`FILE_SIZE_MAX`].
pub fn create(answer: &Answer) -> Result<Reply, Failure> {
    let reading = Reading::of(Endpoint::Create, answer)?;
    let data = reading.object()?;
    if data.flag("reuse") == Some(true)
        && let Some(file_id) = data.id("fileID")
    {
        return Ok(Reply::Stored { file_id });
    }
    let preupload_id = data.text("preuploadID").ok_or_else(|| {
        reading.broken(if data.flag("reuse") == Some(true) {
            "`reuse` is true, but there is neither a `fileID` nor a `preuploadID`"
        } else {
            "there is no `preuploadID`"
        })
    })?;
    if preupload_id.chars().count() > PREUPLOAD_ID_CHARS_MAX || preupload_id.chars().any(char::is_control) {
        return Err(reading.broken("`preuploadID` is not plain text of reasonable length"));
    }
    let slice_size = data.size("sliceSize").filter(|size| (1..=FILE_SIZE_MAX).contains(size));
    let slice_size = slice_size.ok_or_else(|| reading.broken("`sliceSize` is missing or makes no sense"))?;
    let servers = data.list("servers").map(hosts).unwrap_or_default();
    Ok(Reply::Created { preupload_id: preupload_id.into(), slice_size, servers })
}

/// `slice`: [`Reply::SliceTaken`]. An empty 200 counts, and so does `分片重复上传` ("slice uploaded
/// twice"): the slice is there.
///
/// # Errors
///
/// What the service said; [`Class::Protocol`] for any other 200 without `code`.
pub fn slice(answer: &Answer) -> Result<Reply, Failure> {
    if answer.status == 200 && text::unmarked(answer.body).trim_ascii().is_empty() {
        return Ok(Reply::SliceTaken);
    }
    match Reading::of(Endpoint::Slice, answer) {
        Ok(_) => Ok(Reply::SliceTaken),
        Err(failure) if failure.class == Class::Exists => Ok(Reply::SliceTaken),
        Err(failure) => Err(failure),
    }
}

/// `upload_complete`: [`Reply::Stored`] once `completed` is true and the file has an id;
/// [`Reply::NotYet`] until then, also for code 20103 ("being checked"); [`Reply::Nameless`] when `completed` is true
/// and there is no id.
///
/// # Errors
///
/// What the service said, among it [`Class::VerifyFailed`].
pub fn complete(answer: &Answer) -> Result<Reply, Failure> {
    stored_or_not_yet(Endpoint::Complete, answer)
}

/// `single/create`: [`Reply::Stored`] or, when the file has no id yet, [`Reply::NotYet`]. There is
/// nothing to poll with then; look the file up by name.
///
/// # Errors
///
/// What the service said. A busy instant-upload queue is the failure [`Class::QueueBusy`], because the
/// remedy is to send the whole request again.
pub fn single(answer: &Answer) -> Result<Reply, Failure> {
    let reply = stored_or_not_yet(Endpoint::Single, answer)?;
    Ok(if reply == Reply::Nameless { Reply::NotYet } else { reply })
}

/// `domain`: [`Reply::Hosts`] with at least one upload host, as the service wrote it.
///
/// # Errors
///
/// What the service said; [`Class::Protocol`] for an answer that names no host.
pub fn domain(answer: &Answer) -> Result<Reply, Failure> {
    let reading = Reading::of(Endpoint::Domain, answer)?;
    let hosts = reading.data.as_array().map(|list| hosts(list)).unwrap_or_default();
    if hosts.is_empty() { Err(reading.broken("it names no upload host")) } else { Ok(Reply::Hosts(hosts)) }
}

/// `access_token`.
///
/// `expiredAt` is RFC 3339 with an offset; a time without one is taken as UTC+8, as everywhere else
/// in this API.
///
/// # Errors
///
/// What the service said, usually [`Class::LoginRefused`]; [`Class::Protocol`] without a token that
/// fits into a header, or without a readable `expiredAt`.
pub fn access_token(answer: &Answer) -> Result<TokenAnswer, Failure> {
    let reading = Reading::of(Endpoint::AccessToken, answer)?;
    let data = reading.object()?;
    let access_token = data.text("accessToken").and_then(header_secret);
    let access_token = access_token.ok_or_else(|| reading.broken("there is no usable `accessToken`"))?;
    let expires = data.text("expiredAt").and_then(|text| unix_ms(&text));
    let expires_at_unix_ms =
        expires.ok_or_else(|| reading.broken("`expiredAt` is missing or not a point in time"))?;
    Ok(TokenAnswer { access_token, expires_at_unix_ms })
}

/// `oauth_token`, whose answer comes without the envelope of the other calls.
///
/// # Errors
///
/// What the service said: in its envelope, or as `error` and `error_description` (RFC 6749 §5.2).
/// [`Class::Protocol`] for an answer with neither these nor a token.
pub fn oauth_token(answer: &Answer) -> Result<OauthAnswer, Failure> {
    let endpoint = Endpoint::OauthToken;
    let json = parse(answer).ok();
    let Some(data) = json.as_ref().and_then(Fields::of) else {
        return Err(failure(endpoint, answer, None, &text::plain(answer.body)));
    };
    let refused = data.int("code").is_some_and(|code| code != 0) || data.get("error").is_some();
    if !(200..300).contains(&answer.status) || refused {
        let words = [data.text("message"), data.text("error"), data.text("error_description")];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
        let mut failure = failure(endpoint, answer, Some(data), &words);
        if data.get("error").is_some() && failure.class == Class::Protocol {
            failure.class = Class::LoginRefused;
        }
        return Err(failure);
    }
    let broken = |what| failure_of(endpoint, answer, Some(data), Class::Protocol, what);
    let access_token = data.text("access_token").and_then(header_secret);
    Ok(OauthAnswer {
        access_token: access_token.ok_or_else(|| broken("the answer has no usable `access_token`"))?,
        refresh_token: data.text("refresh_token").map(Secret::new),
        expires_in_secs: data.size("expires_in").ok_or_else(|| broken("the answer has no `expires_in`"))?,
    })
}

/// `sha1_reuse`: the new file's id, or `None` when the service does not hold these bytes.
///
/// # Errors
///
/// What the service said.
pub fn sha1_reuse(answer: &Answer) -> Result<Option<i64>, Failure> {
    let reading = Reading::of(Endpoint::Sha1Reuse, answer)?;
    let reused = |data: Fields| (data.flag("reuse") == Some(true)).then(|| data.id("fileID"))?;
    Ok(Fields::of(&reading.data).and_then(reused))
}

/// `mkdir`: the new folder's id (`dirID`).
///
/// # Errors
///
/// What the service said, [`Class::Exists`] for a folder that is there already; [`Class::Protocol`] for
/// an answer without an id.
pub fn mkdir(answer: &Answer) -> Result<i64, Failure> {
    let reading = Reading::of(Endpoint::Mkdir, answer)?;
    reading.object()?.id("dirID").ok_or_else(|| reading.broken("there is no `dirID`"))
}

/// `list`: one page. A `fileList` of null is an empty page.
///
/// # Errors
///
/// What the service said; [`Class::Protocol`] for an answer without `data`, or with an entry that has
/// no id or no name.
pub fn list(answer: &Answer) -> Result<ListAnswer, Failure> {
    let reading = Reading::of(Endpoint::List, answer)?;
    let data = reading.object()?;
    let entries = data.list("fileList").unwrap_or_default();
    let files = entries.iter().map(|entry| Fields::of(entry).and_then(file_info)).collect::<Option<_>>();
    let files = files.ok_or_else(|| reading.broken("an entry of `fileList` has no id or no name"))?;
    Ok(ListAnswer { files, next: data.id("lastFileId") })
}

/// `detail`.
///
/// # Errors
///
/// What the service said, [`Class::NotFound`] for an unknown id; [`Class::Protocol`] for an answer
/// without id or name.
pub fn detail(answer: &Answer) -> Result<FileInfo, Failure> {
    let reading = Reading::of(Endpoint::Detail, answer)?;
    file_info(reading.object()?).ok_or_else(|| reading.broken("it has no file id or no name"))
}

/// `user_info`.
///
/// # Errors
///
/// What the service said; [`Class::Protocol`] for an answer without `uid`.
pub fn user_info(answer: &Answer) -> Result<UserInfo, Failure> {
    let reading = Reading::of(Endpoint::UserInfo, answer)?;
    let data = reading.object()?;
    Ok(UserInfo {
        uid: data.id("uid").ok_or_else(|| reading.broken("there is no `uid`"))?,
        nickname: data.text("nickname").unwrap_or_default(),
        space_used: data.size("spaceUsed").unwrap_or(0),
        space_permanent: data.size("spacePermanent").unwrap_or(0),
        space_temp: data.size("spaceTemp").unwrap_or(0),
        vip: data.flag("vip"),
    })
}

// ---- What the calls share -------------------------------------------------------------------

/// The `data` of an answer that says it is a success.
struct Reading<'a> {
    endpoint: Endpoint,
    answer: &'a Answer<'a>,
    data: Value,
}

impl<'a> Reading<'a> {
    /// Opens the envelope `{code, message, data, "x-traceID"}`.
    fn of(endpoint: Endpoint, answer: &'a Answer<'a>) -> Result<Self, Failure> {
        let Ok(mut json) = parse(answer) else {
            return Err(failure(endpoint, answer, None, &text::plain(answer.body)));
        };
        let envelope = Fields::of(&json);
        let code = envelope.and_then(|fields| fields.int("code"));
        if !(200..300).contains(&answer.status) || code != Some(0) {
            let message = envelope.and_then(|fields| fields.text("message"));
            let message = message
                .unwrap_or_else(|| if code.is_some() { String::new() } else { text::plain(answer.body) });
            return Err(failure(endpoint, answer, envelope, &message));
        }
        let data = json.get_mut("data").map(Value::take).unwrap_or_default();
        Ok(Self { endpoint, answer, data })
    }

    fn object(&self) -> Result<Fields<'_>, Failure> {
        Fields::of(&self.data).ok_or_else(|| self.broken("it has no `data` object"))
    }

    /// The service says "ok", but leaves out what the call is for.
    fn broken(&self, what: &str) -> Failure {
        // The body was an envelope; it is parsed once more for the trace id, on a path that ends the call.
        let json = parse(self.answer).ok();
        let envelope = json.as_ref().and_then(Fields::of);
        let message = format!("the answer says it is a success, but {what}");
        failure_of(self.endpoint, self.answer, envelope, Class::Protocol, &message)
    }
}

fn parse(answer: &Answer) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text::unmarked(answer.body))
}

fn stored_or_not_yet(endpoint: Endpoint, answer: &Answer) -> Result<Reply, Failure> {
    let reading = match Reading::of(endpoint, answer) {
        Err(failure) if failure.class == Class::Verifying => return Ok(Reply::NotYet),
        other => other?,
    };
    let done = Fields::of(&reading.data).filter(|data| data.flag("completed") == Some(true));
    Ok(match done.map(|data| data.id("fileID")) {
        None => Reply::NotYet,
        Some(None) => Reply::Nameless,
        Some(Some(file_id)) => Reply::Stored { file_id },
    })
}

fn hosts(list: &[Value]) -> Vec<Arc<str>> {
    list.iter()
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .map(Arc::from)
        .collect()
}

fn file_info(data: Fields) -> Option<FileInfo> {
    Some(FileInfo {
        file_id: data.id("fileId")?,
        filename: data.text("filename")?,
        is_folder: data.int("type") == Some(1),
        size: data.size("size").unwrap_or(0),
        etag: data.text("etag").and_then(|text| text.parse().ok()),
        status: data.int("status").unwrap_or(0),
        parent_id: data.int("parentFileId").unwrap_or(0),
        category: data.int("category").unwrap_or(0),
        trashed: data.flag("trashed").unwrap_or(false),
        created_at: data.text("createAt").unwrap_or_default(),
    })
}

/// A token becomes a header value: visible ASCII alone, or the request could not be sent.
fn header_secret(token: String) -> Option<Secret> {
    token.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Secret::new(token))
}

/// RFC 3339, or `YYYY-MM-DD HH:MM:SS` in UTC+8.
fn unix_ms(text: &str) -> Option<i64> {
    let instant = text.parse::<Timestamp>().or_else(|_| {
        let local = text.parse::<civil::DateTime>()?;
        Offset::constant(8).to_timestamp(local)
    });
    Some(instant.ok()?.as_millisecond())
}

/// What an answer that is no success means, by the classification table.
fn failure(endpoint: Endpoint, answer: &Answer, envelope: Option<Fields>, message: &str) -> Failure {
    let code = envelope.and_then(|fields| fields.int("code"));
    let class = classify(endpoint, answer.status, code, message);
    // A success that cannot be read may still hold the token.
    let may_hold_token = matches!(endpoint, Endpoint::AccessToken | Endpoint::OauthToken);
    let empty = format!("an empty answer with status {}", answer.status);
    let page = (class == Class::Protocol && code.is_none()).then(|| text::page(answer.body)).flatten();
    let message = if may_hold_token && code.is_none() && answer.status < 300 {
        "the answer cannot be read, and is not shown because it may hold a token"
    } else if (300..400).contains(&answer.status) {
        "a redirect to another address, which is not followed: the access token stays here"
    } else if answer.body.is_empty() {
        &empty
    } else if let Some(page) = &page {
        page
    } else {
        message
    };
    failure_of(endpoint, answer, envelope, class, message)
}

fn failure_of(
    endpoint: Endpoint,
    answer: &Answer,
    envelope: Option<Fields>,
    class: Class,
    message: &str,
) -> Failure {
    let trace_id = envelope.and_then(|fields| fields.text("x-traceID"));
    let trace_id = trace_id.or_else(|| answer.trace_id.map(str::to_owned));
    let shown = text::shorten(message, MESSAGE_CHARS_MAX);
    Failure {
        endpoint,
        class,
        http_status: Some(answer.status),
        code: envelope.and_then(|fields| fields.int("code")),
        message: if shown.is_empty() { "the service gave no reason".to_owned() } else { shown },
        trace_id: trace_id.map(|id| text::shorten(&id, 128)).filter(|id| !id.is_empty()),
        retry_after: retry_after(answer),
    }
}

/// The pause that the service asks for; none of a date that is over.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let header = answer.retry_after?.trim();
    let is_number = !header.is_empty() && header.bytes().all(|digit| digit.is_ascii_digit());
    let wait = if is_number {
        // A number that is too large to read is too large anyway.
        Duration::from_secs(header.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(header).ok()?;
        let sent = answer.date.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        until.duration_since(sent.unwrap_or(answer.received)).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests;
