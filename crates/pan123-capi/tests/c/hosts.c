/* What the host brings: source, transport, tokens, store and observer, each let go of exactly once. */
#include "test.h"

static struct {
    pthread_mutex_t lock;
    int released[6], reads, gets, refusals, sends, saves, loads, removes, events, last_events;
    char saved[1 << 16];
    size_t saved_len;
    struct gate *gate; /* Holds up all slices but the first. */
    int slices;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

enum { SOURCE, TRANSPORT, TOKENS, STORE, OBSERVER, OUTER };

#define COUNTED(what)                                                                                         \
    do {                                                                                                      \
        pthread_mutex_lock(&seen.lock);                                                                       \
        seen.what++;                                                                                          \
        pthread_mutex_unlock(&seen.lock);                                                                     \
    } while (0)

static void release(uintptr_t ctx) { COUNTED(released[ctx]); }

static uint8_t *content;
static size_t content_len;

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)err;
    COUNTED(reads);
    *out_n = offset >= content_len ? 0 : content_len - offset < len ? content_len - (size_t)offset : len;
    memcpy(buf, content + offset, *out_n);
    return PAN123_OK;
}

static pan123_status identity(uintptr_t ctx, pan123_identity *out, pan123_error **err)
{
    (void)ctx, (void)err;
    CHECK(out->struct_size >= sizeof *out);
    out->size = content_len;
    out->inode = 7;
    out->mtime_ns = 12345;
    return PAN123_OK;
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
                         int64_t *expires, pan123_error **err)
{
    const char *good = getenv("PAN123_ACCESS_TOKEN");
    (void)ctx, (void)err;
    COUNTED(gets);
    *expires = 0;
    /* The first token is one that the service turns down; the one after it is good. */
    if (!refused) return pan123_sink_put(token, (const uint8_t *)(seen.gets == 1 ? "stale-token" : good), seen.gets == 1 ? 11 : strlen(good));
    COUNTED(refusals);
    CHECK(refused_len == 11 && !strcmp(refused, "stale-token"));
    return pan123_sink_put(token, (const uint8_t *)good, strlen(good));
}

static pan123_status inner_send(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    uint8_t some[64];
    size_t n = 0;
    pan123_status status;
    const char *value = NULL, *name;
    int found = 0;
    (void)ctx;
    COUNTED(sends);
    for (size_t i = 0; (name = pan123_http_header(x, 0, i, &value)); i++) found |= !strcmp(name, "X-Layer");
    CHECK(found);
    /* The body can be looked at before it goes, at any place. */
    status = pan123_http_read_body(x, 0, some, sizeof some, &n, err);
    /* The upload that it is for may be cancelled at any time. */
    if (status == PAN123_E_CANCELLED) return status;
    CHECK(status == PAN123_OK);
    CHECK((int64_t)n == (pan123_http_i64(x, PAN123_F_BODY_LEN, -1) < 64 ? pan123_http_i64(x, PAN123_F_BODY_LEN, -1) : 64));
    CHECK(pan123_http_i64(x, PAN123_F_HTTP_STATUS, -1) == -1);
    if (strstr(pan123_http_str(x, PAN123_F_URL, &n), "/slice")) {
        struct gate *gate;
        pthread_mutex_lock(&seen.lock);
        gate = seen.slices++ > 0 ? seen.gate : NULL;
        pthread_mutex_unlock(&seen.lock);
        if (gate) gate_wait(gate);
    }
    status = pan123_http_forward(x, err);
    if (status == PAN123_OK) {
        CHECK(pan123_http_i64(x, PAN123_F_HTTP_STATUS, -1) == 200);
        CHECK(pan123_http_str(x, PAN123_F_ANSWER_BODY, &n) && n > 0);
        CHECK(pan123_http_set_header(x, 1, "X-Seen", PAN123_NUL, "yes", PAN123_NUL) == PAN123_OK);
    }
    return status;
}

static pan123_status outer_send(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx;
    CHECK(pan123_http_set_header(x, 0, "X-Layer", PAN123_NUL, "outer", PAN123_NUL) == PAN123_OK);
    CHECK(pan123_http_set_header(x, 0, "Content-Length", PAN123_NUL, "1", PAN123_NUL) == PAN123_E_INVALID_ARGUMENT);
    CHECK(pan123_http_set_header(x, 0, "bad name", PAN123_NUL, "1", PAN123_NUL) == PAN123_E_INVALID_ARGUMENT);
    CHECK(pan123_http_set_header(x, 1, "X-Early", PAN123_NUL, "1", PAN123_NUL) == PAN123_E_WRONG_STATE);
    return pan123_http_forward(x, err);
}

