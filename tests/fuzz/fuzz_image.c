/* References of images as tenants write them, and what registries make the Engine say of a pull, on any bytes.
 *
 * What must hold: a reference that is taken has nothing in it that a path of the Engine's would read otherwise, has a host, and reads back as
 * itself; a pull's text gives sums that are no less than nothing and fit together, in pieces as in one, and its refusal has a sentence.
 */
#include "fuzz.h"

#include <string.h>

#include "common/base/mem.h"
#include "fnmanager/images/image_name.h"
#include "invoker/images.h"

static void read_reference(const char *text)
{
    struct image_name name, again;
    struct nr_err err = {0};
    char host[IMAGE_HOST_BYTES];

    if (image_name_parse(text, &name, &err) < 0) {
        nr_check(err.text[0] != '\0');
        return;
    }
    nr_check(name.host[0] && images_safe_in_path(name.reference));
    nr_check(strncmp(name.reference, name.repository, strlen(name.repository)) == 0);
    nr_check(image_name_parse(name.reference, &again, NULL) == 0);
    nr_check(strcmp(again.reference, name.reference) == 0 && strcmp(again.host, name.host) == 0);
    nr_check(image_host_parse(name.host, host, NULL) == 0 && strcmp(host, name.host) == 0);
}

static struct image_progress read_pull(const char *p, size_t n, size_t piece)
{
    struct pull_text *t = pull_text_make(1 << 30);
    bool go_on = true;

    for (size_t at = 0; go_on && at < n; at += piece)
        go_on = pull_text_add(t, (struct nr_str){p + at, n - at < piece ? n - at : piece});
    struct image_progress now = pull_text_progress(t);
    struct nr_err err = {0};
    int r = pull_text_error(t, "a", &err);

    nr_check((r < 0) == (err.text[0] != '\0') && (go_on || r < 0));
    nr_check(now.layers_done <= now.layers);
    pull_text_free(t);
    return now;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    nr_auto_free char *text = nr_strndup((const char *)bytes, n);
    struct nr_err err = {0};

    read_reference(text);
    nr_check(image_refusal("a", text, &err) < 0 && err.text[0] != '\0');
    if (n > 0) {
        struct image_progress whole = read_pull((const char *)bytes, n, n);

        nr_check(whole.bytes >= 0 && whole.bytes_total >= whole.bytes);
        (void)read_pull((const char *)bytes, n, 7);
    }
    return 0;
}
