/* Callbacks that never return: a cancelled upload ends within 250 ms all the same, and others go on. */
#include "test.h"

static struct gate gate = GATE;

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)offset, (void)buf, (void)len, (void)out_n, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

static pan123_status read_later(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    /* The first pass, which hashes, goes through. */
    static uint64_t passed;
    (void)ctx, (void)err;
    if (__atomic_fetch_add(&passed, len, __ATOMIC_SEQ_CST) >= 20000000) gate_wait(&gate);
    memset(buf, (int)(offset >> 12), len);
    *out_n = len;
    return PAN123_OK;
}

static pan123_status identity(uintptr_t ctx, pan123_identity *out, pan123_error **err)
{
    (void)ctx, (void)out, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx, (void)x, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

static void interrupt(uintptr_t ctx, const pan123_http *x)
{
    (void)ctx, (void)x;
    gate_wait(&gate);
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t len, pan123_sink *token, int64_t *expires, pan123_error **err)
{
    (void)ctx, (void)refused, (void)len, (void)token, (void)expires, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

static pan123_status load(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)to, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

static pan123_status load_nothing(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)to, (void)err;
    return PAN123_OK;
}

static pan123_status save(uintptr_t ctx, const char *key, size_t key_len, const uint8_t *data, size_t len, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)data, (void)len, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

static pan123_status forget(uintptr_t ctx, const char *key, size_t key_len, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

#define HEAD(vt, flags) { sizeof vt, flags, gate_release, NULL }
static const pan123_source_vtable stuck_source = { HEAD(stuck_source, 0), read_at, NULL };
static const pan123_source_vtable stuck_later = { HEAD(stuck_later, 0), read_later, NULL };
static const pan123_source_vtable stuck_identity = { HEAD(stuck_identity, PAN123_VT_SERIAL), read_at, identity };
static const pan123_transport_vtable stuck_transport = { HEAD(stuck_transport, 0), send_, interrupt };
static const pan123_tokens_vtable stuck_tokens = { HEAD(stuck_tokens, 0), get };
static const pan123_store_vtable stuck_load = { HEAD(stuck_load, 0), load, save, forget, NULL };
static const pan123_store_vtable stuck_save = { HEAD(stuck_save, 0), load_nothing, save, forget, NULL };

static uint8_t *content;
enum { LEN = 20000000 };

/* Starts an upload of which one part is stuck, waits until it is, and stops it. */
static void stop_one(const char *what, const pan123_source_vtable *sv, const pan123_tokens_vtable *tv,
                     const pan123_transport_vtable *xv, const pan123_store_vtable *stv, int pause)
{
    pan123_options *o = new_options(), *uo = NULL;
    pan123_source *s = NULL;
    pan123_tokens *t = NULL;
    pan123_transport *x = NULL;
    pan123_store *st = NULL;
    pan123_client *c = NULL;
    pan123_queue *q = NULL;
    pan123_upload *u = NULL;
    pan123_result *r = NULL;
    pan123_event ev = { .struct_size = sizeof ev };
    int64_t start, took;
    gate.open = gate.waiting = gate.released = 0;
    if (sv) CHECK_OK(pan123_source_new(sv, (uintptr_t)&gate, LEN, &s, &err));
    else s = memory_source(content, LEN);
    if (tv) CHECK_OK(pan123_tokens_new(tv, (uintptr_t)&gate, &t, &err));
    if (xv) CHECK_OK(pan123_transport_new(NULL, xv, (uintptr_t)&gate, &x, &err));
    if (stv) CHECK_OK(pan123_store_new(stv, (uintptr_t)&gate, &st, &err));
    CHECK_OK(pan123_queue_new(NULL, 0, &q, &err));
    CHECK_OK(pan123_client_new(o, t, x, st, q, &c, &err));
    CHECK_OK(pan123_options_new(&uo, &err));
    CHECK_OK(pan123_options_set_str(uo, PAN123_OPT_RESUME_KEY, "k", 1, &err));
    CHECK_OK(pan123_upload_new(c, s, 0, what, PAN123_NUL, uo, 9, &u, &err));
    CHECK_OK(pan123_upload_start(u, &err));
    gate_full(&gate, 1);
    start = now_ms();
    if (pause) pan123_upload_pause(u);
    else pan123_upload_cancel(u);
    CHECK_STATUS(pause ? PAN123_E_PAUSED : PAN123_E_CANCELLED, pan123_upload_wait(u, 30000, &r, &err));
    took = now_ms() - start;
    printf("%s: %s in %d ms\n", what, pause ? "paused" : "cancelled", (int)took);
    CHECK(took <= 250);
    /* One last event, and none after it. */
    do CHECK(pan123_queue_next(q, 1000, &ev) == PAN123_OK);
    while (ev.kind < PAN123_EV_COMPLETED);
    CHECK(ev.kind == (pause ? PAN123_EV_PAUSED : PAN123_EV_CANCELLED) && ev.user == 9);
    CHECK(pan123_queue_next(q, 0, &ev) == PAN123_E_TIMEOUT);
    /* A shutdown does not wait longer than it is told, and says why it is not done. */
    CHECK_STATUS(PAN123_E_TIMEOUT, pan123_client_shutdown(c, 1, 20, &err));
    CHECK(gate.released == 0);
    gate_open(&gate);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_upload_free(u);
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_tokens_free(t);
    pan123_transport_free(x);
    pan123_store_free(st);
    pan123_queue_free(q);
    pan123_options_free(o);
    pan123_options_free(uo);
    gate_released(&gate, 1);
}

/* Two hundred uploads whose sources hang, and one that does not. */
static void stall(void)
{
    enum { COUNT = 200 };
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    pan123_source *bad = NULL, *good = memory_source(content, LEN);
    pan123_upload *stalled[COUNT], *u;
    pan123_result *r = NULL;
    pan123_error *e = NULL;
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    CHECK_OK(pan123_source_new(&stuck_source, (uintptr_t)&gate, LEN, &bad, &err));
    for (int i = 0; i < COUNT; i++) stalled[i] = start_upload(c, bad, "stalled", 0);
    gate_full(&gate, COUNT);
    u = start_upload(c, good, "not stalled", 0);
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    pan123_upload_free(u);
    for (int i = 0; i < COUNT; i++) {
        CHECK(pan123_upload_wait(stalled[i], 0, &r, &e) == PAN123_E_TIMEOUT);
        pan123_error_free(e);
        pan123_upload_cancel(stalled[i]);
        CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_wait(stalled[i], 5000, &r, &err));
        pan123_upload_free(stalled[i]);
    }
    gate_open(&gate);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_client_free(c);
    pan123_source_free(bad);
    pan123_source_free(good);
    gate_released(&gate, 1);
    pan123_options_free(o);
}

/* The same, but the sources hang only after their digests are known, when their slices are under way. */
struct half {
    uint64_t seed, passed;
};

static pan123_status read_half(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    struct half *half = (struct half *)ctx;
    (void)err;
    if (__atomic_fetch_add(&half->passed, len, __ATOMIC_SEQ_CST) >= LEN) gate_wait(&gate);
    memset(buf, (int)((half->seed + offset) >> 12), len);
    *out_n = len;
    return PAN123_OK;
}

static void stall_while_sending(void)
{
    enum { COUNT = 24 };
    static const pan123_source_vtable vt = { { sizeof vt, 0, NULL, NULL }, read_half, NULL };
    static struct half halves[COUNT];
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    pan123_source *good = memory_source(content, LEN);
    pan123_upload *stalled[COUNT], *u;
    pan123_result *r = NULL;
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_VIP_RATES, 1, &err));
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_SLICES_IN_FLIGHT, 4, &err));
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_SOURCE_TIMEOUT_MS, 600000, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    for (uint64_t i = 0; i < COUNT; i++) {
        char name[32];
        pan123_source *s = NULL;
        halves[i].seed = (i + 1) << 32;
        snprintf(name, sizeof name, "half %d", (int)i);
        CHECK_OK(pan123_source_new(&vt, (uintptr_t)&halves[i], LEN, &s, &err));
        stalled[i] = start_upload(c, s, name, i);
        pan123_source_free(s);
    }
    /* Six times as many as there are places for slices. */
    gate_full(&gate, COUNT);
    u = start_upload(c, good, "good among halves", 0);
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    pan123_upload_free(u);
    for (int i = 0; i < COUNT; i++) {
        pan123_upload_cancel(stalled[i]);
        CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_wait(stalled[i], 5000, &r, &err));
        pan123_upload_free(stalled[i]);
    }
    gate_open(&gate);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_client_free(c);
    pan123_source_free(good);
    pan123_options_free(o);
}

