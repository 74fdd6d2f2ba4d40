/* The interface as its manual has it: every function does what it says, and says why when it does not. */
#include "test.h"

static void constants(void)
{
    int64_t value = -1;
    size_t count = 0;
    CHECK(pan123_abi_check(PAN123_ABI_VERSION) == PAN123_OK);
    CHECK(pan123_abi_check(PAN123_ABI_VERSION + 0x00010000u) == PAN123_E_ABI);
    CHECK(pan123_abi_check(PAN123_ABI_VERSION + 1) == PAN123_E_ABI);
    CHECK(!strncmp(pan123_version(), "0.1.", 4));
    CHECK(strstr(pan123_build_info(), "\"abi\":\"0.1\""));
    while (pan123_constant_at(count, &value)) count++;
    CHECK(count > 90);
    CHECK(!strcmp(pan123_constant_at(0, &value), "PAN123_OK") && value == 0);
    CHECK(!strcmp(pan123_status_name(PAN123_E_FORKED), "PAN123_E_FORKED"));
    CHECK(!strcmp(pan123_status_name(12345), "PAN123_E_UNKNOWN"));
}

static void errors(void)
{
    size_t len = 99;
    pan123_error *e = pan123_error_new(PAN123_E_LOGIN, "locked\xff!", 8);
    CHECK(pan123_error_code(e) == PAN123_E_LOGIN);
    CHECK(!strncmp(pan123_error_str(e, PAN123_F_MESSAGE, &len), "locked", 6) && len == 10);
    CHECK(strstr(pan123_error_str(e, PAN123_F_JSON, NULL), "\"code\":400"));
    CHECK(!pan123_error_str(e, PAN123_F_TRACE_ID, &len) && len == 0);
    CHECK(pan123_error_i64(e, PAN123_F_HTTP_STATUS, -7) == -7);
    pan123_error_free(e);
    e = pan123_error_new(-3, NULL, 0);
    CHECK(pan123_error_code(e) == PAN123_E_CALLBACK);
    pan123_error_free(e);
    CHECK(pan123_error_code(NULL) == PAN123_OK);
}

static void options(void)
{
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    CHECK_STATUS(PAN123_E_UNKNOWN_NUMBER, pan123_options_set_u64(o, 777, 1, &err));
    CHECK_STATUS(PAN123_E_UNKNOWN_NUMBER, pan123_options_set_str(o, 777, "x", 1, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_u64(o, PAN123_OPT_BASE_URL, 1, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_VIP_RATES, "1", 1, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_u64(o, PAN123_OPT_SLICES_IN_FLIGHT, 65, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_USER_AGENT, "\xff", 1, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_USER_AGENT, "a\0b", 3, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_USER_AGENT, "a\r\nX-B: c", PAN123_NUL, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_BASE_URL, "", 0, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_STATE_DIR, "", 0, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_TOKEN_CACHE, "", 0, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_set_str(o, PAN123_OPT_RESUME_KEY, "", 0, &err));
    {
        pan123_source *s = NULL;
        char fifo[] = "/tmp/pan123-fifo-XXXXXX";
        CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_source_from_path("/etc/passwd\0x", 13, &s, &err));
        CHECK(mkdtemp(fifo));
        {
            char path[sizeof fifo + 8];
            snprintf(path, sizeof path, "%s/p.so", fifo);
            CHECK(mkfifo(path, 0600) == 0);
            CHECK_STATUS(PAN123_E_PLUGIN, pan123_options_add_plugin(o, path, PAN123_NUL, NULL, 0, &err));
            CHECK(unlink(path) == 0 && rmdir(fifo) == 0);
        }
    }
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_DUPLICATE, 1, &err));
    /* An option that nobody would look at is a mistake. */
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    CHECK(!c);
    pan123_options_free(o);
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_client_new(NULL, NULL, NULL, NULL, NULL, &c, &err));
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, "t", 1, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, "ftp://x", PAN123_NUL, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    pan123_options_free(o);
}

static int released;
static void count_release(uintptr_t ctx) { released += (int)ctx; }

