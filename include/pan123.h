/**
 * @file pan123.h
 * libpan123: uploads files to 123 Cloud Drive (123 pan) through the upload API v2 of its open platform.
 *
 * This file is the manual. It is made from the library's source; do not edit it.
 *
 * A first program
 * ---------------
 *
 *     #include <pan123.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         pan123_options *o = NULL; pan123_client *c = NULL; pan123_source *s = NULL;
 *         pan123_upload *u = NULL; pan123_result *r = NULL; pan123_error *e = NULL;
 *         int ok = argc == 3 && pan123_abi_check(PAN123_ABI_VERSION) == PAN123_OK
 *             && !pan123_options_new(&o, &e)
 *             && !pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, &e)
 *             && !pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &e)
 *             && !pan123_source_from_path(argv[1], PAN123_NUL, &s, &e)
 *             && !pan123_upload_new(c, s, 0, argv[2], PAN123_NUL, NULL, 0, &u, &e)
 *             && !pan123_upload_start(u, &e) && !pan123_upload_wait(u, -1, &r, &e);
 *         if (ok) printf("file id %lld\n", (long long)pan123_result_i64(r, PAN123_F_FILE_ID, 0));
 *         else if (e) fprintf(stderr, "%s\n", pan123_error_str(e, PAN123_F_MESSAGE, NULL));
 *         pan123_result_free(r); pan123_upload_free(u); pan123_source_free(s); pan123_client_free(c);
 *         pan123_options_free(o); pan123_error_free(e);
 *         return !ok;
 *     }
 *
 * Three levels
 * ------------
 *
 * Service operations (pan123_hash, pan123_api_*) are one blocking call and one request each, for hosts with a
 * scheduler of their own. The upload (pan123_upload_*) drives them with everything a good client knows. What the
 * host brings (source, transport, tokens, store, observer) are tables of plain functions that may block.
 *
 * Rules that hold everywhere
 * --------------------------
 *
 * Status   Functions that can fail return a pan123_status: PAN123_OK, which is 0, or a positive PAN123_E_ code.
 * Errors   Their last parameter, err, receives an error object if it is not NULL; it is set to NULL on success. You
 *          free it with pan123_error_free. pan123_error_str(e, PAN123_F_MESSAGE, NULL) is for people.
 * Objects  Are made through a parameter out, which is NULL unless the call succeeded, and freed with their _free,
 *          in any order, from any thread. _free takes NULL, never blocks and never cancels. A function that is given
 *          an object keeps a reference of its own for as long as it needs one.
 * Text     Goes in as pointer and length, or PAN123_NUL as the length if it ends with NUL; it is UTF-8 and is copied.
 *          It comes out UTF-8, with a NUL at its end, borrowed from the object that it was asked of.
 * Threads  Every object may be used by all threads at once, unless its type says otherwise. Calls also work in functions
 *          given to atexit and in destructors of statics and of threads. pthread_cancel takes effect at the thread's next
 *          cancellation point after the call; end a call with a stop object, cancel or shutdown.
 * Memory   When there is none left, the process ends (abort), as it does in most programs.
 * Waiting  Functions that wait for a request, an upload, an event or a callback of yours say so under "Blocking", and
 *          return PAN123_E_WOULD_DEADLOCK inside a callback. Others take no longer than it takes to open a file.
 * Numbers  Options, fields and events are numbers. More may come; ignore those that you do not know.
 * Records  struct_size comes first: set it to sizeof the record. No more than that is read or written.
 * Fork     Objects do not survive fork, nor does what a callback is lent: in the child everything returns
 *          PAN123_E_FORKED, or NULL, or
 *          what is given for "absent", and _free does nothing. A child makes objects of its own, also one that was
 *          forked inside a callback, which is inside none; it must not return from that callback.
 * Stack    A thread of yours that calls the library needs 128 KiB of it. Callbacks come with 2 MiB.
 * Signals  Stay with your threads: those of the library have them blocked, so that a handler of yours never runs there
 *          and a connection that breaks ends no process (SIGPIPE). Faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
 *          SIGABRT, SIGSYS) are not blocked. The mask of your own threads is as you set it. A process that a callback
 *          starts inherits the mask of its thread: give it another one, as with posix_spawnattr_setsigmask.
 * Globals  There are none: no initialisation, no signal handler, no output. Several users in one process do not meet.
 * Secrets  Stand in no error, event or JSON.
 */


#ifndef PAN123_H
#define PAN123_H

#include <stddef.h>
#include <stdint.h>

/* Given as a length: the text ends with NUL. */
#define PAN123_NUL SIZE_MAX

/* PAN123_SHARED is for Windows alone, for programs that link the DLL. */
#ifndef PAN123_API
#if defined(_WIN32) && defined(PAN123_SHARED)
#define PAN123_API __declspec(dllimport)
#elif defined(__GNUC__)
#define PAN123_API __attribute__((visibility("default")))
#else
#define PAN123_API
#endif
#endif

/** Done. */
#define PAN123_OK 0

/**
 * A parameter is not acceptable: NULL where something is needed, text that is not UTF-8, a number out of its
 * range. Nothing was done. The message says which parameter and why.
 */
#define PAN123_E_INVALID_ARGUMENT 1
/** The program and the library, or the library and a plugin, do not fit each other: `struct_size` or version. */
#define PAN123_E_ABI 2
/** An option, field or flag that this version of the library does not know. */
#define PAN123_E_UNKNOWN_NUMBER 3
/** Not now: for example a second `pan123_upload_start`, or two consumers of one queue. */
#define PAN123_E_WRONG_STATE 4
/** A call that waits was made inside a callback. Make it from a thread of your own. */
#define PAN123_E_WOULD_DEADLOCK 5
/** The object was made before `fork`; only the process that made it can use it. Freeing it does nothing. */
#define PAN123_E_FORKED 6
/** This build or this system does not have it. */
#define PAN123_E_NOT_SUPPORTED 7
/** The time given to a wait is over. What was waited for goes on; wait again. */
#define PAN123_E_TIMEOUT 8
/** Cancelled as asked, by `pan123_upload_cancel` or a `pan123_stop`. */
#define PAN123_E_CANCELLED 20
/** Paused as asked. */
#define PAN123_E_PAUSED 21
/** The client was shut down. */
#define PAN123_E_SHUTDOWN 22
/** A callback failed, or answered with something impossible. */
#define PAN123_E_CALLBACK 30
/** A plugin cannot be loaded, or failed to open. */
#define PAN123_E_PLUGIN 31
/** The source cannot be opened or read. */
#define PAN123_E_SOURCE_IO 100
/** The source is no longer what it was when the upload began. */
#define PAN123_E_SOURCE_CHANGED 101
/** A `read_at` did not return within `PAN123_OPT_SOURCE_TIMEOUT_MS`. */
#define PAN123_E_SOURCE_STALLED 102
/** Resume state or the token cache cannot be read, written or locked. */
#define PAN123_E_STORE 110
/** No connection, or it kept breaking. */
#define PAN123_E_NETWORK 200
/** The server's certificate or the TLS handshake is not accepted. */
#define PAN123_E_TLS 201
/** Nothing moved, or no answer came, for too long. */
#define PAN123_E_NET_TIMEOUT 202
/** The uplink cannot pass one slice before the gateway drops it. */
#define PAN123_E_SLOW_UPLINK 203
/** The service kept failing on its side. */
#define PAN123_E_SERVER 300
/** The answer is not what the service's protocol promises. */
#define PAN123_E_PROTOCOL 301
/** The service does not let us in: token, client id or secret. */
#define PAN123_E_LOGIN 400
/** Too many requests, even after slowing down. */
#define PAN123_E_RATE_LIMITED 401
/** The file's name breaks the service's rules. */
#define PAN123_E_NAME 402
/** The service holds other bytes than were announced. */
#define PAN123_E_VERIFY_FAILED 403
/** The service refuses for a reason of its own: folder, conflict, space, address. Read its message. */
#define PAN123_E_REFUSED 404
/** A defect of this library. Please report it. */
#define PAN123_E_INTERNAL 900
/** A panic inside this library was caught. Please report it. */
#define PAN123_E_PANIC 901

/**
 * Client, string: address of the service; without a scheme `https://`, for this machine `http://`. Default
 * `https://open-api.123pan.com`.
 */
#define PAN123_OPT_BASE_URL 1001
/** Client, string: the `User-Agent` header. Default `pan123/VERSION`. */
#define PAN123_OPT_USER_AGENT 1002
/** Client, string: a ready access token. */
#define PAN123_OPT_ACCESS_TOKEN 1003
/** Client, string: client id of a developer account. Goes with `PAN123_OPT_CLIENT_SECRET`. */
#define PAN123_OPT_CLIENT_ID 1004
/** Client, string: the secret that goes with the client id. */
#define PAN123_OPT_CLIENT_SECRET 1005

/**
 * Client, string: directory that keeps the token made with client id and secret (file mode 0600), shared by all
 * processes that name it. Without it each client logs in anew, and the service allows only three tokens at a time.
 */
#define PAN123_OPT_TOKEN_CACHE 1006

/**
 * Client, string: directory for what a resume after a crash needs. Without it, and without a store, an upload can
 * be resumed by `pan123_upload_start` and `pan123_upload_import` only.
 */
#define PAN123_OPT_STATE_DIR 1007
/** Client, string: proxy for all requests, `http://`, `https://` or `socks5://`. Default: the environment's. */
#define PAN123_OPT_PROXY 1008
/** Client, string: PEM file with certificates to trust besides the system's. */
#define PAN123_OPT_CA_FILE 1009

/**
 * Upload, string: what names a source of your own in another run of the program, so that the store can resume it.
 * Files on disk have their path for that.
 */
#define PAN123_OPT_RESUME_KEY 1010

/**
 * Client, string: an OAuth2 refresh token, with the client id and secret of an app. Needs `PAN123_OPT_TOKEN_CACHE`, which
 * keeps the token that comes in its place each time: it works once. All processes of an account name the same
 * directory.
 */
#define PAN123_OPT_REFRESH_TOKEN 1011

/**
 * Client, 0 to 64: slices in flight over all uploads of the client; a small file that goes out whole counts as one. 0,
 * the default: as many slices as the link carries, 64 at most, and up to 32 files that go out whole. Besides, at most 32
 * other requests of uploads are under way.
 */
