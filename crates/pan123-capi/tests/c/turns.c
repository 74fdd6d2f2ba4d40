/* Callbacks that take turns: waiting for one's turn is no hanging, one that hangs holds up nobody for ever. */
#include "test.h"

static struct gate gate = GATE;
enum { LEN = 60000, COUNT = 8 };

/* An archive that reads slowly, one piece at a time. */
static pan123_status read_slowly(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    struct timespec slow = { 0, 100 * 1000 * 1000 };
    (void)err;
    nanosleep(&slow, NULL);
    for (size_t i = 0; i < len; i++) buf[i] = (uint8_t)((offset + i) * (ctx + 3) >> 5);
    *out_n = len;
    return PAN123_OK;
}

static void wait_for_turns(void)
{
    static const pan123_source_vtable vt = { { sizeof vt, PAN123_VT_SERIAL, NULL, NULL }, read_slowly, NULL };
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    pan123_source *s = NULL;
    pan123_upload *u[COUNT];
    pan123_result *r = NULL;
    /* Less than the turns of all others take. */
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_SOURCE_TIMEOUT_MS, 400, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    CHECK_OK(pan123_source_new(&vt, 1, LEN, &s, &err));
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "turn %d", i);
        u[i] = start_upload(c, s, name, 0);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_OK(pan123_upload_wait(u[i], 60000, &r, &err));
        pan123_result_free(r);
        pan123_upload_free(u[i]);
    }
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_options_free(o);
}

static pan123_status read_never(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)offset, (void)buf, (void)len, (void)out_n, (void)err;
    gate_wait(&gate);
    return PAN123_E_CALLBACK;
}

/* Behind a read that never returns there is no turn to wait for. */
static void behind_one_that_hangs(void)
{
    static const pan123_source_vtable vt = { { sizeof vt, PAN123_VT_SERIAL, NULL, NULL }, read_never, NULL };
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    pan123_source *s = NULL;
    pan123_upload *first, *second;
    pan123_result *r = NULL;
    pan123_error *e = NULL;
    gate.open = gate.waiting = 0;
    CHECK_OK(pan123_options_set_u64(o, PAN123_OPT_SOURCE_TIMEOUT_MS, 300, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    CHECK_OK(pan123_source_new(&vt, 0, LEN, &s, &err));
    first = start_upload(c, s, "hangs", 0);
    gate_full(&gate, 1);
    second = start_upload(c, s, "behind it", 0);
    CHECK(pan123_upload_wait(second, 60000, &r, &e) == PAN123_E_SOURCE_STALLED);
    CHECK(strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), "PAN123_VT_SERIAL"));
    pan123_error_free(e);
    e = NULL;
    CHECK(pan123_upload_wait(first, 60000, &r, &e) == PAN123_E_SOURCE_STALLED);
    CHECK(strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), "did not return within 300 ms"));
    pan123_error_free(e);
    gate_open(&gate);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_upload_free(first);
    pan123_upload_free(second);
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_options_free(o);
}

static int gets;

static pan123_status get(uintptr_t ctx, const char *refused, size_t len, pan123_sink *token, int64_t *expires, pan123_error **err)
{
    const char *text = getenv("PAN123_ACCESS_TOKEN");
    (void)ctx, (void)refused, (void)len, (void)expires, (void)err;
    if (__atomic_fetch_add(&gets, 1, __ATOMIC_SEQ_CST) == 0) {
        gate_wait(&gate);
        return PAN123_E_CALLBACK;
    }
    return pan123_sink_put(token, (const uint8_t *)text, strlen(text));
}

/* A token provider that hangs once: whoever asked asks again, and so does who waited behind. */
static void token_that_never_comes(void)
{
    static const pan123_tokens_vtable vt = { { sizeof vt, 0, NULL, NULL }, get };
    uint8_t *bytes = make_bytes(LEN, 77);
    pan123_options *o = NULL;
    pan123_tokens *t = NULL;
    pan123_client *c = NULL;
    pan123_source *s = memory_source(bytes, LEN);
    pan123_upload *first, *second;
    pan123_result *r = NULL;
    gate.open = gate.waiting = 0;
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &err));
    CHECK_OK(pan123_tokens_new(&vt, 0, &t, &err));
    CHECK_OK(pan123_client_new(o, t, NULL, NULL, NULL, &c, &err));
    first = start_upload(c, s, "asks first", 0);
    gate_full(&gate, 1);
    second = start_upload(c, s, "waits behind", 0);
    CHECK_OK(pan123_upload_wait(second, 100000, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_upload_wait(first, 100000, &r, &err));
    pan123_result_free(r);
    CHECK(gate.waiting == 1 && gets > 2);
    gate_open(&gate);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_upload_free(first);
    pan123_upload_free(second);
    pan123_client_free(c);
    pan123_tokens_free(t);
    pan123_source_free(s);
    pan123_options_free(o);
    free(bytes);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "token")) {
        token_that_never_comes();
    } else {
        wait_for_turns();
        behind_one_that_hangs();
    }
    puts("ok");
    return 0;
}
