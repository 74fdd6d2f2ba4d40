/* Uploads with what a plugin brings: plugged PLUGIN works|fails */
#include "test.h"

int main(int argc, char **argv)
{
    pan123_options *o = NULL;
    pan123_client *c = NULL;
    pan123_source *s = memory_source((const uint8_t *)"by plugin", 9);
    pan123_upload *u;
    pan123_result *r = NULL;
    pan123_error *e = NULL;
    CHECK(argc == 3);
    CHECK_OK(pan123_options_new(&o, &err));
    CHECK_OK(pan123_options_set_str(o, PAN123_OPT_BASE_URL, getenv("PAN123_BASE_URL"), PAN123_NUL, &err));
    CHECK_OK(pan123_options_add_plugin(o, argv[1], PAN123_NUL, NULL, 0, &err));
    CHECK_OK(pan123_options_add_plugin(o, argv[1], PAN123_NUL, "again", 5, &err));
    CHECK_STATUS(PAN123_E_PLUGIN, pan123_options_add_plugin(o, "/nonexistent.so", PAN123_NUL, NULL, 0, &err));
    CHECK_STATUS(PAN123_E_INVALID_ARGUMENT, pan123_options_add_plugin(o, "x.so", PAN123_NUL, NULL, 0, &err));
    CHECK_OK(pan123_client_new(o, NULL, NULL, NULL, NULL, &c, &err));
    u = start_upload(c, s, "plugged", 0);
    if (!strcmp(argv[2], "works")) {
        CHECK_OK(pan123_upload_wait(u, 60000, &r, &err));
        CHECK(pan123_result_i64(r, PAN123_F_FILE_ID, 0) > 0);
    } else {
        CHECK(pan123_upload_wait(u, 60000, &r, &e) == PAN123_E_CALLBACK);
        CHECK(strstr(pan123_error_str(e, PAN123_F_MESSAGE, NULL), "as the plugin pleases"));
        pan123_error_free(e);
    }
    pan123_result_free(r);
    pan123_upload_free(u);
    CHECK_OK(pan123_client_shutdown(c, 1, 60000, &err));
    pan123_client_free(c);
    pan123_source_free(s);
    pan123_options_free(o);
    puts("ok");
    return 0;
}
