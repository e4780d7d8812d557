/* Where it is measured: what stands in every record of a run, so that figures of two machines are not taken for those of one. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "common/base/file.h"
#include "fnmanager/preenv/preenv_run.h"

enum { FILE_MAX_BYTES = 1 << 20, TEXT_MAX_BYTES = 8192 };

/* The rest of the first line that begins with `key`, behind its colon; "" when there is none. */
static void line_of(const char *path, const char *key, char *ret, size_t size)
{
    nr_auto_free char *text = NULL;
    size_t n;
    struct nr_str rest, line, word;

    ret[0] = '\0';
    if (nr_file_read(path, FILE_MAX_BYTES, &text, &n, NULL) != 0)
        return;
    rest = (struct nr_str){text, n};
    while (rest.n > 0 && nr_str_split(&rest, '\n', &line)) {
        if (!nr_str_starts(line, key) || !nr_str_split(&line, ':', &word))
            continue;
        while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
            line.p++, line.n--;
        (void)snprintf(ret, size, "%.*s", (int)line.n, line.p);
        return;
    }
}

/* The model of the disk that the folder is on; its name in the kernel where it has no model. */
static void disk_of(const char *folder, char *ret, size_t size)
{
    static const char *const files[] = {"device/model", "../device/model"};
    char path[256];
    struct stat st;

    ret[0] = '\0';
    if (stat(folder, &st) != 0)
        return;
    (void)snprintf(ret, size, "%u:%u", major(st.st_dev), minor(st.st_dev));
    for (size_t i = 0; i < nr_countof(files); i++) {
        nr_auto_free char *text = NULL;
        size_t n;

        (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(st.st_dev),
                       minor(st.st_dev), files[i]);
        if (nr_file_read(path, 256, &text, &n, NULL) != 0)
            continue;
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
            n--;
        (void)snprintf(ret, size, "%.*s", (int)n, text);
        return;
    }
}

char *preenv_place(const char *data_dir, struct preenv_tester *t)
{
    char processor[128], memory[64], disk[128], kernel[160] = "";
    struct utsname u;
    struct nr_buf out;

    line_of("/proc/cpuinfo", "model name", processor, sizeof(processor));
    line_of("/proc/meminfo", "MemTotal", memory, sizeof(memory));
    disk_of(data_dir, disk, sizeof(disk));
    if (uname(&u) == 0)
        (void)snprintf(kernel, sizeof(kernel), "%.60s %.90s", u.sysname, u.release);
    const struct {
        const char *name, *value;
    } texts[] = {{"processor", processor}, {"memory", memory}, {"disk", disk}, {"kernel", kernel}};

    nr_buf_init(&out, TEXT_MAX_BYTES);
    nr_buf_printf(&out, "{\"cores\":%d", t->cores);
    for (size_t i = 0; i < nr_countof(texts); i++) {
        nr_buf_printf(&out, ",\"%s\":", texts[i].name);
        nr_buf_json(&out, nr_str_of(texts[i].value));
    }
    if (t->place) {
        nr_buf_addc(&out, ',');
        t->place(t, &out);
    }
    nr_buf_addc(&out, '}');
    char *text = nr_buf_detach(&out, NULL);

    nr_buf_fini(&out);
    return text;
}
