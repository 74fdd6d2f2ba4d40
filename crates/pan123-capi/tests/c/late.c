/* Calls on threads that are at their end, and calls whose thread is cancelled. */
#include "test.h"

static pan123_client *client;
static pan123_queue *queue;
static uint8_t *bytes;
static int done;

/* Calls that wait, of each kind. */
static void use_it(const char *name)
{
    pan123_source *s = memory_source(bytes, 100000), *held = s;
    pan123_result *r = NULL;
    pan123_upload *u;
    pan123_client *other = new_client(NULL);
    pan123_event ev;
    memset(&ev, 0, sizeof ev);
    ev.struct_size = sizeof ev;
    CHECK_OK(pan123_hash(&held, 1, 0, 0, NULL, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_api_domain(client, NULL, &r, &err));
    pan123_result_free(r);
    u = start_upload(client, s, name, 0);
    CHECK(pan123_queue_next(queue, 10000, &ev) == PAN123_OK);
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_client_shutdown(other, 1, 10000, &err));
    pan123_client_free(other);
    pan123_upload_free(u);
    pan123_source_free(s);
    done++;
}

static void at_the_end(void)
{
    use_it("late");
    CHECK_OK(pan123_client_shutdown(client, 1, 10000, &err));
    pan123_client_free(client);
    pan123_queue_free(queue);
    CHECK(done == 2);
    puts("ok");
}

static void of_key(void *name) { use_it(name); }

static void *with_key(void *key)
{
    CHECK(pthread_setspecific(*(pthread_key_t *)key, "late") == 0);
    use_it("in time");
    return NULL;
}

/* Opens and hashes a file, which is where a thread that is to end would end. */
static void *cancelled(void *came)
{
    pan123_source *s = NULL;
    pan123_result *r = NULL;
    CHECK(pthread_cancel(pthread_self()) == 0);
    CHECK_OK(pan123_source_from_path("/proc/self/exe", PAN123_NUL, &s, &err));
    CHECK_OK(pan123_hash(&s, 1, 0, 0, NULL, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_api_domain(client, NULL, &r, &err));
    pan123_result_free(r);
    pan123_source_free(s);
    *(int *)came = 1;
    pthread_testcancel();
    *(int *)came = 2;
    return NULL;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    CHECK_OK(pan123_queue_new(NULL, 0, &queue, &err));
    client = new_client(queue);
    bytes = make_bytes(100000, 7);
    if (!strcmp(what, "exit")) {
        CHECK(atexit(at_the_end) == 0);
        use_it("in time");
        return 0;
    }
    pthread_t thread;
    if (!strcmp(what, "key")) {
        pthread_key_t key;
        CHECK(pthread_key_create(&key, of_key) == 0);
        CHECK(pthread_create(&thread, NULL, with_key, &key) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(done == 2);
    } else if (!strcmp(what, "cancel")) {
        int came = 0;
        void *ended = NULL;
        CHECK(pthread_create(&thread, NULL, cancelled, &came) == 0);
        CHECK(pthread_join(thread, &ended) == 0);
        /* The call was not cut off, and the thread ends as soon as it may. */
        CHECK(came == 1 && ended == PTHREAD_CANCELED);
    } else {
        CHECK(!"an argument");
    }
    puts("ok");
    return 0;
}