#define PAN123_OPT_SLICES_IN_FLIGHT 2001
/** Client: the most bytes per second that bodies may send together. 0, the default: no cap. */
#define PAN123_OPT_BYTES_PER_SEC 2003
/** Client, 0 or 1: request rates of a paying account. Default 0. */
#define PAN123_OPT_VIP_RATES 2004
/** Client, milliseconds from 1 to 86400000, a day: how long one `read_at` or `identity` may take. Default 30000. */
#define PAN123_OPT_SOURCE_TIMEOUT_MS 2005

/**
 * Upload, 0 to 2: what happens when the name is taken. 0, the default: the service refuses; 1: both are kept; 2: the
 * old file is replaced.
 */
#define PAN123_OPT_DUPLICATE 2006
/** Upload, 0 or 1: the name is a path from the folder on, and the service makes missing folders. Default 0. */
#define PAN123_OPT_CONTAIN_DIR 2007
/** Client, milliseconds from 10 to 86400000: how often an upload tells its progress. Default 200. */
#define PAN123_OPT_PROGRESS_MS 2008

/**
 * Client, milliseconds up to 86400000: how long to keep trying when nothing gets through, counted from the first
 * failure after the last success: no request is sent again later than that, and 0 is one try. Default 60000, and 120000
 * if the service refuses everything because there are too many requests; of a pause that the service itself asks for, up
 * to ten minutes are waited for if this is not 0.
 */
#define PAN123_OPT_RETRY_FOR_MS 2009

/**
 * Client, 0 or 1: let the access token go over plain `http://` to any host. Default 0: to loopback, and to the host
 * that `PAN123_OPT_BASE_URL` names with `http://`.
 */
#define PAN123_OPT_PLAIN_HTTP 2010
/** Errors, results; string: everything in the object as one JSON object, secrets left out. */
#define PAN123_F_JSON 1001
/** Errors, string: what failed, with step, tries, codes and trace id, on one line. */
#define PAN123_F_MESSAGE 1002
/** Errors, string: the step that failed, for example `create` or `open source`. */
#define PAN123_F_STEP 1003
/** Errors, string: the service's own words, or what happened instead of an answer. */
#define PAN123_F_API_MESSAGE 1004
/** Errors, string: `x-traceID` of the answer; the service's support asks for it. */
#define PAN123_F_TRACE_ID 1005
/** Errors, string: what to do about it, a sentence. */
#define PAN123_F_ADVICE 1006
/** Errors, string: what the failed request means, finer than the code, for example `no_parent`. */
#define PAN123_F_CLASS 1007
/** Results, string: MD5 of the whole, 32 hex digits in lower case. */
#define PAN123_F_ETAG 1010
/** Results, string: SHA-1 of the whole, 40 hex digits, if it was asked for. */
#define PAN123_F_SHA1 1011
/** Results, strings: MD5 of each slice; index 0 is slice number 1. */
#define PAN123_F_SLICE_MD5 1012
/** Results, string: `preuploadID`, which names an upload at the service. */
#define PAN123_F_PREUPLOAD_ID 1013
/** Results, strings: upload hosts. */
#define PAN123_F_SERVER 1014
/** Results, string: the access token. The only way a token comes out, except for headers given to a transport. */
#define PAN123_F_TOKEN 1015
/** Results, bytes: state of an upload, for `pan123_upload_import`. */
#define PAN123_F_STATE 1016
/** HTTP exchanges, string: `GET` or `POST`. */
#define PAN123_F_METHOD 1020
/** HTTP exchanges, string: the absolute URL. */
#define PAN123_F_URL 1021
/** HTTP exchanges, bytes: body of the answer, once there is one. */
#define PAN123_F_ANSWER_BODY 1022
/** Errors, HTTP exchanges; integer: HTTP status of the answer. */
#define PAN123_F_HTTP_STATUS 2001
/** Errors, integer: the service's own code. */
#define PAN123_F_API_CODE 2002
/** Errors, integer: how long the service asks to wait, in milliseconds. */
#define PAN123_F_RETRY_AFTER_MS 2003
/** Errors, 0 or 1: the same call may well succeed later, with nothing changed. */
#define PAN123_F_RETRYABLE 2004
/** Errors, integer: how often the step was tried, from 1. */
#define PAN123_F_ATTEMPTS 2005
/** Errors, integer: slice number, from 1, if it was about one slice. */
#define PAN123_F_SLICE_NO 2006
/** Errors, 0 or 1: starting the same upload again goes on from here. */
#define PAN123_F_RESUMABLE 2007
/** Errors, integer: the status code. */
#define PAN123_F_CODE 2008
/** Results, integer: the file at the service. */
#define PAN123_F_FILE_ID 2010
/** Results, 0 or 1: the service had the bytes already, and none were sent. */
#define PAN123_F_REUSED 2011
/** Results, 0 or 1: the service has stored the file. 0: ask `pan123_api_complete` again in a second. */
#define PAN123_F_COMPLETED 2012
/** Results, integer: size in bytes. */
#define PAN123_F_SIZE 2013
/** Results, integer: length of a slice in bytes; the last one may be shorter. */
#define PAN123_F_SLICE_SIZE 2014
/** Results, integer: number of slices. Of an upload 0 if it went out whole, see `pan123_upload_new`, or the service had it. */
#define PAN123_F_SLICE_COUNT 2015
/** Results, integer: number of upload hosts. */
#define PAN123_F_SERVER_COUNT 2016
/** Results, integer: when the token expires, in milliseconds since 1970 UTC, if that is known. */
#define PAN123_F_EXPIRES_UNIX_MS 2017

/**
 * Results, integer: file bytes handed to connections, those sent again included, by all runs of this object from its
 * first start on. What an imported upload was sent before is not in it.
 */
#define PAN123_F_BYTES_SENT 2018
/** Results, integer: how long it was running, in milliseconds: from start to end, without the time that it was paused. */
#define PAN123_F_ELAPSED_MS 2019
/** HTTP exchanges, integer: length of the request's body in bytes. */
#define PAN123_F_BODY_LEN 2020
/** HTTP exchanges, integer: how long the exchange may stand still before it is given up, in milliseconds. */
#define PAN123_F_TIMEOUT_MS 2021
/** Event: the upload entered a stage; `value` is a `PAN123_STAGE_`. */
#define PAN123_EV_STATE 1

/**
 * Event: `bytes_done` of `bytes_total`. While one waits in the queue it is brought up to date rather than joined
 * by another.
 */
#define PAN123_EV_PROGRESS 2
/** Event: slice `slice_no` was acknowledged. None comes for an upload that goes out whole, see `pan123_upload_new`. */
#define PAN123_EV_SLICE 3
/** Event: a request failed and will be sent again; `value` is the try that failed, `text` the reason. */
#define PAN123_EV_RETRY 4
/** Event: something worth knowing, in `text`. */
#define PAN123_EV_LOG 5
/** Last event: done; `value` is the file id. */
#define PAN123_EV_COMPLETED 16
/** Last event: failed with `code`; `text` is the message. */
#define PAN123_EV_FAILED 17
/** Last event: cancelled as asked. */
#define PAN123_EV_CANCELLED 18
/** Last event: paused as asked. */
#define PAN123_EV_PAUSED 19
/** Not started yet. */
#define PAN123_STAGE_NEW 0
/** Digests are being computed. */
#define PAN123_STAGE_HASHING 1
/** The service is asked whether it has the bytes. */
#define PAN123_STAGE_CREATING 2
/** Bytes go out. */
#define PAN123_STAGE_SENDING 3
/** All bytes are acknowledged; the service merges and checks. */
#define PAN123_STAGE_COMPLETING 4
/** Over. */
#define PAN123_STAGE_DONE 5
/** Flag of a vtable: the library makes one call at a time on the object. */
#define PAN123_VT_SERIAL 1
/** Flag of `pan123_hash`: compute SHA-1 as well. */
#define PAN123_HASH_SHA1 1

/**
 * Version of the interface in the header, 0.1: the upper half must be the library's, the lower half counts
 * additions and must not exceed the library's.
 */
#define PAN123_ABI_VERSION 0x00010000u
/** What `pan123_plugin.magic` must be. */
#define PAN123_PLUGIN_MAGIC 0x33323150u
/** One account of the service, with its limits, connections and threads. Make one and use it for all uploads. */
typedef struct pan123_client pan123_client;

/**
 * Why a call failed: a code, a message, and fields (`PAN123_F_`).
 *
 * Comes out through the last parameter of most functions, `pan123_error **err`, which may be NULL if you do not want
 * it. Free it with `pan123_error_free`. It holds no secrets. It may be used by all threads at once.
 */
typedef struct pan123_error pan123_error;

/**
 * One request and its answer, lent to `pan123_transport_vtable.send` until that returns. Until then it may also be
 * used by other threads of yours.
 */
typedef struct pan123_http pan123_http;

/**
 * A set of options (`PAN123_OPT_`) for a client or for an upload, made empty. Whoever is given it takes what is in it at
 * that moment.
 */
typedef struct pan123_options pan123_options;

/**
 * Where events of uploads arrive. Give it to `pan123_client_new`; several clients may share one.
 *
 * By pull: take events with `pan123_queue_next`, whenever you like or when the handle of `pan123_queue_handle` is
 * readable. By push: a thread of the library calls `on_event`. Events of one upload come in order of `seq`; progress
 * that waits is brought up to date, and of the other events the oldest are left out when more than a thousand of one
 * upload wait, so that a slow consumer costs no memory. The last event of an upload is never left out.
 */
typedef struct pan123_queue pan123_queue;

/**
 * What a call found out: fields (`PAN123_F_`), read with `pan123_result_i64` and `pan123_result_str`.
 *
 * Free it with `pan123_result_free`. It may be used by all threads at once.
 */
typedef struct pan123_result pan123_result;

/** Where a callback puts the bytes that it returns, lent to it until it returns. */
typedef struct pan123_sink pan123_sink;

/**
 * What is uploaded or hashed: bytes of a known size that can be read at any offset.
 *
 * Made from a path, from memory, or from functions of yours. It may serve any number of calls and uploads, one after
 * another or at once. Each keeps a reference, so that you may free yours as soon as you have given it away.
 */
