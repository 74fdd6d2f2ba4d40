/* The host's signals are the host's: no thread of the library takes one, and a peer that hangs up ends no process. */
#include "test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static pthread_t host_thread;
static int on_others;

static void on_signal(int number)
{
    (void)number;
    if (!pthread_equal(pthread_self(), host_thread)) __atomic_store_n(&on_others, 1, __ATOMIC_SEQ_CST);
}

/* Threads of this process that would take SIGPIPE or SIGUSR1. */
static int count_takers(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    CHECK(dir);
    while ((entry = readdir(dir))) {
        char path[300], line[200];
        unsigned long long blocked = 0;
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        if (entry->d_name[0] == '.' || !(file = fopen(path, "r"))) continue;
        while (fgets(line, sizeof line, file)) sscanf(line, "SigBlk: %llx", &blocked);
        fclose(file);
        count += !(blocked >> (SIGPIPE - 1) & 1) || !(blocked >> (SIGUSR1 - 1) & 1);
    }
    closedir(dir);
    return count;
}

static int takers_inside;

static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

static void look(void)
{
    pthread_mutex_lock(&counting);
    int count = count_takers();
    if (count > takers_inside) takers_inside = count;
    pthread_mutex_unlock(&counting);
    kill(getpid(), SIGUSR1);
    /* A thread's own faults must reach it. */
    sigset_t own;
    CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &own));
    CHECK(sigismember(&own, SIGTERM) && !sigismember(&own, SIGSEGV) && !sigismember(&own, SIGBUS));
    CHECK(!sigismember(&own, SIGFPE) && !sigismember(&own, SIGILL));
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    (void)ctx, (void)err;
    look();
    for (size_t i = 0; i < len; i++) buf[i] = (uint8_t)((offset + i) >> 12);
    *out_n = len;
    return PAN123_OK;
}

static void on_event(uintptr_t ctx, const pan123_event *ev) { (void)ctx, (void)ev, look(); }

/* A peer that reads a little and hangs up, with what was sent still on its way. */
static void *hang_up(void *data)
{
    int listening = *(int *)data;
    for (;;) {
        char some[100];
        int peer = accept(listening, NULL, NULL);
        if (peer < 0) return NULL;
        if (read(peer, some, sizeof some) < 0) continue;
        close(peer);
    }
}

static void write_to_closers(void)
{
    enum { LEN = 4 << 20, TIMES = 60 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    uint8_t *bytes = make_bytes(LEN, 3);
    pan123_client *c = new_client(NULL);
    char server[64];
    pthread_t thread;
    CHECK(!bind(listening, (struct sockaddr *)&address, len) && !listen(listening, 50));
    CHECK(!getsockname(listening, (struct sockaddr *)&address, &len));
    CHECK(!pthread_create(&thread, NULL, hang_up, &listening));
    snprintf(server, sizeof server, "http://127.0.0.1:%d", ntohs(address.sin_port));
    for (int i = 0; i < TIMES; i++)
        CHECK(pan123_api_slice(c, server, PAN123_NUL, "id", 2, 1, "00000000000000000000000000000001", 32, bytes, LEN,
                               NULL, NULL) != PAN123_OK);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_client_free(c);
    shutdown(listening, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listening);
    free(bytes);
}

int main(void)
{
    static const pan123_source_vtable source_vt = { { sizeof source_vt, 0, NULL, NULL }, read_at, NULL };
    static const pan123_observer_vtable observer_vt = { { sizeof observer_vt, 0, NULL, NULL }, on_event };
    struct sigaction action = { .sa_handler = on_signal };
    pan123_options *o = new_options();
    pan123_queue *q = NULL;
    pan123_source *s = NULL;
    pan123_client *c = NULL;
    pan123_upload *u;
    pan123_result *r = NULL;
    sigset_t mine, after;
    host_thread = pthread_self();
    signal(SIGPIPE, SIG_DFL);
    CHECK(!sigaction(SIGUSR1, &action, NULL));
    sigemptyset(&mine);
    sigaddset(&mine, SIGWINCH);
    CHECK(!pthread_sigmask(SIG_SETMASK, &mine, NULL));
    write_to_closers();
    CHECK_OK(pan123_source_new(&source_vt, 0, 3000000, &s, &err));
    CHECK_OK(pan123_queue_new(&observer_vt, 0, &q, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, q, &c, &err));
    CHECK_OK(pan123_hash(&s, 1, 0, 0, NULL, &r, &err));
    pan123_result_free(r);
    u = start_upload(c, s, "signals", 0);
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    CHECK_OK(pan123_client_shutdown(c, 0, 60000, &err));
    /* This thread, and no other. */
    CHECK(takers_inside == 1 && !on_others);
    /* And it has the mask that it had. */
    CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &after));
    for (int i = 1; i < 32; i++) CHECK(sigismember(&after, i) == (i == SIGWINCH));
    pan123_upload_free(u);
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_queue_free(q);
    pan123_options_free(o);
    puts("ok");
    return 0;
}
