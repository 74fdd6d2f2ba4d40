//! Request fields, as tolerant as the service is: JSON with keys in any case, numbers as strings,
//! urlencoded and multipart forms in place of JSON.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    multipart::{Event, Reader},
    reply::Refusal,
};

/// Longest body of a call that carries no file, in bytes.
pub(crate) const SMALL_BODY_LEN_MAX: usize = 1 << 20;

/// The fields of one request, by lower-case name.
#[derive(Debug, Default)]
pub(crate) struct Fields(HashMap<String, String>);

impl Fields {
    /// Reads a query string or an urlencoded form.
    pub(crate) fn from_urlencoded(text: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(text)
                .map(|(key, value)| (key.to_lowercase(), value.into_owned()))
                .collect(),
        )
    }

    /// Reads a small body by its `Content-Type`; without one, by its looks.
    pub(crate) fn from_body(content_type: &str, body: Bytes) -> Result<Self, Refusal> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "multipart/form-data" => Self::from_multipart(content_type, body),
            "application/x-www-form-urlencoded" if !body.trim_ascii_start().starts_with(b"{") => {
                Ok(Self::from_urlencoded(&body))
            }
            _ => Self::from_json(&body),
        }
    }

    fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("请求参数不是合法的JSON: {error}")))?;
        let Value::Object(object) = value else {
            return Err(Refusal::bad("请求参数不是JSON对象"));
        };
        let text = |value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        Ok(Self(
            object.into_iter().filter_map(|(key, value)| Some((key.to_lowercase(), text(value)?))).collect(),
        ))
    }

    fn from_multipart(content_type: &str, body: Bytes) -> Result<Self, Refusal> {
        let bad = |error: crate::multipart::MultipartError| Refusal::bad(error.to_string());
        let mut reader = Reader::new(content_type).map_err(bad)?;
        reader.push(body);
        let mut fields = Self::default();
        let (mut name, mut value) = (String::new(), Vec::new());
        while let Some(event) = reader.next().map_err(bad)? {
            match event {
                Event::Part(head) => name = head.name,
                Event::Data(data) => value.extend_from_slice(&data),
                Event::PartEnd => fields.set(&name, &std::mem::take(&mut value)),
                Event::End => return Ok(fields),
            }
        }
        Err(bad(crate::multipart::MultipartError::Truncated))
    }

    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        self.0.insert(name.to_lowercase(), String::from_utf8_lossy(value).into_owned());
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// A text field that may be absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_lowercase()).map(String::as_str)
    }

    /// A text field that must be there and not empty.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).filter(|text| !text.is_empty()).ok_or_else(|| Refusal::bad(format!("{name}不能为空")))
    }

    /// A whole number that must be there. Blanks around it, as a form may have them, are ignored.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, Refusal> {
        let text = self.text(name)?.trim();
        text.parse().map_err(|_| Refusal::bad(format!("{name}不是合法的数字: {}", shorten(text))))
    }

    /// A whole number that may be absent.
    pub(crate) fn number_or<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> Result<T, Refusal> {
        if self.get(name).is_none_or(str::is_empty) { Ok(otherwise) } else { self.number(name) }
    }

    /// A flag; absent is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name).unwrap_or_default() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            other => Err(Refusal::bad(format!("{name}不是true或false: {}", shorten(other)))),
        }
    }
}

/// The beginning of what a client sent, for a message.
fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}
