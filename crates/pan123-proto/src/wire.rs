//! What goes over the wire: one request type and one answer type for each call of the service.
//!
//! The service's word is used on the wire (`parentFileID`) and the reader's word in Rust
//! (`parent_id`); each doc comment gives both where they differ. Requests know their bytes
//! ([`CreateRequest::body`]) or their query ([`ListQuery::query`]); answers are made by
//! [`crate::decode`]. Multipart requests get their bytes from [`crate::multipart`].

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{Md5, machine::Duplicate};

/// Base URL of the service; uploads of bytes go to the hosts that `create` or `domain` name.
/// Source: official pages of the open platform (checked 2026-11).
pub const BASE_URL: &str = "https://open-api.123pan.com";

/// The header that every request carries, as (name, value). Source: official pages.
pub const PLATFORM_HEADER: (&str, &str) = ("Platform", "open_platform");

/// Most entries that one `list` answer may hold. Source: official page of the list call, `limit`.
pub const LIST_LIMIT_MAX: u32 = 100;

/// A secret string: a token or a client secret. `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself. Keep it out of errors and logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

// ---- Requests -------------------------------------------------------------------------------

/// `POST /api/v1/access_token`: a token for a developer's client id and secret.
///
/// A client id has at most three live tokens, and a new one pushes out an old one: keep the
/// answer and share it. Source: official page for developers.
#[derive(Clone, Debug)]
pub struct TokenRequest<'a> {
    /// `clientID`
    pub client_id: &'a str,
    /// `clientSecret`
    pub client_secret: &'a Secret,
}

impl TokenRequest<'_> {
    /// The JSON body. It carries the secret.
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            #[serde(rename = "clientID")]
            client_id: &'a str,
            client_secret: &'a str,
        }
        json(&Body { client_id: self.client_id, client_secret: self.client_secret.expose() })
    }
}

/// `POST /api/v1/oauth2/access_token` with `grant_type=refresh_token`: a new pair of tokens.
///
/// A refresh token works once and lives 90 days; the old access token dies at once. Save the new
/// pair before using it. Source: official page for OAuth2.
#[derive(Clone, Debug)]
pub struct OauthRefresh<'a> {
    /// `client_id`
    pub client_id: &'a str,
    /// `client_secret`
    pub client_secret: &'a Secret,
    /// `refresh_token`
    pub refresh_token: &'a Secret,
}

impl OauthRefresh<'_> {
    /// The query string, without `?`. It carries both secrets (the service takes them nowhere
    /// else), so the URL of this call must never be logged. The body stays empty.
    pub fn query(&self) -> String {
        query(&[
            ("client_id", self.client_id),
            ("client_secret", self.client_secret.expose()),
            ("grant_type", "refresh_token"),
            ("refresh_token", self.refresh_token.expose()),
        ])
    }
}

/// `POST /upload/v2/file/create`: announces a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreateRequest<'a> {
    /// `parentFileID`: the folder that receives the file; 0 is the root.
    #[serde(rename = "parentFileID")]
    pub parent_id: i64,
    /// File name, or a path from the folder on when `contain_dir` is set. See [`crate::names`].
    pub filename: &'a str,
    /// MD5 of the whole file.
    pub etag: Md5,
    /// File size in bytes.
    pub size: u64,
    /// What happens when the name is taken; `None` leaves it to the service.
    #[serde(serialize_with = "duplicate", skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
    /// `containDir`: `filename` is a path, and missing folders are made.
    #[serde(rename = "containDir", skip_serializing_if = "is_false")]
    pub contain_dir: bool,
}

impl CreateRequest<'_> {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        json(self)
    }
}

/// `POST /upload/v2/file/upload_complete`: asks for the merge, and whether it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompleteRequest<'a> {
    /// `preuploadID`, from `create`.
    #[serde(rename = "preuploadID")]
    pub preupload_id: &'a str,
}

impl CompleteRequest<'_> {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        json(self)
    }
}

/// `POST /upload/v2/file/sha1_reuse`: instant upload by SHA-1, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sha1ReuseRequest<'a> {
    /// `parentFileID`: the folder that receives the file; 0 is the root.
    #[serde(rename = "parentFileID")]
    pub parent_id: i64,
    /// File name. See [`crate::names::check_filename`].
    pub filename: &'a str,
    /// SHA-1 of the whole file; 40 lower-case hex digits on the wire.
    #[serde(serialize_with = "hex")]
    pub sha1: [u8; 20],
    /// File size in bytes.
    pub size: u64,
    /// What happens when the name is taken; `None` leaves it to the service.
    #[serde(serialize_with = "duplicate", skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
}

