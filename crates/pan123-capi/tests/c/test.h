/* What the test programs share. Each prints "ok" at its end; a check that fails says where and what. */
#ifndef TEST_H
#define TEST_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <pan123.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                           \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

/* Checks a status; the error, if any, is shown and freed. */
#define CHECK_STATUS(wanted, call)                                                                            \
    do {                                                                                                      \
        pan123_error *err = NULL;                                                                             \
        pan123_status got_ = (call);                                                                          \
        if (got_ != (wanted) || (err && pan123_error_code(err) != got_)) {                                    \
            fprintf(stderr, "%s:%d: %s gave %s, not %s: %s\n", __FILE__, __LINE__, #call,                     \
                    pan123_status_name(got_), #wanted, err ? pan123_error_str(err, PAN123_F_MESSAGE, NULL) : "-"); \
            exit(1);                                                                                          \
        }                                                                                                     \
        pan123_error_free(err);                                                                               \
    } while (0)
#define CHECK_OK(call) CHECK_STATUS(PAN123_OK, call)

/* Says that a function may stay unused. */
#define MAYBE __attribute__((unused)) static

MAYBE int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Options for the emulator that the tests run against. */
MAYBE pan123_options *new_options(void)
{
    pan123_options *o = NULL;
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, &err));
    return o;
}

MAYBE pan123_client *new_client(pan123_queue *q)
{
    pan123_options *o = new_options();
    pan123_client *c = NULL;
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, q, &c, &err));
    pan123_options_free(o);
    return c;
}

/* Bytes that look random and are the same for the same seed. */
MAYBE uint8_t *make_bytes(size_t len, uint64_t seed)
{
    uint8_t *bytes = malloc(len ? len : 1);
    CHECK(bytes);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
    return bytes;
}

MAYBE pan123_source *memory_source(const uint8_t *bytes, size_t len)
{
    pan123_source *s = NULL;
    CHECK_OK(pan123_source_from_memory(bytes, len, NULL, 0, &s, &err));
    return s;
}

MAYBE pan123_upload *start_upload(pan123_client *c, pan123_source *s, const char *name, uint64_t user)
{
    pan123_upload *u = NULL;
    CHECK_OK(pan123_upload_new(c, s, 0, name, PAN123_NUL, NULL, user, &u, &err));
    CHECK_OK(pan123_upload_start(u, &err));
    return u;
}

/* Entries of a directory. */
MAYBE int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    CHECK(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

MAYBE int count_threads(void) { return count_entries("/proc/self/task"); }
MAYBE int count_fds(void) { return count_entries("/proc/self/fd"); }

/* Waits for `condition` for at most some seconds; a failure shows up as the check it is. */
#define WAIT_FOR(condition, seconds)                                                                          \
    do {                                                                                                      \
        int64_t until_ = now_ms() + (seconds) * 1000;                                                         \
        while (!(condition) && now_ms() < until_) sched_yield();                                              \
        CHECK(condition);                                                                                     \
    } while (0)

/* A gate that callbacks wait at until it is opened. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int open, waiting, released;
};
#define GATE { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0 }

MAYBE void gate_wait(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->waiting++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open) pthread_cond_wait(&g->changed, &g->lock);
    g->waiting--;
    pthread_mutex_unlock(&g->lock);
}

MAYBE void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = 1;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* Waits until `n` callbacks wait at the gate. */
MAYBE void gate_full(struct gate *g, int n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&g->lock);
    while (g->waiting < n) CHECK(pthread_cond_timedwait(&g->changed, &g->lock, &until) == 0);
    pthread_mutex_unlock(&g->lock);
}

MAYBE void gate_release(uintptr_t ctx)
{
    struct gate *g = (struct gate *)ctx;
    pthread_mutex_lock(&g->lock);
    g->released++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

MAYBE void gate_released(struct gate *g, int n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&g->lock);
    while (g->released < n) CHECK(pthread_cond_timedwait(&g->changed, &g->lock, &until) == 0);
    CHECK(g->released == n);
    pthread_mutex_unlock(&g->lock);
}
#endif
