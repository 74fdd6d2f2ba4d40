/* The scenarios of bindings/scenarios.json in C. With arguments: only those. */
#include "scene.h"
#include <pan123.h>

/* A call whose status has to be `wanted`; what the error says is part of the failure. */
#define CHECK_STATUS(wanted, call)                                                                            \
    do {                                                                                                      \
        pan123_error *err = NULL;                                                                             \
        pan123_status got_ = (call);                                                                          \
        if (got_ != (wanted))                                                                                 \
            scene_fails(__FILE__, __LINE__, #call " gives " #wanted,                                          \
                        err ? pan123_error_str(err, PAN123_F_MESSAGE, NULL) : pan123_status_name(got_));      \
        pan123_error_free(err);                                                                               \
    } while (0)
#define CHECK_OK(call) CHECK_STATUS(PAN123_OK, call)

/* What most scenarios have. */
struct kit {
    uint8_t *bytes;
    size_t len;
    char path[128];
    pan123_client *client;
    pan123_queue *queue;
    pan123_source *source;
};

static pan123_client *new_client(const struct scene *scene, const char *token, pan123_transport *transport, pan123_queue *queue)
{
    pan123_options *o = NULL;
    pan123_client *c = NULL;
    char state[128];
    snprintf(state, sizeof state, "%s/state", scene->folder);
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, scene->url, PAN123_NUL, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_STATE_DIR, state, PAN123_NUL, &err));
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_PROGRESS_MS, 10, &err));
    CHECK_OK(pan123_client_new(o, NULL, transport, NULL, queue, &c, &err));
    pan123_options_free(o);
    return c;
}

/* A file of `len` bytes, and a client whose events can be taken. */
static struct kit new_kit(const struct scene *scene, size_t len)
{
    struct kit k;
    memset(&k, 0, sizeof k);
    k.len = len;
    k.bytes = scene_bytes(len, 1);
    scene_file(scene, "local", k.bytes, len, k.path);
    CHECK_OK(pan123_queue_new(NULL, 0, &k.queue, &err));
    k.client = new_client(scene, SCENE_TOKEN, NULL, k.queue);
    CHECK_OK(pan123_source_from_path(k.path, PAN123_NUL, &k.source, &err));
    return k;
}

static void free_kit(struct kit *k)
{
    CHECK_OK(pan123_client_shutdown(k->client, 1, -1, &err));
    pan123_client_free(k->client);
    pan123_queue_free(k->queue);
    pan123_source_free(k->source);
    free(k->bytes);
}

static pan123_upload *start(pan123_client *c, pan123_source *s, const char *name)
{
    pan123_upload *u = NULL;
    CHECK_OK(pan123_upload_new(c, s, 0, name, PAN123_NUL, NULL, 0, &u, &err));
    CHECK_OK(pan123_upload_start(u, &err));
    return u;
}

/* Runs an upload to its end, and checks what it says of `k`'s bytes. Returns whether they were reused. */
static int64_t run(pan123_client *c, pan123_source *s, const struct kit *k, const char *name)
{
    pan123_upload *u = start(c, s, name);
    pan123_result *r = NULL, *digests = NULL;
    pan123_source *memory = NULL;
    CHECK_OK(pan123_upload_wait(u, -1, &r, &err));
    CHECK_OK(pan123_source_from_memory(k->bytes, k->len, NULL, 0, &memory, &err));
    CHECK_OK(pan123_hash(&memory, 1, SCENE_SLICE, 0, NULL, &digests, &err));
    CHECK(!strcmp(pan123_result_str(r, PAN123_F_ETAG, 0, NULL), pan123_result_str(digests, PAN123_F_ETAG, 0, NULL)));
    CHECK(pan123_result_i64(r, PAN123_F_SIZE, 0) == (int64_t)k->len && pan123_result_i64(r, PAN123_F_FILE_ID, 0) > 0);
    int64_t reused = pan123_result_i64(r, PAN123_F_REUSED, -1);
    if (!reused)
        CHECK(pan123_result_i64(r, PAN123_F_SLICE_COUNT, 0) == pan123_result_i64(digests, PAN123_F_SLICE_COUNT, -1));
    pan123_result_free(r);
    pan123_result_free(digests);
    pan123_source_free(memory);
    pan123_upload_free(u);
    return reused;
}

/* The next event; there has to be one. */
static pan123_event next(pan123_queue *q)
{
    pan123_event ev;
    memset(&ev, 0, sizeof ev);
    ev.struct_size = sizeof ev;
    CHECK(pan123_queue_next(q, 60000, &ev) == PAN123_OK);
    return ev;
}