impl Sha1ReuseRequest<'_> {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        json(self)
    }
}

/// `POST /upload/v1/file/mkdir`: makes a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MkdirRequest<'a> {
    /// Name of the new folder. See [`crate::names::check_filename`].
    pub name: &'a str,
    /// `parentID`: the folder it goes into; 0 is the root.
    #[serde(rename = "parentID")]
    pub parent_id: i64,
}

impl MkdirRequest<'_> {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        json(self)
    }
}

/// `GET /api/v2/file/list`: one page of a folder, or of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery<'a> {
    /// `parentFileId`: the folder; 0 is the root.
    pub parent_id: i64,
    /// Entries wanted, 1 to [`LIST_LIMIT_MAX`]; other values are moved into that range.
    pub limit: u32,
    /// `lastFileId` of the page before; `None` for the first page.
    pub last_file_id: Option<i64>,
    /// `searchData` and `searchMode`. The service then looks through the whole drive, whatever the folder.
    pub search: Option<Search<'a>>,
}

/// What a [`ListQuery`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search<'a> {
    /// `searchMode` 0: names with similar words.
    Words(&'a str),
    /// `searchMode` 1: exactly this name.
    Name(&'a str),
}

impl ListQuery<'_> {
    /// The query string, without `?`.
    pub fn query(&self) -> String {
        let parent = self.parent_id.to_string();
        let limit = self.limit.clamp(1, LIST_LIMIT_MAX).to_string();
        let last = self.last_file_id.map(|id| id.to_string());
        let mut pairs = vec![("parentFileId", parent.as_str()), ("limit", &limit)];
        pairs.extend(last.as_deref().map(|id| ("lastFileId", id)));
        match self.search {
            Some(Search::Words(text)) => pairs.extend([("searchData", text), ("searchMode", "0")]),
            Some(Search::Name(text)) => pairs.extend([("searchData", text), ("searchMode", "1")]),
            None => {}
        }
        query(&pairs)
    }
}

/// `GET /api/v1/file/detail`: what the service knows of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetailQuery {
    /// `fileID`
    pub file_id: i64,
}

impl DetailQuery {
    /// The query string, without `?`. Case matters: `fileID` here, though `fileId` elsewhere.
    pub fn query(&self) -> String {
        query(&[("fileID", &self.file_id.to_string())])
    }
}

/// The text fields of `POST {server}/upload/v2/file/slice`; [`crate::multipart::slice`] writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFields<'a> {
    /// `preuploadID`, from `create`.
    pub preupload_id: &'a str,
    /// `sliceNo`: counts from 1.
    pub slice_no: u32,
    /// `sliceMD5`
    pub md5: Md5,
}

/// The text fields of `POST {server}/upload/v2/file/single/create`; [`crate::multipart::single`] writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleFields<'a> {
    /// `parentFileID`: the folder that receives the file; 0 is the root.
    pub parent_id: i64,
    /// File name, or a path from the folder on when `contain_dir` is set. See [`crate::names`].
    pub filename: &'a str,
    /// MD5 of the whole file.
    pub etag: Md5,
    /// File size in bytes, at most [`crate::names::SINGLE_SIZE_MAX`].
    pub size: u64,
    /// What happens when the name is taken; `None` leaves it to the service.
    pub duplicate: Option<Duplicate>,
    /// `containDir`: `filename` is a path, and missing folders are made.
    pub contain_dir: bool,
}

// ---- Answers --------------------------------------------------------------------------------

/// Answer of `access_token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAnswer {
    /// `accessToken`: a JWT.
    pub access_token: Secret,
    /// `expiredAt`, in milliseconds since 1970-01-01 00:00 UTC. About 30 days ahead.
    pub expires_at_unix_ms: i64,
}

/// Answer of `oauth_token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthAnswer {
    /// `access_token`
    pub access_token: Secret,
    /// `refresh_token`; replaces the one that was sent. `None` if the service kept the old one.
    pub refresh_token: Option<Secret>,
    /// `expires_in`: how long the access token lives from now on, in seconds; 7200 in the official page.
    pub expires_in_secs: u64,
}

