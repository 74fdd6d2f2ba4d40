/* A system that gives few threads or none: nothing hangs, nothing is printed, and errors name what is missing. */
#include "test.h"
#include <dlfcn.h>

/* As many threads may live at once; negative: any number. */
static int room = -1;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int limit = __atomic_load_n(&room, __ATOMIC_SEQ_CST);
    if (!real) {
        void *found = dlsym(RTLD_NEXT, "pthread_create");
        memcpy(&real, &found, sizeof real);
    }
    if (limit >= 0 && count_threads() >= limit) return EAGAIN;
    return real(thread, attributes, start, data);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)err;
    for (size_t i = 0; i < len; i++) buf[i] = (uint8_t)((offset + i) * (ctx + 7) >> 9);
    *out_n = len;
    return PAN123_OK;
}

/* Fails for want of threads, and says so, or succeeds. */
#define CHECK_CROWDED(call)                                                                                   \
    do {                                                                                                      \
        pan123_error *err = NULL;                                                                             \
        pan123_status got_ = (call);                                                                          \
        if (got_ && (got_ != PAN123_E_INTERNAL || !strstr(pan123_error_str(err, PAN123_F_MESSAGE, NULL), "thread"))) { \
            fprintf(stderr, "%s:%d: room for %d: %s gave %s: %s\n", __FILE__, __LINE__, extra, #call,         \
                    pan123_status_name(got_), err ? pan123_error_str(err, PAN123_F_MESSAGE, NULL) : "-");     \
            exit(1);                                                                                          \
        }                                                                                                     \
        failed += got_ != PAN123_OK;                                                                          \
        pan123_error_free(err);                                                                               \
    } while (0)

static int use(int extra, int of_file)
{
    static const pan123_source_vtable vt = { { sizeof vt, 0, NULL, NULL }, read_at, NULL };
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    pan123_source *s = NULL;
    pan123_upload *u = NULL;
    pan123_result *r = NULL;
    char name[40];
    int failed = 0, threads = count_threads();
    if (of_file) {
        uint8_t *bytes = make_bytes(300000, (uint64_t)extra + 100);
        FILE *file = fopen("crowded.bin", "wb");
        CHECK(file && fwrite(bytes, 1, 300000, file) == 300000 && !fclose(file));
        free(bytes);
        CHECK_OK(pan123_source_from_path("crowded.bin", PAN123_NUL, &s, &err));
    } else {
        CHECK_OK(pan123_source_new(&vt, (uintptr_t)extra, 300000, &s, &err));
    }
    snprintf(name, sizeof name, "crowded %d %d", extra, of_file);
    room = extra < 0 ? -1 : threads + extra;
    CHECK_CROWDED(pan123_hash(&s, 1, 0, 0, NULL, &r, &err));
    pan123_result_free(r);
    CHECK_CROWDED(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    if (c) {
        CHECK_CROWDED(pan123_api_domain(c, NULL, &r, &err));
        pan123_result_free(r);
        u = start_upload(c, s, name, 0);
        CHECK_CROWDED(pan123_upload_wait(u, 60000, &r, &err));
        pan123_result_free(r);
        pan123_upload_free(u);
        CHECK_OK(pan123_client_shutdown(c, 0, 60000, &err));
        pan123_client_free(c);
    }
    room = -1;
    WAIT_FOR(count_threads() == threads, 10);
    pan123_source_free(s);
    pan123_options_free(o);
    return failed;
}

int main(void)
{
    CHECK(use(0, 0) > 0 && use(0, 1) > 0);
    for (int extra = 1; extra < 10; extra++) {
        use(extra, 0);
        use(extra, 1);
    }
    CHECK(use(-1, 0) == 0 && use(-1, 1) == 0);
    puts("ok");
    return 0;
}
