/*
 * Between the library's threads and Python's.
 *
 * A thread of the library that calls something of the host's waits here, in C, while a thread of Python's takes the call,
 * does it and answers. So no foreign thread ever enters the interpreter, which could be ending at that moment.
 */
#ifndef PAN123_BRIDGE_H
#define PAN123_BRIDGE_H

#include <pan123.h>

/* Kinds of calls. */
#define BRIDGE_READ 1
#define BRIDGE_TOKEN 2
#define BRIDGE_SEND 3
#define BRIDGE_RELEASE 4

/* What bridge_next returns. */
#define BRIDGE_OVER 0
#define BRIDGE_TAKEN 1
#define BRIDGE_CLOSED 2

typedef struct bridge bridge;
typedef struct bridge_call bridge_call;

/* A call for the object with this number. Which members mean something depends on the kind, as in the vtables. */
typedef struct bridge_op {
    bridge_call *call;         /* to be answered, exactly once; NULL for BRIDGE_RELEASE */
    uint64_t object;
    uint64_t offset;           /* BRIDGE_READ */
    uint8_t *buf;              /* BRIDGE_READ: for len bytes */
    size_t len;                /* BRIDGE_READ: of buf. BRIDGE_TOKEN: of refused */
    const char *refused;       /* BRIDGE_TOKEN: or NULL */
    pan123_sink *token;        /* BRIDGE_TOKEN */
    int64_t *expires_unix_ms;  /* BRIDGE_TOKEN */
    pan123_http *http;         /* BRIDGE_SEND */
    uint32_t kind;
} bridge_op;

/* NULL without memory. A bridge is never freed: the library may call at any time. */
bridge *bridge_new(void);

/* Makes the ctx that goes with the vtables below, 0 without memory. The object's last call is BRIDGE_RELEASE. */
uintptr_t bridge_object(bridge *b, uint64_t object);

/* Takes the next call, any number of threads at a time, each waiting for at most timeout_ms. */
int32_t bridge_next(bridge *b, int64_t timeout_ms, bridge_op *out);

/* Answers a call; `read` counts for BRIDGE_READ. Takes err over, which may be NULL. */
void bridge_answer(bridge_call *call, pan123_status status, size_t read, pan123_error *err);

/* Refuses all calls that nobody has taken, and all that come from now on; bridge_next says BRIDGE_CLOSED. */
void bridge_close(bridge *b);

const pan123_source_vtable *bridge_source(void);
const pan123_tokens_vtable *bridge_tokens(void);
const pan123_transport_vtable *bridge_transport(void);

/* The release of the vtables, for sources in memory. */
void bridge_release(uintptr_t ctx);

#endif
