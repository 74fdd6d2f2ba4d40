/* Uploads with plugins and nothing else to log in with: run FILE NAME PLUGIN[=CONFIG]...
 *
 * Prints "file id N sent M", or the error's code and message. */
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    pan123_options *options = NULL;
    pan123_client *client = NULL;
    pan123_source *source = NULL;
    pan123_upload *upload = NULL;
    pan123_result *result = NULL;
    pan123_error *error = NULL;
    int done = argc > 2 && !pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &error)
        && !pan123_options_set_u64(options, PAN123_OPT_RETRY_FOR_MS, 1000, &error);
    for (int i = 3; done && i < argc; i++) {
        size_t len = strcspn(argv[i], "=");
        const char *config = argv[i][len] ? argv[i] + len + 1 : NULL;
        done = !pan123_options_add_plugin(options, argv[i], len, config, PAN123_NUL, &error);
    }
    done = done && !pan123_client_new(options, NULL, NULL, NULL, NULL, &client, &error)
        && !pan123_source_from_path(argv[1], PAN123_NUL, &source, &error)
        && !pan123_upload_new(client, source, 0, argv[2], PAN123_NUL, NULL, 0, &upload, &error)
        && !pan123_upload_start(upload, &error)
        && !pan123_upload_wait(upload, -1, &result, &error);
    if (done)
        printf("file id %lld sent %lld\n", (long long)pan123_result_i64(result, PAN123_F_FILE_ID, 0),
               (long long)pan123_result_i64(result, PAN123_F_BYTES_SENT, -1));
    else if (error)
        printf("%s: %s\n", pan123_status_name(pan123_error_code(error)), pan123_error_str(error, PAN123_F_MESSAGE, NULL));
    pan123_result_free(result);
    pan123_upload_free(upload);
    pan123_source_free(source);
    if (client) pan123_client_shutdown(client, 0, -1, NULL);
    pan123_client_free(client);
    pan123_options_free(options);
    pan123_error_free(error);
    return done ? 0 : 1;
}
