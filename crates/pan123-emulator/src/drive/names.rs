//! Which names the drive takes, and how they are written on disk.

use md5::{Digest, Md5};
use pan123_proto::names::{NAME_CHARS_MAX, check_filename};

use crate::reply::Refusal;

/// Longest name that file systems take, in bytes.
const DISK_NAME_LEN_MAX: usize = 255;

/// Checks one name. `.`, `..` and control characters are refused too, since names are real paths here.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let refusal = |_| Refusal::bad(r#"文件名要小于256个字符且不能包含以下任何字符："\/:*?|><"#);
    check_filename(name).map_err(refusal)
}

/// Splits the `filename` of a `containDir` request into folder names and a file name.
pub(crate) fn split_path(path: &str) -> Result<(Vec<&str>, &str), Refusal> {
    let mut folders: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let name = folders.pop().filter(|_| !path.ends_with('/'));
    let name = name.ok_or_else(|| Refusal::bad("filename不是合法的路径"))?;
    for part in folders.iter().chain([&name]) {
        check_name(part)?;
    }
    Ok((folders, name))
}

/// The name on disk: the same, unless it is longer than file systems take (255 characters of Chinese are
/// 765 bytes). Then it is cut and a digest of the whole name keeps it unique.
pub(crate) fn disk_name(name: &str) -> String {
    if name.len() <= DISK_NAME_LEN_MAX {
        return name.to_owned();
    }
    let digest = hex(&Md5::digest(name.as_bytes()));
    let mut end = DISK_NAME_LEN_MAX - 1 - digest.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{digest}", &name[..end])
}

/// `name` with a number before its extension, as "keep both" makes it: `a(1).txt`.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let suffix = format!("({number}){extension}");
    let room = NAME_CHARS_MAX.saturating_sub(suffix.chars().count());
    stem.chars().take(room).chain(suffix.chars()).take(NAME_CHARS_MAX).collect()
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        let too_long = "x".repeat(256);
        let refused = [
            "", " ", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "a:b", "a*", "\"", "?", "|", ">", "<",
            &too_long,
        ];
        for name in refused {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "...", " a ", "测试.mp4", &"文".repeat(255), "~", "-rf"] {
            check_name(name).unwrap();
        }
        for path in ["", "/", "a/", "/a/../b", "a/./b", "/ /b"] {
            assert!(split_path(path).is_err(), "{path:?}");
        }
        assert_eq!(split_path("/你好/123/测试文件.mp4"), Ok((vec!["你好", "123"], "测试文件.mp4")));
        assert_eq!(split_path("a"), Ok((vec![], "a")));
    }

    #[test]
    fn long_names_stay_apart_on_disk() {
        let (one, two) = ("文".repeat(254) + "1", "文".repeat(254) + "2");
        assert_ne!(disk_name(&one), disk_name(&two));
        assert!(disk_name(&one).len() <= DISK_NAME_LEN_MAX);
        assert_eq!(disk_name("a.txt"), "a.txt");
    }

    #[test]
    fn numbers_go_before_the_extension() {
        assert_eq!(numbered("a.tar.gz", 1), "a.tar(1).gz");
        assert_eq!(numbered("a", 2), "a(2)");
        assert_eq!(numbered(".profile", 1), ".profile(1)");
        assert_eq!(numbered(&"x".repeat(255), 1).chars().count(), 255);
    }
}
