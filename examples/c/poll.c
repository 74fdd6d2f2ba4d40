/* Uploads files from one thread with an event loop: poll FILE...
 *
 * The queue has a file descriptor that is readable while an event waits; it goes into poll() with everything else that
 * the loop looks after, here standard input: a line "cancel" cancels all uploads. */
#define _POSIX_C_SOURCE 200809L
#include <pan123.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Takes all events that wait. Returns how many uploads have ended. */
static int take_events(pan123_queue *queue, char **names, int *failed)
{
    pan123_event event = { .struct_size = sizeof event };
    int ended = 0;
    while (pan123_queue_next(queue, 0, &event) == PAN123_OK) {
        const char *name = name_of(names[event.user]);
        if (event.kind == PAN123_EV_PROGRESS)
            printf("%s: %llu of %llu bytes\n", name, (unsigned long long)event.bytes_done,
                   (unsigned long long)event.bytes_total);
        else if (event.kind == PAN123_EV_COMPLETED)
            printf("%s: file id %lld\n", name, (long long)event.value);
        else if (event.kind >= PAN123_EV_COMPLETED)
            printf("%s: %s: %s\n", name, pan123_status_name(event.code), event.text);
        ended += event.kind >= PAN123_EV_COMPLETED;
        *failed += event.kind > PAN123_EV_COMPLETED;
    }
    fflush(stdout);
    return ended;
}

int main(int argc, char **argv)
{
    const char *token = getenv("PAN123_ACCESS_TOKEN"), *base_url = getenv("PAN123_BASE_URL");
    pan123_options *options = NULL;
    pan123_queue *queue = NULL;
    pan123_client *client = NULL;
    pan123_upload *uploads[MOST] = { NULL };
    pan123_error *error = NULL;
    int running = 0, failed = 0;
    int64_t handle = -1;

    if (argc < 2 || argc - 1 > MOST || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 2;
    int ready = !pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, &error)
        && (!base_url || !pan123_options_set_str(options, PAN123_OPT_BASE_URL, base_url, PAN123_NUL, &error))
        && !pan123_queue_new(NULL, 0, &queue, &error)
        && !pan123_queue_handle(queue, &handle)
        && !pan123_client_new(options, NULL, NULL, NULL, queue, &client, &error);
    for (int i = 0; ready && i < argc - 1; i++) {
        pan123_source *source = NULL;
        ready = !pan123_source_from_path(argv[i + 1], PAN123_NUL, &source, &error)
            && !pan123_upload_new(client, source, 0, name_of(argv[i + 1]), PAN123_NUL, NULL, (uint64_t)i + 1,
                                  &uploads[i], &error)
            && !pan123_upload_start(uploads[i], &error);
        pan123_source_free(source); /* The upload keeps its own reference. */
        running += ready;
    }

    struct pollfd fds[2] = { { (int)handle, POLLIN, 0 }, { 0, POLLIN, 0 } };
    while (running > 0 && poll(fds, 2, -1) >= 0) {
        if (fds[0].revents) running -= take_events(queue, argv, &failed);
        if (fds[1].revents) {
            char line[64];
            if (!fgets(line, sizeof line, stdin)) fds[1].fd = -1;
            else if (!strcmp(line, "cancel\n"))
                for (int i = 0; i < argc - 1; i++) pan123_upload_cancel(uploads[i]);
        }
    }

    if (error) fprintf(stderr, "%s\n", pan123_error_str(error, PAN123_F_MESSAGE, NULL));
    for (int i = 0; i < argc - 1; i++) pan123_upload_free(uploads[i]);
    pan123_client_free(client);
    pan123_queue_free(queue);
    pan123_options_free(options);
    pan123_error_free(error);
    return ready && !failed ? 0 : 1;
}