typedef struct pan123_source pan123_source;

/**
 * Ends calls that wait, early: give it to them as `stop`, and fire it from another thread.
 *
 * It may be fired before, during or after a call, and once fired it stays so: every call that is given it from
 * then on returns `PAN123_E_CANCELLED` at once. One object may serve any number of calls at a time.
 */
typedef struct pan123_stop pan123_stop;

/** Where unfinished uploads are remembered, if not in `PAN123_OPT_STATE_DIR`. May be given to several clients. */
typedef struct pan123_store pan123_store;

/** Where access tokens come from, if not from the options. May be given to several clients. */
typedef struct pan123_tokens pan123_tokens;

/**
 * How requests get out: a stack of layers of yours over the built-in transport, or over one of yours at the bottom.
 *
 * May be given to several clients.
 */
typedef struct pan123_transport pan123_transport;

/** The upload of one source to one place. Does nothing until it is started. */
typedef struct pan123_upload pan123_upload;

/**
 * Outcome of a call: 0 is good, everything else is one of the `PAN123_E_` codes.
 *
 * The codes stand in bands, so that a program knows what to make of a code that is newer than itself:
 * 1 misuse, 20 stopped, 30 host code, 100 this machine, 200 network, 300 the service failed,
 * 400 the service refused, 900 a defect of this library.
 */
typedef int32_t pan123_status;

/**
 * Head of every vtable.
 *
 * A vtable is read once, when it is given to the library, and may go away afterwards. It may be shorter or longer
 * than the library's idea of it: `struct_size` says how long it is, members beyond it count as NULL, and NULL
 * members are not offered. A size that ends inside a member is `PAN123_E_ABI`. No callback may unwind
 * (C++ exception, `longjmp`, panic) out of itself, nor end its thread (`pthread_exit`).
 *
 * A callback that fails returns a code that is not `PAN123_OK`, and may put an error made with `pan123_error_new`
 * into `*err`, which the library then owns. What a callback is lent ends when it returns.
 *
 * What the call or upload that needed it then fails with, in the callback's own words:
 *
 * - `read_at`, `identity`: the same code, at once. 4 to 6, 8, 20 to 22 and numbers that are no code count as
 *   `PAN123_E_SOURCE_IO`.
 * - `send`: `PAN123_E_NETWORK`, `PAN123_E_NET_TIMEOUT`, `PAN123_E_TIMEOUT`, `PAN123_E_TLS`, `PAN123_E_PROTOCOL` and the
 *   codes of sources mean what they mean when the library's own transport fails, and an upload tries again as then.
 *   Any other code: the same code, at once. 4 to 6, 20 to 22 and numbers that are no code count as `PAN123_E_CALLBACK`.
 * - `get`: as `send`, with `PAN123_E_LOGIN`, `PAN123_E_SERVER` and `PAN123_E_RATE_LIMITED` for codes with a meaning.
 * - `load`: `PAN123_E_STORE`, at once. `save`, `remove`: nothing fails, see the store.
 *
 * A callback may block for long, but not for ever. Its time runs from when it is called, not while it waits for its turn
 * because of `PAN123_VT_SERIAL`. When it is over, whoever waited goes on without it; its thread stays with it until it
 * returns, and what it then says is lost. One that never returns fails those that wait for a turn behind it, too.
 *
 * - `read_at`, `identity`: `PAN123_OPT_SOURCE_TIMEOUT_MS`, in `pan123_hash` 30 s; then `PAN123_E_SOURCE_STALLED`.
 * - `get`: 30 s; then as `PAN123_E_NET_TIMEOUT`.
 * - `load`, `save`, `remove`: 30 s; then as if it had failed. The end of an upload waits for `remove` for 2 s at most.
 * - `send`: `PAN123_F_TIMEOUT_MS` of its exchange without a sign of life, which are bytes of the body that it reads and an
 *   answer; while it forwards, the transport below minds the time. Then as `PAN123_E_NET_TIMEOUT`.
 * - `on_event`, `interrupt`, `release`: none; whoever waits for them is `pan123_client_shutdown`.
 */
typedef struct pan123_vtable {
    /** `sizeof` the whole vtable, for example `sizeof(pan123_source_vtable)`. */
    uint32_t struct_size;
    /** 0 or `PAN123_VT_SERIAL`. */
    uint32_t flags;
    /**
     * [any thread] Called exactly once, after every other call on `ctx` has returned, also when the function that
     * was given the vtable fails. Must not block. May be NULL.
     */
    void (*release)(uintptr_t ctx);
    /**
     * [any thread] For abilities that later versions may ask for by name, `"name/1"`. May be NULL; return NULL for
     * a name that is not known.
     */
    const void *(*extension)(uintptr_t ctx, const char *id);
} pan123_vtable;

/**
 * What tells one state of a source from another. If any of it changes during an upload, the upload fails with
 * `PAN123_E_SOURCE_CHANGED`. Members that your source does not have stay 0.
 */
typedef struct pan123_identity {
    /** `sizeof(pan123_identity)` of whoever asks; write no member that lies beyond it. */
    uint32_t struct_size;
    /** 0. */
    uint32_t flags;
    /** Size in bytes. */
    uint64_t size;
    /** A number that stays with the source as long as it is the same one. */
    uint64_t inode;
    /** Last change of the content, in nanoseconds since 1970 UTC. */
    int64_t mtime_ns;
} pan123_identity;

/**
 * A source of yours. All members [worker thread, may block]; calls overlap unless `PAN123_VT_SERIAL` is set.
 *
 * A member that fails ends what reads the source, with the code that it returned: any `PAN123_E_` but those for
 * something that was stopped (20 to 22), which count as `PAN123_E_SOURCE_IO`, as does a number that is no code.
 *
 * ```c
 * static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n,
 *                              pan123_error **err)
 * {
 *     struct archive_member *m = (struct archive_member *)ctx;
 *     *out_n = archive_read(m, offset, buf, len);
 *     return PAN123_OK;
 * }
 * static void release(uintptr_t ctx) { archive_close((struct archive_member *)ctx); }
 *
 * pan123_source_vtable vt = { .h = { sizeof vt, 0, release, NULL }, .read_at = read_at };
 * status = pan123_source_new(&vt, (uintptr_t)member, member->size, &source, &err);
 * ```
 */
typedef struct pan123_source_vtable {
    /** The head. */
    pan123_vtable h;
    /**
     * Reads `len` bytes from `offset` on into `buf`, and says in `*out_n` how many there were. Fewer than `len` mean
     * that the source ends there, which is `PAN123_E_SOURCE_CHANGED` if its size promised more. Never asked beyond
     * the size. Required.
     */
    pan123_status (*read_at)(uintptr_t ctx,
                             uint64_t offset,
                             uint8_t *buf,
                             size_t len,
                             size_t *out_n,
                             pan123_error **err);
    /**
     * Says what state the source is in right now. Asked before the first byte is read and before the service is told
     * that all is there. NULL: it never changes.
     */
    pan123_status (*identity)(uintptr_t ctx, pan123_identity *out, pan123_error **err);
} pan123_source_vtable;

/**
 * A transport of yours. Each is a layer over another one; it forwards what it does not want to answer itself. One
 * that never forwards is the bottom, and replaces the built-in transport.
 *
 * ```c
 * static pan123_status send(uintptr_t ctx, pan123_http *x, pan123_error **err)
 * {
 *     printf("%s %s\n", pan123_http_str(x, PAN123_F_METHOD, NULL), pan123_http_str(x, PAN123_F_URL, NULL));
 *     return pan123_http_forward(x, err);
 * }
 * ```
 */
typedef struct pan123_transport_vtable {
    /** The head. */
    pan123_vtable h;
    /**
     * [worker thread, may block] Sends the request `x` once, without retries and without following redirects, and
     * answers it with `pan123_http_answer` or `pan123_http_forward`; any HTTP status is an answer. Calls overlap
     * unless `PAN123_VT_SERIAL` is set. Fails with `PAN123_E_NETWORK`, `PAN123_E_TLS`, `PAN123_E_NET_TIMEOUT` or
     * `PAN123_E_PROTOCOL` if there is no answer; any other code is a failure of yours, which is not tried again.
     * `PAN123_OK` without an answer is `PAN123_E_CALLBACK`. Required.
     */
    pan123_status (*send)(uintptr_t ctx, pan123_http *x, pan123_error **err);
    /**
     * [worker thread, may block] The request was given up: let `send(x)` return soon. It may cross with the return of `send`, so
     * look `x` up among those that are open. NULL: `pan123_http_read_body` and `pan123_http_forward` fail then, which
     * may do.
     */
    void (*interrupt)(uintptr_t ctx, const pan123_http *x);
} pan123_transport_vtable;

/** A token provider of yours. */
typedef struct pan123_tokens_vtable {
    /** The head. */
    pan123_vtable h;
    /**
     * [worker thread, may block] Puts an access token into `token` with `pan123_sink_put`, and when it expires into
     * `*expires_unix_ms`, in milliseconds since 1970 UTC, or leaves the 0 there if that is not known.
     *
     * `refused` is the token that the service has just turned down, `refused_len` bytes and a NUL, or NULL. Give another
     * one then, preferably one that somebody else has fetched meanwhile: only three tokens of a client id live at a
     * time. Called for every request, one call at a time per client: keep what you have. A call that has not returned
     * after 30 s is given up, and tried again as after `PAN123_E_NET_TIMEOUT`, perhaps before it returns. Fails with `PAN123_E_LOGIN`
     * if there is no token to be had, `PAN123_E_NETWORK` if another try may help; see `pan123_vtable` for other codes.
     * Required.
     */
    pan123_status (*get)(uintptr_t ctx,
                         const char *refused,
                         size_t refused_len,
                         pan123_sink *token,
                         int64_t *expires_unix_ms,
                         pan123_error **err);
} pan123_tokens_vtable;

