use super::*;

/// Name, filename and data of a part.
type Part = (String, Option<String>, Vec<u8>);

/// Reads `body` in pieces of `step` bytes into (name, filename, data) of each part.
fn read(content_type: &str, body: &[u8], step: usize) -> Result<Vec<Part>, MultipartError> {
    let mut reader = Reader::new(content_type)?;
    let mut parts = Vec::new();
    for piece in body.chunks(step) {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(event) = reader.next()? {
            match event {
                Event::Part(head) => parts.push((head.name, head.filename, Vec::new())),
                Event::Data(data) => {
                    parts.last_mut().expect("data is inside a part").2.extend_from_slice(&data)
                }
                Event::PartEnd | Event::End => {}
            }
        }
    }
    if reader.is_done() { Ok(parts) } else { Err(MultipartError::Truncated) }
}

#[test]
fn every_shape_reads_the_same_however_it_is_cut() {
    let cases: [(&str, &[u8]); 5] = [
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"slice\"; filename=\"x\"\r\nContent-Type: application/octet-stream\r\n\r\nd\r\n-\r\n--C\r\r\n--B--\r\n"),
        // The official Python example: no quotes, a semicolon at the end.
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: form-data; name=a;\r\nContent-Type: text/plain\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=slice; filename=x\r\nContent-Type: text/plain\r\n\r\nd\r\n-\r\n--C\r\r\n--B--\r\n"),
        // A quoted boundary, a preamble, padding after the delimiter, an epilogue, no last line break.
        ("Multipart/Form-Data; charset=utf-8; BOUNDARY=\"B\"", b"hello\r\n--B \t\r\ncontent-disposition:form-data;NAME = \"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; filename=\"x\"; name=slice\r\n\r\nd\r\n-\r\n--C\r\r\n--B--"),
        ("multipart/form-data;boundary=B;", b"\r\n--B\r\nX: y\r\nContent-Disposition: form-data; name=\"a\"; \r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"slice\"; filename*=x\r\n\r\nd\r\n-\r\n--C\r\r\n--B--\r\nepilogue"),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Length: 1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"slice\"; filename=\"x\"\r\nContent-Transfer-Encoding: binary\r\n\r\nd\r\n-\r\n--C\r\r\n--B--\r\n"),
    ];
    for (index, (content_type, body)) in cases.into_iter().enumerate() {
        for step in 1..=body.len() {
            let parts =
                read(content_type, body, step).unwrap_or_else(|error| panic!("case {index}/{step}: {error}"));
            let expected = [
                ("a".to_owned(), None, b"1".to_vec()),
                ("slice".to_owned(), Some("x".to_owned()), b"d\r\n-\r\n--C\r".to_vec()),
            ];
            assert_eq!(parts, expected, "case {index}, step {step}");
        }
    }
}

#[test]
fn an_empty_part_has_no_bytes() {
    let body = b"--B\r\nContent-Disposition: form-data; name=\"slice\"; filename=\"\"\r\n\r\n\r\n--B--\r\n";
    for step in 1..=body.len() {
        let parts = read("multipart/form-data; boundary=B", body, step).unwrap();
        assert_eq!(parts, [("slice".to_owned(), Some(String::new()), Vec::new())], "step {step}");
    }
}

#[test]
fn what_is_not_multipart_is_named() {
    let long = [b"--B\r\nX: ".as_slice(), &[b'x'; 20_000], b"\r\n\r\n"].concat();
    let many = b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n".repeat(70);
    let cases: [(&str, &[u8], MultipartError); 8] = [
        ("multipart/form-data", b"", MultipartError::NoBoundary),
        ("multipart/form-data; boundary=", b"", MultipartError::NoBoundary),
        ("multipart/form-data; boundary=B", b"", MultipartError::Truncated),
        (
            "multipart/form-data; boundary=B",
            b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1",
            MultipartError::Truncated,
        ),
        ("multipart/form-data; boundary=B", b"--Bxx\r\n", MultipartError::BadDelimiter),
        (
            "multipart/form-data; boundary=B",
            b"--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--",
            MultipartError::NoName,
        ),
        ("multipart/form-data; boundary=B", &long, MultipartError::HeadersTooLong),
        ("multipart/form-data; boundary=B", &many, MultipartError::TooManyParts),
    ];
    for (content_type, body, expected) in cases {
        for step in [1, 7, 100_000] {
            assert_eq!(read(content_type, body, step), Err(expected.clone()), "{content_type}, {step}");
        }
    }
}

#[test]
fn quoted_values_may_hold_anything() {
    let names =
        |header: &str| parameters(header).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(
        names(r#"form-data; name="a;b=c"; filename="C:\x\"y\\.txt""#),
        [r"name=a;b=c", r#"filename=C:\x"y\.txt"#]
    );
    assert_eq!(
        names("form-data; name=slice; filename=/D:/新建 文本文档 (4).txt"),
        ["name=slice", "filename=/D:/新建 文本文档 (4).txt"]
    );
    assert_eq!(names("form-data;;; x; name=\"open"), ["name=open"]);
    assert_eq!(names("form-data"), [""; 0]);
}
