//! What an answer means: one table from (endpoint, HTTP status, code, message) to a [`Class`].

use crate::{
    Class::{self, *},
    Endpoint::{self, *},
};

/// Finds the class of an answer that is no success.
///
/// * `code`: `code` of the envelope; `None` if the answer has no envelope.
/// * `message`: `message` of the envelope, or the body's text if there is no envelope. Code 1 means
///   anything to this service, so where behaviour differs the message decides.
///
/// The first row of the table that matches wins. An answer that no row knows is
/// [`Class::Refused`] when the service said no, and [`Class::Protocol`] when it did not even do that.
pub fn classify(endpoint: Endpoint, http_status: u16, code: Option<i64>, message: &str) -> Class {
    let message = message.to_lowercase();
    let row = TABLE.iter().find(|row| row.matches(endpoint, http_status, code, &message));
    row.map_or(Protocol, |row| row.class)
}

/// One sentence: what to do about a failure of this class at this endpoint.
pub fn advice(class: Class, endpoint: Endpoint) -> &'static str {
    let row = ADVICE.iter().find(|(known, endpoints, _)| *known == class && covers(endpoints, endpoint));
    row.map_or("Report this with the trace id.", |(_, _, sentence)| sentence)
}

struct Row {
    /// Empty: any endpoint.
    endpoints: &'static [Endpoint],
    answer: Said,
    /// The message contains one of these, in any case; empty: any message. Lower case here.
    words: &'static [&'static str],
    class: Class,
}

/// What status and code must be for a row to match.
enum Said {
    /// Anything.
    Anything,
    /// The envelope carries this code.
    Code(i64),
    /// The envelope's code lies in this range, both ends included.
    Codes(i64, i64),
    /// The service refuses: a code other than 0, or an HTTP status of 400 to 499. The words of an error page
    /// that comes with 500 and more are a proxy's, and decide nothing.
    No,
    /// The HTTP status lies in this range, both ends included.
    Http(u16, u16),
    /// As `Http`, and there is no envelope.
    BareHttp(u16, u16),
    /// HTTP 200 to 299 with a code other than 0.
    OtherCode,
}

impl Row {
    fn matches(&self, endpoint: Endpoint, http_status: u16, code: Option<i64>, message: &str) -> bool {
        let said = match self.answer {
            Said::Anything => true,
            Said::Code(wanted) => code == Some(wanted),
            Said::Codes(from, to) => code.is_some_and(|code| (from..=to).contains(&code)),
            Said::No => (400..500).contains(&http_status) || code.is_some_and(|code| code != 0),
            Said::Http(from, to) => (from..=to).contains(&http_status),
            Said::BareHttp(from, to) => code.is_none() && (from..=to).contains(&http_status),
            Said::OtherCode => (200..300).contains(&http_status) && code.is_some_and(|code| code != 0),
        };
        said && covers(self.endpoints, endpoint)
            && (self.words.is_empty() || self.words.iter().any(|word| message.contains(word)))
    }
}

fn covers(endpoints: &[Endpoint], endpoint: Endpoint) -> bool {
    endpoints.is_empty() || endpoints.contains(&endpoint)
}

const fn row(
    endpoints: &'static [Endpoint],
    answer: Said,
    words: &'static [&'static str],
    class: Class,
) -> Row {
    Row { endpoints, answer, words, class }
}

const TOKEN: &[Endpoint] = &[AccessToken, OauthToken];
const BODY: &[Endpoint] = &[Slice, Single];
const UPLOAD: &[Endpoint] = &[Slice, Complete];
const NAMED: &[Endpoint] = &[Create, Single, Sha1Reuse, Mkdir];
const IN_FOLDER: &[Endpoint] = &[Create, Single, Sha1Reuse, Mkdir, List];
const STORING: &[Endpoint] = &[Complete, Single];
const STALE: &[&str] = &["token is expired", "token已过期", "token无效"];

