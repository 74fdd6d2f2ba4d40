/* A plugin for the tests; what is wrong with it is said when it is compiled. */
#include <pan123.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAGIC
#define MAGIC PAN123_PLUGIN_MAGIC
#endif
#ifndef ABI
#define ABI PAN123_ABI_VERSION
#endif
#ifndef SIZE
#define SIZE sizeof(pan123_plugin)
#endif
#ifndef OPEN
#define OPEN open_
#endif

static const pan123_host *host;

#ifdef FAILS
static pan123_status fail(pan123_error **err)
{
    *err = host->error_new(PAN123_E_CALLBACK, "as the plugin pleases", PAN123_NUL);
    return PAN123_E_CALLBACK;
}
#define FAIL_IF_ASKED(err) return fail(err)
#else
#define FAIL_IF_ASKED(err) (void)0
#endif

static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
                         int64_t *expires, pan123_error **err)
{
    const char *good = getenv("PAN123_ACCESS_TOKEN");
    (void)ctx, (void)refused, (void)refused_len, (void)expires, (void)err, (void)token, (void)good;
    FAIL_IF_ASKED(err);
#ifndef FAILS
    return host->sink_put(token, (const uint8_t *)good, strlen(good));
#endif
}

static pan123_status send_(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    (void)ctx, (void)x;
    FAIL_IF_ASKED(err);
#ifndef FAILS
    return host->http_forward(x, err);
#endif
}

static pan123_status load(uintptr_t ctx, const char *key, size_t key_len, pan123_sink *to, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)to, (void)err;
    FAIL_IF_ASKED(err);
#ifndef FAILS
    return PAN123_OK;
#endif
}

static pan123_status save(uintptr_t ctx, const char *key, size_t key_len, const uint8_t *data, size_t len, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)data, (void)len, (void)err;
    FAIL_IF_ASKED(err);
#ifndef FAILS
    return PAN123_OK;
#endif
}

static pan123_status forget(uintptr_t ctx, const char *key, size_t key_len, pan123_error **err)
{
    (void)ctx, (void)key, (void)key_len, (void)err;
    FAIL_IF_ASKED(err);
#ifndef FAILS
    return PAN123_OK;
#endif
}

static const pan123_tokens_vtable tokens = { { sizeof tokens, 0, NULL, NULL }, get };
static const pan123_transport_vtable transport = { { sizeof transport, 0, NULL, NULL }, send_, NULL };
static const pan123_store_vtable store = { { sizeof store, 0, NULL, NULL }, load, save, forget, NULL };
#ifdef BAD_PARTS
static const pan123_tokens_vtable no_tokens = { { sizeof no_tokens, 0, NULL, NULL }, NULL };
#endif

static pan123_status open_(const pan123_host *h, const char *config, size_t len, pan123_plugin_parts *out,
                           pan123_error **err)
{
    host = h;
    (void)config, (void)len, (void)err;
    if (h->struct_size < sizeof *h || out->struct_size < sizeof *out) return PAN123_E_ABI;
#ifdef REFUSES
    *err = h->error_new(PAN123_E_LOGIN, "the vault is locked", PAN123_NUL);
    return PAN123_E_LOGIN;
#endif
    out->tokens = &tokens;
    out->transport = &transport;
    out->store = &store;
#ifdef BAD_PARTS
    out->tokens = &no_tokens;
#endif
    return PAN123_OK;
}

#ifdef NO_FUNCTION
#define pan123_plugin_entry entry_of_another_name
const pan123_plugin *entry_of_another_name(void);
#else
const pan123_plugin *pan123_plugin_entry(void);
#endif
const pan123_plugin *pan123_plugin_entry(void)
{
    static const pan123_plugin plugin = { MAGIC, SIZE, ABI, 0, "test", "1.2", OPEN };
    (void)open_;
#ifdef NO_PLUGIN
    (void)plugin;
    return NULL;
#else
    return &plugin;
#endif
}
#ifdef NO_FUNCTION
#undef pan123_plugin_entry
extern int pan123_plugin_entry;
int pan123_plugin_entry = 5;
#endif
