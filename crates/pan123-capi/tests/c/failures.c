/* Callbacks that fail: what they fail with is what the host is told, by every way of asking, and is not tried again. */
#include "test.h"

#include <stddef.h>
#include <strings.h>

#define WORDS "the vault is shut"

static int sends, gets;

/* The context is the code to fail with. */
static pan123_status fail(uintptr_t ctx, pan123_error **err)
{
    if (ctx != PAN123_OK) *err = pan123_error_new((pan123_status)ctx, WORDS, PAN123_NUL);
    return (pan123_status)ctx;
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)x;
    __atomic_add_fetch(&sends, 1, __ATOMIC_SEQ_CST);
    return fail(ctx, err);
}

static pan123_status forward(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx;
    return pan123_http_forward(x, err);
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t len, pan123_sink *token, int64_t *expires, pan123_error **err)
{
    (void)refused, (void)len, (void)token, (void)expires;
    __atomic_add_fetch(&gets, 1, __ATOMIC_SEQ_CST);
    return fail(ctx, err);
}

static pan123_status load(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)key, (void)key_len, (void)to;
    return fail(ctx, err);
}

static pan123_status save(uintptr_t ctx, const char *key, size_t key_len, const uint8_t *data, size_t len, pan123_error **err)
{
    (void)key, (void)key_len, (void)data, (void)len;
    return fail(ctx, err);
}

static pan123_status forget(uintptr_t ctx, const char *key, size_t key_len, pan123_error **err)
{
    (void)key, (void)key_len;
    return fail(ctx, err);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)offset, (void)buf, (void)len, (void)out_n;
    return fail(ctx, err);
}

/* Ends at the byte that the context says. */
static pan123_status read_short(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)err;
    *out_n = offset >= ctx ? 0 : ctx - offset < len ? (size_t)(ctx - offset) : len;
    memset(buf, 1, *out_n);
    return PAN123_OK;
}

static const pan123_transport_vtable failing_transport = { { sizeof failing_transport, 0, NULL, NULL }, send_, NULL };
static const pan123_transport_vtable forwarding = { { sizeof forwarding, 0, NULL, NULL }, forward, NULL };
static const pan123_tokens_vtable failing_tokens = { { sizeof failing_tokens, 0, NULL, NULL }, get };
static const pan123_store_vtable failing_store = { { sizeof failing_store, 0, NULL, NULL }, load, save, forget, NULL };
static const pan123_source_vtable failing_source = { { sizeof failing_source, 0, NULL, NULL }, read_at, NULL };
static const pan123_source_vtable short_source = { { sizeof short_source, 0, NULL, NULL }, read_short, NULL };

/* Every way of asking an error for its code gives the same, and its words are `words`; `err` is freed. */
#define CHECK_FAILS(wanted, words, call)                                                                      \
    do {                                                                                                      \
        pan123_error *err = NULL;                                                                             \
        pan123_status got = (call);                                                                           \
        check_error(wanted, words, got, err, __LINE__, #call);                                                \
    } while (0)

static void check_error(pan123_status wanted, const char *words, pan123_status got, pan123_error *err, int line, const char *call)
{
    char json[32];
    const char *advice = pan123_error_str(err, PAN123_F_ADVICE, NULL);
    const char *text = pan123_error_str(err, PAN123_F_JSON, NULL);
    int good = got == wanted && err && pan123_error_code(err) == wanted && pan123_error_i64(err, PAN123_F_CODE, 0) == wanted;
    snprintf(json, sizeof json, "\"code\":%d,", wanted);
    good = good && strstr(text, json) && strstr(pan123_error_str(err, PAN123_F_MESSAGE, NULL), words);
    if (wanted < 200) good = good && pan123_error_i64(err, PAN123_F_RETRYABLE, 0) == 0;
    /* Advice about files is for sources that cannot be read, and about changes for those that changed. */
    if (wanted != PAN123_E_SOURCE_IO && wanted != PAN123_E_SOURCE_STALLED)
        good = good && (!advice || (!strstr(advice, "disk") && !strstr(advice, "path")));
    if (wanted != PAN123_E_SOURCE_CHANGED) good = good && (!advice || !strstr(advice, "writes to"));
    if (!good) {
        fprintf(stderr, "%s:%d: %s gave %s, not %s: %s\n", __FILE__, line, call, pan123_status_name(got),
                pan123_status_name(wanted), text ? text : "-");
        exit(1);
    }
    pan123_error_free(err);
}

static pan123_client *client_of(pan123_tokens *t, pan123_transport *x, pan123_store *st)
{
    pan123_options *o = NULL;
    pan123_client *c = NULL;
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &err));
    if (!t) CHECK_OK(pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, &err));
    CHECK_OK(pan123_client_new(o, t, x, st, NULL, &c, &err));
    pan123_options_free(o);
    return c;
}

