//! What a fault does, and at which moment of a request.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The moment at which a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// The request head was read and nothing of the body. The slice number is not known yet, and attempts
    /// are counted per endpoint.
    Head,
    /// Of a slice, the small fields were read, and the bytes of the slice are about to come. Calls with
    /// small bodies: the same as `Body`.
    Early,
    /// This many bytes of the slice (or of the file of `single/create`) have come. Calls with small bodies:
    /// the same as `Body`.
    Byte(u64),
    /// The whole body was read, and has had no effect.
    #[default]
    Body,
    /// The request has had its effect, and its answer is ready: the answer is lost or replaced.
    Done,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Wait before answering. The other faults of the same request still apply.
    Delay {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Read the body at this rate at most.
    Rate {
        /// Bytes a second, at least 1.
        bytes_per_sec: u64,
    },
    /// Answer HTTP 500 if the body is not complete in this time after the head, as the gateway does after 60 s.
    BodyDeadline {
        /// Milliseconds from the request head.
        ms: u64,
        /// Whether the answer carries the gateway's text or no body at all.
        #[serde(default)]
        text: bool,
    },
    /// Answer with this HTTP status and body.
    Status {
        /// HTTP status, 200 to 599.
        status: u16,
        /// Body of the answer.
        #[serde(default)]
        body: String,
        /// `Retry-After`, as it goes out.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Answer in the envelope.
    Code {
        /// `code` of the envelope.
        code: i64,
        /// `message` of the envelope.
        #[serde(default)]
        message: String,
        /// `data` of the envelope.
        #[serde(default)]
        data: Value,
        /// HTTP status; the service nearly always says 200.
        #[serde(default = "http_ok")]
        status: u16,
        /// `Retry-After`, as it goes out.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Cut the connection with a TCP reset.
    Reset,
    /// Never answer.
    Hang,
    /// Answer HTTP 200 with no body.
    Empty,
    /// Answer HTTP 200 with something that is not what the protocol promises.
    Garbage(Garbage),
    /// Answer with a redirect.
    Redirect {
        /// `Location` of the answer.
        location: String,
        /// HTTP status, 300 to 399.
        #[serde(default = "http_temporary_redirect")]
        status: u16,
    },
    /// 401 "token is expired": in the envelope, or as HTTP status too.
    Unauthorized {
        /// Say it as HTTP 401 too.
        #[serde(default)]
        http: bool,
    },
    /// 429: in the envelope, or as HTTP status too.
    Throttled {
        /// Say it as HTTP 429 too.
        #[serde(default)]
        http: bool,
        /// `Retry-After`, as it goes out.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// `upload_complete`: 20103, still being checked.
    Pending,
    /// `upload_complete`: `completed` false.
    Unfinished,
    /// `upload_complete`: 文件上传失败, for good.
    Failed,
    /// `single/create`: code 1, the instant-upload queue is busy.
    QueueBusy,
    /// `create`: cut the file by this slice size instead of the configured one.
    SliceSize {
        /// Bytes, at least 1.
        bytes: u64,
    },
    /// `create`: name this slice size, but hold the client to the right one.
    AnnounceSliceSize {
        /// Bytes; any number.
        bytes: i64,
    },
    /// `create`: `reuse` true with `fileID` 0.
    ReuseZero,
    /// Slices: change one stored byte after it was checked.
    CorruptByte {
        /// Which byte of the slice, taken modulo its length.
        offset: u64,
    },
    /// Forget the `preuploadID` of this request before it is handled.
    Forget,
    /// Make every token from `access_token` and OAuth2 invalid before this request is handled.
    ExpireTokens,
    /// Write the numbers of ids as strings.
    IdsAsStrings,
    /// Slices and `single/create`: this upload host dies: its connections are reset and its port is closed.
    Die,
}

/// Answers that no client should swallow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Garbage {
    /// A page of HTML.
    Html,
    /// JSON cut in the middle.
    Truncated,
    /// JSON without `code`.
    NoCode,
    /// A JSON array of arrays, 100 000 deep.
    Nested,
    /// A valid envelope with 16 MiB of `message`.
    Huge,
    /// Bytes that are not UTF-8.
    Binary,
    /// An envelope with `data` of the wrong type.
    WrongTypes,
}

fn http_ok() -> u16 {
    200
}

fn http_temporary_redirect() -> u16 {
    307
}

impl Action {
    /// True for an action that ends the request; false for one that only shapes how it goes.
    pub(crate) fn is_verdict(&self) -> bool {
        !matches!(
            self,
            Self::Delay { .. }
                | Self::Rate { .. }
                | Self::BodyDeadline { .. }
                | Self::SliceSize { .. }
                | Self::AnnounceSliceSize { .. }
                | Self::CorruptByte { .. }
                | Self::Forget
                | Self::ExpireTokens
                | Self::IdsAsStrings
        )
    }

    /// What is wrong with the numbers in it.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Rate { bytes_per_sec: 0 } => Some("rate: bytes_per_sec must be at least 1"),
            Self::SliceSize { bytes: 0 } => Some("slice_size: bytes must be at least 1"),
            Self::Status { status, .. } | Self::Code { status, .. } if !(200..=599).contains(status) => {
                Some("status must be 200 to 599")
            }
            Self::Redirect { status, .. } if !(300..=399).contains(status) => {
                Some("redirect: status must be 300 to 399")
            }
            _ => None,
        }
    }

    /// Its name in scripts and in the request log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Rate { .. } => "rate",
            Self::BodyDeadline { .. } => "body_deadline",
            Self::Status { .. } => "status",
            Self::Code { .. } => "code",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Empty => "empty",
            Self::Garbage(_) => "garbage",
            Self::Redirect { .. } => "redirect",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Throttled { .. } => "throttled",
            Self::Pending => "pending",
            Self::Unfinished => "unfinished",
            Self::Failed => "failed",
            Self::QueueBusy => "queue_busy",
            Self::SliceSize { .. } => "slice_size",
            Self::AnnounceSliceSize { .. } => "announce_slice_size",
            Self::ReuseZero => "reuse_zero",
            Self::CorruptByte { .. } => "corrupt_byte",
            Self::Forget => "forget",
            Self::ExpireTokens => "expire_tokens",
            Self::IdsAsStrings => "ids_as_strings",
            Self::Die => "die",
        }
    }
}
