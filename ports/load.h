/* What one revision of a function has at one invoker: the question of who places a call. No thread of its own. */
#ifndef NR_PORTS_LOAD_H
#define NR_PORTS_LOAD_H

struct invoker_load {
    unsigned ready;    /* slots that are free and warm */
    unsigned busy;     /* slots in use */
    unsigned starting; /* containers that are being started */
    unsigned waiting;  /* calls that wait */
};

#endif
