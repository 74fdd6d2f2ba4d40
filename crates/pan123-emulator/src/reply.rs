//! Answers: the envelope, and refusals in it.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, header::HeaderName, header::HeaderValue};
use serde_json::{Value, json};

/// A business error: HTTP 200 with a `code` that is not 0, as the service does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The generic `code 1`, which most refusals of the service carry.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(1, message)
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::new(401, message)
    }

    pub(crate) fn throttled() -> Self {
        Self::new(429, "操作频繁，请稍候再试")
    }

    /// `upload_complete` while the file is being merged and checked.
    pub(crate) fn pending() -> Self {
        Self::new(20103, "文件正在校验中,请间隔1秒后再试")
    }

    /// `upload_complete` after the whole-file check failed. The code is not known; the message is.
    pub(crate) fn upload_failed() -> Self {
        Self::bad("文件上传失败")
    }

    /// Trouble on the emulator's own side, such as a full disk.
    pub(crate) fn internal(step: &str, error: impl std::fmt::Display) -> Self {
        Self::bad(format!("内部错误: {step}: {error}"))
    }
}

/// An answer before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
    /// Close the connection after it, with what is left of the request body unread.
    pub(crate) close: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// `{code, message, data, x-traceID}`
    Envelope { code: i64, message: String, data: Value },
    /// Anything else, with its content type.
    Raw { kind: &'static str, bytes: Bytes },
}

impl Reply {
    pub(crate) fn ok(data: Value) -> Self {
        Self::envelope(200, 0, "ok", data)
    }

    pub(crate) fn envelope(status: u16, code: i64, message: impl Into<String>, data: Value) -> Self {
        let content = Content::Envelope { code, message: message.into(), data };
        Self { status, headers: Vec::new(), content, close: false }
    }

    pub(crate) fn raw(status: u16, kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Raw { kind, bytes: bytes.into() },
            close: false,
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::raw(status, "", Bytes::new())
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    pub(crate) fn code(&self) -> Option<i64> {
        match &self.content {
            Content::Envelope { code, .. } => Some(*code),
            Content::Raw { .. } => None,
        }
    }

    pub(crate) fn into_response(self, trace_id: &str) -> Response<Full<Bytes>> {
        let (kind, bytes) = match self.content {
            Content::Envelope { code, message, data } => {
                let envelope = json!({"code": code, "message": message, "data": data, "x-traceID": trace_id});
                ("application/json; charset=utf-8", Bytes::from(envelope.to_string()))
            }
            Content::Raw { kind, bytes } => (kind, bytes),
        };
        let mut response = Response::new(Full::new(bytes));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if !kind.is_empty() {
            headers.insert("content-type", HeaderValue::from_static(kind));
        }
        if let Ok(value) = HeaderValue::from_str(trace_id) {
            headers.insert("x-traceid", value);
        }
        if self.close {
            headers.insert("connection", HeaderValue::from_static("close"));
        }
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::envelope(200, refusal.code, refusal.message, Value::Null)
    }
}

impl From<Result<Value, Refusal>> for Reply {
    fn from(result: Result<Value, Refusal>) -> Self {
        match result {
            Ok(data) => Self::ok(data),
            Err(refusal) => refusal.into(),
        }
    }
}
