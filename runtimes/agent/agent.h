/* The agent as a whole: its slots, its workers, the mode it runs in.
 *
 * A slot is one connection to the host with at most one call. A worker is a process of the function: the launcher of a
 * language, a user's executable, an image's own server. How calls get from one to the other is the mode.
 * Everything here belongs to the one loop thread.
 */
#ifndef NARAE_AGENT_AGENT_H
#define NARAE_AGENT_AGENT_H

#include <jansson.h>
#include <sys/types.h>

#include "runtimes/agent/control.h"
#include "runtimes/agent/frames.h"
#include "runtimes/agent/logs.h"
#include "runtimes/agent/loop.h"

#define AGENT_SLOTS_MAX 64
#define EXIT_CUT 137 /* the host closed the connection of a running call */

struct agent;
struct mode;
struct once_call;
struct loop_call;
struct relay_call;

/* One output pipe of a worker. */
struct log_pipe {
    struct watch watch;
    struct worker *worker;
    enum log_stream stream;
};

/* One process of the function. */
struct worker {
    struct agent *agent;
    struct slot
        *slot; /* the slot it serves alone; NULL: it serves all, or only forks those that serve */
    pid_t pid; /* 0: not known (yet), or reaped */
    struct log_pipe out, err;
    struct logs logs;
    struct watch control;  /* direct: control channel; loop: replies (descriptor 3) */
    struct watch requests; /* loop: its stdin */
    bool heap_full;        /* Node said so before it ended */
    /* once: output that is not simply log, and its end; NULL elsewhere */
    void (*stdout_hook)(struct worker *w, const char *bytes, size_t length);
    void (*output_closed)(struct worker *w);
};

enum slot_state {
    SLOT_IDLE,   /* not wanted yet */
    SLOT_REDIAL, /* waits for its next attempt */
    SLOT_OPEN,   /* connected */
    SLOT_LOST,   /* direct: the host is gone, the worker has not let go yet */
    SLOT_CLOSED, /* for good: its call was cut, or its worker ended */
};

struct slot {
    struct agent *agent;
    unsigned index;
    enum slot_state state;
    struct watch watch; /* the connection */
    int fd;             /* the connection, -1 while there is none */
    struct timer timer; /* next attempt; patience with a lost slot */
    unsigned backoff_ms;
    struct inbox in; /* until INIT; in modes whose frames the agent reads itself, always */
    struct outbox out;
    bool busy;       /* a call that the agent serves itself runs, or INIT (slot 0) */
    bool let_go;     /* direct: the worker saw the end of the connection */
    bool last_words; /* close once the outbox is empty */
    bool shut; /* the host has hung up on the running call: it hears its log and END, no more */
    unsigned lost_checks;
    uint64_t call;
    uint32_t done; /* direct: calls that ended through the agent */
    struct worker *worker;
    union { /* state of the running call in the mode that serves it */
        struct once_call *once;
        struct loop_call *loop;
        struct relay_call *relay;
    };
};

/* What INIT said. */
struct setup {
    json_t *value; /* made by INIT's parser: {"name","main","env",...} */
    const char *file;
    const char *exec;
    unsigned slots;
    size_t log_max_bytes;
    size_t result_max_bytes;
    json_t *root; /* owns the strings above */
};

/* What /narae/runtime of the image says. */
struct profile {
    char kind[64];
    char mode[16];  /* direct, loop, native, relay */
    char exec[512]; /* the launcher's command line */
    char
        heap_words[64]; /* of the interpreter's last words when its heap is full; "": it has none */
    bool node_control;  /* the control channel speaks Node's IPC lines */
    bool code_folder;   /* a single file is wanted in the action's folder, not as a descriptor */
    bool forks;         /* more than one slot: one forked worker each */
    bool acks;          /* loop: the launcher says {"ok":true} first */
};

enum agent_phase {
    AGENT_FRESH,    /* waits for INIT */
    AGENT_STARTING, /* INIT is being worked on */
    AGENT_READY,    /* calls may come */
    AGENT_FAILED,   /* INIT failed: the host removes us */
};

#define AGENT_READ_BYTES (64 << 10)

struct agent {
    struct loop loop;
    struct watch signals;
    const char *socket_path;
    const char *id;
    const char *action_folder;
    char **command; /* of the image, for the relay; ends with NULL */
    struct profile profile;
    const struct mode *mode;
    enum agent_phase phase;
    struct setup setup;
    bool stem;                 /* nobody waits for this container yet */
    int code_fd;               /* the code as it came, -1: none */
    bool placed;               /* the code stands in the action's folder */
    struct timer start_timer;  /* loop: the next look whether it has started */
    unsigned start_looks;      /* so far */
    pid_t placer;              /* process that puts it there, 0: none */
    struct watch placer_note;  /* what it says when it fails */
    struct worker *launcher;   /* direct: from the start; relay: the image's server */
    int server_status;         /* relay: of the server, when it ended before INIT */
    bool sentinels_seen;       /* relay: the server marks the ends of its logs */
    unsigned relayed;          /* relay: calls so far */
    struct control_page *page; /* direct: shared with the workers */
    int page_fd;
    int rehearsal_fd;   /* direct: our end of the connection that is rehearsed on, -1: none */
    int init_fd;        /* direct: memory file with the JSON of INIT, inherited by the launcher */
    uint64_t oom_kills; /* of our cgroup, as last seen */
    struct slot slots[AGENT_SLOTS_MAX];
    struct control_inbox control_inbox; /* one message at a time is looked at */
    char scratch[AGENT_READ_BYTES];     /* for one read at a time */
};

/* How calls get to the function. One table per mode; a NULL entry has nothing to do. */
struct mode {
    const char *name;
    bool reads_slots; /* the agent reads the frames of every slot itself */
    /* At the start of the container. 0 or a negative errno. */
    int (*boot)(struct agent *a);
    /* A container that waits without code: the first connection is dialled once this is over. 0, or a negative errno when
     * there is nothing to rehearse. */
    int (*rehearse)(struct agent *a);
    /* The code is in place; must lead to init_done() or init_lost(), now or later. */
    void (*init)(struct agent *a);
    /* A RUN frame; payload lent. Must lead to slot_end(), now or later. */
    void (*run)(struct slot *s, const struct nr_frame *head, const char *payload);
    /* A slot is connected after INIT: for the first time, or again. */
    void (*connected)(struct slot *s);
    /* A worker ended; its logs are drained. */
    void (*ended)(struct worker *w, int status, bool oom);
    /* The host closed the connection of a running call: forget the call's own state. */
    void (*cut)(struct slot *s);
};

extern const struct mode mode_direct, mode_loop, mode_once, mode_relay;

/* Words of a command line, split at spaces, as an argument list that ends with NULL; *line is cut up and kept. Returns
 * the number of words; at most size - 1 are taken. */
unsigned split_words(char *line, char **words, unsigned size);
/* Reads a profile (lines key=value); a missing file is a relay. 0, or a negative errno with what is wrong in *ret_why. */
int profile_read(const char *path, struct profile *p, const char **ret_why);

/* Ends the container, and everything in it, with this exit status. */
void agent_exit(struct agent *a, int status) __attribute__((noreturn));

#endif
