/* Serves the calls of one slot: what launcher.py does once per container is written there, what happens per call is here.
 *
 *   serve      read RUN, set the call's variables, decode the value, call the function, encode its result, write ANSWER.
 *              A call that logged nothing gets its END in the same write, else the agent adds LOG and END (why that is
 *              known here: runtimes/agent/control.h). At the end of the connection serve() returns, to be called again.
 *   failures   what the function raised is turned into an answer by the launcher (`raised`), which also ends the
 *              process where it must; a child that the function forked must not answer in its parent's place (`leave`)
 *   variables  the siblings of the value are set in os.environ only; the C library's environment, which children get,
 *              follows when the function is about to make a child (an audit hook sees that)
 *
 * JSON is that of Python's own json module: its scanner and its encoder, called without the layers around them.
 * The interpreter's lock is held but for waiting.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "connection.h"
#include "variables.h"
#include "wire.h"

#define PAGE_BYTES 4096
#define STREAM_FD_MIN 10 /* our copies of 1 and 2 stand from here on */

struct slot {
    PyObject ob_base;
    /* lent by the launcher for ever */
    PyObject *function;
    PyObject *encode;  /* (value, 0) -> texts */
    PyObject *markers; /* the encoder's dict of what it is inside of */
    PyObject
        *raised; /* (exception) -> bytes of the answer; ends the process when it is no Exception */
    PyObject *leave; /* (exception or None): ends the process */
    int index;
    int control_fd;
    Py_ssize_t limit_bytes; /* of a result */
    /* own */
    PyObject *flush; /* the name of the method */
    struct wire_line *line;
    int streams[2];
    pid_t pid;
    struct variables variables;
    struct connection connection;
};

/* What a call is answered with. */
struct answer {
    PyObject *owner; /* of the bytes; NULL: they are constant */
    const char *bytes;
    Py_ssize_t length;
    uint8_t flags;
    uint8_t verdict;
};

#define SENTENCE(text)                                                                             \
    {                                                                                              \
        NULL, "{\"error\":\"" text "\"}", sizeof "{\"error\":\"" text "\"}" - 1, FLAG_FAILED,      \
            VERDICT_TAINTED                                                                        \
    }
static const struct answer second_init = SENTENCE("Cannot initialize the action more than once.");
static const struct answer no_composite_value =
    SENTENCE("The action did not receive a dictionary or array as an argument.");
static const struct answer no_composite_result =
    SENTENCE("The action did not return a dictionary or array.");

/* --------------------------------------------------------------------------------------------------------- calls */

/* The exception that is set, with its traceback; cleared. */
static PyObject *take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace)
        PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return error;
#endif
}

/* A child that the function forked must not answer in its parent's place. */
static void be_one_process(struct slot *s)
{
    if (getpid() != s->pid)
        Py_XDECREF(PyObject_CallOneArg(s->leave, Py_None));
}

/* false: raised. The result's JSON is the answer. */
static bool encode(struct slot *s, PyObject *result, struct answer *a)
{
    PyObject *arguments[] = {result, s->variables.zero};
    PyObject *texts = PyObject_Vectorcall(s->encode, arguments, 2, NULL);
    if (!texts) {
        PyDict_Clear(s->markers);
        return false;
    }
    PyObject *text = NULL;
    if (PyTuple_Check(texts) && PyTuple_GET_SIZE(texts) == 1) {
        text = Py_NewRef(PyTuple_GET_ITEM(texts, 0));
    } else {
        PyObject *nothing = PyUnicode_FromStringAndSize(NULL, 0);
        text = nothing ? PyUnicode_Join(nothing, texts) : NULL;
        Py_XDECREF(nothing);
    }
    Py_DECREF(texts);
    if (!text)
        return false;
    a->bytes = PyUnicode_AsUTF8AndSize(text, &a->length);
    a->owner = text;
    return a->bytes != NULL;
}

static bool is_composite(PyObject *o)
{
    return PyDict_Check(o) || PyList_Check(o);
}

