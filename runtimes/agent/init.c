/* One container is initialised once:
 *
 *   read      the JSON of INIT; the code came along as a descriptor
 *   place     archives are unpacked, and large single files copied where the mode wants them as files, by a process of
 *             their own: it may take long, and may run out of memory, which the agent must outlive. A single file of
 *             ordinary size is copied here: it takes less than starting a process does, and fits into any container
 *   load      the mode starts what it needs and says init_done()
 *   tell      INIT_DONE, LOG, END on slot 0, then the other slots are dialled
 *
 * An error is told as INIT_DONE with NR_FRAME_FAILED and the container is done for.
 */
#include "runtimes/agent/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtimes/agent/place.h"
#include "runtimes/agent/slot.h"
#include "runtimes/agent/worker.h"

#define RESULT_CEILING_BYTES (NR_FRAME_ANSWER_MAX_BYTES - 8)
#define LOG_CEILING_BYTES (10 << 20)
#define PLACE_HERE_MAX_BYTES                                                                       \
    (4 << 20) /* the smallest container has 64 MB, and no call has run in it yet */

/* The modes that INIT chooses from where the profile says native. */
static const struct {
    const char *exec;
    const struct mode *mode;
} native_modes[] = {
    {"once", &mode_once},
    {"loop", &mode_loop},
    {"direct", &mode_direct},
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_archive(const char *file)
{
    return ends_with(file, ".zip") || ends_with(file, ".tar.gz");
}

static size_t clamp(json_int_t value, size_t ceiling)
{
    return value < 0 ? 0 : (uint64_t)value > ceiling ? ceiling : (size_t)value;
}

/* false: not what the host sends. */
static bool read_setup(struct setup *s, const char *payload, size_t length)
{
    json_int_t log_max = 0, result_max = 1 << 20;
    int slots = 1;
    s->file = "";
    s->exec = "once";
    s->root = json_loadb(payload, length, 0, NULL);
    if (!s->root || json_unpack(s->root, "{s:o,s?s,s?s,s?i,s?I,s?I}", "value", &s->value, "file",
                                &s->file, "exec", &s->exec, "slots", &slots, "log_max_bytes",
                                &log_max, "result_max_bytes", &result_max) < 0)
        return false;
    s->slots = slots < 1 ? 1 : slots > AGENT_SLOTS_MAX ? AGENT_SLOTS_MAX : (unsigned)slots;
    s->log_max_bytes = clamp(log_max, LOG_CEILING_BYTES);
    s->result_max_bytes = clamp(result_max, RESULT_CEILING_BYTES);
    return json_is_object(s->value);
}

static bool choose_mode(struct agent *a)
{
    if (strcmp(a->profile.mode, "native") != 0)
        return true;
    for (size_t i = 0; i < sizeof native_modes / sizeof native_modes[0]; i++) {
        if (strcmp(a->setup.exec, native_modes[i].exec) == 0) {
            a->mode = native_modes[i].mode;
            return true;
        }
    }
    return false;
}

static void refuse_second(struct slot *s)
{
    static const char text[] = "{\"error\":\"Cannot initialize the action more than once.\"}";
    slot_send(s, chunk_frame(NR_FRAME_INIT_DONE, NR_FRAME_FAILED, s->call, text, sizeof text - 1));
    slot_end(s, s->call, NULL, NR_VERDICT_OK, 0);
}

static void place_noted(struct watch *w, uint32_t events)
{
    (void)w;
    (void)events; /* read when the process has ended */
}

/* Starts the process that puts the code into the action's folder. */
static bool begin_placing(struct agent *a, const char *name)
{
    int note[2];
    if (pipe2(note, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    a->placer = fork();
    if (a->placer == 0) {
        prctl(PR_SET_DUMPABLE, 1);
        int adj = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        bool first = adj >= 0 && write(adj, "1000", 4) == 4;
        (void)first; /* else it is not the first victim, but still a larger one than the agent */
        _exit(is_archive(a->setup.file) ? place_archive(a->code_fd, a->action_folder, note[1])
                                        : place_file(a->code_fd, a->action_folder, name, note[1]));
    }
    close(note[1]);
    if (a->placer < 0) {
        close(note[0]);
        a->placer = 0;
        return false;
    }
    loop_watch(&a->loop, &a->placer_note, note[0], 0, place_noted);
    return true;
}

/* The name a single file gets in the action's folder, or NULL where it is wanted as a descriptor. */
static const char *single_name(const struct agent *a)
{
    if (strcmp(a->profile.mode, "native") == 0)
        return "exec";
    return a->profile.code_folder ? a->setup.file : NULL;
}

/* Copies a single file of ordinary size; *ret_note says what went wrong. false: it is none. */
static bool place_here(struct agent *a, const char *name, char *ret_note, size_t size)
{
    struct stat st;
    int note[2];
    if (!name || is_archive(a->setup.file) || fstat(a->code_fd, &st) < 0 ||
        st.st_size > PLACE_HERE_MAX_BYTES || pipe2(note, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    a->placed = place_file(a->code_fd, a->action_folder, name, note[1]) == 0;
    ssize_t n = a->placed ? 0 : read(note[0], ret_note, size - 1);
    ret_note[n > 0 ? n : 0] = 0;
    close(note[0]);
    close(note[1]);
    return true;
}

/* Puts the code where the mode wants it, if it wants it as files, and goes on from there. */
static void place(struct agent *a)
{
    char note[512] = "";
    const char *name = single_name(a);
    if (a->code_fd < 0 || a->mode == &mode_relay || (!name && !is_archive(a->setup.file)))
        a->mode->init(a);
    else if (place_here(a, name, note, sizeof note) && a->placed)
        a->mode->init(a);
    else if (note[0])
        init_failed(a, note);
    else if (!begin_placing(a, name))
        init_failed(a, "The action could not be initialized: no process for unpacking.");
}

void init_begin(struct slot *s, const struct nr_frame *head, const char *payload)
{
    struct agent *a = s->agent;
    if (a->phase != AGENT_FRESH) {
        refuse_second(s);
        return;
    }
    a->phase = AGENT_STARTING;
    a->code_fd = inbox_take_fd(&s->in);
    if (!read_setup(&a->setup, payload, head->length)) {
        init_failed(a, "The action could not be initialized: INIT was not understood.");
        return;
    }
    if (!choose_mode(a)) {
        init_failed(a, "The action could not be initialized: unknown way to run an executable.");
        return;
    }
    if (a->launcher)
        logs_begin(&a->launcher->logs, a->setup.log_max_bytes);
    if (a->init_fd >= 0 && pwrite(a->init_fd, payload, head->length, 0) != (ssize_t)head->length) {
        init_failed(a, "The action could not be initialized: no memory.");
        return;
    }
    place(a);
}

void init_placed(struct agent *a, int status)
{
    char text[512] = "";
    int fd = a->placer_note.fd;
    ssize_t n = read(fd, text, sizeof text - 1);
    loop_drop(&a->loop, &a->placer_note);
    close(fd);
    a->placer = 0;
    uint64_t kills = oom_kills();
    bool oom = kills > a->oom_kills;
    a->oom_kills = kills;
    if (WIFSIGNALED(status)) {
        init_lost(a, a->launcher, oom ? NR_VERDICT_OOM : NR_VERDICT_EXITED, status);
        return;
    }
    if (WEXITSTATUS(status) != 0) {
        init_failed(a, n > 0 ? text : "The code could not be unpacked.");
        return;
    }
    a->placed = true;
    a->mode->init(a);
}

static void forget_code(struct agent *a)
{
    if (a->code_fd >= 0)
        close(a->code_fd);
    a->code_fd = -1;
    if (a->init_fd >= 0 && ftruncate(a->init_fd, 0) < 0)
        return;
}

void init_done(struct agent *a, const char *error)
{
    struct slot *s = &a->slots[0];
    struct worker *w = a->launcher ? a->launcher : s->worker;
    if (a->phase != AGENT_STARTING)
        return;
    forget_code(a);
    a->phase = error ? AGENT_FAILED : AGENT_READY;
    if (!error && a->mode->connected)
        a->mode->connected(s);
    slot_send(s, chunk_frame(NR_FRAME_INIT_DONE, error ? NR_FRAME_FAILED : 0, s->call, error,
                             error ? strlen(error) : 0));
    slot_end(s, s->call, w, error ? NR_VERDICT_TAINTED : NR_VERDICT_OK, 0);
    for (unsigned i = 1; !error && i < a->setup.slots; i++)
        slot_dial(&a->slots[i]);
}

void init_failed(struct agent *a, const char *sentence)
{
    json_t *o = json_pack("{s:s}", "error", sentence);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    init_done(a, text ? text : "{\"error\":\"The action could not be initialized.\"}");
    free(text);
    json_decref(o);
}

void init_lost(struct agent *a, struct worker *w, enum nr_frame_verdict verdict, int status)
{
    struct slot *s = &a->slots[0];
    if (a->phase != AGENT_STARTING)
        return;
    a->phase = AGENT_FAILED;
    slot_end(s, s->call, w, verdict, status);
}
