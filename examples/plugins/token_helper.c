/* A plugin that gets access tokens from a helper process: a vault's command line, a broker, a script of your own.
 *
 *     cc -shared -fPIC -I include examples/plugins/token_helper.c -o token_helper.so
 *     pan123 upload FILE --plugin ./token_helper.so='/usr/local/bin/vault read pan123'
 *
 * The configuration is a command for /bin/sh. It is run when a token is needed. Its standard input is empty, or holds
 * the token that the service has just turned down. It prints the token on its first line and, if it knows, when that
 * expires in milliseconds since 1970 UTC on the second. An exit code other than 0 means that there is none. */
#define _GNU_SOURCE
#include <errno.h>
#include <pan123.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a helper may take, in milliseconds. */
#ifndef HELPER_LIMIT_MS
#define HELPER_LIMIT_MS 20000
#endif
/* A token is asked for anew so long before it expires. */
#define EARLY_MS 60000
#define ANSWER_MAX 8192

extern char **environ;

static const pan123_host *host;

struct provider {
    char *command;
    char token[ANSWER_MAX];
    int64_t expires_unix_ms;
};

static pan123_status fail(pan123_error **err, pan123_status code, const char *what, const char *why)
{
    char text[512];
    snprintf(text, sizeof text, "token helper: %s%s%s", what, why ? ": " : "", why ? why : "");
    *err = host->error_new(code, text, PAN123_NUL);
    return code;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts the command; `*end` is our end of its standard input and output. Returns 0 or an errno. */
static int start(const char *command, pid_t *pid, int *end)
{
    char *argv[] = { "sh", "-c", (char *)command, NULL };
    int pair[2], error;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, usual;

    /* A socket, because a write to a pipe that nobody reads would raise SIGPIPE in the host. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, pair[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, pair[1], STDOUT_FILENO);
    /* The helper shall not inherit how the host has arranged its signals. */
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn(pid, "/bin/sh", &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    close(pair[1]);
    if (error) close(pair[0]);
    else *end = pair[0];
    return error;
}

/* Reads to the end, or to the end of our patience. Returns 0 or an errno. */
static int read_all(int end, char *answer, size_t room)
{
    int64_t until = clock_ms(CLOCK_MONOTONIC) + HELPER_LIMIT_MS;
    size_t len = 0;
    for (;;) {
        struct pollfd ready = { end, POLLIN, 0 };
        int64_t left = until - clock_ms(CLOCK_MONOTONIC);
        ssize_t got;
        int polled = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (polled == 0) return ETIMEDOUT;
        if (polled < 0 && errno == EINTR) continue;
        if (polled < 0) return errno;
        got = read(end, answer + len, room - 1 - len);
        if (got < 0 && errno == EINTR) continue;
        /* A helper that ends without reading what it was given resets the socket, which is as good as the end. */
        if (got < 0 && errno != ECONNRESET) return errno;
        if (got <= 0) break;
        len += (size_t)got;
        if (len == room - 1) return EMSGSIZE;
    }
    answer[len] = 0;
    return 0;
}

static pan123_status ask(struct provider *p, const char *refused, size_t refused_len, pan123_error **err)
{
    char answer[ANSWER_MAX] = "", why[64], *rest = NULL;
    const char *token;
    pid_t pid = 0;
    int end = -1, status = 0, error = start(p->command, &pid, &end);

    if (error) return fail(err, PAN123_E_LOGIN, "cannot start /bin/sh", strerror(error));
    /* What the helper does not read it does not need. */
    if (refused && send(end, refused, refused_len, MSG_NOSIGNAL) > 0) (void)!send(end, "\n", 1, MSG_NOSIGNAL);
    shutdown(end, SHUT_WR);
    error = read_all(end, answer, sizeof answer);
    if (error) kill(pid, SIGKILL);
    close(end);
    /* A host that ignores SIGCHLD leaves no status; what was printed counts then. */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) status = 0;
    if (error == ETIMEDOUT) return fail(err, PAN123_E_LOGIN, "it did not answer in time", NULL);
    if (error) return fail(err, PAN123_E_LOGIN, "reading what it prints", strerror(error));
    if (status != 0) {
        if (WIFEXITED(status)) snprintf(why, sizeof why, "exit code %d", WEXITSTATUS(status));
        else snprintf(why, sizeof why, "signal %d", WTERMSIG(status));
        return fail(err, PAN123_E_LOGIN, "it has no token", why);
    }
    token = strtok_r(answer, "\r\n", &rest);
    if (!token) return fail(err, PAN123_E_LOGIN, "it printed nothing", NULL);
    strcpy(p->token, token);
    token = strtok_r(NULL, "\r\n", &rest);
    p->expires_unix_ms = token ? strtoll(token, NULL, 10) : 0;
    memset(answer, 0, sizeof answer);
    return PAN123_OK;
}

static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
                         int64_t *expires_unix_ms, pan123_error **err)
{
    struct provider *p = (struct provider *)ctx;
    int is_stale = p->expires_unix_ms > 0 && clock_ms(CLOCK_REALTIME) > p->expires_unix_ms - EARLY_MS;
    if (!p->token[0] || is_stale || (refused && !strcmp(refused, p->token))) {
        pan123_status status = ask(p, refused, refused_len, err);
        if (status != PAN123_OK) return status;
    }
    *expires_unix_ms = p->expires_unix_ms;
    return host->sink_put(token, (const uint8_t *)p->token, strlen(p->token));
}

static void release(uintptr_t ctx)
{
    struct provider *p = (struct provider *)ctx;
    free(p->command);
    free(p);
}

static const pan123_tokens_vtable tokens = { { sizeof tokens, PAN123_VT_SERIAL, release, NULL }, get };

static pan123_status open_plugin(const pan123_host *h, const char *config, size_t len, pan123_plugin_parts *out,
                                 pan123_error **err)
{
    struct provider *p;
    if (h->struct_size < sizeof *h || out->struct_size < sizeof *out) return PAN123_E_ABI;
    host = h;
    if (len == 0) return fail(err, PAN123_E_INVALID_ARGUMENT, "the configuration is empty; give a command for /bin/sh", NULL);
    p = calloc(1, sizeof *p);
    if (!p || !(p->command = strndup(config, len))) {
        free(p);
        return fail(err, PAN123_E_PLUGIN, "out of memory", NULL);
    }
    out->tokens = &tokens;
    out->tokens_ctx = (uintptr_t)p;
    return PAN123_OK;
}

const pan123_plugin *pan123_plugin_entry(void);
const pan123_plugin *pan123_plugin_entry(void)
{
    static const pan123_plugin plugin = { PAN123_PLUGIN_MAGIC, sizeof plugin, PAN123_ABI_VERSION, 0,
                                          "token_helper", "1.0", open_plugin };
    return &plugin;
}
