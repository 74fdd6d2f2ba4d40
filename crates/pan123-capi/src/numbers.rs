//! Every number of the interface: status codes, options, fields, events, flags.
//!
//! Append only: a number is never given a second meaning, and one that is no longer used stays here as a
//! comment. `CONSTANTS` lists them for [`pan123_constant_at`].

use std::ffi::{CStr, c_char};

use libc::size_t;

use crate::guard::quiet;

/// Outcome of a call: 0 is good, everything else is one of the `PAN123_E_` codes.
///
/// The codes stand in bands, so that a program knows what to make of a code that is newer than itself:
/// 1 misuse, 20 stopped, 30 host code, 100 this machine, 200 network, 300 the service failed,
/// 400 the service refused, 900 a defect of this library.
pub type pan123_status = i32;

/// Done.
pub const PAN123_OK: i32 = 0;
/// A parameter is not acceptable: NULL where something is needed, text that is not UTF-8, a number out of its
/// range. Nothing was done. The message says which parameter and why.
pub const PAN123_E_INVALID_ARGUMENT: i32 = 1;
/// The program and the library, or the library and a plugin, do not fit each other: `struct_size` or version.
pub const PAN123_E_ABI: i32 = 2;
/// An option, field or flag that this version of the library does not know.
pub const PAN123_E_UNKNOWN_NUMBER: i32 = 3;
/// Not now: for example a second `pan123_upload_start`, or two consumers of one queue.
pub const PAN123_E_WRONG_STATE: i32 = 4;
/// A call that waits was made inside a callback. Make it from a thread of your own.
pub const PAN123_E_WOULD_DEADLOCK: i32 = 5;
/// The object was made before `fork`; only the process that made it can use it. Freeing it does nothing.
pub const PAN123_E_FORKED: i32 = 6;
/// This build or this system does not have it.
pub const PAN123_E_NOT_SUPPORTED: i32 = 7;
/// The time given to a wait is over. What was waited for goes on; wait again.
pub const PAN123_E_TIMEOUT: i32 = 8;
/// Cancelled as asked, by `pan123_upload_cancel` or a `pan123_stop`.
pub const PAN123_E_CANCELLED: i32 = 20;
/// Paused as asked.
pub const PAN123_E_PAUSED: i32 = 21;
/// The client was shut down.
pub const PAN123_E_SHUTDOWN: i32 = 22;
/// A callback failed, or answered with something impossible.
pub const PAN123_E_CALLBACK: i32 = 30;
/// A plugin cannot be loaded, or failed to open.
pub const PAN123_E_PLUGIN: i32 = 31;
/// The source cannot be opened or read.
pub const PAN123_E_SOURCE_IO: i32 = 100;
/// The source is no longer what it was when the upload began.
pub const PAN123_E_SOURCE_CHANGED: i32 = 101;
/// A `read_at` did not return within `PAN123_OPT_SOURCE_TIMEOUT_MS`.
pub const PAN123_E_SOURCE_STALLED: i32 = 102;
/// Resume state or the token cache cannot be read, written or locked.
pub const PAN123_E_STORE: i32 = 110;
/// No connection, or it kept breaking.
pub const PAN123_E_NETWORK: i32 = 200;
/// The server's certificate or the TLS handshake is not accepted.
pub const PAN123_E_TLS: i32 = 201;
/// Nothing moved, or no answer came, for too long.
pub const PAN123_E_NET_TIMEOUT: i32 = 202;
/// The uplink cannot pass one slice before the gateway drops it.
pub const PAN123_E_SLOW_UPLINK: i32 = 203;
/// The service kept failing on its side.
pub const PAN123_E_SERVER: i32 = 300;
/// The answer is not what the service's protocol promises.
pub const PAN123_E_PROTOCOL: i32 = 301;
/// The service does not let us in: token, client id or secret.
pub const PAN123_E_LOGIN: i32 = 400;
/// Too many requests, even after slowing down.
pub const PAN123_E_RATE_LIMITED: i32 = 401;
/// The file's name breaks the service's rules.
pub const PAN123_E_NAME: i32 = 402;
/// The service holds other bytes than were announced.
pub const PAN123_E_VERIFY_FAILED: i32 = 403;
/// The service refuses for a reason of its own: folder, conflict, space, address. Read its message.
pub const PAN123_E_REFUSED: i32 = 404;
/// A defect of this library. Please report it.
pub const PAN123_E_INTERNAL: i32 = 900;
/// A panic inside this library was caught. Please report it.
pub const PAN123_E_PANIC: i32 = 901;

