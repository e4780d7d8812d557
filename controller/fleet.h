/* What the files of the fleet share. Loop's thread.
 */
#ifndef NR_CONTROLLER_FLEET_H
#define NR_CONTROLLER_FLEET_H

#include "ports/invokers.h"

struct invokers {
    struct nr_loop *loop;
    struct invoker *local; /* kept; NULL: none */
    struct nr_log *log;
};

#endif
