//! The bytes around a file's bytes in a `multipart/form-data` request (RFC 7578).
//!
//! A request is prologue, data, epilogue. The data is streamed by whoever sends it; everything else
//! is known beforehand, and so is the exact length. The text fields come first, in the order of the
//! official page, the data last. Part file names are constants: nothing depends on them, and a
//! name with quotes or line breaks then cannot reach a header.

use crate::wire::{SingleFields, SliceFields, duplicate_number};

/// The line that separates the parts. Made of random bits, so that it cannot be in the data but by a
/// chance of 2^-128.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary from 128 random bits; draw new ones for each request.
    pub fn new(random: u128) -> Self {
        Self(format!("pan123-{random:032x}"))
    }

    /// The boundary as the `Content-Type` header names it: 39 characters, letters, digits and `-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What goes before and after the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes before the data.
    pub prologue: Vec<u8>,
    /// Bytes after the data.
    pub epilogue: Vec<u8>,
    /// The request's `Content-Type` header.
    pub content_type: String,
}

impl Frame {
    /// `Content-Length` of the request, in bytes, for `data_len` bytes of data. `None` beyond `u64::MAX`.
    pub fn content_length(&self, data_len: u64) -> Option<u64> {
        data_len.checked_add((self.prologue.len() + self.epilogue.len()) as u64)
    }
}

/// A text field that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field `{field}` holds a control character; it cannot be sent")]
pub struct FieldError {
    /// The service's name of the field.
    pub field: &'static str,
}

/// Frame of a `slice` request; the data is the slice.
///
/// # Errors
///
/// [`FieldError`] if the preupload id holds a control character.
pub fn slice(fields: &SliceFields, boundary: &Boundary) -> Result<Frame, FieldError> {
    let mut form = Form::new(boundary);
    form.text("preuploadID", fields.preupload_id)?;
    form.text("sliceNo", &fields.slice_no.to_string())?;
    form.text("sliceMD5", &fields.md5.to_string())?;
    Ok(form.file("slice"))
}

/// Frame of a `single/create` request; the data is the whole file.
///
/// # Errors
///
/// [`FieldError`] if the file name holds a control character; names that pass [`crate::names`] do not.
pub fn single(fields: &SingleFields, boundary: &Boundary) -> Result<Frame, FieldError> {
    let mut form = Form::new(boundary);
    form.text("parentFileID", &fields.parent_id.to_string())?;
    form.text("filename", fields.filename)?;
    form.text("etag", &fields.etag.to_string())?;
    form.text("size", &fields.size.to_string())?;
    if let Some(duplicate) = fields.duplicate {
        form.text("duplicate", &duplicate_number(duplicate).to_string())?;
    }
    if fields.contain_dir {
        form.text("containDir", "true")?;
    }
    Ok(form.file("file"))
}

struct Form<'a> {
    boundary: &'a str,
    bytes: String,
}

impl<'a> Form<'a> {
    fn new(boundary: &'a Boundary) -> Self {
        Self { boundary: &boundary.0, bytes: String::with_capacity(1024) }
    }

    fn text(&mut self, field: &'static str, value: &str) -> Result<(), FieldError> {
        // A delimiter begins with a line break, so a value without one cannot hold a delimiter either.
        if value.chars().any(char::is_control) {
            return Err(FieldError { field });
        }
        self.open(field, "");
        self.bytes.push_str("\r\n");
        self.bytes.push_str(value);
        self.bytes.push_str("\r\n");
        Ok(())
    }

    fn file(mut self, field: &'static str) -> Frame {
        self.open(field, "; filename=\"data\"");
        self.bytes.push_str("Content-Type: application/octet-stream\r\n\r\n");
        Frame {
            prologue: self.bytes.into_bytes(),
            epilogue: format!("\r\n--{}--\r\n", self.boundary).into_bytes(),
            content_type: format!("multipart/form-data; boundary={}", self.boundary),
        }
    }

