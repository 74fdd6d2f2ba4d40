/* Uploads something that is no file: source SIZE NAME
 *
 * The bytes are those of a counter and are never all in memory. What you have instead may be an archive's member, an
 * encrypted store or an app's sandbox: anything that can be read at an offset, as the same bytes each time. */
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>

struct counter {
    uint64_t step;
    int released;
};

/* Comes on threads of the library, several at once, and may block. */
static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n,
                             pan123_error **err)
{
    const struct counter *counter = (const struct counter *)ctx;
    if (counter->step == 0) {
        *err = pan123_error_new(PAN123_E_SOURCE_IO, "the counter stands still", PAN123_NUL);
        return PAN123_E_SOURCE_IO;
    }
    for (size_t i = 0; i < len; i++) {
        uint64_t at = offset + i;
        buf[i] = (uint8_t)((at / 8 * counter->step) >> (at % 8 * 8));
    }
    *out_n = len;
    return PAN123_OK;
}

/* Comes once, last of all. */
static void release(uintptr_t ctx)
{
    ((struct counter *)ctx)->released = 1;
}

int main(int argc, char **argv)
{
    const pan123_source_vtable vtable = { { sizeof vtable, 0, release, NULL }, read_at, NULL };
    struct counter counter = { 0x9e3779b97f4a7c15u, 0 };
    const char *token = getenv("PAN123_ACCESS_TOKEN"), *base_url = getenv("PAN123_BASE_URL");
    pan123_options *options = NULL;
    pan123_client *client = NULL;
    pan123_source *source = NULL;
    pan123_upload *upload = NULL;
    pan123_result *result = NULL;
    pan123_error *error = NULL;

    if (argc != 3 || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 2;
    uint64_t size = strtoull(argv[1], NULL, 10);
    int done = !pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, &error)
        && (!base_url || !pan123_options_set_str(options, PAN123_OPT_BASE_URL, base_url, PAN123_NUL, &error))
        && !pan123_client_new(options, NULL, NULL, NULL, NULL, &client, &error)
        && !pan123_source_new(&vtable, (uintptr_t)&counter, size, &source, &error)
        && !pan123_upload_new(client, source, 0, argv[2], PAN123_NUL, NULL, 0, &upload, &error)
        && !pan123_upload_start(upload, &error)
        && !pan123_upload_wait(upload, -1, &result, &error);
    if (done)
        printf("file id %lld, etag %s\n", (long long)pan123_result_i64(result, PAN123_F_FILE_ID, 0),
               pan123_result_str(result, PAN123_F_ETAG, 0, NULL));
    else if (error)
        fprintf(stderr, "%s\n", pan123_error_str(error, PAN123_F_MESSAGE, NULL));
    pan123_result_free(result);
    pan123_upload_free(upload);
    pan123_source_free(source);
    /* The counter lives on this stack, so wait until the library has let go of it. */
    if (client) pan123_client_shutdown(client, 1, -1, NULL);
    pan123_client_free(client);
    pan123_options_free(options);
    pan123_error_free(error);
    return done && counter.released ? 0 : 1;
}