static pan123_progress progress(const pan123_upload *u)
{
    pan123_progress p;
    memset(&p, 0, sizeof p);
    p.struct_size = sizeof p;
    CHECK(pan123_upload_progress(u, &p) == PAN123_OK);
    return p;
}

/* ---- The scenarios ---- */

static void upload(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    CHECK(run(k.client, k.source, &k, "remote") == 0);
    scene_is_right(scene, "remote", k.bytes, k.len, 5);
    free_kit(&k);
}

static void reuse(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    CHECK(run(k.client, k.source, &k, "first") == 0);
    CHECK(run(k.client, k.source, &k, "second") == 1);
    scene_stop(scene);
    CHECK(scene_stored(scene, "first", k.bytes, k.len) && scene_stored(scene, "second", k.bytes, k.len));
    CHECK(scene_requests(scene, "slice", 0) == 5 && scene_requests(scene, "create", 0) == 2);
    free_kit(&k);
}

static void retry(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    int retries = 0;
    CHECK(run(k.client, k.source, &k, "remote") == 0);
    for (pan123_event ev = next(k.queue); ev.kind < PAN123_EV_COMPLETED; ev = next(k.queue))
        retries += ev.kind == PAN123_EV_RETRY && ev.text_len > 0;
    CHECK(retries >= 1);
    snprintf(scene->said, SCENE_SAID, "%d retries told of", retries);
    scene_stop(scene);
    CHECK(scene_stored(scene, "remote", k.bytes, k.len));
    CHECK(scene_requests(scene, "slice", 2) == 3 && scene_requests(scene, "upload_complete", 0) >= 2);
    free_kit(&k);
}

static void cancel(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_upload *u = start(k.client, k.source, "remote");
    pan123_result *r = NULL;
    while (progress(u).bytes_sent == 0) next(k.queue);
    int64_t before = scene_now_ms();
    pan123_upload_cancel(u);
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_wait(u, -1, &r, &err));
    int64_t took = scene_now_ms() - before;
    snprintf(scene->said, SCENE_SAID, "%d ms", (int)took);
    CHECK(took <= 250);
    pan123_upload_free(u);
    scene_stop(scene);
    CHECK(scene_stored_count(scene) == 0);
    free_kit(&k);
}

static void resume(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_upload *u = start(k.client, k.source, "remote");
    pan123_result *r = NULL;
    while (progress(u).slices_done < 3) next(k.queue);
    pan123_upload_cancel(u);
    CHECK_STATUS(PAN123_E_CANCELLED, pan123_upload_wait(u, -1, &r, &err));
    pan123_upload_free(u);
    CHECK_OK(pan123_client_shutdown(k.client, 1, -1, &err));
    pan123_client_free(k.client);

    scene_faults(scene, "{}");
    k.client = new_client(scene, SCENE_TOKEN, NULL, k.queue);
    CHECK(run(k.client, k.source, &k, "remote") == 0);
    scene_stop(scene);
    CHECK(scene_stored(scene, "remote", k.bytes, k.len));
    for (int slice = 1; slice <= 3; slice++) CHECK(scene_requests(scene, "slice", slice) == 1);
    CHECK(scene_requests(scene, "create", 0) == 1);
    free_kit(&k);
}

/* The message of the service's answer to the first `create`. */
static void take_message(const char *line, void *data)
{
    const char *message = strstr(line, "\"message\":\"");
    if (strstr(line, "\"endpoint\":\"create\"") && message) sscanf(message, "\"message\":\"%127[^\"]", (char *)data);
}

static void bad_token(struct scene *scene)
{
    static const char token[] = "not-a-token-of-this-service";
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_client *c = new_client(scene, token, NULL, NULL);
    pan123_upload *u = start(c, k.source, "remote");
    pan123_result *r = NULL;
    pan123_error *e = NULL;
    char words[128] = "";
    CHECK(pan123_upload_wait(u, -1, &r, &e) == PAN123_E_LOGIN && pan123_error_code(e) == PAN123_E_LOGIN);
    scene_stop(scene);
    scene_each_line(scene, take_message, words);
    CHECK(*words && strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), words));
    CHECK(!strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), token));
    CHECK(!strstr(pan123_error_str(e, PAN123_F_JSON, NULL), token));
    pan123_error_free(e);
    pan123_upload_free(u);
    pan123_client_free(c);
    free_kit(&k);
}

static void bad_name(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_upload *u = NULL;
    pan123_error *e = NULL;
    CHECK(pan123_upload_new(k.client, k.source, 0, "a:b", PAN123_NUL, NULL, 0, &u, &e) == PAN123_E_NAME && !u);
    size_t len = 0;
    CHECK(pan123_error_str(e, PAN123_F_ADVICE, &len) && len > 0);
    pan123_error_free(e);
    scene_stop(scene);
    CHECK(scene_requests(scene, "create", 0) == 0);
    free_kit(&k);
}

