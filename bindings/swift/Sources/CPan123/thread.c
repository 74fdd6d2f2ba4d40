/* For pthread_setname_np. */
#define _GNU_SOURCE
#include "CPan123.h"

#include <pthread.h>

void cpan123_name_thread(const char *name)
{
#ifdef __APPLE__
    pthread_setname_np(name);
#else
    pthread_setname_np(pthread_self(), name);
#endif
}
