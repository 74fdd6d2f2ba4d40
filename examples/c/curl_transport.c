/* Uploads a file through libcurl instead of the built-in HTTP client: curl_transport FILE NAME
 *
 * For hosts whose requests must go their own way: another TLS library, proxy rules, an audit. */
#include <curl/curl.h>
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One request while it is under way. */
struct exchange {
    pan123_http *x;
    uint64_t offset;
    char *answer;
    size_t answer_len;
};

static size_t give_body(char *to, size_t size, size_t count, void *data)
{
    struct exchange *exchange = data;
    size_t n = 0;
    if (pan123_http_read_body(exchange->x, exchange->offset, (uint8_t *)to, size * count, &n, NULL) != PAN123_OK)
        return CURL_READFUNC_ABORT;
    exchange->offset += n;
    return n;
}

static size_t take_answer(char *from, size_t size, size_t count, void *data)
{
    struct exchange *exchange = data;
    char *grown = realloc(exchange->answer, exchange->answer_len + size * count);
    if (!grown) return 0;
    memcpy(grown + exchange->answer_len, from, size * count);
    exchange->answer = grown;
    exchange->answer_len += size * count;
    return size * count;
}

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    /* All that the library asks for is the trace id, for error messages. */
    static const char trace[] = "x-traceid: ";
    size_t len = size * count, name = sizeof trace - 1;
    struct curl_slist **kept = data;
    if (len > name && curl_strnequal(line, trace, name)) {
        char value[256] = "";
        size_t n = len - name < sizeof value - 1 ? len - name : sizeof value - 1;
        memcpy(value, line + name, n);
        value[strcspn(value, "\r\n")] = 0;
        *kept = curl_slist_append(*kept, value);
    }
    return len;
}

static pan123_status send_request(uintptr_t ctx, pan123_http *x, pan123_error **err)
{
    struct exchange exchange = { x, 0, NULL, 0 };
    struct curl_slist *headers = NULL, *trace = NULL;
    const char *name, *value;
    char line[4096];
    long status = 0;
    CURL *curl = curl_easy_init();
    (void)ctx;
    if (!curl) return PAN123_E_NETWORK;

    curl_easy_setopt(curl, CURLOPT_URL, pan123_http_str(x, PAN123_F_URL, NULL));
    for (size_t i = 0; (name = pan123_http_header(x, 0, i, &value)); i++) {
        snprintf(line, sizeof line, "%s: %s", name, value);
        headers = curl_slist_append(headers, line);
    }
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (!strcmp(pan123_http_str(x, PAN123_F_METHOD, NULL), "POST")) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)pan123_http_i64(x, PAN123_F_BODY_LEN, 0));
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, &exchange);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &trace);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);

    CURLcode code = curl_easy_perform(curl);
    pan123_status answered = PAN123_OK;
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        answered = pan123_http_answer(x, (int32_t)status, (const uint8_t *)exchange.answer, exchange.answer_len);
        if (answered == PAN123_OK && trace)
            pan123_http_set_header(x, 1, "x-traceid", PAN123_NUL, trace->data, PAN123_NUL);
    } else {
        answered = code == CURLE_OPERATION_TIMEDOUT ? PAN123_E_NET_TIMEOUT
            : code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ? PAN123_E_TLS
            : PAN123_E_NETWORK;
        *err = pan123_error_new(answered, curl_easy_strerror(code), PAN123_NUL);
    }
    free(exchange.answer);
    curl_slist_free_all(headers);
    curl_slist_free_all(trace);
    curl_easy_cleanup(curl);
    return answered;
}

int main(int argc, char **argv)
{
    const pan123_transport_vtable vtable = { { sizeof vtable, 0, NULL, NULL }, send_request, NULL };
    const char *token = getenv("PAN123_ACCESS_TOKEN"), *base_url = getenv("PAN123_BASE_URL");
    pan123_options *options = NULL;
    pan123_transport *transport = NULL;
    pan123_client *client = NULL;
    pan123_source *source = NULL;
    pan123_upload *upload = NULL;
    pan123_result *result = NULL;
    pan123_error *error = NULL;

    if (argc != 3 || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK || curl_global_init(CURL_GLOBAL_DEFAULT)) return 2;
    int done = !pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_ACCESS_TOKEN, token, PAN123_NUL, &error)
        && (!base_url || !pan123_options_set_str(options, PAN123_OPT_BASE_URL, base_url, PAN123_NUL, &error))
        && !pan123_transport_new(NULL, &vtable, 0, &transport, &error)
        && !pan123_client_new(options, NULL, transport, NULL, NULL, &client, &error)
        && !pan123_source_from_path(argv[1], PAN123_NUL, &source, &error)
        && !pan123_upload_new(client, source, 0, argv[2], PAN123_NUL, NULL, 0, &upload, &error)
        && !pan123_upload_start(upload, &error)
        && !pan123_upload_wait(upload, -1, &result, &error);
    if (done) printf("file id %lld\n", (long long)pan123_result_i64(result, PAN123_F_FILE_ID, 0));
    else if (error) fprintf(stderr, "%s\n", pan123_error_str(error, PAN123_F_MESSAGE, NULL));
    if (client) pan123_client_shutdown(client, 1, -1, NULL);
    pan123_result_free(result);
    pan123_upload_free(upload);
    pan123_source_free(source);
    pan123_client_free(client);
    pan123_transport_free(transport);
    pan123_options_free(options);
    pan123_error_free(error);
    curl_global_cleanup();
    return done ? 0 : 1;
}
