/* What the scenario programs in C and C++ share: an emulator for each scenario, its log, its store, and the line that
 * says how it went. Nothing in here uses the library. bindings/scenarios.json says what the scenarios are. */
#ifndef SCENE_H
#define SCENE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCENE_TOKEN "scenario-token-marker"
#define SCENE_SLICE (1 << 20)
/* Five slices, the last of them a short one. */
#define SCENE_BYTES (5 * SCENE_SLICE - 7)

/* One scenario that runs: its folder, its emulator, and what there is to say of it. */
struct scene {
    char folder[64], drive[80], log[80], url[64];
    int port;
    pid_t server;
    char *said; /* Shared with the process that writes the results; SCENE_SAID bytes. */
};
#define SCENE_SAID 1024

/* A scenario. `faults` is a script for the emulator, or NULL. */
struct scenario {
    const char *id;
    void (*run)(struct scene *scene);
    const char *faults;
};

/* The one of this process. */
static struct scene the_scene;

__attribute__((noreturn, unused)) static void scene_fails(const char *file, int line, const char *what, const char *more)
{
    snprintf(the_scene.said, SCENE_SAID, "%s:%d: not so: %s%s%s", file, line, what, more ? ": " : "", more ? more : "");
    exit(1);
}
#define CHECK(condition) ((condition) ? (void)0 : scene_fails(__FILE__, __LINE__, #condition, NULL))

#define SCENE_MAY __attribute__((unused)) static

SCENE_MAY int64_t scene_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Bytes and files ---- */

/* Bytes that look random and are the same for the same seed. */
SCENE_MAY uint8_t *scene_bytes(size_t len, uint64_t seed)
{
    uint8_t *bytes = (uint8_t *)malloc(len);
    CHECK(bytes);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
    return bytes;
}

/* Writes a file into the scenario's folder; `path` has room for 128 bytes. */
SCENE_MAY void scene_file(const struct scene *scene, const char *name, const uint8_t *bytes, size_t len, char *path)
{
    snprintf(path, 128, "%s/%s", scene->folder, name);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

/* The whole of a file with a NUL behind it, or NULL. */
SCENE_MAY char *scene_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    CHECK(fseek(file, 0, SEEK_END) == 0);
    *len = (size_t)ftell(file);
    rewind(file);
    char *bytes = (char *)malloc(*len + 1);
    CHECK(bytes && fread(bytes, 1, *len, file) == *len);
    fclose(file);
    bytes[*len] = 0;
    return bytes;
}

/* Whether the service has exactly these bytes under this name. */
SCENE_MAY int scene_stored(const struct scene *scene, const char *name, const uint8_t *bytes, size_t len)
{
    char path[256];
    size_t stored_len = 0;
    snprintf(path, sizeof path, "%s/files/%s", scene->drive, name);
    char *stored = scene_read(path, &stored_len);
    int same = stored && stored_len == len && !memcmp(stored, bytes, len);
    free(stored);
    return same;
}