static pan123_status load(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)ctx, (void)err;
    CHECK(strlen(key) == key_len && key_len == 32);
    COUNTED(loads);
    return pan123_sink_put(to, (const uint8_t *)seen.saved, seen.saved_len);
}

static pan123_status save(uintptr_t ctx, const char *key, size_t key_len, const uint8_t *data, size_t len, pan123_error **err)
{
    (void)ctx, (void)err, (void)key, (void)key_len;
    COUNTED(saves);
    CHECK(len <= sizeof seen.saved);
    memcpy(seen.saved, data, len);
    seen.saved_len = len;
    return PAN123_OK;
}

static pan123_status remove_(uintptr_t ctx, const char *key, size_t key_len, pan123_error **err)
{
    (void)ctx, (void)err, (void)key, (void)key_len;
    COUNTED(removes);
    seen.saved_len = 0;
    return PAN123_OK;
}

static void on_event(uintptr_t ctx, const pan123_event *ev)
{
    (void)ctx;
    CHECK(ev->struct_size == sizeof *ev);
    COUNTED(events);
    if (ev->kind >= PAN123_EV_COMPLETED) COUNTED(last_events);
}

static const pan123_source_vtable source_vt = { { sizeof source_vt, 0, release, NULL }, read_at, identity };
static const pan123_transport_vtable inner_vt = { { sizeof inner_vt, 0, release, NULL }, inner_send, NULL };
static const pan123_transport_vtable outer_vt = { { sizeof outer_vt, PAN123_VT_SERIAL, release, NULL }, outer_send, NULL };
static const pan123_tokens_vtable tokens_vt = { { sizeof tokens_vt, 0, release, NULL }, get };
static const pan123_store_vtable store_vt = { { sizeof store_vt, 0, release, NULL }, load, save, remove_, NULL };
static const pan123_observer_vtable observer_vt = { { sizeof observer_vt, 0, release, NULL }, on_event };

struct world {
    pan123_source *s;
    pan123_transport *inner, *outer;
    pan123_tokens *t;
    pan123_store *st;
    pan123_queue *q;
    pan123_client *c;
    pan123_upload *u;
};

static void build(struct world *w, const char *name)
{
    pan123_options *o = NULL;
    memset(w, 0, sizeof *w);
    CHECK_OK(pan123_source_new(&source_vt, SOURCE, content_len, &w->s, &err));
    CHECK_OK(pan123_transport_new(NULL, &inner_vt, TRANSPORT, &w->inner, &err));
    CHECK_OK(pan123_transport_new(w->inner, &outer_vt, OUTER, &w->outer, &err));
    CHECK_OK(pan123_tokens_new(&tokens_vt, TOKENS, &w->t, &err));
    CHECK_OK(pan123_store_new(&store_vt, STORE, &w->st, &err));
    CHECK_OK(pan123_queue_new(&observer_vt, OBSERVER, &w->q, &err));
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &err));
    CHECK_OK(pan123_client_new(o, w->t, w->outer, w->st, w->q, &w->c, &err));
    pan123_options_free(o);
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_RESUME_KEY, name, PAN123_NUL, &err));
    CHECK_OK(pan123_upload_new(w->c, w->s, 0, name, PAN123_NUL, o, 1, &w->u, &err));
    pan123_options_free(o);
}

/* Everything is freed in this order; whatever it is, each part is let go of once. */
static void destroy(struct world *w, unsigned order)
{
    for (int left = 8; left > 0; left--) {
        switch (order % 8) {
        case 0: pan123_source_free(w->s); w->s = NULL; break;
        case 1: pan123_transport_free(w->inner); w->inner = NULL; break;
        case 2: pan123_transport_free(w->outer); w->outer = NULL; break;
        case 3: pan123_tokens_free(w->t); w->t = NULL; break;
        case 4: pan123_store_free(w->st); w->st = NULL; break;
        case 5: pan123_queue_free(w->q); w->q = NULL; break;
        case 6: pan123_client_free(w->c); w->c = NULL; break;
        case 7: pan123_upload_free(w->u); w->u = NULL; break;
        }
        order = order * 5 + 1; /* Visits all eight. */
    }
}

static int all_released(int times)
{
    int good = 1;
    pthread_mutex_lock(&seen.lock);
    for (int i = SOURCE; i <= OUTER; i++) good &= seen.released[i] == times;
    pthread_mutex_unlock(&seen.lock);
    return good;
}