static void missing_file(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_source *s = NULL;
    pan123_error *e = NULL;
    CHECK(pan123_source_from_path("/nonexistent/film.mkv", PAN123_NUL, &s, &e) == PAN123_E_SOURCE_IO && !s);
    CHECK(strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), "/nonexistent/film.mkv"));
    pan123_error_free(e);
    scene_stop(scene);
    CHECK(scene_requests(scene, "create", 0) == 0);
    free_kit(&k);
}

static int released;
static void release(uintptr_t ctx)
{
    (void)ctx;
    __atomic_add_fetch(&released, 1, __ATOMIC_SEQ_CST);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    const struct kit *k = (const struct kit *)ctx;
    (void)err;
    *out_n = k->len - offset < len ? (size_t)(k->len - offset) : len;
    memcpy(buf, k->bytes + offset, *out_n);
    return PAN123_OK;
}

static void own_source(struct scene *scene)
{
    const pan123_source_vtable vtable = { { sizeof vtable, 0, release, NULL }, read_at, NULL };
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_source *s = NULL;
    CHECK_OK(pan123_source_new(&vtable, (uintptr_t)&k, k.len, &s, &err));
    CHECK(run(k.client, s, &k, "remote") == 0);
    pan123_source_free(s);
    scene_is_right(scene, "remote", k.bytes, k.len, 5);
    free_kit(&k);
    CHECK(__atomic_load_n(&released, __ATOMIC_SEQ_CST) == 1);
}

/* The ports that our own sockets had. */
static int ports[64], ports_count;

static size_t give_body(void *data, uint64_t offset, uint8_t *buf, size_t room)
{
    size_t n = 0;
    return pan123_http_read_body((pan123_http *)data, offset, buf, room, &n, NULL) == PAN123_OK ? n : 0;
}

/* HTTP as simple as it gets: a connection for each request. */
static pan123_status send_request(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    char head[4096], path[1024];
    const char *name, *value;
    int port = 0, status = 0, from = 0;
    int64_t len = pan123_http_i64(x, PAN123_F_BODY_LEN, 0);
    (void)ctx;
    if (sscanf(pan123_http_str(x, PAN123_F_URL, NULL), "http://127.0.0.1:%d%1023s", &port, path) != 2) {
        *err = pan123_error_new(PAN123_E_NETWORK, "this transport goes to 127.0.0.1 only", PAN123_NUL);
        return PAN123_E_NETWORK;
    }
    int at = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %lld\r\nConnection: close\r\n",
                      pan123_http_str(x, PAN123_F_METHOD, NULL), path, port, (long long)len);
    for (size_t i = 0; (name = pan123_http_header(x, 0, i, &value)); i++)
        at += snprintf(head + at, sizeof head - (size_t)at, "%s: %s\r\n", name, value);
    snprintf(head + at, sizeof head - (size_t)at, "\r\n");
    char *answer = scene_http(port, head, (uint64_t)len, give_body, x, &from);
    const char *body = answer ? strstr(answer, "\r\n\r\n") : NULL;
    if (!body || sscanf(answer, "HTTP/1.1 %d", &status) != 1) {
        free(answer);
        *err = pan123_error_new(PAN123_E_NETWORK, "the connection broke", PAN123_NUL);
        return PAN123_E_NETWORK;
    }
    ports[__atomic_fetch_add(&ports_count, 1, __ATOMIC_SEQ_CST) % 64] = from;
    pan123_status answered = pan123_http_answer(x, status, (const uint8_t *)body + 4, strlen(body + 4));
    free(answer);
    return answered;
}

static void is_ours(const char *line, void *data)
{
    int port = 0, ours = 0;
    const char *at = strstr(line, "\"peer_port\":");
    CHECK(at && sscanf(at, "\"peer_port\":%d", &port) == 1);
    for (int i = 0; i < ports_count; i++) ours |= ports[i] == port;
    CHECK(ours);
    ++*(int *)data;
}

static void own_transport(struct scene *scene)
{
    const pan123_transport_vtable vtable = { { sizeof vtable, 0, release, NULL }, send_request, NULL };
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_transport *t = NULL;
    int lines = 0;
    CHECK_OK(pan123_transport_new(NULL, &vtable, 0, &t, &err));
    pan123_client *c = new_client(scene, SCENE_TOKEN, t, NULL);
    pan123_transport_free(t);
    CHECK(run(c, k.source, &k, "remote") == 0);
    CHECK_OK(pan123_client_shutdown(c, 1, -1, &err));
    pan123_client_free(c);
    scene_is_right(scene, "remote", k.bytes, k.len, 5);
    scene_each_line(scene, is_ours, &lines);
    CHECK(lines == ports_count && lines >= 7);
    free_kit(&k);
}

