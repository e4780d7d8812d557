/* Published vectors of SHA-256, values of another implementation for HMAC, and files. */
#include "../base/check.h"

#include <fcntl.h>

#include "common/base/mem.h"
#include "common/data/digest.h"

static void assert_hex(const unsigned char digest[NR_SHA256_BYTES], const char *hex)
{
    char text[2 * NR_SHA256_BYTES + 1];

    nr_hex(digest, NR_SHA256_BYTES, text);
    assert_string_equal(text, hex);
}

static void test_sha256(void **state)
{
    unsigned char out[NR_SHA256_BYTES];

    nr_sha256((struct nr_str){NULL, 0}, out);
    assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    nr_sha256(NR_STR("abc"), out);
    assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_hmac(void **state)
{
    unsigned char key[32], out[NR_SHA256_BYTES], again[NR_SHA256_BYTES];

    for (int i = 0; i < 32; i++)
        key[i] = (unsigned char)i;
    nr_hmac(key, NR_STR("what do ya want for nothing?"), out);
    assert_hex(out, "099805f4ac310786968565c098db515cc50862b420ae31e20238312344bed36a");
    nr_hmac(key, (struct nr_str){NULL, 0}, out);
    assert_hex(out, "d38b42096d80f45f826b44a9d5607de72496a415d3f4a1a8c88e3bb9da8dc1cb");
    key[31] ^= 1;
    nr_hmac(key, (struct nr_str){NULL, 0}, again);
    assert_memory_not_equal(out, again, NR_SHA256_BYTES);
}

static void test_file(void **state)
{
    char path[] = "/tmp/narae-digest-XXXXXX";
    enum { BYTES = 100001 };
    nr_auto_free char *bytes = nr_alloc(BYTES);
    unsigned char whole[NR_SHA256_BYTES], out[NR_SHA256_BYTES];
    nr_auto_close int fd = mkstemp(path);

    assert_true(fd >= 0);
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (char)(i * 7 / 3);
    assert_int_equal(write(fd, bytes, BYTES), BYTES);
    nr_sha256((struct nr_str){bytes, BYTES}, whole);
    assert_true(nr_sha256_fd(fd, out));
    assert_memory_equal(out, whole, sizeof(out));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), BYTES);
    assert_int_equal(unlink(path), 0);
    nr_auto_close int dir = open("/tmp", O_RDONLY | O_DIRECTORY);

    assert_false(nr_sha256_fd(dir, out));
    assert_memory_equal(out, whole, sizeof(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
