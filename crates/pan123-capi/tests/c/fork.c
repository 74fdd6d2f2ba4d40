/* After fork the child can use nothing of the parent's, frees without harm, and can make objects of its own. */
#include "test.h"
#include <sched.h>

/* What a child makes itself works. */
static void use_own(const char *name)
{
    pan123_client *own = new_client(NULL);
    pan123_source *mine = memory_source((const uint8_t *)"child", 5);
    pan123_result *r = NULL;
    pan123_upload *u;
    CHECK_OK(pan123_hash(&mine, 1, 0, 0, NULL, &r, &err));
    pan123_result_free(r);
    u = start_upload(own, mine, name, 0);
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    pan123_upload_free(u);
    pan123_source_free(mine);
    CHECK_OK(pan123_client_shutdown(own, 0, 60000, &err));
    pan123_client_free(own);
}

static void check_child(pid_t child)
{
    int status = -1;
    CHECK(child >= 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err_)
{
    static int forked;
    (void)ctx;
    if (!__atomic_exchange_n(&forked, 1, __ATOMIC_SEQ_CST)) {
        pid_t child = fork();
        if (child == 0) {
            uint8_t buf[10];
            size_t n = 0;
            const char *value;
            CHECK(pan123_http_set_header(x, 0, "A", 1, "b", 1) == PAN123_E_FORKED);
            CHECK(pan123_http_answer(x, 200, NULL, 0) == PAN123_E_FORKED);
            CHECK_STATUS(PAN123_E_FORKED, pan123_http_read_body(x, 0, buf, sizeof buf, &n, &err));
            CHECK_STATUS(PAN123_E_FORKED, pan123_http_forward(x, &err));
            CHECK(!pan123_http_str(x, PAN123_F_METHOD, NULL) && !pan123_http_header(x, 0, 0, &value));
            CHECK(pan123_http_i64(x, PAN123_F_BODY_LEN, -7) == -7);
            use_own("of a child of send");
            _exit(0);
        }
        check_child(child);
    }
    return pan123_http_forward(x, err_);
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t len, pan123_sink *token, int64_t *expires, pan123_error **err_)
{
    static int forked;
    const char *text = getenv("PAN123_ACCESS_TOKEN");
    (void)ctx, (void)refused, (void)len, (void)expires, (void)err_;
    if (!__atomic_exchange_n(&forked, 1, __ATOMIC_SEQ_CST)) {
        pid_t child = fork();
        if (child == 0) {
            CHECK(pan123_sink_put(token, (const uint8_t *)"x", 1) == PAN123_E_FORKED);
            use_own("of a child of get");
            _exit(0);
        }
        check_child(child);
    }
    return pan123_sink_put(token, (const uint8_t *)text, strlen(text));
}

/* A child that is forked inside a callback is inside none, and what the callback was lent is not the child's. */
static void fork_inside(void)
{
    static const pan123_transport_vtable transport_vt = { { sizeof transport_vt, 0, NULL, NULL }, send_, NULL };
    static const pan123_tokens_vtable tokens_vt = { { sizeof tokens_vt, 0, NULL, NULL }, get };
    pan123_options *o = NULL;
    pan123_transport *x = NULL;
    pan123_tokens *t = NULL;
    pan123_client *c = NULL;
    pan123_result *r = NULL;
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &err));
    CHECK_OK(pan123_transport_new(NULL, &transport_vt, 0, &x, &err));
    CHECK_OK(pan123_tokens_new(&tokens_vt, 0, &t, &err));
    CHECK_OK(pan123_client_new(o, t, x, NULL, NULL, &c, &err));
    CHECK_OK(pan123_api_domain(c, NULL, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_client_shutdown(c, 0, 60000, &err));
    pan123_client_free(c);
    pan123_transport_free(x);
    pan123_tokens_free(t);
    pan123_options_free(o);
}

/* The first process of a container, which starts the first process of another one: both are number 1. */
static void fork_into_container(void)
{
    pid_t outer;
    if (unshare(CLONE_NEWPID)) {
        fputs("SKIPPED: process namespaces: not allowed here\n", stderr);
        return;
    }
    outer = fork();
    if (outer == 0) {
        pan123_client *c = new_client(NULL);
        pan123_result *r = NULL;
        pid_t inner;
        alarm(60);
        CHECK(getpid() == 1 && !unshare(CLONE_NEWPID));
        inner = fork();
        if (inner == 0) {
            alarm(60);
            CHECK(getpid() == 1);
            CHECK_STATUS(PAN123_E_FORKED, pan123_api_domain(c, NULL, &r, &err));
            pan123_client_free(c);
            _exit(0);
        }
        check_child(inner);
        CHECK_OK(pan123_api_domain(c, NULL, &r, &err));
        _exit(0);
    }
    check_child(outer);
}

int main(int argc, char **argv)
{
    uint8_t *bytes = make_bytes(5000000, 6);
    pan123_queue *q = NULL;
    pan123_client *c;
    pan123_source *s = memory_source(bytes, 5000000);
    pan123_options *o = new_options();
    pan123_upload *u;
    pan123_result *r = NULL;
    pan123_stop *stop = NULL;
    int status = -1;
    pid_t child;
    if (argc > 1 && !strcmp(argv[1], "container")) {
        fork_into_container();
        puts("ok");
        return 0;
    }
    CHECK_OK(pan123_queue_new(NULL, 0, &q, &err));
    CHECK_OK(pan123_stop_new(&stop, &err));
    c = new_client(q);
    u = start_upload(c, s, "forked", 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pan123_event ev = { .struct_size = sizeof ev };
        pan123_progress p = { .struct_size = sizeof p };
        CHECK_STATUS(PAN123_E_FORKED, pan123_upload_wait(u, -1, &r, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_upload_start(u, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_api_domain(c, NULL, &r, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_client_shutdown(c, 1, -1, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_hash(&s, 1, 0, 0, NULL, &r, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_options_set_u64(o, PAN123_OPT_VIP_RATES, 1, &err));
        CHECK(pan123_queue_next(q, -1, &ev) == PAN123_E_FORKED);
        CHECK(pan123_upload_progress(u, &p) == PAN123_E_FORKED);
        CHECK(!pan123_client_retain(c) && !pan123_upload_retain(u));
        pan123_upload_cancel(u);
        pan123_stop_fire(stop);
        pan123_upload_free(u);
        pan123_client_free(c);
        pan123_source_free(s);
        pan123_queue_free(q);
        pan123_options_free(o);
        pan123_stop_free(stop);
        use_own("of the child");
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The parent noticed nothing. */
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    pan123_upload_free(u);
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_queue_free(q);
    pan123_options_free(o);
    pan123_stop_free(stop);
    free(bytes);
    fork_inside();
    puts("ok");
    return 0;
}
