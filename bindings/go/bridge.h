/* What cgo cannot say by itself: the tables of callbacks, whose functions are Go's. */

#ifndef PAN123_GO_BRIDGE_H
#define PAN123_GO_BRIDGE_H

#include <pan123.h>

pan123_status pan123go_source_new(uintptr_t ctx, uint64_t size, int has_identity, pan123_source **out, pan123_error **err);
pan123_status pan123go_source_from_memory(const uint8_t *data, size_t len, uintptr_t ctx, pan123_source **out,
                                          pan123_error **err);
pan123_status pan123go_transport_new(uintptr_t ctx, pan123_transport **out, pan123_error **err);
pan123_status pan123go_tokens_new(uintptr_t ctx, pan123_tokens **out, pan123_error **err);

#endif
