/* Loaded, used, unloaded, a hundred times, with threads of the host's that end afterwards: dlopen LIBRARY */
#include "test.h"
#include <dlfcn.h>

#define FUNCTIONS(f)                                                                                          \
    f(abi_check) f(options_new) f(options_set_str) f(options_free) f(client_new) f(client_free)               \
    f(client_shutdown) f(source_from_memory) f(source_free) f(hash) f(result_str) f(result_free)              \
    f(upload_new) f(upload_start) f(upload_cancel) f(upload_wait) f(upload_free) f(error_new) f(error_free)

#define DECLARE(name) __typeof__(pan123_##name) *name;
#define LOAD(name) *(void **)&lib->name = dlsym(lib->handle, "pan123_" #name); CHECK(lib->name);

struct lib {
    void *handle;
    FUNCTIONS(DECLARE)
};

static void *use(void *data)
{
    struct lib *lib = data;
    pan123_options *o = NULL;
    pan123_client *c = NULL;
    pan123_source *s = NULL;
    pan123_result *r = NULL;
    pan123_upload *u = NULL;
    const char *base = getenv("PAN123_BASE_URL"), *token = getenv("PAN123_ACCESS_TOKEN");
    CHECK(lib->abi_check(PAN123_ABI_VERSION) == PAN123_OK);
    CHECK(!lib->options_new(&o, NULL) && !lib->options_set_str(o, PAN123_OPT_BASE_URL, base, PAN123_NUL, NULL));
    CHECK(!lib->options_set_str(o, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, NULL));
    CHECK(!lib->client_new(o, NULL, NULL, NULL, NULL, &c, NULL));
    CHECK(!lib->source_from_memory((const uint8_t *)"abc", 3, NULL, 0, &s, NULL));
    CHECK(!lib->hash(&s, 1, 0, 0, NULL, &r, NULL));
    CHECK(!strcmp(lib->result_str(r, PAN123_F_ETAG, 0, NULL), "900150983cd24fb0d6963f7d28e17f72"));
    lib->result_free(r);
    lib->error_free(lib->error_new(PAN123_E_LOGIN, "x", 1));
    CHECK(!lib->upload_new(c, s, 0, "dlopen", PAN123_NUL, NULL, 0, &u, NULL) && !lib->upload_start(u, NULL));
    lib->upload_cancel(u);
    CHECK(lib->upload_wait(u, 60000, &r, NULL) != PAN123_E_TIMEOUT);
    lib->result_free(r);
    lib->upload_free(u);
    lib->source_free(s);
    lib->options_free(o);
    lib->client_free(c);
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    for (int round = 0; round < 100; round++) {
        struct lib it = { 0 }, *lib = &it;
        pthread_t thread;
        lib->handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!lib->handle) fprintf(stderr, "%s\n", dlerror());
        CHECK(lib->handle);
        FUNCTIONS(LOAD)
        /* The thread has used the library; it ends, with what the library left in it, while or after it is closed. */
        CHECK(!pthread_create(&thread, NULL, use, lib));
        if (round % 2) {
            pthread_join(thread, NULL);
            CHECK(!dlclose(lib->handle));
        } else {
            use(lib);
            pthread_join(thread, NULL);
            CHECK(!dlclose(lib->handle));
        }
    }
    puts("ok");
    return 0;
}