/// Client, string: address of the service; without a scheme `https://`, for this machine `http://`. Default
/// `https://open-api.123pan.com`.
pub const PAN123_OPT_BASE_URL: u32 = 1001;
/// Client, string: the `User-Agent` header. Default `pan123/VERSION`.
pub const PAN123_OPT_USER_AGENT: u32 = 1002;
/// Client, string: a ready access token.
pub const PAN123_OPT_ACCESS_TOKEN: u32 = 1003;
/// Client, string: client id of a developer account. Goes with `PAN123_OPT_CLIENT_SECRET`.
pub const PAN123_OPT_CLIENT_ID: u32 = 1004;
/// Client, string: the secret that goes with the client id.
pub const PAN123_OPT_CLIENT_SECRET: u32 = 1005;
/// Client, string: directory that keeps the token made with client id and secret (file mode 0600), shared by all
/// processes that name it. Without it each client logs in anew, and the service allows only three tokens at a time.
pub const PAN123_OPT_TOKEN_CACHE: u32 = 1006;
/// Client, string: directory for what a resume after a crash needs. Without it, and without a store, an upload can
/// be resumed by `pan123_upload_start` and `pan123_upload_import` only.
pub const PAN123_OPT_STATE_DIR: u32 = 1007;
/// Client, string: proxy for all requests, `http://`, `https://` or `socks5://`. Default: the environment's.
pub const PAN123_OPT_PROXY: u32 = 1008;
/// Client, string: PEM file with certificates to trust besides the system's.
pub const PAN123_OPT_CA_FILE: u32 = 1009;
/// Upload, string: what names a source of your own in another run of the program, so that the store can resume it.
/// Files on disk have their path for that. A source without an `identity` is hashed again in that run, and if it holds
/// other bytes by then, the upload starts over.
pub const PAN123_OPT_RESUME_KEY: u32 = 1010;
/// Client, string: an OAuth2 refresh token, with the client id and secret of an app. Needs `PAN123_OPT_TOKEN_CACHE`, which
/// keeps the token that comes in its place each time: it works once. All processes of an account name the same
/// directory.
pub const PAN123_OPT_REFRESH_TOKEN: u32 = 1011;
/// Client, 0 to 64: slices in flight over all uploads of the client; a small file that goes out whole counts as one. 0,
/// the default: as many slices as the link carries, 64 at most, and up to 32 files that go out whole. Besides, at most 32
/// other requests of uploads are under way.
pub const PAN123_OPT_SLICES_IN_FLIGHT: u32 = 2001;
/// Client: the most bytes per second that bodies may send together. 0, the default: no cap.
pub const PAN123_OPT_BYTES_PER_SEC: u32 = 2003;
/// Client, 0 or 1: request rates of a paying account. Default 0.
pub const PAN123_OPT_VIP_RATES: u32 = 2004;
/// Client, milliseconds from 1 to 86400000, a day: how long one `read_at` or `identity` may take. Default 30000.
pub const PAN123_OPT_SOURCE_TIMEOUT_MS: u32 = 2005;
/// Upload, 0 to 2: what happens when the name is taken. 0, the default: the service refuses; 1: both are kept; 2: the
/// old file is replaced.
pub const PAN123_OPT_DUPLICATE: u32 = 2006;
/// Upload, 0 or 1: the name is a path from the folder on, and the service makes missing folders. Default 0.
pub const PAN123_OPT_CONTAIN_DIR: u32 = 2007;
/// Client, milliseconds from 10 to 86400000: how often an upload tells its progress. Default 200.
pub const PAN123_OPT_PROGRESS_MS: u32 = 2008;
/// Client, milliseconds up to 86400000: how long to keep trying when nothing gets through, counted from the first
/// failure after the last success: no request is sent again later than that, and 0 is one try. Default 60000, and 120000
/// if the service refuses everything because there are too many requests; of a pause that the service itself asks for, up
/// to ten minutes are waited for if this is not 0.
pub const PAN123_OPT_RETRY_FOR_MS: u32 = 2009;
/// Client, 0 or 1: let the access token go over plain `http://` to any host. Default 0: to loopback, and to the host
/// that `PAN123_OPT_BASE_URL` names with `http://`.
pub const PAN123_OPT_PLAIN_HTTP: u32 = 2010;

