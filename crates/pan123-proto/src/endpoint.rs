//! The calls of the service.

use serde::{Deserialize, Serialize};

/// One call of the service. The paths are those of the official endpoint index (checked 2026-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /api/v1/access_token`
    AccessToken,
    /// `POST /api/v1/oauth2/access_token`
    OauthToken,
    /// `POST /upload/v2/file/create`
    Create,
    /// `POST {server}/upload/v2/file/slice`
    Slice,
    /// `POST /upload/v2/file/upload_complete`
    Complete,
    /// `GET /upload/v2/file/domain`
    Domain,
    /// `POST {server}/upload/v2/file/single/create`
    Single,
    /// `POST /upload/v2/file/sha1_reuse`
    Sha1Reuse,
    /// `POST /upload/v1/file/mkdir`
    Mkdir,
    /// `GET /api/v2/file/list`
    List,
    /// `GET /api/v1/file/detail`
    Detail,
    /// `GET /api/v1/user/info`
    UserInfo,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 12] = [
        Self::AccessToken,
        Self::OauthToken,
        Self::Create,
        Self::Slice,
        Self::Complete,
        Self::Domain,
        Self::Single,
        Self::Sha1Reuse,
        Self::Mkdir,
        Self::List,
        Self::Detail,
        Self::UserInfo,
    ];

    /// Path on its host, with the leading slash.
    pub fn path(self) -> &'static str {
        match self {
            Self::AccessToken => "/api/v1/access_token",
            Self::OauthToken => "/api/v1/oauth2/access_token",
            Self::Create => "/upload/v2/file/create",
            Self::Slice => "/upload/v2/file/slice",
            Self::Complete => "/upload/v2/file/upload_complete",
            Self::Domain => "/upload/v2/file/domain",
            Self::Single => "/upload/v2/file/single/create",
            Self::Sha1Reuse => "/upload/v2/file/sha1_reuse",
            Self::Mkdir => "/upload/v1/file/mkdir",
            Self::List => "/api/v2/file/list",
            Self::Detail => "/api/v1/file/detail",
            Self::UserInfo => "/api/v1/user/info",
        }
    }

    /// Short name for errors, logs and fault scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::OauthToken => "oauth_token",
            Self::Create => "create",
            Self::Slice => "slice",
            Self::Complete => "upload_complete",
            Self::Domain => "domain",
            Self::Single => "single_create",
            Self::Sha1Reuse => "sha1_reuse",
            Self::Mkdir => "mkdir",
            Self::List => "list",
            Self::Detail => "detail",
            Self::UserInfo => "user_info",
        }
    }

    /// True for `GET`; the others are `POST`.
    pub fn is_get(self) -> bool {
        matches!(self, Self::Domain | Self::List | Self::Detail | Self::UserInfo)
    }

    /// True for the calls that go to an upload host rather than the base host.
    pub fn is_on_upload_host(self) -> bool {
        matches!(self, Self::Slice | Self::Single)
    }

    /// The endpoint whose [`name`](Self::name) this is.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.name() == name)
    }
}