/* Calls the function. false: raised. */
static bool call_function(struct slot *s, const struct wire_frame *head, const char *payload,
                          struct answer *a)
{
    const char *value_text = payload + head->value_at;
    const char *end = payload + head->length;
    if (!variables_set(&s->variables, payload, value_text))
        return false;
    PyObject *pair = variables_scan(&s->variables, value_text, end);
    PyObject *value = pair ? Py_XNewRef(PyTuple_GetItem(pair, 0)) : NULL;
    Py_XDECREF(pair);
    if (!value)
        return false;
    if (!is_composite(value)) {
        Py_DECREF(value);
        *a = no_composite_value;
        return true;
    }
    PyObject *result = PyObject_CallOneArg(s->function, value);
    Py_DECREF(value);
    be_one_process(s);
    if (!result)
        return false;
    bool good = true;
    if (is_composite(result))
        good = encode(s, result, a);
    else
        *a = no_composite_result;
    Py_DECREF(result);
    return good;
}

/* As stock clients know it: an application error with the exception's text; the traceback is in the log. false: the
 * launcher could not say it; raised. */
static bool answer_exception(struct slot *s, struct answer *a)
{
    PyObject *error = take_exception();
    Py_CLEAR(a->owner);
    be_one_process(s);
    a->owner = PyObject_CallOneArg(s->raised, error);
    Py_DECREF(error);
    if (!a->owner)
        return false;
    a->bytes = PyBytes_AsString(a->owner);
    a->length = PyBytes_Size(a->owner);
    a->flags = 0;
    a->verdict = VERDICT_OK; /* the module is as sound as after any other call */
    return a->bytes != NULL;
}

static void flush(struct slot *s)
{
    static const char *const names[] = {"stdout", "stderr"};
    for (int i = 0; i < 2; i++) {
        PyObject *stream = PySys_GetObject(names[i]);
        PyObject *done = stream ? PyObject_CallMethodNoArgs(stream, s->flush) : NULL;
        Py_XDECREF(done);
        if (!done)
            PyErr_Clear(); /* the function closed or replaced it */
    }
}

/* The order matters: control.h has the argument. */
static bool logged_nothing(const struct slot *s, uint32_t activity)
{
    for (int i = 0; i < 2; i++) {
        int unread = 0;
        if (ioctl(s->streams[i], FIONREAD, &unread) < 0 || unread > 0)
            return false;
    }
    return activity % 2 == 0 && __atomic_load_n(&s->line->activity, __ATOMIC_SEQ_CST) == activity;
}

static void write_answer(struct slot *s, int fd, uint64_t call, const struct answer *a,
                         uint32_t activity)
{
    uint64_t true_length = (uint64_t)a->length;
    bool cut = a->length > s->limit_bytes;
    size_t kept = (size_t)(cut ? s->limit_bytes : a->length);
    struct wire_end end = {.verdict = VERDICT_OK};
    struct wire_frame heads[2] = {
        {.length = (uint32_t)(kept + (cut ? sizeof true_length : 0)),
         .type = FRAME_ANSWER,
         .flags = (uint8_t)(a->flags | (cut ? FLAG_TRUNCATED : 0)),
         .call = call},
        {.length = sizeof end, .type = FRAME_END, .call = call},
    };
    struct iovec parts[] = {
        {&heads[0], sizeof heads[0]},
        {&true_length, cut ? sizeof true_length : 0},
        {(void *)(uintptr_t)a->bytes, kept},
        {&heads[1], sizeof heads[1]},
        {&end, sizeof end},
    };
    flush(s);
    bool alone = a->verdict == VERDICT_OK && logged_nothing(s, activity);
    __atomic_store_n(&s->line->answering, 1, __ATOMIC_SEQ_CST);
    if (alone) /* before the write: the host may hang up as soon as it has END, and must not seem to cut a call */
        __atomic_store_n(&s->line->ended, s->line->ended + 1, __ATOMIC_SEQ_CST);
    connection_write(fd, parts, alone ? 5 : 3);
    __atomic_store_n(&s->line->answering, 0, __ATOMIC_SEQ_CST);
    if (!alone) {
        struct wire_control done = {.type = CONTROL_SAY_DONE,
                                    .slot = (uint32_t)s->index,
                                    .call = call,
                                    .value = a->verdict};
        if (send(s->control_fd, &done, sizeof done, MSG_NOSIGNAL) < 0)
            return; /* the agent is gone, and with it the container */
    }
}