/// Sources: "official" is the open platform's documentation (pages of 2025-03 to 2026-04); a project's
/// name is a public client whose code, tests or issues show the text; "inferred" is our reading, and such a
/// row is there because the other reading would give up on, or go on with, an upload for no reason.
#[rustfmt::skip]
static TABLE: &[Row] = &[
    // The edge, before the service sees anything. Quoted in rclone's pull request 9047.
    row(&[], Said::Anything, &["forbidden client ip"], Blocked),
    // Nothing of the service is under this path: another server, or a proxy, answered. Not what an upload
    // that the service does not know looks like; that comes in an envelope.
    row(&[], Said::BareHttp(404, 405), &[], Protocol),

    // Logins. Official FAQ; it prints "imit" for "limit".
    row(&[], Said::No, &["tokens number has exceeded", "tokens number exceeded"], LoginRefused),
    // The developer package is not bought. rclone's pull request 9047.
    row(&[], Said::No, &["无效的登录信息"], LoginRefused),
    // Official pages; HTTP 200 with code 429 is usual, HTTP 429 was seen too. Before Auth, so that
    // a throttled token call is not taken for a refused login.
    row(&[], Said::Code(429), &[], RateLimited),
    row(&[], Said::Http(429, 429), &[], RateLimited),
    row(&[], Said::No, &["请求太频繁", "操作频繁", "请求过于频繁", "too many requests"], RateLimited),
    // Renewing a token is what these endpoints do, so a refusal there is final.
    row(TOKEN, Said::Code(401), &[], LoginRefused),
    row(TOKEN, Said::Http(400, 403), &[], LoginRefused),
    // Official pages; HTTP 200 with code 401 is usual, HTTP 401 was seen too.
    row(&[], Said::Code(401), &[], Auth),
    row(&[], Said::Http(401, 401), &[], Auth),
    // 123Pan-Unlimited-WebDAV issue 17; the first text also comes with code 1 (inferred).
    row(TOKEN, Said::No, STALE, LoginRefused),
    row(&[], Said::No, STALE, Auth),

    // The slice is there: success for whoever sends it. A publisher script, "skip on".
    row(&[Slice], Said::No, &["分片重复上传"], Exists),
    // Three client libraries by the same authors (Chest123), code 1.
    row(&[Single], Said::No, &["秒传队列", "削峰", "请慢一点"], QueueBusy),
    // Inferred: the same words where there is no file id to miss ask for a slower pace.
    row(&[], Said::No, &["削峰", "请慢一点"], RateLimited),

    // OpenList, AList, aio123pan and seven more: HTTP 200, "文件正在校验中,请间隔1秒后再试".
    row(&[], Said::Code(20103), &[], Verifying),
    row(STORING, Said::No, &["正在校验"], Verifying),
    // OpenList issue 1739: after 20103, for an etag that is not that of the bytes.
    row(&[Complete], Said::No, &["文件上传失败"], VerifyFailed),
    // Inferred: the same check under another name, or in the other call that makes it.
    row(STORING, Said::No, &["文件上传失败", "校验失败", "md5不"], VerifyFailed),

    // The gateway's 60 s for a body (XiaoyuPostHub, OpenList issue 3117). With an empty 500 the elapsed
    // time tells; that is for whoever has a clock.
    row(BODY, Said::Anything, &["read from request body failed"], BodyTimeout),
    row(BODY, Said::Http(408, 408), &[], BodyTimeout),

    // jonntd/rclone, XiaoyuPostHub, biliLive-tools: "parentFileID不存在".
    row(IN_FOLDER, Said::No, &["parentfileid不存在"], NoParent),
    // Inferred: mkdir's and plain-language forms of the same.
    row(IN_FOLDER, Said::No, &["parentid不存在", "父目录不存在", "父级目录不存在", "目录不存在", "文件夹不存在"], NoParent),
    // restic-123pan, pan123-uploader: "该目录下已经有同名文件夹,无法进行创建". 5060 is the web API's code.
    row(NAMED, Said::No, &["同名"], Exists),
    // Inferred: other words for the same, which have the word for a file name in them.
    row(NAMED, Said::No, &["名已存在", "文件已存在", "already exist"], Exists),
    row(NAMED, Said::Code(5060), &[], Exists),
    // "文件名要小于256个字符且不能包含以下任何字符…"; the shorter word covers its variants (inferred).
    row(NAMED, Said::No, &["文件名"], BadName),
    row(&[Mkdir], Said::No, &["不能包含以下任何字符", "目录名"], BadName),

    // Inferred: no published code or text for a full drive.
    row(&[], Said::No, &["空间不足", "容量不足", "空间已满", "空间已用完", "超出容量", "no space", "insufficient space"], NoSpace),
    row(&[], Said::Http(507, 507), &[], NoSpace),

    // Official page of detail: 5066, "文件不存在".
    row(&[], Said::Code(5066), &[], NotFound),
    row(&[], Said::No, &["文件不存在"], NotFound),
    // Inferred: no published text for an unknown or expired preuploadID.
    row(UPLOAD, Said::No, &["preuploadid", "preupload id", "预上传", "任务不存在", "不存在", "已过期", "已失效", "not found", "not exist"], NotFound),
    row(&[Slice, Complete, Detail], Said::Code(404), &[], NotFound),

    // A third-party page of the service: code 1, "内部错误". The other words are inferred.
    row(&[], Said::No, &["内部错误", "系统繁忙", "服务繁忙", "服务器繁忙", "服务异常", "internal error", "internal server error"], Server),
    row(&[], Said::Http(500, 599), &[], Server),
    row(&[], Said::Codes(500, 599), &[], Server),
    row(&[], Said::Http(408, 408), &[], Server),

    // Anything else that the token calls refuse is about the login.
    row(TOKEN, Said::OtherCode, &[], LoginRefused),
    row(&[], Said::OtherCode, &[], Refused),
    row(&[], Said::Http(400, 499), &[], Refused),
    // Redirects (never followed, the token stays here), 1xx, and successes without an envelope.
    row(&[], Said::Anything, &[], Protocol),
];

