/* Frame of a program that the tests write: calls with bad values follow. */
#include "test.h"

static const char *calling = "";

static void crashed(int number)
{
    fprintf(stderr, "signal %d in %s\n", number, calling);
    _exit(3);
}

#define BEFORE(what) (calling = (what), out = NULL, event.struct_size = sizeof event, progress.struct_size = sizeof progress)

/* A code, and an error object with the same code if there is one; nothing made unless it is good. */
#define AFTER(call)                                                                                           \
    do {                                                                                                      \
        pan123_status status = (call);                                                                        \
        if (err) {                                                                                            \
            CHECK(status != PAN123_OK && pan123_error_code(err) == status);                                   \
            CHECK(strlen(pan123_error_str(err, PAN123_F_MESSAGE, NULL)) > 5);                                 \
        }                                                                                                     \
        if (status < 0 || status >= PAN123_E_INTERNAL) {                                                      \
            fprintf(stderr, "%s gave %s: %s\n", calling, pan123_status_name(status),                          \
                    err ? pan123_error_str(err, PAN123_F_MESSAGE, NULL) : "");                                \
            return 1;                                                                                         \
        }                                                                                                     \
        pan123_error_free(err);                                                                               \
        err = NULL;                                                                                           \
    } while (0)

static void *vtable(uint32_t size, uint32_t flags)
{
    static uint64_t memory[9000];
    memset(memory, 0, sizeof memory);
    memcpy(memory, &size, 4);
    memcpy((char *)memory + 4, &flags, 4);
    return memory;
}

/* A vtable that is shorter than it should be, with something in every member that is no function. */
static void *short_vtable(uint32_t size)
{
    uint8_t *memory = vtable(0, 0);
    memset(memory, 0xa5, size);
    memcpy(memory, &size, 4);
    memset(memory + 4, 0, sizeof(pan123_vtable) - 4);
    return memory;
}

/* Half a member is no size that a vtable can have. */
#define SHORT(type, call)                                                                                     \
    for (uint32_t vtable_size = sizeof(pan123_vtable); vtable_size < sizeof(type); vtable_size++) {           \
        pan123_status status = (call);                                                                        \
        if (vtable_size % sizeof(void *) ? status != PAN123_E_ABI : status == PAN123_E_ABI) {                 \
            fprintf(stderr, "%s of %u bytes gave %s\n", #type, vtable_size, pan123_status_name(status));      \
            return 1;                                                                                         \
        }                                                                                                     \
    }

static pan123_event event;
static pan123_progress progress;

static pan123_event *sized_event(uint32_t size)
{
    event.struct_size = size;
    return &event;
}

static pan123_progress *sized_progress(uint32_t size)
{
    progress.struct_size = size;
    return &progress;
}

int main(void)
{
    const uint8_t data[16] = "0123456789abcde";
    uint8_t bytes[16] = "0123456789abcde";
    void *out = NULL;
    const char *text = NULL;
    int64_t number = 0;
    size_t size = 0;
    pan123_error *err = NULL;
    pan123_error *good_error = pan123_error_new(PAN123_E_LOGIN, "an error", PAN123_NUL);
    pan123_options *good_options = NULL;
    pan123_stop *good_stop = NULL;
    pan123_queue *good_queue = NULL;
    pan123_client *good_client = new_client(NULL);
    pan123_source *good_source = memory_source(data, sizeof data);
    pan123_upload *good_upload = NULL;
    pan123_result *good_result = NULL;
    pan123_transport *good_transport = NULL;
    pan123_tokens *good_tokens = NULL;
    pan123_store *good_store = NULL;
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    CHECK_OK(pan123_options_new(&good_options, &err));
    CHECK_OK(pan123_stop_new(&good_stop, &err));
    /* Fired, so that a call that gets as far as waiting comes back. */
    pan123_stop_fire(good_stop);
    CHECK_OK(pan123_queue_new(NULL, 0, &good_queue, &err));
    CHECK_OK(pan123_upload_new(good_client, good_source, 0, "sweep", PAN123_NUL, NULL, 0, &good_upload, &err));
    CHECK_OK(pan123_hash(&good_source, 1, 0, 0, NULL, &good_result, &err));
    (void)bytes, (void)text, (void)number, (void)size, (void)good_transport, (void)good_tokens, (void)good_store;
