/* A plugin that writes a log of all requests: one JSON object a line.
 *
 *     cc -shared -fPIC -I include examples/plugins/request_log.c -o request_log.so
 *     pan123 upload FILE --plugin ./request_log.so=/var/log/pan123.jsonl
 *
 * The configuration is the path of the log, which is appended to. Several processes may share it.
 *
 * Of a request's headers it writes none, of its URL everything up to the query, and of bodies their length alone,
 * because tokens and secrets are in the rest. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static const pan123_host *host;

/* A line in the making. What does not fit is left out, so that a line is whole or has a shorter text in it. */
struct line {
    char text[4096];
    size_t len;
};

/* Room that texts leave for what comes after them. */
#define TAIL 256

static void put_raw(struct line *line, const char *text)
{
    size_t len = strlen(text);
    if (len >= sizeof line->text - line->len) return;
    memcpy(line->text + line->len, text, len + 1);
    line->len += len;
}

static void put_text(struct line *line, const char *name, const char *text, size_t len)
{
    char escaped[8];
    put_raw(line, ",\"");
    put_raw(line, name);
    put_raw(line, "\":\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        int is_head = (c & 0xc0) != 0x80;
        if (line->len >= sizeof line->text - TAIL && is_head) break; /* Never inside of a character. */
        if (c == '"' || c == '\\') snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (c < 0x20) snprintf(escaped, sizeof escaped, "\\u%04x", c);
        else snprintf(escaped, sizeof escaped, "%c", c);
        put_raw(line, escaped);
    }
    put_raw(line, "\"");
}

static void put_number(struct line *line, const char *name, int64_t number)
{
    char text[96];
    snprintf(text, sizeof text, ",\"%s\":%" PRId64, name, number);
    put_raw(line, text);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The id that the service gives each answer. */
static const char *trace_id(const pan123_http *x)
{
    const char *name, *value = NULL;
    for (size_t i = 0; (name = host->http_header(x, 1, i, &value)); i++)
        if (!strcasecmp(name, "x-traceid")) return value;
    return NULL;
}

static pan123_status send_request(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    int64_t start = clock_ms(CLOCK_MONOTONIC);
    struct line line = { "", 0 };
    size_t len = 0;
    const char *text;
    char began[64];
    snprintf(began, sizeof began, "{\"unix_ms\":%" PRId64, clock_ms(CLOCK_REALTIME));
    put_raw(&line, began);
    text = host->http_str(x, PAN123_F_METHOD, &len);
    put_text(&line, "method", text, len);
    text = host->http_str(x, PAN123_F_URL, &len);
    put_text(&line, "url", text, strcspn(text, "?#"));
    put_number(&line, "body_len", host->http_i64(x, PAN123_F_BODY_LEN, 0));

    pan123_status status = host->http_forward(x, err);

    put_number(&line, "elapsed_ms", clock_ms(CLOCK_MONOTONIC) - start);
    if (status == PAN123_OK) {
        put_number(&line, "status", host->http_i64(x, PAN123_F_HTTP_STATUS, 0));
        (void)host->http_str(x, PAN123_F_ANSWER_BODY, &len);
        put_number(&line, "answer_len", (int64_t)len);
        if ((text = trace_id(x))) put_text(&line, "trace_id", text, strlen(text));
    } else {
        put_number(&line, "code", status);
        if (*err && (text = host->error_str(*err, PAN123_F_MESSAGE, &len))) put_text(&line, "error", text, len);
    }
    put_raw(&line, "}\n");
    /* In one piece, so that lines of several threads and processes do not mix. A log that cannot be written, as on a
     * full disk, is no reason to stop the upload. */
    while (write((int)ctx, line.text, line.len) < 0 && errno == EINTR) continue;
    return status;
}

static void release(uintptr_t ctx) { close((int)ctx); }

static const pan123_transport_vtable transport = { { sizeof transport, 0, release, NULL }, send_request, NULL };

static pan123_status open_plugin(const pan123_host *h, const char *config, size_t len, pan123_plugin_parts *out,
                                 pan123_error **err)
{
    char message[512];
    int log = -1;
    if (h->struct_size < sizeof *h || out->struct_size < sizeof *out) return PAN123_E_ABI;
    host = h;
    if (len == 0) {
        *err = host->error_new(PAN123_E_INVALID_ARGUMENT, "the configuration is empty; give the path of the log", PAN123_NUL);
        return PAN123_E_INVALID_ARGUMENT;
    }
    log = open(config, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0) {
        snprintf(message, sizeof message, "open the log %.300s: %s", config, strerror(errno));
        *err = host->error_new(PAN123_E_PLUGIN, message, PAN123_NUL);
        return PAN123_E_PLUGIN;
    }
    out->transport = &transport;
    out->transport_ctx = (uintptr_t)log;
    return PAN123_OK;
}

const pan123_plugin *pan123_plugin_entry(void);
const pan123_plugin *pan123_plugin_entry(void)
{
    static const pan123_plugin plugin = { PAN123_PLUGIN_MAGIC, sizeof plugin, PAN123_ABI_VERSION, 0,
                                          "request_log", "1.0", open_plugin };
    return &plugin;
}