/**
 * A resume store of yours: opaque bytes under a key, one entry per unfinished upload. All members [worker thread, may
 * block]; calls for different keys overlap unless `PAN123_VT_SERIAL` is set. Keys are 1 to 64 characters of `a-z`,
 * `0-9` and `-`, and have a NUL behind them.
 *
 * An upload whose `load` fails does not begin, and ends with `PAN123_E_STORE`: it would do again what may be done. One
 * whose `save` or `remove` fails goes on without its store, which a `PAN123_EV_LOG` tells, and can then not be resumed
 * by another run.
 */
typedef struct pan123_store_vtable {
    /** The head. */
    pan123_vtable h;
    /**
     * Puts what was saved last under `key` into `to` with `pan123_sink_put`; nothing, and `PAN123_OK`, if there is
     * no such key. Required.
     */
    pan123_status (*load)(uintptr_t ctx,
                          const char *key,
                          size_t key_len,
                          pan123_sink *to,
                          pan123_error **err);
    /**
     * Keeps `data` under `key` instead of what was there, whole or not at all, and returns when it is safe. Called at each
     * step that another run must know of, however soon after the one before: when the service is about to be asked for
     * the upload, when it has answered, when there are digests for another slice size, when all slices are there, and at
     * the end; and at most once a second while slices finish. A short upload makes five calls within milliseconds.
     * Required.
     */
    pan123_status (*save)(uintptr_t ctx,
                          const char *key,
                          size_t key_len,
                          const uint8_t *data,
                          size_t len,
                          pan123_error **err);
    /**
     * Forgets `key`; there may be no such key. Called once the result was handed over, or when the state is of no use any
     * more. The upload's end waits 2 s for it, and leaves it to its thread then. Required.
     */
    pan123_status (*remove)(uintptr_t ctx, const char *key, size_t key_len, pan123_error **err);
    /**
     * Puts all keys into `to`, each with a NUL behind it, in any order. Asked by `pan123 uploads`, and by nothing in the
     * library itself. May be NULL, for a store that cannot tell.
     */
    pan123_status (*list)(uintptr_t ctx, pan123_sink *to, pan123_error **err);
} pan123_store_vtable;

/** News of an upload. Which members mean something depends on `kind`; the others are 0. */
typedef struct pan123_event {
    /** `sizeof(pan123_event)` of the program. */
    uint32_t struct_size;
    /** A `PAN123_EV_`. Kinds from 16 on end the upload; ignore kinds that you do not know. */
    uint32_t kind;
    /** Given to `pan123_upload_new`. */
    uint64_t user;
    /** Counts up per upload, from 1. A gap means that events were left out. */
    uint64_t seq;
    /** Bytes that the connections have taken, or while digests are computed, bytes hashed. */
    uint64_t bytes_done;
    /** Size in bytes. */
    uint64_t bytes_total;
    /** See the kind. */
    int64_t value;
    /** Why, for `PAN123_EV_FAILED`; `PAN123_E_CANCELLED` and `PAN123_E_PAUSED` for those ends; else 0. */
    pan123_status code;
    /** `sliceNo`, from 1, or 0. */
    uint32_t slice_no;
    /** UTF-8 with a NUL at its end, or NULL. Lives until the next `pan123_queue_next`, or until `on_event` returns. */
    const char *text;
    /** Length of `text` in bytes. */
    size_t text_len;
} pan123_event;

/** An observer of yours. */
typedef struct pan123_observer_vtable {
    /** The head. */
    pan123_vtable h;
    /** [dispatch thread] Takes an event. Return soon; the next one waits until then. Required. */
    void (*on_event)(uintptr_t ctx, const pan123_event *ev);
} pan123_observer_vtable;

/** How far an upload is. No figure ever falls, also not when a paused upload is started again. */
typedef struct pan123_progress {
    /** `sizeof(pan123_progress)` of the program. */
    uint32_t struct_size;
    /** A `PAN123_STAGE_`: the furthest that was reached. */
    uint32_t state;
    /** Slices that the service has acknowledged. */
    uint32_t slices_done;
    /**
     * Slices in all; 0 before the service has named a slice size, and for an upload without slices, which
     * went out whole, see `pan123_upload_new`, or which the service had already.
     */
    uint32_t slices_total;
    /** Requests that were sent again. */
    uint32_t retries;
    /** 0. */
    uint32_t reserved;
    /** Bytes whose digests are known. */
    uint64_t bytes_hashed;
    /** Bytes that connections have taken; those sent again count once. */
    uint64_t bytes_sent;
    /** Bytes of slices that the service has acknowledged. */
    uint64_t bytes_confirmed;
    /** Size in bytes. */
    uint64_t bytes_total;
} pan123_progress;

/** What a plugin may call of the library. It needs no other link to it. Lives as long as the process. */
typedef struct pan123_host {
    /** `sizeof(pan123_host)` of the library; a member beyond it is not there. */
    uint32_t struct_size;
    /** `PAN123_ABI_VERSION` of the library. */
    uint32_t abi_version;
    /** As `pan123_error_new`. */
    pan123_error *(*error_new)(pan123_status code, const char *msg, size_t len);
    /** As `pan123_error_code`. */
    pan123_status (*error_code)(const pan123_error *e);
    /** As `pan123_error_i64`. */
    int64_t (*error_i64)(const pan123_error *e, uint32_t field, int64_t absent);
    /** As `pan123_error_str`. */
    const char *(*error_str)(const pan123_error *e, uint32_t field, size_t *len);
    /** As `pan123_error_free`. */
    void (*error_free)(pan123_error *e);
    /** As `pan123_http_str`. */
    const char *(*http_str)(const pan123_http *x, uint32_t field, size_t *len);
    /** As `pan123_http_i64`. */
    int64_t (*http_i64)(const pan123_http *x, uint32_t field, int64_t absent);
    /** As `pan123_http_header`. */
    const char *(*http_header)(const pan123_http *x, int32_t of_answer, size_t i, const char **value);
    /** As `pan123_http_set_header`. */
    pan123_status (*http_set_header)(pan123_http *x,
                                     int32_t of_answer,
                                     const char *name,
                                     size_t name_len,
                                     const char *value,
                                     size_t value_len);
    /** As `pan123_http_read_body`. */
    pan123_status (*http_read_body)(pan123_http *x,
                                    uint64_t offset,
                                    uint8_t *buf,
                                    size_t len,
                                    size_t *out_n,
                                    pan123_error **err);
    /** As `pan123_http_forward`. */
    pan123_status (*http_forward)(pan123_http *x, pan123_error **err);
    /** As `pan123_http_answer`. */
    pan123_status (*http_answer)(pan123_http *x, int32_t http_status, const uint8_t *body, size_t len);
    /** As `pan123_sink_put`. */
    pan123_status (*sink_put)(pan123_sink *to, const uint8_t *data, size_t len);
} pan123_host;

/**
 * What a plugin brings; NULL: nothing of this kind. The library takes each context over and gives it back with
 * `release`.
 */
typedef struct pan123_plugin_parts {
    /** `sizeof(pan123_plugin_parts)` of the library; write no member that lies beyond it. */
    uint32_t struct_size;
    /** 0. */
    uint32_t flags;
    /** A layer around the client's transport. */
    const pan123_transport_vtable *transport;
    /** Its context. */
    uintptr_t transport_ctx;
    /** A token provider. */
    const pan123_tokens_vtable *tokens;
    /** Its context. */
    uintptr_t tokens_ctx;
    /** A resume store. */
    const pan123_store_vtable *store;
    /** Its context. */
    uintptr_t store_ctx;
} pan123_plugin_parts;

/**
 * A loadable plugin: a shared object that exports a function `pan123_plugin_entry` of type `pan123_plugin_entry_fn`,
 * which returns one of these.
 *
 * ```c
 * static pan123_status open_(const pan123_host *h, const char *config, size_t len, pan123_plugin_parts *out,
 *                            pan123_error **err)
 * {
 *     host = h;
 *     out->tokens = &tokens;
 *     return PAN123_OK;
 * }
 * static const pan123_plugin plugin = {
 *     PAN123_PLUGIN_MAGIC, sizeof plugin, PAN123_ABI_VERSION, 0, "vault", "1.0", open_ };
 * const pan123_plugin *pan123_plugin_entry(void) { return &plugin; }
 * ```
 */
typedef struct pan123_plugin {
    /** `PAN123_PLUGIN_MAGIC`. */
    uint32_t magic;
    /** `sizeof(pan123_plugin)`. */
    uint32_t struct_size;
    /** `PAN123_ABI_VERSION` of the header that it was compiled with. */
    uint32_t abi_version;
    /** 0. */
    uint32_t flags;
    /** Its name, for messages. */
    const char *id;
    /** Its version, for messages. */
    const char *version;
    /**
     * Called each time it is added to options, perhaps by several threads. Reads its configuration and says in `out`,
     * which comes with NULL everywhere, what it brings. If it fails it leaves nothing behind. May block.
     */
    pan123_status (*open)(const pan123_host *host,
                          const char *config,
                          size_t len,
                          pan123_plugin_parts *out,
                          pan123_error **err);
} pan123_plugin;

/** Type of the function `pan123_plugin_entry` that a plugin exports. What it returns lives as long as the process. */
typedef const pan123_plugin *(*pan123_plugin_entry_fn)(void);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Lists every constant of the library by index, so that a binding can compare its table with the library's.
 *
 * Returns the name of constant number `i`, from 0, and puts its value into `value` (unless NULL); NULL after the
 * last one.
 *
 * Ownership: the name is static. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `value` is NULL or writable.
 */
PAN123_API
const char *pan123_constant_at(size_t i,
                               int64_t *value);

/**
 * Names the status code `code`.
 *
 * Returns the constant's name, for example `PAN123_E_NETWORK`, or `PAN123_E_UNKNOWN`. Never NULL.
 *
 * Ownership: static. Thread: any. Blocking: no. Since 0.1.
 */
PAN123_API const char *pan123_status_name(pan123_status code);

