//! MD5 digests as the service writes them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An MD5 digest: 16 bytes inside, 32 lower-case hex digits on the wire.
///
/// The service treats upper-case digits as a different etag, so they are never written; they are
/// read, because people paste them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5(pub [u8; 16]);

/// The text is not 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an MD5 is 32 hexadecimal digits")]
pub struct ParseMd5Error;

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5({self})")
    }
}

impl FromStr for Md5 {
    type Err = ParseMd5Error;

    fn from_str(text: &str) -> Result<Self, ParseMd5Error> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return Err(ParseMd5Error);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |c: u8| char::from(c).to_digit(16).ok_or(ParseMd5Error);
            *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).map_err(|_| ParseMd5Error)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Md5 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Md5 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_written_lower_case_and_read_in_either() {
        let md5: Md5 = "D41D8CD98F00B204E9800998ECF8427E".parse().unwrap();
        assert_eq!(md5.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        for bad in [
            "",
            "d41d8cd98f00b204e9800998ecf8427",
            "g41d8cd98f00b204e9800998ecf8427e",
            "é1d8cd98f00b204e9800998ecf8427e",
        ] {
            assert_eq!(bad.parse::<Md5>(), Err(ParseMd5Error), "{bad}");
        }
    }
}