/// Errors, results; string: everything in the object as one JSON object, secrets left out.
pub const PAN123_F_JSON: u32 = 1001;
/// Errors, string: what failed, with step, tries, codes and trace id, on one line.
pub const PAN123_F_MESSAGE: u32 = 1002;
/// Errors, string: the step that failed, for example `create` or `open source`.
pub const PAN123_F_STEP: u32 = 1003;
/// Errors, string: the service's own words, or what happened instead of an answer.
pub const PAN123_F_API_MESSAGE: u32 = 1004;
/// Errors, string: `x-traceID` of the answer; the service's support asks for it.
pub const PAN123_F_TRACE_ID: u32 = 1005;
/// Errors, string: what to do about it, a sentence.
pub const PAN123_F_ADVICE: u32 = 1006;
/// Errors, string: what the failed request means, finer than the code, for example `no_parent`.
pub const PAN123_F_CLASS: u32 = 1007;
/// Results, string: MD5 of the whole, 32 hex digits in lower case.
pub const PAN123_F_ETAG: u32 = 1010;
/// Results, string: SHA-1 of the whole, 40 hex digits, if it was asked for.
pub const PAN123_F_SHA1: u32 = 1011;
/// Results, strings: MD5 of each slice; index 0 is slice number 1.
pub const PAN123_F_SLICE_MD5: u32 = 1012;
/// Results, string: `preuploadID`, which names an upload at the service.
pub const PAN123_F_PREUPLOAD_ID: u32 = 1013;
/// Results, strings: upload hosts.
pub const PAN123_F_SERVER: u32 = 1014;
/// Results, string: the access token. The only way a token comes out, except for headers given to a transport.
pub const PAN123_F_TOKEN: u32 = 1015;
/// Results, bytes: state of an upload, for `pan123_upload_import`.
pub const PAN123_F_STATE: u32 = 1016;
/// HTTP exchanges, string: `GET` or `POST`.
pub const PAN123_F_METHOD: u32 = 1020;
/// HTTP exchanges, string: the absolute URL.
pub const PAN123_F_URL: u32 = 1021;
/// HTTP exchanges, bytes: body of the answer, once there is one.
pub const PAN123_F_ANSWER_BODY: u32 = 1022;
/// Errors, HTTP exchanges; integer: HTTP status of the answer.
pub const PAN123_F_HTTP_STATUS: u32 = 2001;
/// Errors, integer: the service's own code.
pub const PAN123_F_API_CODE: u32 = 2002;
/// Errors, integer: how long the service asks to wait, in milliseconds.
pub const PAN123_F_RETRY_AFTER_MS: u32 = 2003;
/// Errors, 0 or 1: the same call may well succeed later, with nothing changed.
pub const PAN123_F_RETRYABLE: u32 = 2004;
/// Errors, integer: how often the step was tried, from 1.
pub const PAN123_F_ATTEMPTS: u32 = 2005;
/// Errors, integer: slice number, from 1, if it was about one slice.
pub const PAN123_F_SLICE_NO: u32 = 2006;
/// Errors, 0 or 1: starting the same upload again goes on from here.
pub const PAN123_F_RESUMABLE: u32 = 2007;
/// Errors, integer: the status code.
pub const PAN123_F_CODE: u32 = 2008;
/// Results, integer: the file at the service.
pub const PAN123_F_FILE_ID: u32 = 2010;
/// Results, 0 or 1: the service had the bytes already, and none were sent.
pub const PAN123_F_REUSED: u32 = 2011;
/// Results, 0 or 1: the service has stored the file. 0: ask `pan123_api_complete` again in a second.
pub const PAN123_F_COMPLETED: u32 = 2012;
/// Results, integer: size in bytes.
pub const PAN123_F_SIZE: u32 = 2013;
/// Results, integer: length of a slice in bytes; the last one may be shorter.
pub const PAN123_F_SLICE_SIZE: u32 = 2014;
/// Results, integer: number of slices. Of an upload 0 if it went out whole, see `pan123_upload_new`, or the service had it.
pub const PAN123_F_SLICE_COUNT: u32 = 2015;
/// Results, integer: number of upload hosts.
pub const PAN123_F_SERVER_COUNT: u32 = 2016;
/// Results, integer: when the token expires, in milliseconds since 1970 UTC, if that is known.
pub const PAN123_F_EXPIRES_UNIX_MS: u32 = 2017;
/// Results, integer: file bytes handed to connections, those sent again included, by all runs of this object from its
/// first start on. What an imported upload was sent before is not in it.
pub const PAN123_F_BYTES_SENT: u32 = 2018;
/// Results, integer: how long it was running, in milliseconds: from start to end, without the time that it was paused.
pub const PAN123_F_ELAPSED_MS: u32 = 2019;
/// HTTP exchanges, integer: length of the request's body in bytes.
pub const PAN123_F_BODY_LEN: u32 = 2020;
/// HTTP exchanges, integer: how long the exchange may stand still before it is given up, in milliseconds.
pub const PAN123_F_TIMEOUT_MS: u32 = 2021;