static void progress_(struct scene *scene)
{
    struct kit k = new_kit(scene, 8 * SCENE_SLICE);
    pan123_upload *u = start(k.client, k.source, "remote");
    pan123_result *r = NULL;
    pan123_progress last = { 0 }, now;
    int steps = 0;
    uint32_t kind;
    do {
        kind = next(k.queue).kind;
        now = progress(u);
        CHECK(now.bytes_hashed >= last.bytes_hashed && now.bytes_sent >= last.bytes_sent);
        CHECK(now.bytes_confirmed >= last.bytes_confirmed && now.bytes_confirmed <= now.bytes_sent);
        steps += now.bytes_hashed + now.bytes_sent + now.bytes_confirmed > last.bytes_hashed + last.bytes_sent + last.bytes_confirmed;
        last = now;
    } while (kind < PAN123_EV_COMPLETED);
    CHECK_OK(pan123_upload_wait(u, -1, &r, &err));
    CHECK(now.bytes_hashed == k.len && now.bytes_sent == k.len && now.bytes_confirmed == k.len && now.slices_done == 8);
    snprintf(scene->said, SCENE_SAID, "%d steps seen", steps);
    pan123_result_free(r);
    pan123_upload_free(u);
    scene_is_right(scene, "remote", k.bytes, k.len, 8);
    free_kit(&k);
}

static void slice_by_slice(struct scene *scene)
{
    struct kit k = new_kit(scene, SCENE_BYTES);
    pan123_result *digests = NULL, *made = NULL, *done = NULL;
    int completed = 0;
    CHECK_OK(pan123_hash(&k.source, 1, SCENE_SLICE, 0, NULL, &digests, &err));
    CHECK_OK(pan123_api_create(k.client, 0, "remote", PAN123_NUL, pan123_result_str(digests, PAN123_F_ETAG, 0, NULL),
                               PAN123_NUL, k.len, NULL, NULL, &made, &err));
    const char *id = pan123_result_str(made, PAN123_F_PREUPLOAD_ID, 0, NULL);
    const char *server = pan123_result_str(made, PAN123_F_SERVER, 0, NULL);
    CHECK(pan123_result_i64(made, PAN123_F_REUSED, -1) == 0 && pan123_result_i64(made, PAN123_F_SLICE_SIZE, 0) == SCENE_SLICE);
    for (size_t i = 0; i < 5; i++) {
        size_t offset = i * SCENE_SLICE, len = k.len - offset < SCENE_SLICE ? k.len - offset : SCENE_SLICE;
        CHECK_OK(pan123_api_slice(k.client, server, PAN123_NUL, id, PAN123_NUL, (uint32_t)i + 1,
                                  pan123_result_str(digests, PAN123_F_SLICE_MD5, i, NULL), PAN123_NUL, k.bytes + offset, len,
                                  NULL, &err));
    }
    for (int tries = 0; !completed && tries < 100; tries++) {
        CHECK_OK(pan123_api_complete(k.client, id, PAN123_NUL, NULL, &done, &err));
        completed = pan123_result_i64(done, PAN123_F_COMPLETED, 0) == 1 && pan123_result_i64(done, PAN123_F_FILE_ID, 0) > 0;
        pan123_result_free(done);
    }
    CHECK(completed);
    pan123_result_free(digests);
    pan123_result_free(made);
    scene_is_right(scene, "remote", k.bytes, k.len, 5);
    free_kit(&k);
}

static const char hang_all[] = "{\"faults\":[{\"on\":\"slice\",\"do\":\"hang\"}]}";
static const char hang_from_4[] = "{\"faults\":[{\"on\":\"slice\",\"slice_no\":\"4..\",\"do\":\"hang\"}]}";
static const char trouble[] = "{\"faults\":[{\"on\":\"slice\",\"slice_no\":2,\"attempt\":\"1..2\",\"do\":{\"status\":{\"status\":500}}},"
                              "{\"on\":\"upload_complete\",\"attempt\":1,\"do\":\"pending\"}]}";

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        { "upload", upload, NULL },
        { "reuse", reuse, NULL },
        { "retry", retry, trouble },
        { "cancel", cancel, hang_all },
        { "resume", resume, hang_from_4 },
        { "bad-token", bad_token, NULL },
        { "bad-name", bad_name, NULL },
        { "missing-file", missing_file, NULL },
        { "own-source", own_source, NULL },
        { "own-transport", own_transport, NULL },
        { "progress", progress_, NULL },
        { "slice-by-slice", slice_by_slice, NULL },
    };
    return scene_run_all("c", scenarios, sizeof scenarios / sizeof *scenarios, argc, argv);
}
