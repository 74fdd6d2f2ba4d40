/* See bridge.h. One mutex guards a bridge and all that belongs to it; nobody waits for anything else while holding it. */
#define _GNU_SOURCE
#pragma GCC visibility push(default)
#include "bridge.h"
#pragma GCC visibility pop

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

/* A call under way. It lives on the stack of the library's thread that waits for the answer. */
struct bridge_call {
    bridge_op op;
    bridge *b;
    bridge_call *next;
    pthread_cond_t answered;
    bool done;
    pan123_status status;
    size_t read;
    pan123_error *err;
};

struct bridge {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    bridge_call *first, **last;
    bool closed;
};

/* A thing of the host's. It is its own last call, so that release needs no memory. */
struct object {
    bridge_call release; /* first: bridge_next frees it by this address */
    uint64_t number;
};

static void monotonic_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bridge *bridge_new(void)
{
    bridge *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    pthread_mutex_init(&b->mutex, NULL);
    monotonic_cond(&b->work);
    b->last = &b->first;
    return b;
}

uintptr_t bridge_object(bridge *b, uint64_t number)
{
    struct object *o = calloc(1, sizeof *o);
    if (!o) return 0;
    o->number = number;
    o->release.b = b;
    o->release.op.kind = BRIDGE_RELEASE;
    o->release.op.object = number;
    return (uintptr_t)o;
}

/* The mutex is held. */
static void append(bridge *b, bridge_call *call)
{
    call->next = NULL;
    *b->last = call;
    b->last = &call->next;
    pthread_cond_signal(&b->work);
}

/* On a thread of the library: hands a call over and waits for its answer. */
static pan123_status ask(struct object *o, bridge_call *call, pan123_error **err)
{
    bridge *b = o->release.b;
    call->b = b;
    call->op.call = call;
    call->op.object = o->number;
    pthread_mutex_lock(&b->mutex);
    if (b->closed) {
        pthread_mutex_unlock(&b->mutex);
        return PAN123_E_SHUTDOWN;
    }
    pthread_cond_init(&call->answered, NULL);
    append(b, call);
    while (!call->done) pthread_cond_wait(&call->answered, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    pthread_cond_destroy(&call->answered);
    if (err) *err = call->err;
    return call->status;
}

int32_t bridge_next(bridge *b, int64_t timeout_ms, bridge_op *out)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }

    pthread_mutex_lock(&b->mutex);
    int late = 0;
    while (!b->first && !b->closed && !late) late = pthread_cond_timedwait(&b->work, &b->mutex, &until);
    bridge_call *call = b->first;
    int32_t result = call ? BRIDGE_TAKEN : b->closed ? BRIDGE_CLOSED : BRIDGE_OVER;
    if (call) {
        b->first = call->next;
        if (!b->first) b->last = &b->first;
        *out = call->op;
    }
    pthread_mutex_unlock(&b->mutex);
    if (call && call->op.kind == BRIDGE_RELEASE) free(call);
    return result;
}

/* The mutex is held. The call is gone once it is let go. */
static void finish(bridge_call *call, pan123_status status, size_t read, pan123_error *err)
{
    call->status = status;
    call->read = read;
    call->err = err;
    call->done = true;
    pthread_cond_signal(&call->answered);
}

void bridge_answer(bridge_call *call, pan123_status status, size_t read, pan123_error *err)
{
    bridge *b = call->b;
    pthread_mutex_lock(&b->mutex);
    finish(call, status, read, err);
    pthread_mutex_unlock(&b->mutex);
}

void bridge_close(bridge *b)
{
    pthread_mutex_lock(&b->mutex);
    b->closed = true;
    for (bridge_call *call = b->first, *next; call; call = next) {
        next = call->next;
        if (call->op.kind == BRIDGE_RELEASE) free(call);
        else finish(call, PAN123_E_SHUTDOWN, 0, NULL);
    }
    b->first = NULL;
    b->last = &b->first;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->mutex);
}

void bridge_release(uintptr_t ctx)
{
    struct object *o = (struct object *)ctx;
    bridge *b = o->release.b;
    pthread_mutex_lock(&b->mutex);
    bool closed = b->closed;
    if (!closed) append(b, &o->release);
    pthread_mutex_unlock(&b->mutex);
    if (closed) free(o);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    bridge_call call = {.op = {.kind = BRIDGE_READ, .offset = offset, .buf = buf, .len = len}};
    pan123_status status = ask((struct object *)ctx, &call, err);
    *out_n = call.read;
    return status;
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
                         int64_t *expires_unix_ms, pan123_error **err)
{
    bridge_call call = {.op = {.kind = BRIDGE_TOKEN, .refused = refused, .len = refused_len, .token = token,
                               .expires_unix_ms = expires_unix_ms}};
    return ask((struct object *)ctx, &call, err);
}

static pan123_status send(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    bridge_call call = {.op = {.kind = BRIDGE_SEND, .http = x}};
    return ask((struct object *)ctx, &call, err);
}

static const pan123_source_vtable source_vtable = {
    .h = {sizeof(pan123_source_vtable), 0, bridge_release, NULL}, .read_at = read_at};
static const pan123_tokens_vtable tokens_vtable = {
    .h = {sizeof(pan123_tokens_vtable), 0, bridge_release, NULL}, .get = get};
static const pan123_transport_vtable transport_vtable = {
    .h = {sizeof(pan123_transport_vtable), 0, bridge_release, NULL}, .send = send};

const pan123_source_vtable *bridge_source(void) { return &source_vtable; }
const pan123_tokens_vtable *bridge_tokens(void) { return &tokens_vtable; }
const pan123_transport_vtable *bridge_transport(void) { return &transport_vtable; }