/**
 * Makes an error object, for a callback that fails: put it into the callback's `*err` and return the same code.
 *
 * `code` is one of the `PAN123_E_`; 0 and negative numbers become `PAN123_E_CALLBACK`. `msg` says in a sentence what
 * went wrong, without secrets; bytes that are not UTF-8 are replaced, and line ends and control characters become
 * spaces. NULL gives an error without a message.
 *
 * Returns the object, or NULL when there is no memory for it.
 *
 * Ownership: yours until you free it or put it into a callback's `*err`, which gives it to the library.
 * Thread: any. Blocking: no. Since 0.1.
 *
 * ```c
 * static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
 *                          int64_t *expires_unix_ms, pan123_error **err)
 * {
 *     *err = pan123_error_new(PAN123_E_LOGIN, "the vault is locked", PAN123_NUL);
 *     return PAN123_E_LOGIN;
 * }
 * ```
 *
 * Requires: `msg` is NULL or readable for `len` bytes, or up to its NUL if `len` is `PAN123_NUL`.
 */
PAN123_API
pan123_error *pan123_error_new(pan123_status code,
                               const char *msg,
                               size_t len);

/**
 * The code of an error: one of the `PAN123_E_`.
 *
 * Returns the code that the failed call returned; `PAN123_OK` for NULL.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `e` is NULL or a live error.
 */
PAN123_API pan123_status pan123_error_code(const pan123_error *e);

/**
 * An integer field of an error; `field` is for example `PAN123_F_HTTP_STATUS`.
 *
 * Returns the value, or `absent` if the error has no such field, or is NULL.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `e` is NULL or a live error.
 */
PAN123_API int64_t pan123_error_i64(const pan123_error *e, uint32_t field, int64_t absent);

/**
 * A text field of an error; `field` is for example `PAN123_F_MESSAGE` or `PAN123_F_ADVICE`.
 *
 * Returns the text, UTF-8 and with a NUL at its end, and puts its length into `len` (unless NULL); NULL and 0 if
 * the error has no such field, or is NULL.
 *
 * Ownership: the text lives as long as the error. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `e` is NULL or a live error; `len` is NULL or writable.
 */
PAN123_API
const char *pan123_error_str(const pan123_error *e,
                             uint32_t field,
                             size_t *len);

/**
 * Frees an error. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `e` is NULL or a live error, which is gone afterwards.
 */
PAN123_API void pan123_error_free(pan123_error *e);

/**
 * Checks that the library fits the header that the program was compiled with, whose version is `header_abi`. Make it
 * the first call:
 *
 * ```c
 * if (pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 1;
 * ```
 *
 * Returns `PAN123_OK`; `PAN123_E_ABI` if the library is too old or too new for the header.
 *
 * Thread: any. Blocking: no. Since 0.1.
 */
PAN123_API
pan123_status pan123_abi_check(uint32_t header_abi);

/**
 * Returns the library's version, for example `0.1.0`.
 *
 * Ownership: static. Thread: any. Blocking: no. Since 0.1.
 */
PAN123_API const char *pan123_version(void);

/**
 * Returns how the library was built, as one JSON object: `version`, `abi` (for example `0.1`), `target`, and `features`,
 * a list of names.
 *
 * Ownership: static. Thread: any. Blocking: no. Since 0.1.
 */
PAN123_API
const char *pan123_build_info(void);

/**
 * An integer field of a result; `field` is for example `PAN123_F_FILE_ID`.
 *
 * Returns the value, or `absent` if the result has no such field, or is NULL.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `r` is NULL or a live result.
 */
PAN123_API int64_t pan123_result_i64(const pan123_result *r, uint32_t field, int64_t absent);

/**
 * A text or bytes field of a result; `field` is for example `PAN123_F_ETAG`. `index` counts from 0 and is 0 for a field
 * that is no list.
 *
 * Returns the text with a NUL at its end, and puts its length into `len` (unless NULL); NULL and 0 if the result has
 * no such field or fewer entries, or is NULL.
 *
 * Ownership: the text lives as long as the result. Thread: any. Blocking: no. Since 0.1.
 *
 * ```c
 * int64_t count = pan123_result_i64(r, PAN123_F_SLICE_COUNT, 0);
 * for (int64_t i = 0; i < count; i++)
 *     printf("slice %d has MD5 %s\n", (int)i + 1, pan123_result_str(r, PAN123_F_SLICE_MD5, (size_t)i, NULL));
 * ```
 *
 * Requires: `r` is NULL or a live result; `len` is NULL or writable.
 */
PAN123_API
const char *pan123_result_str(const pan123_result *r,
                              uint32_t field,
                              size_t index,
                              size_t *len);

/**
 * Frees a result. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `r` is NULL or a live result, which is gone afterwards.
 */
PAN123_API void pan123_result_free(pan123_result *r);

/**
 * Makes a stop object that has not been fired.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL.
 *
 * Ownership: `*out` is yours; free it with `pan123_stop_free`. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `out` and `err` are NULL or writable.
 */
PAN123_API pan123_status pan123_stop_new(pan123_stop **out, pan123_error **err);

/**
 * Fires a stop object. Calls that were given it return `PAN123_E_CANCELLED` within 250 ms. NULL is fine.
 *
 * Thread: any, also inside a callback. Blocking: no. Since 0.1.
 *
 * Requires: `s` is NULL or a live stop object.
 */
PAN123_API void pan123_stop_fire(pan123_stop *s);

/**
 * Frees a stop object; calls that were given it go on. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `s` is NULL or a live stop object, which is gone afterwards.
 */
PAN123_API void pan123_stop_free(pan123_stop *s);

/**
 * Appends a copy of `len` bytes to what a callback returns.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `to` is NULL, or `data` is NULL and `len` is not 0, and for more
 * than 64 MiB in all; `PAN123_E_FORKED`.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `to` is NULL or lent at the moment; `data` is NULL or readable for `len` bytes.
 */
PAN123_API
pan123_status pan123_sink_put(pan123_sink *to,
                              const uint8_t *data,
                              size_t len);

/**
 * Makes a source from functions of yours. `size` is its size in bytes and never changes.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, its `read_at` or `out` is NULL; `PAN123_E_ABI` for a
 * `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
 *
 * Ownership: takes `ctx` over, also when it fails; `release` gives it back (unless `vt` itself cannot be read).
 * `*out` is yours; free it with `pan123_source_free`. Thread: any. Blocking: no, and no other callback comes before
 * this has returned. Since 0.1.
 *
 * Requires: `vt` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
 * `release`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_source_new(const pan123_source_vtable *vt,
                                uintptr_t ctx,
                                uint64_t size,
                                pan123_source **out,
                                pan123_error **err);

/**
 * Makes a source from a file on disk. Opens it; links are followed. It stays open as long as the source lives, but of
 * many files no more than 128 do: the others are opened again by their path when they are read, and have to be the same
 * ones then. `path` is the bytes that the system knows the file by; on Windows it is UTF-8.
 *
 * Returns `PAN123_OK`; `PAN123_E_SOURCE_IO` if there is no such file, if it is no regular file (a directory, a pipe, a
 * device) or may not be read; `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_source_free`. Thread: any. Blocking: as long as the file system
 * takes to open a file. Since 0.1.
 *
 * Requires: `path` is NULL or readable for `len` bytes, or up to its NUL if `len` is `PAN123_NUL`; `out` and `err` are NULL or
 * writable.
 */
PAN123_API
pan123_status pan123_source_from_path(const char *path,
                                      size_t len,
                                      pan123_source **out,
                                      pan123_error **err);

/**
 * Makes a source from bytes in memory, which are not copied: they must stay as they are until `release`.
 *
 * `release` [any thread] is called with `ctx` once nobody reads the bytes any more; NULL if you do not need to know,
 * because the bytes live longer than the source and everything that was given it.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL, or `data` is NULL and `len` is not 0.
 *
 * Ownership: takes `ctx` over, also when it fails. `*out` is yours; free it with `pan123_source_free`. Thread: any.
 * Blocking: no. Since 0.1.
 *
 * Requires: `data` is NULL or readable for `len` bytes until `release` is called; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_source_from_memory(const uint8_t *data,
                                        size_t len,
                                        void (*release)(uintptr_t ctx),
                                        uintptr_t ctx,
                                        pan123_source **out,
                                        pan123_error **err);

/**
 * Drops your reference to a source. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `s` is NULL or a live source, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API void pan123_source_free(pan123_source *s);

/**
 * A text field of an exchange; `field` is `PAN123_F_METHOD`, `PAN123_F_URL`, or once there is an answer,
 * `PAN123_F_ANSWER_BODY`.
 *
 * Returns the text with a NUL at its end, and puts its length into `len` (unless NULL); NULL and 0 if there is no such
 * field (yet).
 *
 * Ownership: the text lives as long as `x` is lent. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `len` is NULL or writable.
 */
PAN123_API
const char *pan123_http_str(const pan123_http *x,
                            uint32_t field,
                            size_t *len);

/**
 * An integer field of an exchange; `field` is `PAN123_F_BODY_LEN`, `PAN123_F_TIMEOUT_MS`, or once there is an answer,
 * `PAN123_F_HTTP_STATUS`.
 *
 * Returns the value, or `absent` if there is no such field (yet).
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment.
 */
PAN123_API
int64_t pan123_http_i64(const pan123_http *x,
                        uint32_t field,
                        int64_t absent);

/**
 * Lists the headers of the request (`of_answer` 0) or of the answer (1): gives number `i`, from 0. The headers
 * `Content-Length` and `Host` of the request are the transport's to make. One of the request's headers is the access
 * token: write it to no log.
 *
 * Returns the name and puts the value into `value` (unless NULL); NULL after the last one.
 *
 * Ownership: name and value live as long as `x` is lent. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `value` is NULL or writable.
 */
PAN123_API
const char *pan123_http_header(const pan123_http *x,
                               int32_t of_answer,
                               size_t i,
                               const char **value);

/**
 * Sets a header of the request (`of_answer` 0; counts when it is forwarded) or of the answer (1, after it was given); one of
 * the same name is replaced.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` for a name or value that cannot stand in a header, and for
 * `Content-Length`, `Transfer-Encoding` and `Host` of the request; `PAN123_E_WRONG_STATE` while there is no answer; `PAN123_E_FORKED`.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `name` and `value` are NULL or readable for as many bytes as is said, or up to
 * their NUL for `PAN123_NUL`.
 */
PAN123_API
pan123_status pan123_http_set_header(pan123_http *x,
                                     int32_t of_answer,
                                     const char *name,
                                     size_t name_len,
                                     const char *value,
                                     size_t value_len);

