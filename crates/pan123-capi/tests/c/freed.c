/* Objects that are freed while another thread is in a call with them: the call keeps a reference of its own. */
#include "test.h"

static struct gate gate = GATE;

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx;
    gate_wait(&gate);
    return pan123_http_forward(x, err);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)err;
    gate_wait(&gate);
    memset(buf, (int)(offset >> 12), len);
    *out_n = len;
    return PAN123_OK;
}

static const pan123_transport_vtable transport_vt = { { sizeof transport_vt, 0, gate_release, NULL }, send_, NULL };
static const pan123_source_vtable source_vt = { { sizeof source_vt, 0, gate_release, NULL }, read_at, NULL };

static pan123_client *client;
static pan123_stop *stop;
static pan123_source *source;
static pan123_queue *queue;

static pan123_client *gated_client(void)
{
    pan123_options *o = new_options();
    pan123_transport *x = NULL;
    pan123_client *c = NULL;
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_transport_new(NULL, &transport_vt, (uintptr_t)&gate, &x, &err));
    CHECK_OK(pan123_client_new(o, NULL, x, NULL, NULL, &c, &err));
    pan123_options_free(o);
    pan123_transport_free(x);
    return c;
}

static void *in_domain(void *nothing)
{
    pan123_result *r = NULL;
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_api_domain(client, stop, &r, &err));
    return nothing;
}

static void *in_slice(void *nothing)
{
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_api_slice_from(client, getenv("PAN123_BASE_URL"), PAN123_NUL, "id", 2, 1,
                                                           NULL, 0, source, 0, 1000, stop, &err));
    return nothing;
}

static void *in_hash(void *nothing)
{
    pan123_result *r = NULL;
    CHECK_OK(pan123_hash(&source, 1, 0, 0, stop, &r, &err));
    CHECK(pan123_result_i64(r, PAN123_F_SIZE, 0) == 1000);
    pan123_result_free(r);
    return nothing;
}

static void *in_next(void *nothing)
{
    pan123_event ev = { .struct_size = sizeof ev };
    CHECK(pan123_queue_next(queue, 2000, &ev) == PAN123_E_TIMEOUT);
    return nothing;
}

static void *in_shutdown(void *nothing)
{
    CHECK_OK(pan123_client_shutdown(client, 0, 60000, &err));
    return nothing;
}

/* Whether the client takes nothing new, because it is being shut down. */
static int is_closed(pan123_source *s)
{
    pan123_upload *u = NULL;
    pan123_status status = pan123_upload_new(client, s, 0, "late", PAN123_NUL, NULL, 0, &u, NULL);
    pan123_upload_free(u);
    return status == PAN123_E_SHUTDOWN;
}

/* Whether a thread waits for the next event. */
static int is_waited_for(void)
{
    pan123_event ev = { .struct_size = sizeof ev };
    return pan123_queue_next(queue, 0, &ev) == PAN123_E_WRONG_STATE;
}

int main(void)
{
    static const uint8_t data[1000];
    pthread_t thread;
    pan123_source *s = memory_source(data, sizeof data);
    pan123_upload *u;

    /* A client and a stop object, the last references to both. */
    client = gated_client();
    CHECK_OK(pan123_stop_new(&stop, &err));
    CHECK(pthread_create(&thread, NULL, in_domain, NULL) == 0);
    gate_full(&gate, 1);
    pan123_client_free(client);
    pan123_stop_fire(stop);
    pan123_stop_free(stop);
    CHECK(pthread_join(thread, NULL) == 0);
    gate_open(&gate);
    gate_released(&gate, 1);

    /* The same with a source. */
    client = gated_client();
    CHECK_OK(pan123_stop_new(&stop, &err));
    source = memory_source(data, sizeof data);
    CHECK(pthread_create(&thread, NULL, in_slice, NULL) == 0);
    gate_full(&gate, 1);
    pan123_source_free(source);
    pan123_client_free(client);
    pan123_stop_fire(stop);
    pan123_stop_free(stop);
    CHECK(pthread_join(thread, NULL) == 0);
    gate_open(&gate);
    gate_released(&gate, 1);

    /* A source that is being hashed; it is let go of when the hash is there. */
    gate.open = gate.waiting = gate.released = 0;
    CHECK_OK(pan123_stop_new(&stop, &err));
    CHECK_OK(pan123_source_new(&source_vt, (uintptr_t)&gate, sizeof data, &source, &err));
    CHECK(pthread_create(&thread, NULL, in_hash, NULL) == 0);
    gate_full(&gate, 1);
    pan123_source_free(source);
    pan123_stop_free(stop);
    CHECK(gate.released == 0);
    gate_open(&gate);
    CHECK(pthread_join(thread, NULL) == 0);
    gate_released(&gate, 1);

    /* A queue whose next event a thread waits for. */
    CHECK_OK(pan123_queue_new(NULL, 0, &queue, &err));
    CHECK(pthread_create(&thread, NULL, in_next, NULL) == 0);
    WAIT_FOR(is_waited_for(), 60);
    pan123_queue_free(queue);
    CHECK(pthread_join(thread, NULL) == 0);

    /* A client that is being shut down, and its upload. */
    client = gated_client();
    u = start_upload(client, s, "freed", 0);
    gate_full(&gate, 1);
    CHECK(pthread_create(&thread, NULL, in_shutdown, NULL) == 0);
    WAIT_FOR(is_closed(s), 60);
    pan123_client_free(client);
    pan123_upload_free(u);
    gate_open(&gate);
    CHECK(pthread_join(thread, NULL) == 0);
    gate_released(&gate, 1);
    pan123_source_free(s);
    puts("ok");
    return 0;
}