    fn open(&mut self, field: &'static str, more: &'static str) {
        let line =
            format!("--{}\r\nContent-Disposition: form-data; name=\"{field}\"{more}\r\n", self.boundary);
        self.bytes.push_str(&line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Md5, machine::Duplicate};

    const MD5: Md5 = Md5([0x5A; 16]);

    #[test]
    fn a_slice_is_framed_in_the_documented_order() {
        let fields = SliceFields { preupload_id: "Wvjy+/=", slice_no: 1, md5: MD5 };
        let frame = slice(&fields, &Boundary::new(0xB)).unwrap();
        let boundary = format!("pan123-{}b", "0".repeat(31));
        assert_eq!(frame.content_type, format!("multipart/form-data; boundary={boundary}"));
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"preuploadID\"\r\n\r\nWvjy+/=\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"sliceNo\"\r\n\r\n1\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"sliceMD5\"\r\n\r\n{MD5}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"slice\"; filename=\"data\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        assert_eq!(String::from_utf8(frame.prologue.clone()).unwrap(), expected);
        assert_eq!(String::from_utf8(frame.epilogue.clone()).unwrap(), format!("\r\n--{boundary}--\r\n"));
        let framing = (frame.prologue.len() + frame.epilogue.len()) as u64;
        assert_eq!(frame.content_length(16 << 20), Some((16 << 20) + framing));
        assert_eq!(frame.content_length(u64::MAX), None);
    }

    #[test]
    fn what_could_break_out_of_a_field_is_refused() {
        for id in ["a\r\n--x", "a\nb", "\0"] {
            let fields = SliceFields { preupload_id: id, slice_no: 1, md5: MD5 };
            assert_eq!(slice(&fields, &Boundary::new(0)), Err(FieldError { field: "preuploadID" }), "{id:?}");
        }
    }

    /// Reads a form the way a server does: parts as (name, has a file name, value).
    fn parse(body: &[u8], boundary: &str) -> Vec<(String, bool, Vec<u8>)> {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        let mut rest = [b"\r\n", body].concat();
        let mut parts = Vec::new();
        loop {
            assert!(rest.starts_with(&delimiter));
            rest.drain(..delimiter.len());
            if rest == b"--\r\n" {
                return parts;
            }
            let end = find(&rest, &delimiter).expect("a part ends with a delimiter");
            let part = rest.drain(..end).collect::<Vec<_>>();
            let head_len = find(&part, b"\r\n\r\n").expect("a part has a head");
            let head = std::str::from_utf8(&part[..head_len]).unwrap();
            let name = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
            parts.push((name.to_owned(), head.contains("filename="), part[head_len + 4..].to_vec()));
        }
    }

    fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
        bytes.windows(wanted.len()).position(|window| window == wanted)
    }

    proptest! {
        #[test]
        fn every_form_reads_back_as_it_was_written(
            name in "\\PC{1,40}", data in proptest::collection::vec(any::<u8>(), 0..300), random in any::<u128>(),
            parent_id in any::<i64>(), overwrite in any::<Option<bool>>(), contain_dir in any::<bool>(),
        ) {
            let duplicate = overwrite.map(|yes| if yes { Duplicate::Overwrite } else { Duplicate::KeepBoth });
            let fields = SingleFields {
                parent_id, filename: &name, etag: MD5, size: data.len() as u64, duplicate, contain_dir,
            };
            let boundary = Boundary::new(random);
            let frame = single(&fields, &boundary).unwrap();
            let body = [&frame.prologue[..], &data, &frame.epilogue].concat();
            prop_assert_eq!(frame.content_length(data.len() as u64), Some(body.len() as u64));
            let text = |name: &str, value: String| (name.to_owned(), false, value.into_bytes());
            let mut expected = vec![
                text("parentFileID", parent_id.to_string()),
                text("filename", name.clone()),
                text("etag", MD5.to_string()),
                text("size", data.len().to_string()),
            ];
            expected.extend(overwrite.map(|yes| text("duplicate", if yes { "2" } else { "1" }.to_owned())));
            expected.extend(contain_dir.then(|| text("containDir", "true".to_owned())));
            expected.push(("file".to_owned(), true, data));
            prop_assert_eq!(parse(&body, boundary.as_str()), expected);
        }

        #[test]
        fn no_text_gets_out_of_its_field(id in any::<String>()) {
            let fields = SliceFields { preupload_id: &id, slice_no: 7, md5: MD5 };
            if let Ok(frame) = slice(&fields, &Boundary::new(1)) {
                let body = [&frame.prologue[..], b"data", &frame.epilogue].concat();
                let parts = parse(&body, Boundary::new(1).as_str());
                prop_assert_eq!(parts.len(), 4);
                prop_assert_eq!(&parts[0].2, id.as_bytes());
            } else {
                prop_assert!(id.chars().any(char::is_control));
            }
        }
    }
}