/**
 * Reads the request's body, at any offset and any number of times: fills `buf` with up to `len` bytes from `offset` on
 * and says in `*out_n` how many there were; fewer only at the body's end, where it is 0.
 *
 * It keeps the bandwidth cap by returning late, and tells the library that the exchange is alive.
 *
 * Returns `PAN123_OK`; `PAN123_E_CANCELLED` when the request was given up, upon which `send` should return soon;
 * `PAN123_E_SOURCE_IO` when the source cannot be read; `PAN123_E_INVALID_ARGUMENT`, also for an offset beyond the body's
 * end; `PAN123_E_FORKED`.
 *
 * Thread: any. Blocking: as long as the source takes. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `buf` is NULL or writable for `len` bytes; `out_n` and `err` are NULL or
 * writable.
 */
PAN123_API
pan123_status pan123_http_read_body(pan123_http *x,
                                    uint64_t offset,
                                    uint8_t *buf,
                                    size_t len,
                                    size_t *out_n,
                                    pan123_error **err);

/**
 * Sends the request through the transport below, and takes its answer, which may then be looked at and changed. May be
 * repeated.
 *
 * Returns `PAN123_OK` for an answer of any HTTP status; a code of the 200 band if there was none;
 * `PAN123_E_CANCELLED` when the request was given up; `PAN123_E_SHUTDOWN` when the client has ended meanwhile;
 * `PAN123_E_FORKED`.
 *
 * Thread: any. Blocking: until the answer is there. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_http_forward(pan123_http *x,
                                  pan123_error **err);

/**
 * As `pan123_http_forward`, and ends early when `stop` is fired: for a transport with a time limit of its own. The request
 * is not given up by that: it may be forwarded again, or answered. `stop` may be NULL.
 *
 * Returns as `pan123_http_forward`; `PAN123_E_CANCELLED` also when it was stopped.
 *
 * Thread: any. Blocking: until the answer is there, or up to 250 ms after `stop` is fired. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `stop` is NULL or a live stop object; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_http_forward_until(pan123_http *x,
                                        pan123_stop *stop,
                                        pan123_error **err);

/**
 * Answers the request with `http_status` and `body`, which is copied; headers are set afterwards with
 * `pan123_http_set_header`. A second answer replaces the first.
 * What was lent of the first stays until `send` returns, and takes its memory.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` for a status outside 100 to 599, and for a body of more than 1 MiB;
 * `PAN123_E_FORKED`.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `x` is NULL or lent at the moment; `body` is NULL or readable for `len` bytes.
 */
PAN123_API
pan123_status pan123_http_answer(pan123_http *x,
                                 int32_t http_status,
                                 const uint8_t *body,
                                 size_t len);

/**
 * Makes a transport from functions of yours, over `inner`. `inner` NULL: over the built-in transport.
 *
 * The one made last is outermost: it sees a request first and its answer last.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, its `send` or `out` is NULL; `PAN123_E_ABI` for a
 * `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
 *
 * Ownership: takes `ctx` over, also when it fails. Keeps a reference to `inner`; yours stays yours. `*out` is yours;
 * free it with `pan123_transport_free`. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `inner` is NULL or a live transport; `vt` is NULL or a vtable as long as it says, whose functions may be called with
 * `ctx` from any thread until `release`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_transport_new(pan123_transport *inner,
                                   const pan123_transport_vtable *vt,
                                   uintptr_t ctx,
                                   pan123_transport **out,
                                   pan123_error **err);

/**
 * Drops your reference to a transport. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `t` is NULL or a live transport, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API void pan123_transport_free(pan123_transport *t);

/**
 * Makes a token provider from a function of yours.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, its `get` or `out` is NULL; `PAN123_E_ABI` for a
 * `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
 *
 * Ownership: takes `ctx` over, also when it fails. `*out` is yours; free it with `pan123_tokens_free`. Thread: any.
 * Blocking: no. Since 0.1.
 *
 * Requires: `vt` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
 * `release`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_tokens_new(const pan123_tokens_vtable *vt,
                                uintptr_t ctx,
                                pan123_tokens **out,
                                pan123_error **err);

/**
 * Drops your reference to a token provider. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `t` is NULL or a live token provider, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API void pan123_tokens_free(pan123_tokens *t);

/**
 * Makes a resume store from functions of yours.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, one of its members or `out` is NULL; `PAN123_E_ABI` for a
 * `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
 *
 * Ownership: takes `ctx` over, also when it fails. `*out` is yours; free it with `pan123_store_free`. Thread: any.
 * Blocking: no. Since 0.1.
 *
 * Requires: `vt` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
 * `release`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_store_new(const pan123_store_vtable *vt,
                               uintptr_t ctx,
                               pan123_store **out,
                               pan123_error **err);

/**
 * Drops your reference to a resume store. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `s` is NULL or a live resume store, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API void pan123_store_free(pan123_store *s);

/**
 * Makes a queue. `push` NULL: events are pulled with `pan123_queue_next`, and `ctx` means nothing.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL or the vtable lacks `on_event`; `PAN123_E_ABI`
 * for a `struct_size` that cannot be; `PAN123_E_NOT_SUPPORTED` if the system has no handle for it, `PAN123_E_INTERNAL` if
 * it gives none, as with too many open files.
 *
 * Ownership: takes `ctx` over if there is a vtable, also when it fails. `*out` is yours; free it with
 * `pan123_queue_free`. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `push` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
 * `release`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_queue_new(const pan123_observer_vtable *push,
                               uintptr_t ctx,
                               pan123_queue **out,
                               pan123_error **err);

/**
 * Takes the next event, and waits for it for at most `timeout_ms` milliseconds: negative for ever, 0 not at all.
 *
 * `ev->struct_size` says what the caller's record has room for; set it once to `sizeof *ev`.
 *
 * Returns `PAN123_OK`; `PAN123_E_TIMEOUT` if no event came; `PAN123_E_WRONG_STATE` if another thread is waiting, or the
 * queue pushes; `PAN123_E_WOULD_DEADLOCK` in a callback; `PAN123_E_INVALID_ARGUMENT`, `PAN123_E_ABI`.
 *
 * Ownership: `ev->text` lives until the next call. Thread: any, one at a time. Blocking: as long as `timeout_ms` says.
 * Since 0.1.
 *
 * ```c
 * pan123_event ev = { .struct_size = sizeof ev };
 * while (pan123_queue_next(q, -1, &ev) == PAN123_OK && ev.kind < PAN123_EV_COMPLETED)
 *     if (ev.kind == PAN123_EV_PROGRESS) printf("%llu bytes\n", (unsigned long long)ev.bytes_done);
 * ```
 *
 * Requires: `q` is NULL or a live queue; `ev` is NULL or writable for as many bytes as its `struct_size` says.
 */
PAN123_API
pan123_status pan123_queue_next(pan123_queue *q,
                                int64_t timeout_ms,
                                pan123_event *ev);

/**
 * A handle of the operating system that is readable (level triggered) as long as an event waits: a file descriptor for
 * `poll`, `epoll`, `kqueue` or an event loop. Do not read from it, and do not close it.
 *
 * Returns `PAN123_OK`; `PAN123_E_WRONG_STATE` if the queue pushes; `PAN123_E_NOT_SUPPORTED` where there is no such
 * handle; `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: the handle lives as long as the queue. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `q` is NULL or a live queue; `os_handle` is NULL or writable.
 */
PAN123_API
pan123_status pan123_queue_handle(pan123_queue *q,
                                  int64_t *os_handle);

/**
 * Drops your reference to a queue. Clients keep theirs until they are gone; a queue that pushes goes on until then,
 * and one that is pulled can be asked no more. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `q` is NULL or a live queue, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API
void pan123_queue_free(pan123_queue *q);

/**
 * Makes an empty set of options.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL.
 *
 * Ownership: `*out` is yours; free it with `pan123_options_free`. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `out` and `err` are NULL or writable.
 */
PAN123_API pan123_status pan123_options_new(pan123_options **out, pan123_error **err);

/**
 * Sets `option`, which is one that takes a text, to `s`, which is copied. Setting it again replaces it.
 *
 * Returns `PAN123_OK`; `PAN123_E_UNKNOWN_NUMBER` for an option that this version does not know;
 * `PAN123_E_INVALID_ARGUMENT` for text that is not UTF-8 or has a NUL inside, for an empty path, address or key, for a
 * user agent that is not visible ASCII, and for an option that takes a number.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * ```c
 * pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, NULL);
 * ```
 *
 * Requires: `o` is NULL or a live options object; `s` is NULL or readable for `len` bytes, or up to its NUL if `len` is
 * `PAN123_NUL`; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_options_set_str(pan123_options *o,
                                     uint32_t option,
                                     const char *s,
                                     size_t len,
                                     pan123_error **err);

/**
 * Sets `option`, which is one that takes a number, to `v`. Setting it again replaces it.
 *
 * Returns `PAN123_OK`; `PAN123_E_UNKNOWN_NUMBER` for an option that this version does not know;
 * `PAN123_E_INVALID_ARGUMENT` for a number out of the option's range, and for an option that takes a text.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `o` is NULL or a live options object; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_options_set_u64(pan123_options *o,
                                     uint32_t option,
                                     uint64_t v,
                                     pan123_error **err);

/**
 * Loads a plugin, and adds what it brings to the options of a client. See `pan123_plugin`.
 *
 * `path` is absolute: a plugin is code in your process, and is never searched for. `config` is handed to it as it is,
 * and may be NULL. The transport of the plugin that was added first is outermost; all are outside the transport given
 * to `pan123_client_new`. Tokens and store given to `pan123_client_new` win over a plugin's, and of several plugins the
 * one added first. A plugin is never unloaded.
 *
 * Returns `PAN123_OK`; `PAN123_E_PLUGIN` if the file cannot be loaded, is no plugin, or its `open` failed;
 * `PAN123_E_ABI` if it was made for another version of the interface; `PAN123_E_INVALID_ARGUMENT`.
 *
 * Thread: any. Blocking: as long as the plugin takes to open. Since 0.1.
 *
 * Requires: `o` is NULL or a live options object; `path` and `config` are NULL or readable for as many bytes as is said, or up to
 * their NUL for `PAN123_NUL`; `err` is NULL or writable. The plugin keeps to this interface.
 */