static void hashing(void)
{
    pan123_source *s[3] = { NULL };
    pan123_result *r[3] = { NULL };
    const char *json;
    CHECK_OK(pan123_source_from_memory((const uint8_t *)"abc", 3, count_release, 1, &s[0], &err));
    CHECK_OK(pan123_source_from_memory(NULL, 0, NULL, 0, &s[1], &err));
    CHECK_OK(pan123_source_from_memory((const uint8_t *)"abcdefg", 7, NULL, 0, &s[2], &err));
    CHECK_OK(pan123_hash(s, 3, 4, PAN123_HASH_SHA1, NULL, r, &err));
    CHECK(!strcmp(pan123_result_str(r[0], PAN123_F_ETAG, 0, NULL), "900150983cd24fb0d6963f7d28e17f72"));
    CHECK(!strcmp(pan123_result_str(r[0], PAN123_F_SHA1, 0, NULL), "a9993e364706816aba3e25717850c26c9cd0d89d"));
    CHECK(!strcmp(pan123_result_str(r[1], PAN123_F_ETAG, 0, NULL), "d41d8cd98f00b204e9800998ecf8427e"));
    CHECK(pan123_result_i64(r[2], PAN123_F_SLICE_COUNT, 0) == 2);
    /* MD5 of "efg". */
    CHECK(!strcmp(pan123_result_str(r[2], PAN123_F_SLICE_MD5, 1, NULL), "7d09898e18511cf7c0c1815d07728d23"));
    CHECK(!pan123_result_str(r[2], PAN123_F_SLICE_MD5, 2, NULL));
    json = pan123_result_str(r[2], PAN123_F_JSON, 0, NULL);
    CHECK(json && strstr(json, "\"slice_size\":4"));
    for (int i = 0; i < 3; i++) {
        pan123_result_free(r[i]);
        pan123_source_free(s[i]);
    }
    CHECK(released == 1);
    CHECK_STATUS(PAN123_E_UNKNOWN_NUMBER, pan123_hash(NULL, 0, 0, 8, NULL, NULL, &err));
    CHECK_STATUS(PAN123_E_SOURCE_IO, pan123_source_from_path("/", PAN123_NUL, &s[0], &err));
    /* Taken over, also when it fails. */
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_source_from_memory(NULL, 5, count_release, 1, &s[0], &err));
    CHECK(released == 2);
}

/* The service's operations, driven by hand. */
static void by_hand(pan123_client *c)
{
    const size_t len = 20000000;
    uint8_t *bytes = make_bytes(len, 1);
    pan123_source *s = memory_source(bytes, len);
    pan123_result *digests = NULL, *made = NULL, *done = NULL, *token = NULL, *hosts = NULL;
    const char *id, *server;
    int64_t slice_size, count;
    CHECK_OK(pan123_api_token(c, NULL, &token, &err));
    CHECK(!strcmp(pan123_result_str(token, PAN123_F_TOKEN, 0, NULL), getenv("PAN123_ACCESS_TOKEN")));
    CHECK(!strstr(pan123_result_str(token, PAN123_F_JSON, 0, NULL), getenv("PAN123_ACCESS_TOKEN")));
    CHECK_OK(pan123_api_domain(c, NULL, &hosts, &err));
    CHECK(pan123_result_i64(hosts, PAN123_F_SERVER_COUNT, 0) >= 1);
    CHECK_OK(pan123_hash(&s, 1, 0, 0, NULL, &digests, &err));
    CHECK_OK(pan123_api_create(c, 0, "by hand", PAN123_NUL, pan123_result_str(digests, PAN123_F_ETAG, 0, NULL),
                               PAN123_NUL, len, NULL, NULL, &made, &err));
    CHECK(pan123_result_i64(made, PAN123_F_REUSED, -1) == 0);
    id = pan123_result_str(made, PAN123_F_PREUPLOAD_ID, 0, NULL);
    server = pan123_result_str(made, PAN123_F_SERVER, 0, NULL);
    slice_size = pan123_result_i64(made, PAN123_F_SLICE_SIZE, 0);
    count = pan123_result_i64(made, PAN123_F_SLICE_COUNT, 0);
    CHECK(slice_size == 16 << 20 && count == 2);
    CHECK_OK(pan123_api_slice(c, server, PAN123_NUL, id, PAN123_NUL, 1, NULL, 0, bytes, (size_t)slice_size, NULL, &err));
    /* The service takes no bytes that are not what their MD5 says. */
    CHECK(pan123_api_slice_from(c, server, PAN123_NUL, id, PAN123_NUL, 2, "00000000000000000000000000000000", 32, s,
                                (uint64_t)slice_size, len - (uint64_t)slice_size, NULL, NULL) >= 300);
    CHECK_OK(pan123_api_slice_from(c, server, PAN123_NUL, id, PAN123_NUL, 2,
                                   pan123_result_str(digests, PAN123_F_SLICE_MD5, 1, NULL), 32, s,
                                   (uint64_t)slice_size, len - (uint64_t)slice_size, NULL, &err));
    do {
        pan123_result_free(done);
        CHECK_OK(pan123_api_complete(c, id, PAN123_NUL, NULL, &done, &err));
    } while (!pan123_result_i64(done, PAN123_F_COMPLETED, 0));
    CHECK(pan123_result_i64(done, PAN123_F_FILE_ID, 0) > 0);
    pan123_result_free(done);
    CHECK_OK(pan123_api_single(c, pan123_result_str(hosts, PAN123_F_SERVER, 0, NULL), PAN123_NUL, 0, "single", 6,
                               pan123_result_str(digests, PAN123_F_ETAG, 0, NULL), 32, s, NULL, NULL, &done, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_api_slice(c, server, PAN123_NUL, id, PAN123_NUL, 0, NULL, 0,
                                                             bytes, 1, NULL, &err));
    pan123_result_free(made);
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT,
                 pan123_api_create(c, 0, "x", 1, "no md5", 6, 1, NULL, NULL, &made, &err));
    pan123_result_free(token);
    pan123_result_free(hosts);
    pan123_result_free(digests);
    pan123_result_free(done);
    pan123_source_free(s);
    free(bytes);
}

