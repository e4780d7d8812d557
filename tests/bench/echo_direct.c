/* The native `direct` function of the benchmarks: its parameters come back. Static, so that it runs in any image. Its concurrent
 * calls are served in turn by one process; as echo_forked, by one process each. */
#include "runtimes/native/narae.h"

static int echo(struct narae_call *call, void *context)
{
    (void)context;
    return narae_reply(call, call->value, call->length);
}

int main(void)
{
#ifdef FORKED
    return narae_serve(echo, NULL);
#else
    return narae_serve_in_turn(echo, NULL);
#endif
}