/// Event: the upload entered a stage; `value` is a `PAN123_STAGE_`.
pub const PAN123_EV_STATE: u32 = 1;
/// Event: `bytes_done` of `bytes_total`. While one waits in the queue it is brought up to date rather than joined
/// by another.
pub const PAN123_EV_PROGRESS: u32 = 2;
/// Event: slice `slice_no` was acknowledged. None comes for an upload that goes out whole, see `pan123_upload_new`.
pub const PAN123_EV_SLICE: u32 = 3;
/// Event: a request failed and will be sent again; `value` is the try that failed, `text` the reason.
pub const PAN123_EV_RETRY: u32 = 4;
/// Event: something worth knowing, in `text`.
pub const PAN123_EV_LOG: u32 = 5;
/// Last event: done; `value` is the file id.
pub const PAN123_EV_COMPLETED: u32 = 16;
/// Last event: failed with `code`; `text` is the message.
pub const PAN123_EV_FAILED: u32 = 17;
/// Last event: cancelled as asked.
pub const PAN123_EV_CANCELLED: u32 = 18;
/// Last event: paused as asked.
pub const PAN123_EV_PAUSED: u32 = 19;

/// Not started yet.
pub const PAN123_STAGE_NEW: u32 = 0;
/// Digests are being computed.
pub const PAN123_STAGE_HASHING: u32 = 1;
/// The service is asked whether it has the bytes.
pub const PAN123_STAGE_CREATING: u32 = 2;
/// Bytes go out.
pub const PAN123_STAGE_SENDING: u32 = 3;
/// All bytes are acknowledged; the service merges and checks.
pub const PAN123_STAGE_COMPLETING: u32 = 4;
/// Over.
pub const PAN123_STAGE_DONE: u32 = 5;

/// Flag of a vtable: the library makes one call at a time on the object.
pub const PAN123_VT_SERIAL: u32 = 1;
/// Flag of `pan123_hash`: compute SHA-1 as well.
pub const PAN123_HASH_SHA1: u32 = 1;

/// Version of the interface in the header, 0.1: the upper half must be the library's, the lower half counts
/// additions and must not exceed the library's.
pub const PAN123_ABI_VERSION: u32 = 0x0001_0000;
/// What `pan123_plugin.magic` must be.
pub const PAN123_PLUGIN_MAGIC: u32 = 0x3332_3150;