#[rustfmt::skip]
static ADVICE: &[(Class, &[Endpoint], &str)] = &[
    (Auth, &[], "Renew the access token (it expires, and a newer one pushes it out) and run the same command again."),
    (LoginRefused, &[], "Check token, client id and secret, that the account has the developer package, and that it is not logged in on too many devices; asking for more tokens makes it worse."),
    (RateLimited, &[], "Wait a minute, use one process per account, and run the same command again."),
    (Verifying, &[], "The service is still checking the file: ask again in a while, nothing has to be sent again."),
    (QueueBusy, &[], "The service's instant-upload queue is full: run the same command again in a minute."),
    (VerifyFailed, &[], "The service holds other bytes than were announced: make sure that nothing changes the file during the upload, then upload it again."),
    (NoParent, &[], "Check the folder id, or name the folder by its path; 0 is the root folder."),
    (BadName, &[], "Give the file another name: fewer than 256 characters and none of \"\\/:*?|><."),
    (Exists, &[Mkdir], "A folder of this name is there already: use it, or choose another name."),
    (Exists, &[], "Choose another name, or say that both files are kept or that the old one is overwritten."),
    (NotFound, UPLOAD, "The service no longer knows this upload: start it again from the beginning."),
    (NotFound, &[], "Check the id; the file may have been moved to the recycle bin or deleted."),
    (NoSpace, &[], "Free some space in the drive or enlarge it, then run the same command again."),
    (Blocked, &[], "The service refuses this network address: use a connection in mainland China, or a proxy there."),
    (BodyTimeout, &[], "The upload gateway drops a request after about 60 s: send fewer slices at once, or use a faster uplink."),
    (Server, &[], "The service failed on its side: run the same command later; what is acknowledged is not sent again."),
    (Refused, &[], "Read the service's message; if it does not help, ask its support and give them the trace id."),
    (Protocol, &[], "Check the base URL, and that no proxy or login page of the network answers in the service's place."),
    (Connect, &[], "Check the network, the host name and the proxy settings."),
    (Tls, &[], "Check the system's clock and its certificates; behind a proxy that inspects TLS, name that proxy's CA file."),
    (Interrupted, &[], "The connection broke: run the same command again; what is acknowledged is not sent again."),
    (Stalled, &[], "The connection hardly moved: check the uplink, then run the same command again; what is acknowledged is not sent again."),
    (NoAnswer, &[], "The service did not answer in time: run the same command again later; what is acknowledged is not sent again."),
    (Source, &[], "Make sure that the file is there, readable and not being written to, then run the same command again."),
    (HostCode, &[], "A plugin, or the program's own code for tokens or requests, failed: read its message and mend that."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        endpoint: Endpoint,
        http_status: u16,
        code: impl Into<Option<i64>>,
        message: &str,
        class: Class,
    ) {
        let code = code.into();
        assert_eq!(
            classify(endpoint, http_status, code, message),
            class,
            "{endpoint:?} {http_status} {code:?} {message:?}"
        );
    }

    #[test]
    fn every_published_answer_has_its_class() {
        check(Complete, 200, 20103, "文件正在校验中,请间隔1秒后再试", Verifying);
        check(Detail, 200, 20103, "文件正在校验中,请间隔1秒后再试", Verifying);
        check(Complete, 200, 1, "文件上传失败", VerifyFailed);
        check(Create, 200, 401, "access_token无效", Auth);
        check(Slice, 401, None, "", Auth);
        check(Slice, 401, 401, "token is expired", Auth);
        check(Create, 200, 401, "无效的登录信息", LoginRefused);
        check(AccessToken, 200, 1, "无效的登录信息", LoginRefused);
        check(List, 200, 401, "tokens number has exceeded the limit", LoginRefused);
        check(AccessToken, 200, 401, "tokens number has exceeded the imit", LoginRefused);
        check(Create, 200, 429, "请求太频繁", RateLimited);
        check(Create, 429, None, "", RateLimited);
        check(Create, 200, 1, "操作频繁，请稍候再试", RateLimited);
        check(
            Single,
            200,
            1,
            "该任务已成功进入秒传队列,任务队列削峰中,未直接获取到文件ID,请慢一点",
            QueueBusy,
        );
        for endpoint in [Create, Single, List] {
            check(endpoint, 200, 1, "parentFileID不存在", NoParent);
            check(endpoint, 200, 1, "parentFileId不存在", NoParent);
        }
        check(Mkdir, 200, 1, "该目录下已经有同名文件夹,无法进行创建", Exists);
        check(Create, 200, 1, "该目录下文件名已存在", Exists);
        check(Create, 200, 1, "文件名要小于256个字符且不能包含以下任何字符:\"\\/:*?|><", BadName);
        check(Mkdir, 200, 1, "文件名要小于256个字符且不能包含以下任何字符", BadName);
        check(Create, 200, 1, "内部错误", Server);
        check(Slice, 200, 1, "分片重复上传", Exists);
        check(Slice, 400, 20999, "分片重复上传", Exists);
        check(
            Slice,
            500,
            None,
            "Read from request Body failed: read tcp 1.2.3.4:80: i/o timeout",
            BodyTimeout,
        );
        check(Single, 500, 1, "Read from request Body failed: i/o timeout", BodyTimeout);
        check(Slice, 500, None, "", Server);
        check(Detail, 200, 5066, "文件不存在", NotFound);
        check(Create, 200, 5113, "流量超限", Refused);
        check(Create, 200, 5060, "", Exists);
        check(Create, 403, None, "123pan-global-slb forbidden client ip", Blocked);
        check(Create, 200, None, "123pan-global-slb forbidden client ip", Blocked);
    }

    #[test]
    fn the_rest_is_told_apart_by_status() {
        check(Slice, 200, 1, "preuploadID不存在", NotFound);
        check(Complete, 200, 404, "upload not found", NotFound);
        check(Create, 200, 1, "空间不足", NoSpace);
        check(Slice, 507, None, "", NoSpace);
        check(Slice, 200, 5113, "分片md5校验失败", Refused);
        check(Create, 200, 1, "who knows", Refused);
        check(Create, 400, None, "bad request", Refused);
        check(Create, 400, 400, "bad request", Refused);
        check(Create, 413, None, "", Refused);
        check(AccessToken, 200, 1, "who knows", LoginRefused);
        check(AccessToken, 400, None, "", LoginRefused);
        check(AccessToken, 200, 1, "内部错误", Server);
        check(AccessToken, 503, None, "", Server);
        check(OauthToken, 429, None, "", RateLimited);
        for status in [500, 502, 503, 504, 520, 599] {
            check(Create, status, None, "<html>Bad gateway</html>", Server);
        }
        for code in [500, 502, 503, 504] {
            check(Create, 200, code, "", Server);
        }
        check(Create, 502, 0, "ok", Server);
        for status in [0, 100, 204, 301, 302, 307, 399, 600, 999] {
            check(Create, status, None, "", Protocol);
            check(Slice, status, None, "", Protocol);
        }
        check(Create, 200, None, "<html>文件名 login page</html>", Protocol);
        check(Create, 404, None, "<h1>404</h1>", Protocol);
        check(Slice, 404, None, "404 page not found", Protocol);
        check(Slice, 404, 404, "unknown upload", NotFound);
        check(Slice, 503, None, "backend not found, 空间不足", Server);
        check(Slice, 503, 1, "preuploadID不存在", NotFound);
        check(Create, 404, 404, "", Refused);
        check(Slice, 408, None, "", BodyTimeout);
        check(Complete, 408, None, "", Server);
    }

    #[test]
    fn every_class_has_advice_at_every_endpoint() {
        for class in Class::ALL {
            for endpoint in Endpoint::ALL {
                let sentence = advice(class, endpoint);
                assert!(!sentence.contains("Report this"), "{class:?}");
                assert!(
                    sentence.ends_with('.') && sentence.chars().next().unwrap().is_uppercase(),
                    "{sentence}"
                );
            }
        }
    }

    #[test]
    fn the_table_is_written_in_lower_case_and_every_row_can_win() {
        for (index, row) in TABLE.iter().enumerate() {
            for word in row.words {
                assert_eq!(*word, word.to_lowercase());
            }
            let endpoints = if row.endpoints.is_empty() { &Endpoint::ALL[..] } else { row.endpoints };
            let words = if row.words.is_empty() { &[""][..] } else { row.words };
            let statuses = [200, 302, 400, 401, 404, 408, 429, 500, 507];
            let codes = [None, Some(0), Some(1), Some(401), Some(404), Some(429), Some(500), Some(502)];
            let codes = codes.into_iter().chain([503, 504, 5060, 5066, 20103].map(Some)).collect::<Vec<_>>();
            let wins = endpoints.iter().any(|&endpoint| {
                words.iter().any(|word| {
                    statuses.iter().any(|&status| {
                        codes.iter().any(|&code| {
                            TABLE.iter().position(|row| row.matches(endpoint, status, code, word))
                                == Some(index)
                        })
                    })
                })
            });
            assert!(wins, "row {index} ({:?}) is hidden by the rows above it", row.class);
        }
    }
}