PAN123_API
pan123_status pan123_options_add_plugin(pan123_options *o,
                                        const char *path,
                                        size_t len,
                                        const char *config,
                                        size_t config_len,
                                        pan123_error **err);

/**
 * Frees a set of options. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `o` is NULL or a live options object, which is gone afterwards.
 */
PAN123_API void pan123_options_free(pan123_options *o);

/**
 * Makes a client. Sends nothing yet. Any of `o`, `t`, `x`, `s`, `q` may be NULL: default options, tokens as the options
 * say, the built-in transport, no store but `PAN123_OPT_STATE_DIR`, no events.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` for options that cannot be used, for options that are meant for an
 * upload, and if there is nothing to get an access token from; `PAN123_E_LOGIN` for a token that cannot be one;
 * `PAN123_E_INTERNAL` if the system gives no threads.
 *
 * Ownership: keeps references to what it is given; yours stay yours. `*out` is yours; free it with
 * `pan123_client_free`. Thread: any. Blocking: as long as it takes to
 * read the system's certificates and to make threads, named `pan123-io`: as many as there are processors, 2 to 4. More
 * come and go with callbacks that run, uploads and reads of files that take long; descriptors are 3 and one for each connection.
 * Since 0.1.
 *
 * Requires: Each handle is NULL or live; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_client_new(const pan123_options *o,
                                pan123_tokens *t,
                                pan123_transport *x,
                                pan123_store *s,
                                pan123_queue *q,
                                pan123_client **out,
                                pan123_error **err);

/**
 * Adds a reference to a client, for another owner; each is dropped with `pan123_client_free`.
 *
 * Returns `c`; NULL if it is NULL or was made before a fork.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `c` is NULL or a live client.
 */
PAN123_API pan123_client *pan123_client_retain(pan123_client *c);

/**
 * Ends a client: begins nothing new, waits for what is under way, and joins the client's threads. With `cancel` not 0
 * it cancels what is under way first. Waits for at most `timeout_ms` milliseconds: negative for ever, 0 not at all.
 *
 * Afterwards the client, and what was made with it, answers `PAN123_E_SHUTDOWN`; outcomes of uploads can still be asked
 * for. Not needed before `pan123_client_free`, unless you want to know that no thread of the client runs any more.
 *
 * Returns `PAN123_OK`, also the second time; `PAN123_E_TIMEOUT` if it takes longer, for example because a callback does
 * not return: the client begins nothing new all the same and goes on ending, so call it again; `PAN123_E_WOULD_DEADLOCK` in a callback.
 *
 * Thread: any. Blocking: as long as `timeout_ms` says. Since 0.1.
 *
 * Requires: `c` is NULL or a live client; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_client_shutdown(pan123_client *c,
                                     int32_t cancel,
                                     int64_t timeout_ms,
                                     pan123_error **err);

/**
 * Drops your reference to a client. Uploads that run go on to their end; then the client's threads end by themselves.
 * NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `c` is NULL or a live client, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API
void pan123_client_free(pan123_client *c);

/**
 * Computes the etag (MD5 of the whole) and the MD5 of each slice of `n` sources, reading each byte once. With
 * `PAN123_HASH_SHA1` in `flags`, SHA-1 as well.
 *
 * `slice_size` is what `pan123_api_create` answered; 0 means 16 MiB, which is what the service has always answered. A
 * source may have at most 1048576 slices, as in an upload.
 * `out` has `n` places. They get results with `PAN123_F_ETAG`, `PAN123_F_SLICE_MD5`, `PAN123_F_SLICE_COUNT`,
 * `PAN123_F_SLICE_SIZE`, `PAN123_F_SIZE` and perhaps `PAN123_F_SHA1`; where a source fails, NULL.
 *
 * Many files and pieces of memory of up to 1 MiB are best given in one call: they are hashed side by side on the CPU's
 * vectors. Larger ones, and sources of your own, come one after the other.
 *
 * Returns `PAN123_OK`; the code of the first source that failed, and its error in `*err`: `PAN123_E_SOURCE_IO`,
 * `PAN123_E_SOURCE_CHANGED`, the code of a callback that failed, `PAN123_E_SOURCE_STALLED` for one that takes more than
 * 30 s; `PAN123_E_CANCELLED`
 * when `stop` is fired, and the places that were not reached are NULL; `PAN123_E_UNKNOWN_NUMBER` for unknown flags;
 * `PAN123_E_INTERNAL` when the system gives no thread for a callback; `PAN123_E_WOULD_DEADLOCK` in a callback;
 * `PAN123_E_INVALID_ARGUMENT`, also for a `slice_size` that makes too many
 * slices: nothing is hashed then.
 *
 * Ownership: the results are yours, also when it fails; free each with `pan123_result_free`. `stop` may be NULL.
 * Thread: any. Blocking: as long as reading and hashing take. Since 0.1.
 *
 * ```c
 * pan123_result *digests = NULL;
 * if (pan123_hash(&source, 1, 0, 0, NULL, &digests, &err) == PAN123_OK)
 *     puts(pan123_result_str(digests, PAN123_F_ETAG, 0, NULL));
 * pan123_result_free(digests);
 * ```
 *
 * Requires: `s` is NULL or an array of `n` pointers, each NULL or a live source; `out` is NULL or an array of `n` writable places;
 * `stop` is NULL or a live stop object; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_hash(pan123_source *const *s,
                          size_t n,
                          uint64_t slice_size,
                          uint32_t flags,
                          pan123_stop *stop,
                          pan123_result **out,
                          pan123_error **err);

/**
 * Gets the access token that requests are made with, from wherever the client has it.
 *
 * Puts a result with `PAN123_F_TOKEN` and, if it is known, `PAN123_F_EXPIRES_UNIX_MS` into `*out`.
 *
 * Returns `PAN123_OK`; `PAN123_E_LOGIN` and codes of the 200 and 300 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
 * `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. `stop` may be NULL. Thread: any. Blocking: as long as
 * it takes. Since 0.1.
 *
 * Requires: `c` is NULL or a live client, `stop` NULL or a live stop object; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_api_token(pan123_client *c,
                               pan123_stop *stop,
                               pan123_result **out,
                               pan123_error **err);

/**
 * Asks for upload hosts (`domain`).
 *
 * Puts a result with `PAN123_F_SERVER` and `PAN123_F_SERVER_COUNT` into `*out`.
 *
 * Returns `PAN123_OK`; codes of the 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
 * `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. `stop` may be NULL. Thread: any. Blocking: until the
 * answer is there. Since 0.1.
 *
 * Requires: As `pan123_api_token`.
 */
PAN123_API
pan123_status pan123_api_domain(pan123_client *c,
                                pan123_stop *stop,
                                pan123_result **out,
                                pan123_error **err);

/**
 * Announces a file of `size` bytes (`create`). `etag` is the MD5 of the whole in hex; of `o`, `PAN123_OPT_DUPLICATE` and
 * `PAN123_OPT_CONTAIN_DIR` count. `parent_id` 0 is the root.
 *
 * Puts a result into `*out`. If `PAN123_F_REUSED` is 1 the service had the bytes: `PAN123_F_FILE_ID` is there, and all is
 * done. Else send each slice with `pan123_api_slice`, then `pan123_api_complete`; the result has
 * `PAN123_F_PREUPLOAD_ID`, `PAN123_F_SLICE_SIZE`, `PAN123_F_SLICE_COUNT`, `PAN123_F_SERVER` and
 * `PAN123_F_SERVER_COUNT`.
 *
 * Returns `PAN123_OK`; `PAN123_E_REFUSED`, `PAN123_E_NAME` and other codes of the 200, 300 and 400 bands;
 * `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`, `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. `o` and `stop` may be NULL. Thread: any. Blocking:
 * until the answer is there. One request, not repeated; `PAN123_F_RETRYABLE` and `PAN123_F_RETRY_AFTER_MS` of the error
 * say whether to. Since 0.1.
 *
 * Requires: `c` is NULL or a live client, `o` NULL or live options, `stop` NULL or a live stop object; `name` and `etag` are NULL
 * or readable for as many bytes as is said, or up to their NUL for `PAN123_NUL`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_api_create(pan123_client *c,
                                int64_t parent_id,
                                const char *name,
                                size_t name_len,
                                const char *etag,
                                size_t etag_len,
                                uint64_t size,
                                const pan123_options *o,
                                pan123_stop *stop,
                                pan123_result **out,
                                pan123_error **err);

/**
 * Sends one slice from memory. `server` and `preupload_id` are from `pan123_api_create`; `slice_no` counts from 1;
 * `md5` is the MD5 of these bytes in hex, or NULL to have it computed.
 *
 * `len` is `PAN123_F_SLICE_SIZE`, and less for the last slice: the library takes anything from 1 byte on and leaves the
 * rest to the service. A slice that the service has already is no error.
 *
 * Returns `PAN123_OK`; codes of the 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
 * `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `data` is not copied, and nobody reads it once this has returned. `stop` may be NULL. Thread: any; send
 * several slices from several threads. Blocking: until the answer is there. One request, not repeated. Since 0.1.
 *
 * Requires: `c` is NULL or a live client, `stop` NULL or a live stop object; each text is NULL or readable for as many bytes as is
 * said, or up to its NUL for `PAN123_NUL`; `data` is NULL or readable for `len` bytes; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_api_slice(pan123_client *c,
                               const char *server,
                               size_t server_len,
                               const char *preupload_id,
                               size_t id_len,
                               uint32_t slice_no,
                               const char *md5,
                               size_t md5_len,
                               const uint8_t *data,
                               size_t len,
                               pan123_stop *stop,
                               pan123_error **err);

/**
 * Sends one slice from a source: `len` bytes from `offset` on. Otherwise as `pan123_api_slice`.
 *
 * Returns as `pan123_api_slice`; also `PAN123_E_SOURCE_IO`, `PAN123_E_SOURCE_CHANGED`, `PAN123_E_SOURCE_STALLED`.
 *
 * Ownership: keeps a reference to `s` while it runs. `stop` may be NULL. Thread: any. Blocking: until the answer is
 * there. One request, not repeated. Since 0.1.
 *
 * Requires: As `pan123_api_slice`; `s` is NULL or a live source.
 */
