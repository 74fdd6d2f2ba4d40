/* A plugin with tokens, a layer and a store that writes a line to the file of its configuration when each is released,
 * and takes its time for it. */
#define _POSIX_C_SOURCE 200809L
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct part {
    const char *name;
    char file[4096];
};

static const pan123_host *host;

static void release(uintptr_t ctx)
{
    struct part *part = (struct part *)ctx;
    const struct timespec time = { 0, 20 * 1000 * 1000 };
    FILE *file;
    nanosleep(&time, NULL);
    file = fopen(part->file, "a");
    if (file) {
        fprintf(file, "%s\n", part->name);
        fclose(file);
    }
    free(part);
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token, int64_t *expires,
                         pan123_error **err)
{
    const char *text = getenv("GOOD_TOKEN");
    (void)ctx, (void)refused_len, (void)expires, (void)err;
    if (!text || refused) return PAN123_E_LOGIN;
    return host->sink_put(token, (const uint8_t *)text, strlen(text));
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx;
    return host->http_forward(x, err);
}

static pan123_status load(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)to, (void)err;
    return PAN123_OK;
}

static pan123_status save(uintptr_t ctx, const char *key, size_t key_len, const uint8_t *data, size_t len,
                          pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)data, (void)len, (void)err;
    return PAN123_OK;
}

static pan123_status forget(uintptr_t ctx, const char *key, size_t key_len, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)err;
    return PAN123_OK;
}

static const pan123_tokens_vtable tokens = { { sizeof tokens, 0, release, NULL }, get };
static const pan123_transport_vtable layer = { { sizeof layer, 0, release, NULL }, send_, NULL };
/* As it was before a store could be asked for its keys. */
static const pan123_store_vtable store = { { offsetof(pan123_store_vtable, list), 0, release, NULL },
                                           load, save, forget, NULL };

static uintptr_t part(const char *name, const char *file, size_t len)
{
    struct part *part = calloc(1, sizeof *part);
    if (!part || len >= sizeof part->file) abort();
    part->name = name;
    memcpy(part->file, file, len);
    return (uintptr_t)part;
}

static pan123_status open_(const pan123_host *h, const char *config, size_t len, pan123_plugin_parts *out,
                           pan123_error **err)
{
    (void)err;
    if (h->struct_size < sizeof *h || out->struct_size < sizeof *out) return PAN123_E_ABI;
    host = h;
    out->tokens = &tokens;
    out->tokens_ctx = part("tokens", config, len);
    out->transport = &layer;
    out->transport_ctx = part("layer", config, len);
    out->store = &store;
    out->store_ctx = part("store", config, len);
    return PAN123_OK;
}

const pan123_plugin *pan123_plugin_entry(void);
const pan123_plugin *pan123_plugin_entry(void)
{
    static const pan123_plugin plugin = { PAN123_PLUGIN_MAGIC, sizeof plugin, PAN123_ABI_VERSION, 0,
                                          "released", "1.0", open_ };
    return &plugin;
}