/* An upload that the store can resume, from its start to its end. */
static pan123_status upload(pan123_client *c, pan123_source *s, pan123_error **why)
{
    pan123_options *o = NULL;
    pan123_upload *u = NULL;
    pan123_result *r = NULL;
    pan123_status status;
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_RESUME_KEY, "k", 1, &err));
    CHECK_OK(pan123_upload_new(c, s, 0, "fails", PAN123_NUL, o, 0, &u, &err));
    CHECK_OK(pan123_upload_start(u, &err));
    status = pan123_upload_wait(u, 60000, &r, why);
    pan123_upload_free(u);
    pan123_options_free(o);
    return status;
}

static void check_upload(pan123_client *c, pan123_source *s, pan123_status wanted, const char *words)
{
    CHECK_FAILS(wanted, words, upload(c, s, &err));
}

/* What a source fails with, by every way that reads it. */
static void check_source(const pan123_source_vtable *vt, uintptr_t ctx, pan123_status wanted, const char *words)
{
    const char *md5 = "00000000000000000000000000000001", *server = getenv("PAN123_BASE_URL");
    pan123_client *c = client_of(NULL, NULL, NULL);
    pan123_source *s = NULL;
    pan123_result *r = NULL;
    CHECK_OK(pan123_source_new(vt, ctx, 100000, &s, &err));
    CHECK_FAILS(wanted, words, pan123_api_slice_from(c, server, PAN123_NUL, "id", 2, 1, NULL, 0, s, 0, 65536, NULL, &err));
    CHECK_FAILS(wanted, words, pan123_api_slice_from(c, server, PAN123_NUL, "id", 2, 1, md5, 32, s, 0, 65536, NULL, &err));
    CHECK_FAILS(wanted, words, pan123_api_single(c, server, PAN123_NUL, 0, "x", 1, md5, 32, s, NULL, NULL, &r, &err));
    check_upload(c, s, wanted, words);
    pan123_source_free(s);
    pan123_client_free(c);
}

static pan123_status load_nothing(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)to, (void)err;
    return PAN123_OK;
}

static pan123_status save_nothing(uintptr_t ctx, const char *key, size_t key_len, const uint8_t *data, size_t len, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)data, (void)len, (void)err;
    return PAN123_OK;
}