/* How many files the service has in its root. */
SCENE_MAY int scene_stored_count(const struct scene *scene)
{
    char path[256];
    int count = 0;
    snprintf(path, sizeof path, "%s/files", scene->drive);
    DIR *dir = opendir(path);
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* ---- The emulator ---- */

SCENE_MAY void scene_start(struct scene *scene, const char *faults)
{
    int out[2];
    char line[128];
    const char *program = getenv("PAN123_PROGRAM");
    if (!program)
        scene_fails(__FILE__, __LINE__, "PAN123_PROGRAM is set",
                    "it names the pan123 program, which is the service here; `cargo xtask bindings` sets it");
    CHECK(pipe(out) == 0);
    scene->server = fork();
    CHECK(scene->server >= 0);
    if (scene->server == 0) {
        char slice_size[16];
        snprintf(slice_size, sizeof slice_size, "%d", SCENE_SLICE);
        /* It ends with us, however we end. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execl(program, program, "serve", "--port", "0", "--token", SCENE_TOKEN, "--servers", "2", "--slice-size",
              slice_size, "--dir", scene->drive, "--log", scene->log, "--faults", faults ? faults : "{}", (char *)NULL);
        fprintf(stderr, "%s: %s\n", program, strerror(errno));
        _exit(127);
    }
    close(out[1]);
    FILE *said = fdopen(out[0], "r");
    CHECK(said && fgets(line, sizeof line, said));
    if (sscanf(line, "listening http://127.0.0.1:%d", &scene->port) != 1)
        scene_fails(__FILE__, __LINE__, "the emulator says where it listens", line);
    snprintf(scene->url, sizeof scene->url, "http://127.0.0.1:%d", scene->port);
    /* What else it says is of no interest, but it has to be able to say it. */
}

/* Ends the emulator. Its log is complete then. */
SCENE_MAY void scene_stop(struct scene *scene)
{
    int status;
    if (scene->server <= 0) return;
    kill(scene->server, SIGTERM);
    CHECK(waitpid(scene->server, &status, 0) == scene->server);
    scene->server = 0;
}

/* Sends a request over a connection of its own and takes its answer, which ends with the connection. `head` has all of
 * the request up to the empty line; `body`, asked until it has given `len` bytes, may fail. Returns the answer with a NUL
 * behind it, or NULL, and the client's port. */
SCENE_MAY char *scene_http(int port, const char *head, uint64_t len,
                           size_t (*body)(void *data, uint64_t offset, uint8_t *buf, size_t room), void *data, int *from)
{
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    uint8_t buf[16384];
    char *answer = NULL;
    size_t used = 0, room = 0;
    ssize_t n = -1;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int good = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0
        && send(fd, head, strlen(head), MSG_NOSIGNAL) == (ssize_t)strlen(head);
    for (uint64_t offset = 0; good && offset < len;) {
        size_t part = body(data, offset, buf, sizeof buf);
        offset += part;
        for (size_t sent = 0; sent < part && good; sent += n > 0 ? (size_t)n : 0)
            good = (n = send(fd, buf + sent, part - sent, MSG_NOSIGNAL)) > 0;
        good &= part > 0;
    }
    if (good && from && getsockname(fd, (struct sockaddr *)&to, &size) == 0) *from = ntohs(to.sin_port);
    while (good && (n = recv(fd, buf, sizeof buf, 0)) > 0) {
        if (used + (size_t)n + 1 > room) answer = (char *)realloc(answer, room = 2 * (used + (size_t)n + 1));
        CHECK(answer);
        memcpy(answer + used, buf, (size_t)n);
        answer[used += (size_t)n] = 0;
    }
    if (fd >= 0) close(fd);
    if (!good || n < 0) {
        free(answer);
        return NULL;
    }
    return answer;
}

SCENE_MAY size_t scene_text_body(void *data, uint64_t offset, uint8_t *buf, size_t room)
{
    const char *text = (const char *)data + offset;
    size_t n = strlen(text) < room ? strlen(text) : room;
    memcpy(buf, text, n);
    return n;
}

/* Gives the emulator another script. */
SCENE_MAY void scene_faults(const struct scene *scene, const char *faults)
{
    char head[256], script[1024];
    snprintf(script, sizeof script, "%s", faults);
    snprintf(head, sizeof head,
             "PUT /_emulator/faults HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
             scene->port, strlen(script));
    char *answer = scene_http(scene->port, head, strlen(script), scene_text_body, script, NULL);
    CHECK(answer && strstr(answer, " 200 OK"));
    free(answer);
}

/* ---- The log ---- */

/* Calls `look` with each line of the log of a stopped emulator. */
SCENE_MAY void scene_each_line(const struct scene *scene, void (*look)(const char *line, void *data), void *data)
{
    size_t len = 0;
    CHECK(!scene->server);
    char *log = scene_read(scene->log, &len);
    if (!log) return;
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) look(line, data);
    free(log);
}

struct scene_pattern {
    const char *patterns[2];
    int count;
};

SCENE_MAY void scene_match(const char *line, void *data)
{
    struct scene_pattern *wanted = (struct scene_pattern *)data;
    for (int i = 0; i < 2; i++)
        if (wanted->patterns[i] && !strstr(line, wanted->patterns[i])) return;
    wanted->count++;
}

/* How many requests went to an endpoint, for one slice or, with 0, for any. */
SCENE_MAY int scene_requests(const struct scene *scene, const char *endpoint, int slice_no)
{
    char first[64], second[64];
    struct scene_pattern wanted = { { first, slice_no ? second : NULL }, 0 };
    snprintf(first, sizeof first, "\"endpoint\":\"%s\"", endpoint);
    snprintf(second, sizeof second, "\"slice_no\":%d,", slice_no);
    scene_each_line(scene, scene_match, &wanted);
    return wanted.count;
}

/* The bytes are there, and each of `slices` slices was sent once. Ends the emulator. */
SCENE_MAY void scene_is_right(struct scene *scene, const char *name, const uint8_t *bytes, size_t len, int slices)
{
    scene_stop(scene);
    CHECK(scene_stored(scene, name, bytes, len));
    CHECK(scene_requests(scene, "slice", 0) == slices);
    for (int slice = 1; slice <= slices; slice++) CHECK(scene_requests(scene, "slice", slice) == 1);
    CHECK(scene_requests(scene, "create", 0) == 1);
}

/* ---- Running them all ---- */

SCENE_MAY int scene_remove(const char *path, const struct stat *s, int kind, struct FTW *walk)
{
    (void)s, (void)kind, (void)walk;
    return remove(path);
}

/* Appends a line to the file that PAN123_SCENARIO_RESULTS names, if it does. */
SCENE_MAY void scene_report(const char *binding, const char *id, int passed, const char *what)
{
    const char *path = getenv("PAN123_SCENARIO_RESULTS");
    if (!path || !*path) return;
    char line[2 * SCENE_SAID + 256];
    size_t at = (size_t)snprintf(line, 256, "{\"binding\":\"%s\",\"scenario\":\"%s\",\"result\":\"%s\",\"what\":\"", binding,
                                 id, passed ? "passed" : "failed");
    for (; *what && at < sizeof line - 8; what++) {
        if (*what == '"' || *what == '\\') line[at++] = '\\';
        line[at++] = (unsigned char)*what < ' ' ? ' ' : *what;
    }
    memcpy(line + at, "\"}\n", 4);
    FILE *file = fopen(path, "a");
    if (!file || fputs(line, file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* Runs one scenario in a process and a folder of its own. Returns whether it passed. */
SCENE_MAY int scene_run(const char *binding, const struct scenario *scenario, char *said)
{
    int status = 0;
    struct scene *scene = &the_scene;
    memset(scene, 0, sizeof *scene);
    memset(said, 0, SCENE_SAID);
    scene->said = said;
    CHECK(mkdtemp(strcpy(scene->folder, "/tmp/pan123-scenario-XXXXXX")));
    strcat(strcpy(scene->drive, scene->folder), "/drive");
    strcat(strcpy(scene->log, scene->folder), "/log.jsonl");
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* One that hangs is ended. */
        alarm(120);
        scene_start(scene, scenario->faults);
        scenario->run(scene);
        scene_stop(scene);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    int passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!passed && WIFSIGNALED(status))
        snprintf(said, SCENE_SAID, "ended by signal %d%s", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    printf("%-5s %-15s %-7s %s\n", binding, scenario->id, passed ? "passed" : "FAILED", said);
    scene_report(binding, scenario->id, passed, said);
    nftw(scene->folder, scene_remove, 16, FTW_DEPTH | FTW_PHYS);
    return passed;
}

/* Runs the scenarios that `argv` names, or all. Returns the exit code of the program. */
SCENE_MAY int scene_run_all(const char *binding, const struct scenario *scenarios, size_t count, int argc, char **argv)
{
    int ran = 0, failed = 0;
    char *said = (char *)mmap(NULL, SCENE_SAID, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED) return 1;
    the_scene.said = said;
    for (size_t i = 0; i < count; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted |= !strcmp(argv[a], scenarios[i].id);
        if (!wanted) continue;
        ran++;
        failed += !scene_run(binding, &scenarios[i], said);
    }
    printf("%d scenarios, %d failed\n", ran, failed);
    return ran > 0 && failed == 0 ? 0 : 1;
}
#endif
