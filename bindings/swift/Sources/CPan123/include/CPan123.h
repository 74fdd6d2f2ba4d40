/**
 * @file CPan123.h
 * The functions of libpan123 as a table that is filled when the library is loaded.
 *
 * The types of the members come from pan123.h, so that no signature is written down twice.
 */

#ifndef CPAN123_H
#define CPAN123_H

#include "pan123.h"

#define CPAN123_FUNCTIONS(X) \
    X(abi_check) X(version) X(build_info) X(status_name) X(constant_at) \
    X(error_new) X(error_i64) X(error_str) X(error_free) \
    X(result_i64) X(result_str) X(result_free) \
    X(options_new) X(options_set_str) X(options_set_u64) X(options_free) \
    X(stop_new) X(stop_fire) X(stop_free) X(sink_put) \
    X(source_new) X(source_from_path) X(source_from_memory) X(source_free) \
    X(transport_new) X(transport_free) \
    X(http_str) X(http_i64) X(http_header) X(http_set_header) X(http_read_body) X(http_forward_until) X(http_answer) \
    X(tokens_new) X(tokens_free) X(store_new) X(store_free) X(queue_new) X(queue_free) \
    X(client_new) X(client_shutdown) X(client_free) \
    X(hash) X(api_token) X(api_domain) X(api_create) X(api_slice) X(api_slice_from) X(api_complete) X(api_single) \
    X(upload_new) X(upload_import) X(upload_start) X(upload_cancel) X(upload_pause) X(upload_wait) \
    X(upload_progress) X(upload_export) X(upload_free)

/** The functions of libpan123, without the `pan123_` before their names. */
typedef struct cpan123_functions {
#define CPAN123_MEMBER(name) __typeof__(&pan123_##name) name;
    CPAN123_FUNCTIONS(CPAN123_MEMBER)
#undef CPAN123_MEMBER
} cpan123_functions;

/**
 * Fills `functions` from the library at `path`; with `path` NULL, from what the program is linked with.
 *
 * Returns 0. Otherwise puts the reason into `reason`, which has room for `room` bytes, and returns 1 if it cannot be
 * loaded, 2 if it is libpan123 and lacks a function, 3 if it is not libpan123. A library that was loaded stays loaded.
 */
int cpan123_load(const char *path, cpan123_functions *functions, char *reason, size_t room);

/** Names the calling thread, for debuggers: at most 15 bytes. */
void cpan123_name_thread(const char *name);

#endif
