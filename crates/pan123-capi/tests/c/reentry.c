/* Calls that wait, made inside a callback, say that they would never return; those that do not wait work there. */
#include "test.h"

static pan123_client *c;
static pan123_upload *u;
static pan123_source *s;
static pan123_queue *q;
static int tried_source, tried_event, tried_transport;

static void try_all(pan123_queue *queue)
{
    pan123_result *r = NULL;
    pan123_event ev = { .struct_size = sizeof ev };
    pan123_progress p = { .struct_size = sizeof p };
    CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_upload_wait(u, -1, &r, &err));
    CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_client_shutdown(c, 1, -1, &err));
    CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_api_domain(c, NULL, &r, &err));
    CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_api_token(c, NULL, &r, &err));
    CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_api_complete(c, "x", 1, NULL, &r, &err));
    CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_hash(&s, 1, 0, 0, NULL, &r, &err));
    CHECK(pan123_queue_next(queue, -1, &ev) != PAN123_OK);
    CHECK_STATUS(PAN123_E_TIMEOUT, pan123_upload_wait(u, 0, &r, &err));
    CHECK(pan123_upload_progress(u, &p) == PAN123_OK);
    CHECK(pan123_client_retain(c) == c);
    pan123_client_free(c);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)err;
    if (!__atomic_exchange_n(&tried_source, 1, __ATOMIC_SEQ_CST)) try_all(q);
    memset(buf, (int)(offset >> 20) + 1, len);
    *out_n = len;
    return PAN123_OK;
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx;
    if (!__atomic_exchange_n(&tried_transport, 1, __ATOMIC_SEQ_CST)) try_all(q);
    return pan123_http_forward(x, err);
}

static void on_event(uintptr_t ctx, const pan123_event *ev)
{
    (void)ctx;
    if (ev->kind < PAN123_EV_COMPLETED && !tried_event) {
        pan123_result *r = NULL;
        CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_client_shutdown(c, 1, -1, &err));
        CHECK_STATUS(PAN123_E_WOULD_DEADLOCK, pan123_upload_wait(u, 5, &r, &err));
        tried_event = 1;
    }
    /* Freed inside its own last event. */
    if (ev->kind >= PAN123_EV_COMPLETED) pan123_upload_free(u);
}

int main(void)
{
    static const pan123_source_vtable source_vt = { { sizeof source_vt, 0, NULL, NULL }, read_at, NULL };
    static const pan123_transport_vtable transport_vt = { { sizeof transport_vt, 0, NULL, NULL }, send_, NULL };
    static const pan123_observer_vtable observer_vt = { { sizeof observer_vt, 0, NULL, NULL }, on_event };
    pan123_options *o = new_options();
    pan123_transport *x = NULL;
    pan123_upload *kept;
    pan123_result *r = NULL;
    CHECK_OK(pan123_source_new(&source_vt, 0, 20000000, &s, &err));
    CHECK_OK(pan123_transport_new(NULL, &transport_vt, 0, &x, &err));
    CHECK_OK(pan123_queue_new(&observer_vt, 0, &q, &err));
    CHECK_OK(pan123_client_new(o, NULL, x, NULL, q, &c, &err));
    CHECK_OK(pan123_upload_new(c, s, 0, "reentry", PAN123_NUL, NULL, 0, &u, &err));
    kept = pan123_upload_retain(u);
    CHECK(kept == u);
    CHECK_OK(pan123_upload_start(kept, &err));
    CHECK_OK(pan123_upload_wait(kept, 60000, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_client_shutdown(c, 0, 60000, &err));
    CHECK(tried_source && tried_event && tried_transport);
    pan123_upload_free(kept);
    pan123_client_free(c);
    pan123_queue_free(q);
    pan123_transport_free(x);
    pan123_source_free(s);
    pan123_options_free(o);
    puts("ok");
    return 0;
}