/* A source that takes too long fails its upload, and says so. */
static void time_limit(void)
{
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    pan123_source *s = NULL;
    pan123_upload *u;
    pan123_result *r = NULL;
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_SOURCE_TIMEOUT_MS, 50, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    CHECK_OK(pan123_source_new(&stuck_source, (uintptr_t)&gate, LEN, &s, &err));
    u = start_upload(c, s, "too late", 0);
    CHECK_STATUS(PAN123_E_SOURCE_STALLED, pan123_upload_wait(u, 60000, &r, &err));
    gate_open(&gate);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_upload_free(u);
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_options_free(o);
}

struct firing {
    pan123_stop *stop;
    int64_t at;
};

static void *fire(void *data)
{
    struct firing *f = data;
    gate_full(&gate, 1);
    f->at = now_ms();
    pan123_stop_fire(f->stop);
    return NULL;
}

/* Calls that wait end when they are told to, whatever they are stuck in. */
static void stop_call(int hash)
{
    pan123_options *o = new_options();
    pan123_tokens *t = NULL;
    pan123_client *c = NULL;
    pan123_source *s = NULL;
    pan123_result *r = NULL;
    struct firing f = { NULL, 0 };
    pthread_t thread;
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_stop_new(&f.stop, &err));
    CHECK_OK(pan123_tokens_new(&stuck_tokens, (uintptr_t)&gate, &t, &err));
    CHECK_OK(pan123_client_new(o, t, NULL, NULL, NULL, &c, &err));
    CHECK_OK(pan123_source_new(&stuck_source, (uintptr_t)&gate, LEN, &s, &err));
    CHECK(!pthread_create(&thread, NULL, fire, &f));
    if (hash) CHECK_STATUS(PAN123_E_CANCELLED, pan123_hash(&s, 1, 0, 0, f.stop, &r, &err));
    else CHECK_STATUS(PAN123_E_CANCELLED, pan123_api_domain(c, f.stop, &r, &err));
    int64_t took = now_ms() - f.at;
    printf("%s: stopped in %d ms\n", hash ? "pan123_hash" : "pan123_api_domain", (int)took);
    CHECK(took <= 250 && !r);
    pthread_join(thread, NULL);
    gate_open(&gate);
    pan123_client_free(c);
    pan123_tokens_free(t);
    pan123_source_free(s);
    pan123_stop_free(f.stop);
    pan123_options_free(o);
    gate_released(&gate, 2);
}

