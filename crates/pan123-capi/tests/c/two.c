/* Two libraries made by Rust in one program; each panics and catches its own panic. */
#include <pan123.h>
#include <stdio.h>

int other_catches(void);
/* Only in builds that can be made to panic. */
void pan123_test_panic(void);

int main(void)
{
    for (int round = 0; round < 3; round++) {
        pan123_options *o = NULL;
        pan123_error *e = NULL;
        if (other_catches() <= 0) return 1;
        pan123_test_panic();
        if (pan123_options_new(&o, &e) != PAN123_E_PANIC || o || pan123_error_code(e) != PAN123_E_PANIC) return 2;
        pan123_error_free(e);
        pan123_test_panic();
        if (pan123_constant_at(0, NULL)) return 3;
        if (pan123_options_new(&o, &e) != PAN123_OK) return 4;
        pan123_options_free(o);
    }
    puts("ok");
    return 0;
}
