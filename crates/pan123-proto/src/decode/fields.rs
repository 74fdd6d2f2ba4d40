//! Reading JSON the way the service writes it: ids as numbers or strings, flags as booleans or
//! 0 and 1, keys whose case differs between calls (`fileID`, `fileId`).

use serde_json::{Map, Value};

/// An object of an answer. Every getter gives `None` for a field that is missing, null or of
/// another type.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The field of this name; if there is none, one whose name differs only in ASCII case.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        let loose = || self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        self.0.get(name).or_else(loose).filter(|value| !value.is_null())
    }

    pub(super) fn int(self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    pub(super) fn size(self, name: &str) -> Option<u64> {
        self.int(name)?.try_into().ok()
    }

    /// An id that names something: above 0.
    pub(super) fn id(self, name: &str) -> Option<i64> {
        self.int(name).filter(|id| *id > 0)
    }

    /// Text that is not empty; a number counts as its digits.
    pub(super) fn text(self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        let text = value.as_str().map(str::to_owned).or_else(|| Some(value.as_number()?.to_string()))?;
        Some(text).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        value.as_bool().or_else(|| match value.as_str() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => self.int(name).map(|number| number != 0),
        })
    }

    pub(super) fn list(self, name: &str) -> Option<&'a [Value]> {
        self.get(name)?.as_array().map(Vec::as_slice)
    }
}