/* A store that does not forget: the upload is done all the same, and an event says so. */
static void remove_fails(pan123_source *s)
{
    const pan123_store_vtable vt = { { sizeof vt, 0, NULL, NULL }, load_nothing, save_nothing, forget, NULL };
    pan123_event ev = { .struct_size = sizeof ev };
    pan123_options *o = new_options();
    pan123_store *st = NULL;
    pan123_queue *q = NULL;
    pan123_client *c = NULL;
    pan123_upload *u = NULL;
    int told = 0;
    CHECK_OK(pan123_store_new(&vt, PAN123_E_STORE, &st, &err));
    CHECK_OK(pan123_queue_new(NULL, 0, &q, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, st, q, &c, &err));
    pan123_options_free(o);
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_RESUME_KEY, "forgotten", PAN123_NUL, &err));
    CHECK_OK(pan123_upload_new(c, s, 0, "forgotten", PAN123_NUL, o, 0, &u, &err));
    CHECK_OK(pan123_upload_start(u, &err));
    do {
        CHECK(pan123_queue_next(q, 60000, &ev) == PAN123_OK);
        if (ev.kind == PAN123_EV_LOG && strstr(ev.text, WORDS)) told++;
    } while (ev.kind < PAN123_EV_COMPLETED);
    CHECK(ev.kind == PAN123_EV_COMPLETED && told == 1);
    pan123_upload_free(u);
    pan123_options_free(o);
    pan123_client_free(c);
    pan123_queue_free(q);
    pan123_store_free(st);
}

/* As many slices as an upload may have are hashed; one more is refused before a byte is read. */
static pan123_status read_zeros(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)offset, (void)err;
    __atomic_fetch_add((int *)ctx, 1, __ATOMIC_SEQ_CST);
    memset(buf, 0, len);
    *out_n = len;
    return PAN123_OK;
}

static void too_many_slices(void)
{
    static const pan123_source_vtable vt = { { sizeof vt, 0, NULL, NULL }, read_zeros, NULL };
    static const uint64_t sizes[] = { (1 << 20) + 1, (uint64_t)1 << 40, UINT64_MAX };
    int reads = 0;
    pan123_source *s = NULL;
    pan123_result *r = NULL;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(pan123_source_new(&vt, (uintptr_t)&reads, sizes[i], &s, &err));
        CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_hash(&s, 1, 1, 0, NULL, &r, &err));
        CHECK(!r && !reads);
        pan123_source_free(s);
    }
    CHECK_OK(pan123_source_new(&vt, (uintptr_t)&reads, 1 << 20, &s, &err));
    CHECK_OK(pan123_hash(&s, 1, 1, 0, NULL, &r, &err));
    CHECK(pan123_result_i64(r, PAN123_F_SLICE_COUNT, 0) == 1 << 20 && reads);
    pan123_result_free(r);
    pan123_source_free(s);
}

/* A callback that fails without a word is named with its code, which is no status of HTTP. */
static pan123_status read_fails(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)offset, (void)buf, (void)len, (void)out_n, (void)err;
    return (pan123_status)ctx;
}

static void without_a_word(void)
{
    static const pan123_source_vtable vt = { { sizeof vt, 0, NULL, NULL }, read_fails, NULL };
    static const struct { pan123_status code; const char *words; } cases[] = {
        { PAN123_E_NETWORK, "read_at failed with PAN123_E_NETWORK" },
        { 12345, "read_at failed with 12345, which is no code" },
        { -5, "read_at failed with -5, which is no code" },
    };
    for (int i = 0; i < 3; i++) {
        pan123_source *s = NULL;
        pan123_result *r = NULL;
        pan123_error *e = NULL;
        CHECK_OK(pan123_source_new(&vt, (uintptr_t)cases[i].code, 100, &s, &err));
        CHECK(pan123_hash(&s, 1, 0, 0, NULL, &r, &e) == (i ? PAN123_E_SOURCE_IO : cases[i].code));
        CHECK(strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), cases[i].words));
        pan123_error_free(e);
        pan123_source_free(s);
    }
}

/* What a callback says comes out on one line, once, and without the token. */
static pan123_status say_it_all(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    char words[200];
    const char *value = NULL, *name;
    for (size_t i = 0; (name = pan123_http_header(x, 0, i, &value)); i++) {
        if (strcasecmp(name, "authorization")) continue;
        snprintf(words, sizeof words, "lost\n\x1b[31mthe %s: %s (%s)", name, value, value + strlen("Bearer "));
    }
    *err = pan123_error_new((pan123_status)ctx, words, PAN123_NUL);
    return (pan123_status)ctx;
}

