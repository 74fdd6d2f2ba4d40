/* What an upload from the program's own byte source, and small calls, cost in C: cost upload BYTES | slices COUNT |
 * hash COUNT. `cargo xtask bench bindings` runs it. */
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_BYTES ((size_t)64 << 20)
#define SLICE_BYTES 4096u
#define HASH_BYTES 1024u

static uint8_t *block;

static void check(pan123_status status, pan123_error *error)
{
    if (status == PAN123_OK) return;
    fprintf(stderr, "%s: %s\n", pan123_status_name(status), error ? pan123_error_str(error, PAN123_F_MESSAGE, NULL) : "");
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double wall, cpu;

static void start(void)
{
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static void stop(void)
{
    printf("{\"wall_s\":%.9f,\"cpu_s\":%.9f}\n", seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

/* As many bytes as are wanted, from a block of them over and over. */
static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)err;
    for (size_t done = 0; done < len;) {
        size_t from = (size_t)(offset + done) % BLOCK_BYTES;
        size_t n = len - done < BLOCK_BYTES - from ? len - done : BLOCK_BYTES - from;
        memcpy(buf + done, block + from, n);
        done += n;
    }
    *out_n = len;
    return PAN123_OK;
}

static pan123_client *new_client(void)
{
    pan123_error *e = NULL;
    pan123_options *o = NULL;
    pan123_client *c = NULL;
    check(pan123_options_new(&o, &e), e);
    check(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &e), e);
    check(pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, &e), e);
    check(pan123_options_set_u64(o, PAN123_OPT_SLICES_IN_FLIGHT, 8, &e), e);
    check(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &e), e);
    pan123_options_free(o);
    return c;
}

static void upload(uint64_t size)
{
    const pan123_source_vtable vtable = { { sizeof vtable, 0, NULL, NULL }, read_at, NULL };
    pan123_error *e = NULL;
    pan123_source *s = NULL;
    pan123_upload *u = NULL;
    pan123_result *r = NULL;
    pan123_client *c = new_client();
    start();
    check(pan123_source_new(&vtable, 0, size, &s, &e), e);
    check(pan123_upload_new(c, s, 0, "cost", PAN123_NUL, NULL, 0, &u, &e), e);
    check(pan123_upload_start(u, &e), e);
    check(pan123_upload_wait(u, -1, &r, &e), e);
    stop();
    pan123_result_free(r);
    pan123_upload_free(u);
    pan123_source_free(s);
    check(pan123_client_shutdown(c, 1, -1, &e), e);
    pan123_client_free(c);
}

static void slices(uint64_t count)
{
    static const char etag[] = "0123456789abcdef0123456789abcdef";
    pan123_error *e = NULL;
    pan123_result *r = NULL;
    pan123_client *c = new_client();
    check(pan123_api_create(c, 0, "cost", PAN123_NUL, etag, 32, count * SLICE_BYTES, NULL, NULL, &r, &e), e);
    const char *id = pan123_result_str(r, PAN123_F_PREUPLOAD_ID, 0, NULL), *server = pan123_result_str(r, PAN123_F_SERVER, 0, NULL);
    start();
    for (uint64_t i = 0; i < count; i++)
        check(pan123_api_slice(c, server, PAN123_NUL, id, PAN123_NUL, (uint32_t)i + 1, NULL, 0, block + i * SLICE_BYTES,
                               SLICE_BYTES, NULL, &e), e);
    stop();
    pan123_result_free(r);
    pan123_client_free(c);
}

static void hash(uint64_t count)
{
    pan123_error *e = NULL;
    start();
    for (uint64_t i = 0; i < count; i++) {
        pan123_source *s = NULL;
        pan123_result *r = NULL;
        size_t len = 0;
        check(pan123_source_from_memory(block + i * HASH_BYTES % (BLOCK_BYTES - HASH_BYTES), HASH_BYTES, NULL, 0, &s, &e), e);
        check(pan123_hash(&s, 1, 0, 0, NULL, &r, &e), e);
        if (!pan123_result_str(r, PAN123_F_ETAG, 0, &len) || len != 32) exit(1);
        pan123_result_free(r);
        pan123_source_free(s);
    }
    stop();
}

int main(int argc, char **argv)
{
    uint64_t state = 1;
    if (argc != 3 || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 2;
    block = malloc(BLOCK_BYTES);
    if (!block) return 1;
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        block[i] = (uint8_t)(state >> 56);
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    if (!strcmp(argv[1], "upload")) upload(count);
    else if (!strcmp(argv[1], "slices")) slices(count);
    else if (!strcmp(argv[1], "hash")) hash(count);
    else return 2;
    free(block);
    return 0;
}
