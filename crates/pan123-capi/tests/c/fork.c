/* After fork the child can use nothing of the parent's, frees without harm, and can make objects of its own. */
#include "test.h"

int main(void)
{
    uint8_t *bytes = make_bytes(5000000, 6);
    pan123_queue *q = NULL;
    pan123_client *c;
    pan123_source *s = memory_source(bytes, 5000000);
    pan123_options *o = new_options();
    pan123_upload *u;
    pan123_result *r = NULL;
    pan123_stop *stop = NULL;
    int status = -1;
    pid_t child;
    CHECK_OK(pan123_queue_new(NULL, 0, &q, &err));
    CHECK_OK(pan123_stop_new(&stop, &err));
    c = new_client(q);
    u = start_upload(c, s, "forked", 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pan123_client *own = NULL;
        pan123_source *mine = NULL;
        pan123_event ev = { .struct_size = sizeof ev };
        pan123_progress p = { .struct_size = sizeof p };
        CHECK_STATUS(PAN123_E_FORKED, pan123_upload_wait(u, -1, &r, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_upload_start(u, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_api_domain(c, NULL, &r, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_client_shutdown(c, 1, -1, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_hash(&s, 1, 0, 0, NULL, &r, &err));
        CHECK_STATUS(PAN123_E_FORKED, pan123_options_set_u64(o, PAN123_OPT_VIP_RATES, 1, &err));
        CHECK(pan123_queue_next(q, -1, &ev) == PAN123_E_FORKED);
        CHECK(pan123_upload_progress(u, &p) == PAN123_E_FORKED);
        CHECK(!pan123_client_retain(c) && !pan123_upload_retain(u));
        pan123_upload_cancel(u);
        pan123_stop_fire(stop);
        pan123_upload_free(u);
        pan123_client_free(c);
        pan123_source_free(s);
        pan123_queue_free(q);
        pan123_options_free(o);
        pan123_stop_free(stop);
        /* What the child makes itself works. */
        own = new_client(NULL);
        mine = memory_source((const uint8_t *)"child", 5);
        CHECK_OK(pan123_hash(&mine, 1, 0, 0, NULL, &r, &err));
        pan123_result_free(r);
        u = start_upload(own, mine, "of the child", 0);
        CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
        pan123_result_free(r);
        pan123_upload_free(u);
        pan123_source_free(mine);
        pan123_client_free(own);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The parent noticed nothing. */
    CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
    pan123_result_free(r);
    pan123_upload_free(u);
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_queue_free(q);
    pan123_options_free(o);
    pan123_stop_free(stop);
    free(bytes);
    puts("ok");
    return 0;
}