PAN123_API
pan123_status pan123_api_slice_from(pan123_client *c,
                                    const char *server,
                                    size_t server_len,
                                    const char *preupload_id,
                                    size_t id_len,
                                    uint32_t slice_no,
                                    const char *md5,
                                    size_t md5_len,
                                    pan123_source *s,
                                    uint64_t offset,
                                    uint64_t len,
                                    pan123_stop *stop,
                                    pan123_error **err);

/**
 * Asks the service to put the slices together and to check them (`upload_complete`).
 *
 * Puts a result into `*out`: `PAN123_F_COMPLETED` 1 and `PAN123_F_FILE_ID`, or `PAN123_F_COMPLETED` 0 while the service is
 * still at it: ask again in a second.
 *
 * Returns `PAN123_OK`; `PAN123_E_VERIFY_FAILED` if the service holds other bytes than were announced; other codes of the
 * 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`, `PAN123_E_WOULD_DEADLOCK`,
 * `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. `stop` may be NULL. Thread: any. Blocking: until the
 * answer is there. Since 0.1.
 *
 * Requires: `c` is NULL or a live client, `stop` NULL or a live stop object; `preupload_id` is NULL or readable for `id_len`
 * bytes, or up to its NUL for `PAN123_NUL`; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_api_complete(pan123_client *c,
                                  const char *preupload_id,
                                  size_t id_len,
                                  pan123_stop *stop,
                                  pan123_result **out,
                                  pan123_error **err);

/**
 * Sends a whole file of 1 to 1000000000 bytes in one request (`single/create`), without `create` and slices. `server` is from
 * `pan123_api_domain`; `etag` is the MD5 of the whole in hex; of `o`, `PAN123_OPT_DUPLICATE` and
 * `PAN123_OPT_CONTAIN_DIR` count.
 *
 * Puts a result into `*out`: `PAN123_F_COMPLETED` 1 and `PAN123_F_FILE_ID`, or `PAN123_F_COMPLETED` 0 if the service has
 * not stored the file yet.
 *
 * Returns `PAN123_OK`; codes of the 100, 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
 * `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. Keeps a reference to `s` while it runs. `o` and `stop`
 * may be NULL. Thread: any. Blocking: until the answer is there. One request, not repeated. Since 0.1.
 *
 * Requires: As `pan123_api_create`; `s` is NULL or a live source.
 */
PAN123_API
pan123_status pan123_api_single(pan123_client *c,
                                const char *server,
                                size_t server_len,
                                int64_t parent_id,
                                const char *name,
                                size_t name_len,
                                const char *etag,
                                size_t etag_len,
                                pan123_source *s,
                                const pan123_options *o,
                                pan123_stop *stop,
                                pan123_result **out,
                                pan123_error **err);

/**
 * Makes an upload of `s` to the folder `parent_id` (0 is the root) under `name`. Starts nothing, and calls nothing back.
 * `user` comes back in each event. Of `o`, `PAN123_OPT_DUPLICATE`, `PAN123_OPT_CONTAIN_DIR` and `PAN123_OPT_RESUME_KEY`
 * count.
 *
 * A source of up to 16 MiB, which is one slice, may go out whole in one request (`single/create`): when it would have to
 * wait longer for its turn to `create`, once a second, than to send its bytes, as when many small files go one after the
 * other. Then there is no `PAN123_EV_SLICE`, and the slice figures of progress and result are 0, as they are if the
 * service had the bytes. If that request fails the upload goes on with `create` and slices.
 *
 * Returns `PAN123_OK`; `PAN123_E_NAME` for a name that the service would refuse; `PAN123_E_INVALID_ARGUMENT` for an empty
 * source, one larger than the service takes, and for options that are meant for a client; `PAN123_E_SHUTDOWN`.
 *
 * Ownership: keeps references to `c` and `s`; yours stay yours. `*out` is yours; free it with `pan123_upload_free`.
 * Thread: any. Blocking: no. Since 0.1.
 *
 * ```c
 * pan123_upload *u = NULL;
 * pan123_result *r = NULL;
 * if (pan123_upload_new(c, s, 0, "film.mkv", PAN123_NUL, NULL, 0, &u, &err) == PAN123_OK
 *     && pan123_upload_start(u, &err) == PAN123_OK
 *     && pan123_upload_wait(u, -1, &r, &err) == PAN123_OK)
 *     printf("file id %lld\n", (long long)pan123_result_i64(r, PAN123_F_FILE_ID, 0));
 * ```
 *
 * Requires: `c`, `s` and `o` are NULL or live; `name` is NULL or readable for `name_len` bytes, or up to its NUL for `PAN123_NUL`;
 * `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_upload_new(pan123_client *c,
                                pan123_source *s,
                                int64_t parent_id,
                                const char *name,
                                size_t name_len,
                                const pan123_options *o,
                                uint64_t user,
                                pan123_upload **out,
                                pan123_error **err);

/**
 * Makes an upload that goes on where another one stopped, perhaps in another process: `state` is `PAN123_F_STATE` of
 * `pan123_upload_export`, and says where the file goes. `s` must be the same source in the same state; if it is not, the
 * upload starts over, and says so in an event. Of `o`, `PAN123_OPT_RESUME_KEY` counts.
 *
 * Returns as `pan123_upload_new`; `PAN123_E_INVALID_ARGUMENT` for a state that cannot be read or belongs to another
 * service; `PAN123_E_SOURCE_CHANGED` if the source has another size.
 *
 * Ownership, thread, blocking: as `pan123_upload_new`; `state` is copied. Since 0.1.
 *
 * Requires: As `pan123_upload_new`; `state` is NULL or readable for `len` bytes.
 */
PAN123_API
pan123_status pan123_upload_import(pan123_client *c,
                                   pan123_source *s,
                                   const uint8_t *state,
                                   size_t len,
                                   const pan123_options *o,
                                   uint64_t user,
                                   pan123_upload **out,
                                   pan123_error **err);

/**
 * Starts an upload. One that was paused goes on where it was.
 *
 * Each upload that is started has exactly one last event, `PAN123_EV_COMPLETED`, `PAN123_EV_FAILED`,
 * `PAN123_EV_CANCELLED` or `PAN123_EV_PAUSED`, and none after it until it is started again.
 *
 * Returns `PAN123_OK`; `PAN123_E_WRONG_STATE` if it runs or is over; `PAN123_E_CANCELLED` if it was cancelled;
 * `PAN123_E_SHUTDOWN`; `PAN123_E_INVALID_ARGUMENT`.
 *
 * Thread: any, also inside a callback. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload; `err` is NULL or writable.
 */
PAN123_API
pan123_status pan123_upload_start(pan123_upload *u,
                                  pan123_error **err);

/**
 * Cancels an upload. It ends within 250 ms, also if a callback never returns, and is resumed by a new upload of the same
 * source to the same place, if there is a store. May be called at any time and any number of times; before the start it
 * prevents it, one that is paused counts as cancelled from then on, without another event, and after the end it does
 * nothing. NULL is fine.
 *
 * Thread: any, also inside a callback. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload.
 */
PAN123_API
void pan123_upload_cancel(pan123_upload *u);

/**
 * Pauses an upload that runs: as `pan123_upload_cancel`, but `pan123_upload_start` goes on where it was. Does nothing to
 * one that does not run, or that is being cancelled. NULL is fine.
 *
 * Thread: any, also inside a callback. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload.
 */
PAN123_API
void pan123_upload_pause(pan123_upload *u);

/**
 * Waits until an upload is over, for at most `timeout_ms` milliseconds: negative for ever, 0 not at all. May be called
 * often, and by several threads.
 *
 * Puts a result with `PAN123_F_FILE_ID`, `PAN123_F_ETAG`, `PAN123_F_SIZE`, `PAN123_F_SLICE_COUNT`, `PAN123_F_REUSED`,
 * `PAN123_F_BYTES_SENT` and `PAN123_F_ELAPSED_MS` into `*out`.
 *
 * Returns `PAN123_OK`; why the upload failed, `PAN123_E_CANCELLED` or `PAN123_E_PAUSED`; `PAN123_E_TIMEOUT` if it is still
 * running; `PAN123_E_WRONG_STATE` if it was neither started nor cancelled; `PAN123_E_WOULD_DEADLOCK` in a callback;
 * `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. Thread: any. Blocking: as long as `timeout_ms` says.
 * Since 0.1.
 *
 * Requires: `u` is NULL or a live upload; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_upload_wait(pan123_upload *u,
                                 int64_t timeout_ms,
                                 pan123_result **out,
                                 pan123_error **err);

/**
 * Says how far an upload is. `out->struct_size` says what the caller's record has room for.
 *
 * Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT`; `PAN123_E_ABI` for a `struct_size` that cannot be.
 *
 * Thread: any, also inside a callback. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload; `out` is NULL or writable for as many bytes as its `struct_size` says.
 */
PAN123_API pan123_status pan123_upload_progress(const pan123_upload *u, pan123_progress *out);

/**
 * Takes the state of an upload, at any time, for `pan123_upload_import`. It holds no secrets.
 *
 * Puts a result with `PAN123_F_STATE` into `*out`.
 *
 * Returns `PAN123_OK`; `PAN123_E_WRONG_STATE` if there is nothing yet to go on from, or nothing any more;
 * `PAN123_E_INVALID_ARGUMENT`.
 *
 * Ownership: `*out` is yours; free it with `pan123_result_free`. Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload; `out` and `err` are NULL or writable.
 */
PAN123_API
pan123_status pan123_upload_export(const pan123_upload *u,
                                   pan123_result **out,
                                   pan123_error **err);

/**
 * Adds a reference to an upload, for another owner; each is dropped with `pan123_upload_free`.
 *
 * Returns `u`; NULL if it is NULL or was made before a fork.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload.
 */
PAN123_API pan123_upload *pan123_upload_retain(pan123_upload *u);

/**
 * Drops your reference to an upload. One that runs goes on to its end. NULL is fine.
 *
 * Thread: any. Blocking: no. Since 0.1.
 *
 * Requires: `u` is NULL or a live upload, which is gone afterwards as far as the caller is concerned.
 */
PAN123_API void pan123_upload_free(pan123_upload *u);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PAN123_H */
