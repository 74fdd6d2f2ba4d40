/* Sends one slice: slice SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]
 *
 * SERVER and PREUPLOAD_ID are from `create`. Without OFFSET and LENGTH the slice is the whole of FILE. */
#include <pan123.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    pan123_options *options = NULL;
    pan123_client *client = NULL;
    pan123_error *error = NULL;

    if ((argc != 5 && argc != 7) || pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 2;
    FILE *file = fopen(argv[4], "rb");
    if (!file || fseek(file, 0, SEEK_END)) return perror(argv[4]), 1;
    long offset = argc == 7 ? atol(argv[5]) : 0, length = argc == 7 ? atol(argv[6]) : ftell(file);
    unsigned char *bytes = malloc((size_t)length + 1);
    if (!bytes || fseek(file, offset, SEEK_SET) || fread(bytes, 1, (size_t)length, file) != (size_t)length)
        return fprintf(stderr, "%s has no %ld bytes at %ld\n", argv[4], length, offset), 1;
    fclose(file);

    /* The library computes the MD5 that goes with the slice. */
    int done = !pan123_options_new(&options, &error)
        && !pan123_options_set_str(options, PAN123_OPT_ACCESS_TOKEN, getenv("PAN123_ACCESS_TOKEN"), PAN123_NUL, &error)
        && !pan123_client_new(options, NULL, NULL, NULL, NULL, &client, &error)
        && !pan123_api_slice(client, argv[1], PAN123_NUL, argv[2], PAN123_NUL, (uint32_t)atol(argv[3]), NULL, 0, bytes,
                             (size_t)length, NULL, &error);
    if (done) printf("slice %s ok\n", argv[3]);
    else fprintf(stderr, "%s\n", pan123_error_str(error, PAN123_F_MESSAGE, NULL));
    pan123_client_free(client);
    pan123_options_free(options);
    pan123_error_free(error);
    free(bytes);
    return done ? 0 : 1;
}
