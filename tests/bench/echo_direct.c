/* The native `direct` function of the benchmarks: its parameters come back. Static, so that it runs in any image. */
#include "runtimes/native/narae.h"

static int echo(struct narae_call *call, void *context)
{
    (void)context;
    return narae_reply(call, call->value, call->length);
}

int main(void)
{
    return narae_serve(echo, NULL);
}