/* A layer with a time limit of its own, over one that does not answer. */
static pan123_status forward_until(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    static const char body[] = "{\"code\":0,\"message\":\"ok\",\"data\":[\"http://127.0.0.1:1\"]}";
    struct firing *f = (struct firing *)ctx;
    pthread_t thread;
    int64_t took;
    CHECK(!pthread_create(&thread, NULL, fire, f));
    CHECK(pan123_http_forward_until(x, f->stop, err) == PAN123_E_CANCELLED);
    pan123_error_free(*err);
    *err = NULL;
    took = now_ms() - f->at;
    printf("pan123_http_forward_until: stopped in %d ms\n", (int)took);
    CHECK(took <= 250);
    pthread_join(thread, NULL);
    /* It stays fired, and the request is still there to be answered. */
    CHECK(pan123_http_forward_until(x, f->stop, NULL) == PAN123_E_CANCELLED);
    return pan123_http_answer(x, 200, (const uint8_t *)body, sizeof body - 1);
}

static void stop_forward(void)
{
    static const pan123_transport_vtable limited = { { sizeof limited, 0, NULL, NULL }, forward_until, NULL };
    pan123_options *o = new_options();
    pan123_transport *x = NULL, *outer = NULL;
    pan123_client *c = NULL;
    pan123_result *r = NULL;
    struct firing f = { NULL, 0 };
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_stop_new(&f.stop, &err));
    CHECK_OK(pan123_transport_new(NULL, &stuck_transport, (uintptr_t)&gate, &x, &err));
    CHECK_OK(pan123_transport_new(x, &limited, (uintptr_t)&f, &outer, &err));
    CHECK_OK(pan123_client_new(o, NULL, outer, NULL, NULL, &c, &err));
    CHECK_OK(pan123_api_domain(c, NULL, &r, &err));
    CHECK(pan123_result_i64(r, PAN123_F_SERVER_COUNT, 0) == 1);
    pan123_result_free(r);
    gate_open(&gate);
    pan123_client_free(c);
    pan123_transport_free(x);
    pan123_transport_free(outer);
    pan123_stop_free(f.stop);
    pan123_options_free(o);
    gate_released(&gate, 1);
}

int main(void)
{
    content = make_bytes(LEN, 5);
    stop_one("source, hashing", &stuck_source, NULL, NULL, NULL, 0);
    stop_one("source, sending", &stuck_later, NULL, NULL, NULL, 0);
    stop_one("identity", &stuck_identity, NULL, NULL, NULL, 0);
    stop_one("transport", NULL, NULL, &stuck_transport, NULL, 0);
    stop_one("transport, paused", NULL, NULL, &stuck_transport, NULL, 1);
    stop_one("tokens", NULL, &stuck_tokens, NULL, NULL, 0);
    stop_one("store, load", NULL, NULL, NULL, &stuck_load, 0);
    stop_one("store, save", NULL, NULL, NULL, &stuck_save, 1);
    stop_call(1);
    stop_call(0);
    stop_forward();
    time_limit();
    stall();
    stall_while_sending();
    free(content);
    puts("ok");
    return 0;
}