static void refusals(pan123_client *c)
{
    pan123_error *e = NULL;
    pan123_result *r = (pan123_result *)1;
    CHECK(pan123_api_create(c, 987654321, "x", 1, "900150983cd24fb0d6963f7d28e17f72", 32, 3, NULL, NULL, &r, &e) == PAN123_E_REFUSED);
    CHECK(!r && pan123_error_i64(e, PAN123_F_HTTP_STATUS, 0) == 200 && pan123_error_i64(e, PAN123_F_RETRYABLE, -1) == 0);
    CHECK(pan123_error_str(e, PAN123_F_TRACE_ID, NULL) && pan123_error_str(e, PAN123_F_ADVICE, NULL));
    CHECK(!strcmp(pan123_error_str(e, PAN123_F_STEP, NULL), "create"));
    CHECK(!strstr(pan123_error_str(e, PAN123_F_JSON, NULL), getenv("PAN123_ACCESS_TOKEN")));
    pan123_error_free(e);
    CHECK_STATUS(PAN123_E_NAME, pan123_api_create(c, 0, "a/b", 3, "900150983cd24fb0d6963f7d28e17f72", 32, 3, NULL, NULL, &r, &err));
}

/* The events of one upload come in order, and end with one that ends it. */
static uint32_t follow(pan123_queue *q, uint64_t user, int64_t *value)
{
    pan123_event ev;
    uint64_t seq = 0;
    memset(&ev, 0, sizeof ev);
    ev.struct_size = sizeof ev;
    do {
        CHECK(pan123_queue_next(q, 60000, &ev) == PAN123_OK);
        CHECK(ev.user == user && ev.seq > seq && ev.bytes_done <= ev.bytes_total);
        seq = ev.seq;
    } while (ev.kind < PAN123_EV_COMPLETED);
    if (value) *value = ev.value;
    CHECK(pan123_queue_next(q, 0, &ev) == PAN123_E_TIMEOUT);
    return ev.kind;
}