/// Name and value of each constant above, in the order of the header.
pub(crate) const CONSTANTS: &[(&CStr, i64)] = &[
    (c"PAN123_OK", PAN123_OK as i64),
    (c"PAN123_E_INVALID_ARGUMENT", PAN123_E_INVALID_ARGUMENT as i64),
    (c"PAN123_E_ABI", PAN123_E_ABI as i64),
    (c"PAN123_E_UNKNOWN_NUMBER", PAN123_E_UNKNOWN_NUMBER as i64),
    (c"PAN123_E_WRONG_STATE", PAN123_E_WRONG_STATE as i64),
    (c"PAN123_E_WOULD_DEADLOCK", PAN123_E_WOULD_DEADLOCK as i64),
    (c"PAN123_E_FORKED", PAN123_E_FORKED as i64),
    (c"PAN123_E_NOT_SUPPORTED", PAN123_E_NOT_SUPPORTED as i64),
    (c"PAN123_E_TIMEOUT", PAN123_E_TIMEOUT as i64),
    (c"PAN123_E_CANCELLED", PAN123_E_CANCELLED as i64),
    (c"PAN123_E_PAUSED", PAN123_E_PAUSED as i64),
    (c"PAN123_E_SHUTDOWN", PAN123_E_SHUTDOWN as i64),
    (c"PAN123_E_CALLBACK", PAN123_E_CALLBACK as i64),
    (c"PAN123_E_PLUGIN", PAN123_E_PLUGIN as i64),
    (c"PAN123_E_SOURCE_IO", PAN123_E_SOURCE_IO as i64),
    (c"PAN123_E_SOURCE_CHANGED", PAN123_E_SOURCE_CHANGED as i64),
    (c"PAN123_E_SOURCE_STALLED", PAN123_E_SOURCE_STALLED as i64),
    (c"PAN123_E_STORE", PAN123_E_STORE as i64),
    (c"PAN123_E_NETWORK", PAN123_E_NETWORK as i64),
    (c"PAN123_E_TLS", PAN123_E_TLS as i64),
    (c"PAN123_E_NET_TIMEOUT", PAN123_E_NET_TIMEOUT as i64),
    (c"PAN123_E_SLOW_UPLINK", PAN123_E_SLOW_UPLINK as i64),
    (c"PAN123_E_SERVER", PAN123_E_SERVER as i64),
    (c"PAN123_E_PROTOCOL", PAN123_E_PROTOCOL as i64),
    (c"PAN123_E_LOGIN", PAN123_E_LOGIN as i64),
    (c"PAN123_E_RATE_LIMITED", PAN123_E_RATE_LIMITED as i64),
    (c"PAN123_E_NAME", PAN123_E_NAME as i64),
    (c"PAN123_E_VERIFY_FAILED", PAN123_E_VERIFY_FAILED as i64),
    (c"PAN123_E_REFUSED", PAN123_E_REFUSED as i64),
    (c"PAN123_E_INTERNAL", PAN123_E_INTERNAL as i64),
    (c"PAN123_E_PANIC", PAN123_E_PANIC as i64),
    (c"PAN123_OPT_BASE_URL", PAN123_OPT_BASE_URL as i64),
    (c"PAN123_OPT_USER_AGENT", PAN123_OPT_USER_AGENT as i64),
    (c"PAN123_OPT_ACCESS_TOKEN", PAN123_OPT_ACCESS_TOKEN as i64),
    (c"PAN123_OPT_CLIENT_ID", PAN123_OPT_CLIENT_ID as i64),
    (c"PAN123_OPT_CLIENT_SECRET", PAN123_OPT_CLIENT_SECRET as i64),
    (c"PAN123_OPT_TOKEN_CACHE", PAN123_OPT_TOKEN_CACHE as i64),
    (c"PAN123_OPT_STATE_DIR", PAN123_OPT_STATE_DIR as i64),
    (c"PAN123_OPT_PROXY", PAN123_OPT_PROXY as i64),
    (c"PAN123_OPT_CA_FILE", PAN123_OPT_CA_FILE as i64),
    (c"PAN123_OPT_RESUME_KEY", PAN123_OPT_RESUME_KEY as i64),
    (c"PAN123_OPT_REFRESH_TOKEN", PAN123_OPT_REFRESH_TOKEN as i64),
    (c"PAN123_OPT_SLICES_IN_FLIGHT", PAN123_OPT_SLICES_IN_FLIGHT as i64),
    (c"PAN123_OPT_BYTES_PER_SEC", PAN123_OPT_BYTES_PER_SEC as i64),
    (c"PAN123_OPT_VIP_RATES", PAN123_OPT_VIP_RATES as i64),
    (c"PAN123_OPT_SOURCE_TIMEOUT_MS", PAN123_OPT_SOURCE_TIMEOUT_MS as i64),
    (c"PAN123_OPT_DUPLICATE", PAN123_OPT_DUPLICATE as i64),
    (c"PAN123_OPT_CONTAIN_DIR", PAN123_OPT_CONTAIN_DIR as i64),
    (c"PAN123_OPT_PROGRESS_MS", PAN123_OPT_PROGRESS_MS as i64),
    (c"PAN123_OPT_RETRY_FOR_MS", PAN123_OPT_RETRY_FOR_MS as i64),
    (c"PAN123_OPT_PLAIN_HTTP", PAN123_OPT_PLAIN_HTTP as i64),
    (c"PAN123_F_JSON", PAN123_F_JSON as i64),
    (c"PAN123_F_MESSAGE", PAN123_F_MESSAGE as i64),
    (c"PAN123_F_STEP", PAN123_F_STEP as i64),
    (c"PAN123_F_API_MESSAGE", PAN123_F_API_MESSAGE as i64),
    (c"PAN123_F_TRACE_ID", PAN123_F_TRACE_ID as i64),
    (c"PAN123_F_ADVICE", PAN123_F_ADVICE as i64),
    (c"PAN123_F_CLASS", PAN123_F_CLASS as i64),
    (c"PAN123_F_ETAG", PAN123_F_ETAG as i64),
    (c"PAN123_F_SHA1", PAN123_F_SHA1 as i64),
    (c"PAN123_F_SLICE_MD5", PAN123_F_SLICE_MD5 as i64),
    (c"PAN123_F_PREUPLOAD_ID", PAN123_F_PREUPLOAD_ID as i64),
    (c"PAN123_F_SERVER", PAN123_F_SERVER as i64),
    (c"PAN123_F_TOKEN", PAN123_F_TOKEN as i64),
    (c"PAN123_F_STATE", PAN123_F_STATE as i64),
    (c"PAN123_F_METHOD", PAN123_F_METHOD as i64),
    (c"PAN123_F_URL", PAN123_F_URL as i64),
    (c"PAN123_F_ANSWER_BODY", PAN123_F_ANSWER_BODY as i64),
    (c"PAN123_F_HTTP_STATUS", PAN123_F_HTTP_STATUS as i64),
    (c"PAN123_F_API_CODE", PAN123_F_API_CODE as i64),
    (c"PAN123_F_RETRY_AFTER_MS", PAN123_F_RETRY_AFTER_MS as i64),
    (c"PAN123_F_RETRYABLE", PAN123_F_RETRYABLE as i64),
    (c"PAN123_F_ATTEMPTS", PAN123_F_ATTEMPTS as i64),
    (c"PAN123_F_SLICE_NO", PAN123_F_SLICE_NO as i64),
    (c"PAN123_F_RESUMABLE", PAN123_F_RESUMABLE as i64),
    (c"PAN123_F_CODE", PAN123_F_CODE as i64),
    (c"PAN123_F_FILE_ID", PAN123_F_FILE_ID as i64),
    (c"PAN123_F_REUSED", PAN123_F_REUSED as i64),
    (c"PAN123_F_COMPLETED", PAN123_F_COMPLETED as i64),
    (c"PAN123_F_SIZE", PAN123_F_SIZE as i64),
    (c"PAN123_F_SLICE_SIZE", PAN123_F_SLICE_SIZE as i64),
    (c"PAN123_F_SLICE_COUNT", PAN123_F_SLICE_COUNT as i64),
    (c"PAN123_F_SERVER_COUNT", PAN123_F_SERVER_COUNT as i64),
    (c"PAN123_F_EXPIRES_UNIX_MS", PAN123_F_EXPIRES_UNIX_MS as i64),
    (c"PAN123_F_BYTES_SENT", PAN123_F_BYTES_SENT as i64),
    (c"PAN123_F_ELAPSED_MS", PAN123_F_ELAPSED_MS as i64),
    (c"PAN123_F_BODY_LEN", PAN123_F_BODY_LEN as i64),
    (c"PAN123_F_TIMEOUT_MS", PAN123_F_TIMEOUT_MS as i64),
    (c"PAN123_EV_STATE", PAN123_EV_STATE as i64),
    (c"PAN123_EV_PROGRESS", PAN123_EV_PROGRESS as i64),
    (c"PAN123_EV_SLICE", PAN123_EV_SLICE as i64),
    (c"PAN123_EV_RETRY", PAN123_EV_RETRY as i64),
    (c"PAN123_EV_LOG", PAN123_EV_LOG as i64),
    (c"PAN123_EV_COMPLETED", PAN123_EV_COMPLETED as i64),
    (c"PAN123_EV_FAILED", PAN123_EV_FAILED as i64),
    (c"PAN123_EV_CANCELLED", PAN123_EV_CANCELLED as i64),
    (c"PAN123_EV_PAUSED", PAN123_EV_PAUSED as i64),
    (c"PAN123_STAGE_NEW", PAN123_STAGE_NEW as i64),
    (c"PAN123_STAGE_HASHING", PAN123_STAGE_HASHING as i64),
    (c"PAN123_STAGE_CREATING", PAN123_STAGE_CREATING as i64),
    (c"PAN123_STAGE_SENDING", PAN123_STAGE_SENDING as i64),
    (c"PAN123_STAGE_COMPLETING", PAN123_STAGE_COMPLETING as i64),
    (c"PAN123_STAGE_DONE", PAN123_STAGE_DONE as i64),
    (c"PAN123_VT_SERIAL", PAN123_VT_SERIAL as i64),
    (c"PAN123_HASH_SHA1", PAN123_HASH_SHA1 as i64),
    (c"PAN123_ABI_VERSION", PAN123_ABI_VERSION as i64),
    (c"PAN123_PLUGIN_MAGIC", PAN123_PLUGIN_MAGIC as i64),
];