/// One file or folder, as `list` and `detail` describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// `fileId` or `fileID`
    pub file_id: i64,
    /// Name without folders.
    pub filename: String,
    /// `type` 1. Anything else is a file.
    pub is_folder: bool,
    /// Size in bytes; 0 for a folder.
    pub size: u64,
    /// MD5 of the content; `None` for a folder, or where the service gives none.
    pub etag: Option<Md5>,
    /// Moderation status: above 100 the service has blocked the file. Source: official page of the list call.
    pub status: i64,
    /// `parentFileId` or `parentFileID`
    pub parent_id: i64,
    /// 0 unknown, 1 sound, 2 video, 3 picture. Absent in `detail`.
    pub category: i64,
    /// In the recycle bin. `list` shows such files too.
    pub trashed: bool,
    /// `createAt`, as the service writes it: `YYYY-MM-DD HH:MM:SS` in UTC+8. May be empty.
    pub created_at: String,
}

/// Answer of `list`: one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListAnswer {
    /// `fileList`
    pub files: Vec<FileInfo>,
    /// `lastFileId`: ask for the next page with it; `None` on the last page (-1 on the wire).
    pub next: Option<i64>,
}

/// Answer of `user_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    /// `uid`
    pub uid: i64,
    /// `nickname`
    pub nickname: String,
    /// `spaceUsed`, in bytes.
    pub space_used: u64,
    /// `spacePermanent`, in bytes.
    pub space_permanent: u64,
    /// `spaceTemp`, in bytes.
    pub space_temp: u64,
    /// `vip`; `None` if the service does not say.
    pub vip: Option<bool>,
}

// ---- Helpers --------------------------------------------------------------------------------

/// The service's number for a [`Duplicate`]: 1 keeps both, 2 overwrites.
pub(crate) fn duplicate_number(duplicate: Duplicate) -> u8 {
    match duplicate {
        Duplicate::KeepBoth => 1,
        Duplicate::Overwrite => 2,
    }
}

#[expect(clippy::ref_option, reason = "the shape that serde calls")]
fn duplicate<S: Serializer>(value: &Option<Duplicate>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(duplicate_number).serialize(serializer)
}

fn hex<S: Serializer>(bytes: &[u8; 20], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of numbers and strings always serialise")
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn check(body: &[u8], expected: &str) {
        assert_eq!(std::str::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn bodies_use_the_documented_keys_and_leave_out_what_was_not_asked_for() {
        let secret = Secret::new("s\"3");
        check(
            &TokenRequest { client_id: "id", client_secret: &secret }.body(),
            r#"{"clientID":"id","clientSecret":"s\"3"}"#,
        );
        let mut create = CreateRequest {
            parent_id: 0,
            filename: "测试.txt",
            etag: EMPTY.parse().unwrap(),
            size: 10_000_000_000,
            duplicate: None,
            contain_dir: false,
        };
        check(
            &create.body(),
            &format!(r#"{{"parentFileID":0,"filename":"测试.txt","etag":"{EMPTY}","size":10000000000}}"#),
        );
        (create.duplicate, create.contain_dir) = (Some(Duplicate::Overwrite), true);
        assert!(create.body().ends_with(br#","duplicate":2,"containDir":true}"#));
        check(&CompleteRequest { preupload_id: "p" }.body(), r#"{"preuploadID":"p"}"#);
        check(&MkdirRequest { name: "a", parent_id: 7 }.body(), r#"{"name":"a","parentID":7}"#);
        let reuse = Sha1ReuseRequest {
            parent_id: 1,
            filename: "a",
            sha1: [0xAB; 20],
            size: 0,
            duplicate: Some(Duplicate::KeepBoth),
        };
        let sha1 = "ab".repeat(20);
        check(
            &reuse.body(),
            &format!(r#"{{"parentFileID":1,"filename":"a","sha1":"{sha1}","size":0,"duplicate":1}}"#),
        );
    }

    #[test]
    fn queries_are_escaped() {
        let mut list = ListQuery { parent_id: 0, limit: 1000, last_file_id: None, search: None };
        assert_eq!(list.query(), "parentFileId=0&limit=100");
        list.last_file_id = Some(9);
        list.search = Some(Search::Name("a&b=c 你"));
        assert_eq!(
            list.query(),
            "parentFileId=0&limit=100&lastFileId=9&searchData=a%26b%3Dc+%E4%BD%A0&searchMode=1"
        );
        assert_eq!(DetailQuery { file_id: 5 }.query(), "fileID=5");
        let secret = Secret::new("&x");
        let refresh = OauthRefresh { client_id: "i", client_secret: &secret, refresh_token: &secret };
        assert_eq!(
            refresh.query(),
            "client_id=i&client_secret=%26x&grant_type=refresh_token&refresh_token=%26x"
        );
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let secret = Secret::new("hunter2");
        let shown = format!("{:?}", TokenRequest { client_id: "id", client_secret: &secret });
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
