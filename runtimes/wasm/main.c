/* Runs WebAssembly modules: boots the engine with the container, compiles the module once, and runs a fresh instance per call.
 *
 *   boot        the engine starts before any code is known
 *   rehearse    a container that waits without code compiles and runs a module of ours
 *   init        the module comes as a descriptor; it is compiled, and its imports are looked up
 *   serve       one slot: this process serves it. More: it forks one worker per slot, which have the compiled code in common
 *
 * With --check it rehearses and ends: the image's build asks whether the engine is the one that engine.h means.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include "serve.h"

#define PAGE_BYTES 4096

/* (module (func (export "_start"))) */
static const unsigned char rehearsed[] = {0x00, 'a',  's',  'm',  0x01, 0x00, 0x00, 0x00, 0x01,
                                          0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00,
                                          0x07, 0x0a, 0x01, 0x06, '_',  's',  't',  'a',  'r',
                                          't',  0x00, 0x00, 0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b};

static bool rehearse(struct service *s)
{
    static const char value[] = "{\"a\":[1,2.5,\"b\"]}";
    struct output o = {.fd = 1, .limit = 1024};
    char why[WHY_BYTES];
    bool good = module_load(&s->module, rehearsed, sizeof rehearsed, why) &&
                call_run(&s->module, &s->setup, &o, value, sizeof value - 1, why) == CALL_ENDED;
    if (!good)
        dprintf(2, "the engine does not run a module: %s\n", why);
    module_unload(&s->module);
    return good;
}

/* 0 bytes: there is no code. */
static bool load(struct service *s, int code_fd, char why[WHY_BYTES])
{
    struct stat st;
    if (!setup_read(&s->setup, CONTROL_INIT_FD)) {
        snprintf(why, WHY_BYTES, "INIT was not understood");
        return false;
    }
    if (code_fd < 0 || fstat(code_fd, &st) < 0 || st.st_size == 0) {
        snprintf(why, WHY_BYTES, "there is no module: the code is one .wasm file");
        return false;
    }
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, code_fd, 0);
    if (bytes == MAP_FAILED) {
        snprintf(why, WHY_BYTES, "the code cannot be read");
        return false;
    }
    bool good = module_load(&s->module, bytes, (size_t)st.st_size, why);
    munmap(bytes, (size_t)st.st_size);
    return good;
}

static void initialize(struct service *s, int code_fd)
{
    struct wire_control loaded = {.type = CONTROL_SAY_LOADED};
    char why[WHY_BYTES] = "";
    if (load(s, code_fd, why)) {
        control_say(CONTROL_FD, loaded, NULL);
        return;
    }
    char sentence[WHY_BYTES + 64];
    snprintf(sentence, sizeof sentence, "Initialization has failed due to: %s", why);
    json_t *o = json_pack("{s:s}", "error", sentence);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    loaded.value = 1;
    control_say(CONTROL_FD, loaded,
                text ? text : "{\"error\":\"Cannot start action. Check logs for details.\"}");
    free(text);
    json_decref(o);
}

/* A worker of its own for a slot; the agent becomes its parent, because the process between ends at once. */
static void fork_worker(struct service *s, unsigned index, const int fds[CONTROL_FDS])
{
    pid_t between = fork();
    if (between != 0) {
        while (between > 0 && waitpid(between, NULL, 0) < 0) {
        }
        for (int i = 0; i < CONTROL_FDS; i++)
            close(fds[i]);
        return;
    }
    if (fork() != 0)
        _exit(0);
    setsid();
    dup2(fds[1], 1);
    dup2(fds[2], 2);
    close(fds[1]);
    close(fds[2]);
    close(CONTROL_FD);
    control_say(fds[3],
                (struct wire_control){
                    .type = CONTROL_SAY_FORKED, .slot = index, .value = (int32_t)getpid()},
                NULL);
    serve_slot(s, index, fds[0], fds[3]);
}

static bool begin(struct service *s)
{
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, CONTROL_PAGE_FD, 0);
    if (page == MAP_FAILED || fcntl(CONTROL_FD, F_GETFD) < 0) {
        dprintf(2, "narae-wasm: it is started by the platform's agent, or with --check\n");
        return false;
    }
    for (int fd = CONTROL_FD; fd <= CONTROL_PAGE_FD; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    s->page = page;
    return true;
}

static _Noreturn void obey(struct service *s)
{
    int slots = 1, fds[CONTROL_FDS];
    for (;;) {
        struct wire_control c = control_hear(CONTROL_FD, fds);
        if (c.type == CONTROL_HEAR_REHEARSE) {
            if (!rehearse(s))
                _exit(1);
            control_say(CONTROL_FD, (struct wire_control){.type = CONTROL_SAY_BOOTED}, NULL);
        } else if (c.type == CONTROL_HEAR_INIT) {
            slots = c.value;
            initialize(s, fds[0]);
        } else if (c.type == CONTROL_HEAR_SERVE && s->module.pre && slots == 1) {
            serve_slot(s, c.slot, fds[0], CONTROL_FD);
        } else if (c.type == CONTROL_HEAR_SERVE && s->module.pre) {
            fork_worker(s, c.slot, fds);
            continue;
        }
        if (fds[0] >= 0)
            close(fds[0]);
    }
}

int main(int argc, char **argv)
{
    static struct service s = {.setup = {.memory_bytes = -1}};
    bool check = argc == 2 && strcmp(argv[1], "--check") == 0;
    char why[WHY_BYTES];
    if (!check && !begin(&s))
        return 1;
    if (!module_boot(&s.module, why)) {
        dprintf(2, "narae-wasm: %s\n", why);
        return 1;
    }
    if (check)
        return rehearse(&s) ? 0 : 1;
    obey(&s);
}
