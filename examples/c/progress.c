/* Uploads a file and shows a progress bar: progress FILE NAME
 *
 * The library calls on_event on a thread of its own; the main thread just waits for the outcome. */
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>

static void bar(FILE *out, int percent)
{
    fprintf(out, "\r[%-50.*s] %3d %%", percent / 2, "##################################################", percent);
}

static void on_event(uintptr_t ctx, const pan123_event *event)
{
    FILE *out = (FILE *)ctx;
    int percent = event->bytes_total ? (int)(event->bytes_done * 100 / event->bytes_total) : 0;
    switch (event->kind) {
    case PAN123_EV_PROGRESS:
    case PAN123_EV_SLICE:
        bar(out, percent);
        break;
    case PAN123_EV_RETRY:
        fprintf(out, "\ntrying again: %s\n", event->text);
        break;
    case PAN123_EV_COMPLETED:
        bar(out, 100); /* Also where the service had the content already and nothing was sent. */
        fprintf(out, "\ndone, file id %lld\n", (long long)event->value);
        break;
    default: /* Other kinds, and those that later versions add. */
        break;
    }
    fflush(out);
}

static int fail(pan123_error *error)
{
    const char *advice = pan123_error_str(error, PAN123_F_ADVICE, NULL);
    fprintf(stderr, "\n%s\n%s\n", pan123_error_str(error, PAN123_F_MESSAGE, NULL), advice ? advice : "");
    pan123_error_free(error);
    return 1;
}

int main(int argc, char **argv)
{
    const pan123_observer_vtable observer = { { sizeof observer, 0, NULL, NULL }, on_event };
    const char *token = getenv("PAN123_ACCESS_TOKEN"), *base_url = getenv("PAN123_BASE_URL");
    pan123_options *options = NULL;
    pan123_queue *queue = NULL;
    pan123_client *client = NULL;
    pan123_source *source = NULL;
    pan123_upload *upload = NULL;
    pan123_result *result = NULL;
    pan123_error *error = NULL;

    if (argc != 3 || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 2;
    if (!pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, &error)
        && !pan123_options_set_u64(options, PAN123_OPT_PROGRESS_MS, 50, &error)
        && (!base_url || !pan123_options_set_str(options, PAN123_OPT_BASE_URL, base_url, PAN123_NUL, &error))
        && !pan123_queue_new(&observer, (uintptr_t)stdout, &queue, &error)
        && !pan123_client_new(options, NULL, NULL, NULL, queue, &client, &error)
        && !pan123_source_from_path(argv[1], PAN123_NUL, &source, &error)
        && !pan123_upload_new(client, source, 0, argv[2], PAN123_NUL, NULL, 0, &upload, &error)
        && !pan123_upload_start(upload, &error)
        && !pan123_upload_wait(upload, -1, &result, &error)) {
        /* Waits until every event was told, which the process would not do by ending. */
        pan123_client_shutdown(client, 0, -1, &error);
    }
    pan123_result_free(result);
    pan123_upload_free(upload);
    pan123_source_free(source);
    pan123_client_free(client);
    pan123_queue_free(queue);
    pan123_options_free(options);
    return error ? fail(error) : 0;
}
