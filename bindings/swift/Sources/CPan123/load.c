#include "CPan123.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int cpan123_load(const char *path, cpan123_functions *functions, char *reason, size_t room)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        snprintf(reason, room, "%s", why ? why : "dlopen failed");
        return 1;
    }
    if (!dlsym(library, "pan123_abi_check")) {
        snprintf(reason, room, "it has no pan123_abi_check");
        return 3;
    }
/* POSIX promises that a function's address fits a `void *`; ISO C has no cast for it. */
#define LOAD(name)                                                   \
    {                                                                \
        void *found = dlsym(library, "pan123_" #name);               \
        if (!found) {                                                \
            snprintf(reason, room, "it has no pan123_%s", #name);    \
            return 2;                                                \
        }                                                            \
        memcpy(&functions->name, &found, sizeof found);              \
    }
    CPAN123_FUNCTIONS(LOAD)
    return 0;
}