static void uploads(void)
{
    const size_t len = 40000000;
    uint8_t *bytes = make_bytes(len, 2);
    pan123_source *s = memory_source(bytes, len);
    pan123_queue *q = NULL;
    pan123_client *c;
    pan123_upload *u = NULL, *v = NULL;
    pan123_result *r = NULL;
    pan123_progress p;
    pan123_event small;
    int64_t id = 0, handle = -1;
    memset(&p, 0, sizeof p);
    p.struct_size = sizeof p;
    CHECK_OK(pan123_queue_new(NULL, 0, &q, &err));
    CHECK(pan123_queue_handle(q, &handle) == PAN123_OK && handle >= 0);
    c = new_client(q);
    CHECK_OK(pan123_upload_new(c, s, 0, "managed", PAN123_NUL, NULL, 42, &u, &err));
    CHECK_STATUS(PAN123_E_WRONG_STATE, pan123_upload_wait(u, 0, &r, &err));
    CHECK(pan123_upload_progress(u, &p) == PAN123_OK && p.state == PAN123_STAGE_NEW && p.bytes_total == len);
    CHECK_STATUS(PAN123_E_WRONG_STATE, pan123_upload_export(u, &r, &err));
    CHECK_OK(pan123_upload_start(u, &err));
    CHECK_STATUS(PAN123_E_WRONG_STATE, pan123_upload_start(u, &err));
    CHECK(follow(q, 42, &id) == PAN123_EV_COMPLETED);
    CHECK_OK(pan123_upload_wait(u, -1, &r, &err));
    CHECK(pan123_result_i64(r, PAN123_F_FILE_ID, 0) == id && id > 0);
    CHECK(pan123_result_i64(r, PAN123_F_SIZE, 0) == (int64_t)len && pan123_result_i64(r, PAN123_F_SLICE_COUNT, 0) == 3);
    pan123_result_free(r);
    CHECK(pan123_upload_progress(u, &p) == PAN123_OK && p.bytes_confirmed == len && p.slices_done == 3);
    CHECK_STATUS(PAN123_E_WRONG_STATE, pan123_upload_start(u, &err));
    /* What comes after the end changes nothing. */
    pan123_upload_cancel(u);
    pan123_upload_pause(u);
    CHECK_OK(pan123_upload_wait(u, 0, &r, &err));
    pan123_result_free(r);

    /* The service has the bytes now. */
    v = start_upload(c, s, "managed again", 43);
    CHECK(follow(q, 43, NULL) == PAN123_EV_COMPLETED);
    CHECK_OK(pan123_upload_wait(v, -1, &r, &err));
    CHECK(pan123_result_i64(r, PAN123_F_REUSED, 0) == 1);
    pan123_result_free(r);
    pan123_upload_free(v);

    /* Cancelled before its start it never starts. */
    CHECK_OK(pan123_upload_new(c, s, 0, "never", PAN123_NUL, NULL, 44, &v, &err));
    pan123_upload_cancel(v);
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_start(v, &err));
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_wait(v, 0, &r, &err));
    pan123_upload_free(v);

    CHECK_STATUS(PAN123_E_NAME, pan123_upload_new(c, s, 0, "a\\b", PAN123_NUL, NULL, 0, &v, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_upload_new(c, s, -1, "a", 1, NULL, 0, &v, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_upload_import(c, s, (const uint8_t *)"x", 1, NULL, 0, &v, &err));

    /* A program of another version has another idea of a record's size. */
    memset(&small, 0x55, sizeof small);
    small.struct_size = 8;
    v = start_upload(c, s, "managed thrice", 45);
    CHECK(pan123_queue_next(q, 60000, &small) == PAN123_OK && small.user == 0x5555555555555555u && small.struct_size == 8);
    small.struct_size = 3;
    CHECK(pan123_queue_next(q, 0, &small) == PAN123_E_ABI);
    CHECK_OK(pan123_upload_wait(v, -1, &r, &err));
    pan123_result_free(r);
    pan123_upload_free(v);

    CHECK_OK(pan123_client_shutdown(c, 0, 60000, &err));
    CHECK_OK(pan123_client_shutdown(c, 0, 0, &err));
    CHECK_STATUS(PAN123_E_SHUTDOWN, pan123_api_domain(c, NULL, &r, &err));
    CHECK_STATUS(PAN123_E_SHUTDOWN, pan123_upload_new(c, s, 0, "late", 4, NULL, 0, &v, &err));
    CHECK_OK(pan123_upload_wait(u, 0, &r, &err));
    pan123_result_free(r);
    pan123_client_free(c);
    pan123_upload_free(u);
    pan123_queue_free(q);
    pan123_source_free(s);
    free(bytes);
}

static void stops(pan123_client *c)
{
    pan123_stop *stop = NULL;
    pan123_result *r = NULL;
    pan123_source *s = memory_source((const uint8_t *)"abc", 3);
    CHECK_OK(pan123_stop_new(&stop, &err));
    pan123_stop_fire(stop);
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_api_domain(c, stop, &r, &err));
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_hash(&s, 1, 0, 0, stop, &r, &err));
    pan123_stop_free(stop);
    pan123_source_free(s);
}

int main(void)
{
    pan123_client *c;
    constants();
    errors();
    options();
    hashing();
    c = new_client(NULL);
    CHECK(pan123_client_retain(c) == c);
    pan123_client_free(c);
    by_hand(c);
    refusals(c);
    stops(c);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_client_free(c);
    uploads();
    puts("ok");
    return 0;
}
