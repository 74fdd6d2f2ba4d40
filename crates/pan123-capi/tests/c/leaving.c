/* What threads of a transport meet when the client goes away while they are at it. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Waits at a gate until the request is interrupted. */
struct layer {
    struct gate gate;
    pan123_status forwarded, read_nothing;
};

static pan123_status forward(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    struct layer *layer = (struct layer *)ctx;
    layer->forwarded = pan123_http_forward(x, err);
    return layer->forwarded;
}

static pan123_status stay(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    struct layer *layer = (struct layer *)ctx;
    size_t n = 1;
    gate_wait(&layer->gate);
    layer->read_nothing = pan123_http_read_body(x, 0, NULL, 0, &n, err);
    return PAN123_E_CALLBACK;
}

static void interrupt(uintptr_t ctx, const pan123_http *x)
{
    (void)x;
    gate_open(&((struct layer *)ctx)->gate);
}

static void released(uintptr_t ctx)
{
    gate_release((uintptr_t)&((struct layer *)ctx)->gate);
}

static const pan123_transport_vtable forwards = { { sizeof forwards, 0, released, NULL }, forward, NULL };
static const pan123_transport_vtable stays = { { sizeof stays, 0, released, NULL }, stay, interrupt };

static pan123_client *layered_client(const pan123_transport_vtable *vt, struct layer *layer, const char *url)
{
    pan123_options *o = new_options();
    pan123_transport *x = NULL;
    pan123_client *c = NULL;
    memset(layer, 0, sizeof *layer);
    layer->gate = (struct gate)GATE;
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, url, PAN123_NUL, &err));
    CHECK_OK(pan123_transport_new(NULL, vt, (uintptr_t)layer, &x, &err));
    CHECK_OK(pan123_client_new(o, NULL, x, NULL, NULL, &c, &err));
    pan123_options_free(o);
    pan123_transport_free(x);
    return c;
}

struct call {
    pan123_client *client;
    pan123_stop *stop;
    pan123_status wanted;
};

static void *in_domain(void *data)
{
    struct call *call = data;
    pan123_result *r = NULL;
    CHECK_STATUS(call->wanted, pan123_api_domain(call->client, call->stop, &r, &err));
    return NULL;
}

/* A server that takes requests and never answers: the layer's thread waits below, and its client is gone. */
static void gone_while_forwarding(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    char url[64];
    CHECK(server >= 0 && !bind(server, (struct sockaddr *)&at, len) && !listen(server, 8));
    CHECK(!getsockname(server, (struct sockaddr *)&at, &len));
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(at.sin_port));
    for (int i = 0; i < 50; i++) {
        struct layer layer;
        struct call call = { layered_client(&forwards, &layer, url), NULL, PAN123_E_CANCELLED };
        pthread_t thread;
        char byte;
        CHECK_OK(pan123_stop_new(&call.stop, &err));
        CHECK(!pthread_create(&thread, NULL, in_domain, &call));
        int connection = accept(server, NULL, NULL);
        CHECK(connection >= 0 && read(connection, &byte, 1) == 1);
        /* The call has the last reference to the client, which goes as soon as it returns. */
        pan123_client_free(call.client);
        pan123_stop_fire(call.stop);
        CHECK(!pthread_join(thread, NULL));
        gate_released(&layer.gate, 1);
        if (layer.forwarded != PAN123_E_CANCELLED && layer.forwarded != PAN123_E_SHUTDOWN) {
            fprintf(stderr, "round %d: forward gave %s\n", i, pan123_status_name(layer.forwarded));
            exit(1);
        }
        pan123_stop_free(call.stop);
        close(connection);
    }
    close(server);
}

/* A shutdown interrupts what does not come to its end by itself, and so comes to its own. */
static void interrupted_by_shutdown(void)
{
    static const uint8_t data[1000];
    pan123_source *s = memory_source(data, sizeof data);
    for (int i = 0; i < 40; i++) {
        struct layer layer;
        pan123_client *c = layered_client(&stays, &layer, getenv("PAN123_BASE_URL"));
        pan123_upload *u = NULL;
        struct call call = { c, NULL, PAN123_E_SHUTDOWN };
        pthread_t thread;
        /* An upload, and a call. */
        if (i % 2) u = start_upload(c, s, "interrupted", 0);
        else CHECK(!pthread_create(&thread, NULL, in_domain, &call));
        gate_full(&layer.gate, 1);
        CHECK_OK(pan123_client_shutdown(c, 1, 10000, &err));
        /* Also a read of nothing says that the request was given up. */
        CHECK(layer.read_nothing == PAN123_E_CANCELLED);
        if (!u) CHECK(!pthread_join(thread, NULL));
        pan123_upload_free(u);
        pan123_client_free(c);
        gate_released(&layer.gate, 1);
    }
    pan123_source_free(s);
}

int main(void)
{
    gone_while_forwarding();
    interrupted_by_shutdown();
    puts("ok");
    return 0;
}