static void words_are_fit_to_show(pan123_source *s)
{
    static const pan123_transport_vtable vt = { { sizeof vt, 0, NULL, NULL }, say_it_all, NULL };
    static const pan123_status codes[] = { PAN123_E_CALLBACK, PAN123_E_PROTOCOL };
    for (int i = 0; i < 2; i++) {
        pan123_transport *x = NULL;
        pan123_error *e = NULL;
        pan123_client *c;
        const char *text, *first;
        CHECK_OK(pan123_transport_new(NULL, &vt, (uintptr_t)codes[i], &x, &err));
        c = client_of(NULL, x, NULL);
        CHECK(upload(c, s, &e) == codes[i]);
        text = pan123_error_str(e, PAN123_F_MESSAGE, NULL);
        first = strstr(text, "lost [31mthe ");
        CHECK(first && !strstr(first + 1, "lost") && strstr(first, ": Bearer [hidden] ([hidden])"));
        CHECK(!strstr(pan123_error_str(e, PAN123_F_JSON, NULL), getenv("PAN123_ACCESS_TOKEN")));
        pan123_error_free(e);
        pan123_client_free(c);
        pan123_transport_free(x);
    }
}

/* A vtable that is too short to be one: its context is let go of all the same, if it says how. */
static void let_go(uintptr_t ctx) { ++*(int *)ctx; }

static void short_tables(void)
{
    for (uint32_t size = 0; size <= sizeof(pan123_vtable); size++) {
        int released = 0;
        pan123_source_vtable vt = { { size, 0, let_go, NULL }, read_fails, NULL };
        pan123_source *s = NULL;
        CHECK(pan123_source_new(&vt, (uintptr_t)&released, 100, &s, NULL) != PAN123_OK && !s);
        CHECK(released == (size >= offsetof(pan123_vtable, extension)));
    }
}

/* What is cancelled while it is paused stays cancelled. */
static pan123_upload *to_pause;

static pan123_status read_and_pause(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)offset, (void)err;
    pan123_upload_pause(to_pause);
    memset(buf, 5, len);
    *out_n = len;
    return PAN123_OK;
}

static void cancelled_while_paused(void)
{
    static const pan123_source_vtable vt = { { sizeof vt, 0, NULL, NULL }, read_and_pause, NULL };
    pan123_client *c = new_client(NULL);
    pan123_source *s = NULL;
    pan123_result *r = NULL;
    CHECK_OK(pan123_source_new(&vt, 0, 50000000, &s, &err));
    CHECK_OK(pan123_upload_new(c, s, 0, "paused", PAN123_NUL, NULL, 0, &to_pause, &err));
    CHECK_OK(pan123_upload_start(to_pause, &err));
    CHECK_STATUS(PAN123_E_PAUSED, pan123_upload_wait(to_pause, 60000, &r, &err));
    pan123_upload_cancel(to_pause);
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_wait(to_pause, 60000, &r, &err));
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_start(to_pause, &err));
    pan123_upload_free(to_pause);
    pan123_client_free(c);
    pan123_source_free(s);
}