static void failures(void)
{
    const pan123_source_vtable none = { { sizeof none, 0, release, NULL }, NULL, NULL };
    const pan123_source_vtable flags = { { sizeof flags, 64, release, NULL }, read_at, NULL };
    const struct { pan123_vtable h; } tiny = { { 4, 0, release, NULL } };
    int before = seen.released[SOURCE];
    pan123_source *s = (pan123_source *)1;
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_source_new(&none, SOURCE, 1, &s, &err));
    CHECK(!s && seen.released[SOURCE] == before + 1);
    CHECK_STATUS(PAN123_E_UNKNOWN_NUMBER, pan123_source_new(&flags, SOURCE, 1, &s, &err));
    CHECK(seen.released[SOURCE] == before + 2);
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_source_new(&source_vt, SOURCE, 1, NULL, &err));
    CHECK(seen.released[SOURCE] == before + 3);
    CHECK_STATUS(PAN123_E_ABI, pan123_source_new((const pan123_source_vtable *)&tiny, SOURCE, 1, &s, &err));
    CHECK(seen.released[SOURCE] == before + 3);
    seen.released[SOURCE] = before;
}

int main(void)
{
    struct world w;
    pan123_result *r = NULL, *state = NULL;
    struct gate gate = GATE;
    const char *text;
    size_t len = 0;
    failures();

    content_len = 40000000;
    content = make_bytes(content_len, 3);
    for (unsigned order = 0; order < 8; order++) {
        char name[32];
        snprintf(name, sizeof name, "hosts %u", order);
        seen.gets = 0;
        build(&w, name);
        if (order % 2 == 0) {
            CHECK_OK(pan123_upload_start(w.u, &err));
            if (order % 4 == 0) {
                CHECK_OK(pan123_upload_wait(w.u, -1, &r, &err));
                CHECK(pan123_result_i64(r, PAN123_F_FILE_ID, 0) > 0);
                pan123_result_free(r);
            }
        }
        destroy(&w, order);
        /* An upload that runs goes on to its end, and is let go of then. */
        WAIT_FOR(all_released((int)order + 1), 60);
    }
    CHECK(seen.reads > 0 && seen.sends > 0 && seen.loads > 0 && seen.saves > 0 && seen.removes > 0 && seen.refusals > 0);
    CHECK(seen.last_events == 4 && seen.saved_len == 0);

    /* Paused while slices go out, then gone on with: in this process, from an export, and from the store. */
    free(content);
    content = make_bytes(content_len = 100000000, 4);
    memset(seen.released, 0, sizeof seen.released);
    build(&w, "paused");
    seen.slices = 0;
    seen.gate = &gate; /* It cannot finish before it is paused. */
    CHECK_OK(pan123_upload_start(w.u, &err));
    {
        pan123_progress p = { .struct_size = sizeof p };
        do CHECK(pan123_upload_progress(w.u, &p) == PAN123_OK);
        while (p.slices_done < 1);
        /* The last slice is the shortest, and may be the one. */
        CHECK(p.state == PAN123_STAGE_SENDING && p.slices_done == 1 && p.bytes_confirmed >= 16113920 &&
              p.bytes_sent >= p.bytes_confirmed);
    }
    pan123_upload_pause(w.u);
    CHECK_STATUS(PAN123_E_PAUSED, pan123_upload_wait(w.u, 5000, &r, &err));
    CHECK_OK(pan123_upload_export(w.u, &state, &err));
    text = pan123_result_str(state, PAN123_F_STATE, 0, &len);
    CHECK(len > 0 && strstr(text, "created") && !strstr(text, getenv("PAN123_ACCESS_TOKEN")));
    pthread_mutex_lock(&seen.lock);
    seen.gate = NULL;
    pthread_mutex_unlock(&seen.lock);
    gate_open(&gate);
    {
        pan123_upload *copy = NULL;
        pan123_result *again = NULL;
        CHECK_OK(pan123_upload_import(w.c, w.s, (const uint8_t *)text, len, NULL, 2, &copy, &err));
        CHECK_OK(pan123_upload_start(copy, &err));
        CHECK_OK(pan123_upload_wait(copy, -1, &again, &err));
        CHECK(pan123_result_i64(again, PAN123_F_BYTES_SENT, -1) < (int64_t)content_len);
        pan123_result_free(again);
        pan123_upload_free(copy);
    }
    pan123_result_free(state);
    pan123_upload_cancel(w.u);
    CHECK_OK(pan123_client_shutdown(w.c, 1, 60000, &err));
    destroy(&w, 3);
    WAIT_FOR(all_released(1), 60);
    free(content);
    puts("ok");
    return 0;
}