/// Lists every constant of the library by index, so that a binding can compare its table with the library's.
///
/// Returns the name of constant number `i`, from 0, and puts its value into `value` (unless NULL); NULL after the
/// last one.
///
/// Ownership: the name is static. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `value` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_constant_at(i: size_t, value: *mut i64) -> *const c_char {
    quiet(std::ptr::null(), || {
        let Some((name, number)) = CONSTANTS.get(i) else { return std::ptr::null() };
        if !value.is_null() {
            // SAFETY: writable, by the contract of this function.
            unsafe { value.write(*number) };
        }
        name.as_ptr()
    })
}

fn is_status(name: &CStr) -> bool {
    name == c"PAN123_OK" || name.to_bytes().starts_with(b"PAN123_E_")
}

/// Whether this is one of the `PAN123_E_`.
pub(crate) fn is_error(code: pan123_status) -> bool {
    code != PAN123_OK && CONSTANTS.iter().any(|(name, value)| *value == i64::from(code) && is_status(name))
}

/// Whether host code may fail with `code`: how calls of the library stand, and that something was stopped, only the
/// library says.
pub(crate) fn may_be_said(code: pan123_status) -> bool {
    let of_calls = [PAN123_E_WRONG_STATE, PAN123_E_WOULD_DEADLOCK, PAN123_E_FORKED, PAN123_E_TIMEOUT];
    let of_stops = [PAN123_E_CANCELLED, PAN123_E_PAUSED, PAN123_E_SHUTDOWN];
    is_error(code) && !of_calls.contains(&code) && !of_stops.contains(&code)
}

/// Names the status code `code`.
///
/// Returns the constant's name, for example `PAN123_E_NETWORK`, or `PAN123_E_UNKNOWN`. Never NULL.
///
/// Ownership: static. Thread: any. Blocking: no. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn pan123_status_name(code: pan123_status) -> *const c_char {
    quiet(c"PAN123_E_UNKNOWN".as_ptr(), || {
        CONSTANTS
            .iter()
            .find(|(name, value)| *value == i64::from(code) && is_status(name))
            .map_or(c"PAN123_E_UNKNOWN".as_ptr(), |(name, _)| name.as_ptr())
    })
}
