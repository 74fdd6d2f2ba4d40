/* Somebody who knows the library's name and its manual, and nothing else. */
#include <pan123.h>
#include <stdio.h>

int main(void)
{
    pan123_source *source = NULL;
    pan123_result *digests = NULL;
    pan123_status status = pan123_abi_check(PAN123_ABI_VERSION);
    if (!status) status = pan123_source_from_memory((const uint8_t *)"abc", 3, NULL, 0, &source, NULL);
    if (!status) status = pan123_hash(&source, 1, 0, 0, NULL, &digests, NULL);
    if (!status) printf("pan123 %s\n", pan123_version());
    pan123_result_free(digests);
    pan123_source_free(source);
    return (int)status;
}
