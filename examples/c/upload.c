/* Uploads a file: upload FILE NAME
 *
 * The account is in PAN123_ACCESS_TOKEN; PAN123_BASE_URL names another service, for example an emulator's. */
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    pan123_options *options = NULL;
    pan123_client *client = NULL;
    pan123_source *source = NULL;
    pan123_upload *upload = NULL;
    pan123_result *result = NULL;
    pan123_error *error = NULL;
    const char *token = getenv("PAN123_ACCESS_TOKEN"), *base_url = getenv("PAN123_BASE_URL");

    if (argc != 3 || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 2;
    int done = !pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, &error)
        && (!base_url || !pan123_options_set_str(options, PAN123_OPT_BASE_URL, base_url, PAN123_NUL, &error))
        && !pan123_client_new(options, NULL, NULL, NULL, NULL, &client, &error)
        && !pan123_source_from_path(argv[1], PAN123_NUL, &source, &error)
        && !pan123_upload_new(client, source, 0, argv[2], PAN123_NUL, NULL, 0, &upload, &error)
        && !pan123_upload_start(upload, &error)
        && !pan123_upload_wait(upload, -1, &result, &error);
    if (done)
        printf("file id %lld, etag %s\n", (long long)pan123_result_i64(result, PAN123_F_FILE_ID, 0),
               pan123_result_str(result, PAN123_F_ETAG, 0, NULL));
    else if (error)
        fprintf(stderr, "%s: %s\n", pan123_status_name(pan123_error_code(error)),
                pan123_error_str(error, PAN123_F_MESSAGE, NULL));

    /* In any order; NULL is fine. */
    pan123_result_free(result);
    pan123_upload_free(upload);
    pan123_source_free(source);
    pan123_client_free(client);
    pan123_options_free(options);
    pan123_error_free(error);
    return done ? 0 : 1;
}
