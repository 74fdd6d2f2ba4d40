//go:build cgo && !pan123_nocgo

#include "bridge.h"

#include "_cgo_export.h"

/* cgo's own prototypes have no const; these have the types of the tables. */

static void release(uintptr_t ctx)
{
    pan123goRelease(ctx);
}

static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n, pan123_error **err)
{
    return pan123goReadAt(ctx, offset, buf, len, out_n, err);
}

static pan123_status identity(uintptr_t ctx, pan123_identity *out, pan123_error **err)
{
    return pan123goIdentity(ctx, out, err);
}

static pan123_status send_request(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    return pan123goSend(ctx, x, err);
}

static void interrupt(uintptr_t ctx, const pan123_http *x)
{
    pan123goInterrupt(ctx, (pan123_http *)x);
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
                         int64_t *expires_unix_ms, pan123_error **err)
{
    return pan123goGetToken(ctx, (char *)refused, refused_len, token, expires_unix_ms, err);
}

pan123_status pan123go_source_new(uintptr_t ctx, uint64_t size, int has_identity, pan123_source **out, pan123_error **err)
{
    pan123_source_vtable vt = { { sizeof vt, 0, release, NULL }, read_at, has_identity ? identity : NULL };
    return pan123_source_new(&vt, ctx, size, out, err);
}

pan123_status pan123go_source_from_memory(const uint8_t *data, size_t len, uintptr_t ctx, pan123_source **out,
                                          pan123_error **err)
{
    return pan123_source_from_memory(data, len, release, ctx, out, err);
}

pan123_status pan123go_transport_new(uintptr_t ctx, pan123_transport **out, pan123_error **err)
{
    pan123_transport_vtable vt = { { sizeof vt, 0, release, NULL }, send_request, interrupt };
    return pan123_transport_new(NULL, &vt, ctx, out, err);
}

pan123_status pan123go_tokens_new(uintptr_t ctx, pan123_tokens **out, pan123_error **err)
{
    pan123_tokens_vtable vt = { { sizeof vt, 0, release, NULL }, get };
    return pan123_tokens_new(&vt, ctx, out, err);
}
