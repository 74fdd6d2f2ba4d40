/* After a shutdown, or a free, no thread and no descriptor of the library is left; and it leaves signals alone. */
#include "test.h"

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)err;
    for (size_t i = 0; i < len; i++) buf[i] = (uint8_t)((offset + i) * ctx >> 7);
    *out_n = len;
    return PAN123_OK;
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx;
    return pan123_http_forward(x, err);
}

static void on_event(uintptr_t ctx, const pan123_event *ev) { (void)ctx, (void)ev; }

static void round_trip(uint64_t round, int shutdown, int push)
{
    static const pan123_source_vtable source_vt = { { sizeof source_vt, 0, NULL, NULL }, read_at, NULL };
    static const pan123_transport_vtable transport_vt = { { sizeof transport_vt, 0, NULL, NULL }, send_, NULL };
    static const pan123_observer_vtable observer_vt = { { sizeof observer_vt, 0, NULL, NULL }, on_event };
    pan123_options *o = new_options();
    pan123_queue *q = NULL;
    pan123_transport *x = NULL;
    pan123_source *s = NULL;
    pan123_client *c = NULL;
    pan123_upload *u;
    pan123_result *r = NULL;
    char name[32];
    snprintf(name, sizeof name, "threads %d", (int)round);
    CHECK_OK(pan123_source_new(&source_vt, (uintptr_t)round + 12345, 18000000, &s, &err));
    CHECK_OK(pan123_transport_new(NULL, &transport_vt, 0, &x, &err));
    CHECK_OK(pan123_queue_new(push ? &observer_vt : NULL, 0, &q, &err));
    CHECK_OK(pan123_client_new(o, NULL, x, NULL, q, &c, &err));
    u = start_upload(c, s, name, 0);
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    CHECK(count_threads() > 3);
    if (shutdown) {
        CHECK_OK(pan123_client_shutdown(c, 0, 60000, &err));
    }
    pan123_result_free(r);
    pan123_upload_free(u);
    pan123_client_free(c);
    pan123_queue_free(q);
    pan123_transport_free(x);
    pan123_source_free(s);
    pan123_options_free(o);
}

int main(void)
{
    struct sigaction before[65], after[65];
    int threads, fds;
    memset(before, 0, sizeof before);
    memset(after, 0, sizeof after);
    for (int i = 1; i < 65; i++) sigaction(i, NULL, &before[i]);
    fds = count_fds();
    round_trip(0, 1, 0);
    WAIT_FOR(count_threads() == 3, 10);
    threads = count_threads();
    WAIT_FOR(count_fds() == fds, 10);
    for (uint64_t round = 1; round <= 4; round++) {
        int shutdown = round % 2 == 0;
        round_trip(round, shutdown, round > 2);
        /* "." and ".." and this thread: whoever shuts down finds it so at once, whoever frees soon. */
        WAIT_FOR(count_threads() == threads, 10);
        WAIT_FOR(count_fds() == fds, 10);
    }
    for (int i = 1; i < 65; i++) sigaction(i, NULL, &after[i]);
    for (int i = 1; i < 65; i++) {
        if (before[i].sa_handler != after[i].sa_handler || before[i].sa_flags != after[i].sa_flags)
            fprintf(stderr, "signal %d is handled otherwise now\n", i);
        CHECK(before[i].sa_handler == after[i].sa_handler && before[i].sa_flags == after[i].sa_flags);
    }
    puts("ok");
    return 0;
}