int main(void)
{
    /* What fails, and what the host is told. Only the library says how its calls stand and what was stopped. */
    static const struct { pan123_status code, told; } own[] = {
        { PAN123_E_CALLBACK, PAN123_E_CALLBACK }, { PAN123_E_PLUGIN, PAN123_E_PLUGIN },
        { PAN123_E_INVALID_ARGUMENT, PAN123_E_INVALID_ARGUMENT }, { PAN123_E_STORE, PAN123_E_STORE },
        { PAN123_E_CANCELLED, PAN123_E_CALLBACK }, { PAN123_E_WRONG_STATE, PAN123_E_CALLBACK },
        { PAN123_E_WOULD_DEADLOCK, PAN123_E_CALLBACK }, { PAN123_E_FORKED, PAN123_E_CALLBACK }, { 7777, PAN123_E_CALLBACK },
    };
    static const uint8_t data[100000];
    pan123_source *s = memory_source(data, sizeof data);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        pan123_transport *x = NULL, *outer = NULL;
        pan123_tokens *t = NULL;
        pan123_client *c;
        pan123_result *r = NULL;
        CHECK_OK(pan123_transport_new(NULL, &failing_transport, (uintptr_t)own[i].code, &x, &err));
        CHECK_OK(pan123_transport_new(x, &forwarding, 0, &outer, &err));
        c = client_of(NULL, outer, NULL);
        sends = 0;
        CHECK_FAILS(own[i].told, WORDS, pan123_api_domain(c, NULL, &r, &err));
        check_upload(c, s, own[i].told, WORDS);
        CHECK(sends == 2);
        pan123_client_free(c);
        pan123_transport_free(x);
        pan123_transport_free(outer);

        CHECK_OK(pan123_tokens_new(&failing_tokens, (uintptr_t)own[i].code, &t, &err));
        c = client_of(t, NULL, NULL);
        gets = 0;
        CHECK_FAILS(own[i].told, WORDS, pan123_api_token(c, NULL, &r, &err));
        check_upload(c, s, own[i].told, WORDS);
        CHECK(gets == 2);
        pan123_client_free(c);
        pan123_tokens_free(t);
    }
    {
        /* Says that it is done, and gave no answer. */
        pan123_transport *x = NULL;
        pan123_client *c;
        CHECK_OK(pan123_transport_new(NULL, &failing_transport, PAN123_OK, &x, &err));
        c = client_of(NULL, x, NULL);
        sends = 0;
        check_upload(c, s, PAN123_E_CALLBACK, "without an answer");
        CHECK(sends == 1);
        pan123_client_free(c);
        pan123_transport_free(x);
    }
    words_are_fit_to_show(s);
    short_tables();
    {
        pan123_tokens *t = NULL;
        pan123_store *st = NULL;
        pan123_client *c;
        pan123_result *r = NULL;
        CHECK_OK(pan123_tokens_new(&failing_tokens, PAN123_E_LOGIN, &t, &err));
        c = client_of(t, NULL, NULL);
        check_upload(c, s, PAN123_E_LOGIN, WORDS);
        pan123_client_free(c);
        pan123_tokens_free(t);
        CHECK_OK(pan123_tokens_new(&failing_tokens, PAN123_E_TIMEOUT, &t, &err));
        c = client_of(t, NULL, NULL);
        CHECK_FAILS(PAN123_E_NET_TIMEOUT, WORDS, pan123_api_token(c, NULL, &r, &err));
        pan123_client_free(c);
        pan123_tokens_free(t);
        CHECK_OK(pan123_store_new(&failing_store, PAN123_E_CALLBACK, &st, &err));
        c = client_of(NULL, NULL, st);
        CHECK_STATUS(PAN123_E_STORE, upload(c, s, &err));
        pan123_client_free(c);
        pan123_store_free(st);
    }
    remove_fails(s);
    pan123_source_free(s);
    check_source(&failing_source, PAN123_E_CALLBACK, PAN123_E_CALLBACK, WORDS);
    check_source(&failing_source, PAN123_E_SOURCE_IO, PAN123_E_SOURCE_IO, WORDS);
    check_source(&failing_source, PAN123_E_SOURCE_CHANGED, PAN123_E_SOURCE_CHANGED, WORDS);
    check_source(&failing_source, PAN123_E_NOT_SUPPORTED, PAN123_E_NOT_SUPPORTED, WORDS);
    check_source(&short_source, 5000, PAN123_E_SOURCE_CHANGED, "5000");
    too_many_slices();
    without_a_word();
    cancelled_while_paused();
    puts("ok");
    return 0;
}