/* false: raised, and nothing can be answered. */
static bool run(struct slot *s, int fd, const struct wire_frame *head, const char *payload)
{
    struct answer a = {.verdict = VERDICT_OK};
    __atomic_store_n(&s->line->call, head->call, __ATOMIC_SEQ_CST);
    __atomic_store_n(&s->line->begun, s->line->begun + 1, __ATOMIC_SEQ_CST);
    uint32_t activity = __atomic_load_n(&s->line->activity, __ATOMIC_SEQ_CST);
    bool good = call_function(s, head, payload, &a) || answer_exception(s, &a);
    if (good)
        write_answer(s, fd, head->call, &a, activity);
    Py_XDECREF(a.owner);
    return good;
}

static void refuse(int fd, uint64_t call)
{
    struct wire_end end = {.verdict = VERDICT_OK};
    struct wire_frame heads[2] = {
        {.length = (uint32_t)second_init.length,
         .type = FRAME_INIT_DONE,
         .flags = FLAG_FAILED,
         .call = call},
        {.length = sizeof end, .type = FRAME_END, .call = call},
    };
    struct iovec parts[] = {
        {&heads[0], sizeof heads[0]},
        {(void *)(uintptr_t)second_init.bytes, (size_t)second_init.length},
        {&heads[1], sizeof heads[1]},
        {&end, sizeof end},
    };
    connection_write(fd, parts, 4);
}

static PyObject *slot_serve(PyObject *self, PyObject *connection)
{
    struct slot *s = (struct slot *)(void *)self;
    int fd = (int)PyLong_AsLong(connection);
    if (fd < 0)
        return NULL;
    for (;;) {
        struct wire_frame head;
        char *payload;
        int got = connection_read(&s->connection, fd, &head, &payload);
        bool run_frame = got > 0 && head.type == FRAME_RUN;
        if (got > 0 && !run_frame)
            refuse(fd, head.call);
        else if (run_frame && (head.value_at == 0 || head.value_at >= head.length))
            got = 0; /* nothing that the host sends */
        else if (run_frame && !run(s, fd, &head, payload))
            got = -1;
        connection_drop(&s->connection);
        if (got < 0)
            return NULL;
        if (got == 0)
            Py_RETURN_NONE;
    }
}

/* -------------------------------------------------------------------------------------------------------- module */

/* Slot(function, decode, encode, markers, environment, raised, leave, page_fd, index, control_fd, limit_bytes) */
static int slot_init(PyObject *self, PyObject *arguments, PyObject *named)
{
    struct slot *s = (struct slot *)(void *)self;
    int page_fd;
    (void)named;
    if (!PyArg_ParseTuple(arguments, "OOOOOOOiiin", &s->function, &s->variables.decode, &s->encode,
                          &s->markers, &s->variables.environment, &s->raised, &s->leave, &page_fd,
                          &s->index, &s->control_fd, &s->limit_bytes))
        return -1;
    Py_INCREF(
        arguments); /* the slot serves as long as the process lives, and never frees what it was given */
    Py_INCREF(self);
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    for (int i = 0; i < 2; i++)
        s->streams[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, STREAM_FD_MIN);
    if (page == MAP_FAILED || s->index < 0 || s->index >= PAGE_BYTES / (int)sizeof *s->line) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    s->line = (struct wire_line *)page + s->index;
    s->pid = getpid();
    s->variables.zero = PyLong_FromLong(0);
    s->flush = PyUnicode_InternFromString("flush");
    if (!s->variables.zero || !s->flush)
        return -1;
    return PySys_AddAuditHook(variables_audit, &s->variables);
}

static PyMethodDef slot_methods[] = {
    {"serve", slot_serve, METH_O, "serve(fd): answers calls until the host ends the connection"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slot_slots[] = {
    {Py_tp_init, slot_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_methods, slot_methods},
    {0, NULL},
};

static PyType_Spec slot_spec = {
    .name = "_narae.Slot",
    .basicsize = sizeof(struct slot),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slot_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_narae",
    .m_doc = "Serves the calls of one slot.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__narae(void)
{
    PyObject *m = PyModule_Create(&module);
    PyObject *type = m ? PyType_FromSpec(&slot_spec) : NULL;
    if (!type || PyModule_AddObjectRef(m, "Slot", type) < 0)
        Py_CLEAR(m);
    Py_XDECREF(type);
    return m;
}
