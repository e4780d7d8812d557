#!/usr/bin/env python3
"""Each gate is shown a small tree with a fault and must find exactly that, and nothing in a good
one."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import compatibility
import documented
import globals as globals_gate
import hardening
import headers
import layers
import shell
import schema_steps
import sizes


class Tree(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)

    def put(self, path, text, mode=0o644):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(full, mode)
        return full

    def compiled(self, path, text, *flags):
        """A source, its object and the line of compile_commands.json for it."""
        full = self.put(path, text)
        obj = full + ".o"
        command = ["cc", "-O1", *flags, "-c", full, "-o", obj]
        subprocess.run(command, check=True)
        return {"directory": self.root, "command": " ".join(command), "file": path,
                "output": path + ".o"}

    def commands(self, *entries):
        self.put("compile_commands.json", json.dumps(entries))


class Compatibility(Tree):
    def setUp(self):
        super().setUp()
        self.put("gateway/swagger.json", json.dumps({"paths": {"/a/{b}": {"get": {}, "put": {}}}}))
        self.put("tests/integration/test_x.py", "def test_one():\n    pass\n\n\nclass T:\n    def test_two(self):\n        pass\n")
        self.put("tests/unit/p/test_x.c", "static void it_is_so(void **state)\n{\n}\n")

    def page(self, *rows):
        self.put("docs/compatibility.md", "text\n\n| other | table |\n|---|---|\n| a | b |\n\n| operation | test |\n|---|---|\n"
                 + "".join(f"| {' | '.join(row)} |\n" for row in rows))
        return compatibility.check(self.root)

    def test_every_operation_has_its_test(self):
        self.assertEqual(([], 2), self.page(("`GET /a/{b}`", "`test_x.py::test_one`, `p/test_x.c::it_is_so`"),
                                            ("`PUT /a/{b}`", "`test_x.py::test_two`")))

    def test_faults(self):
        problems, _ = self.page(("`GET /a/{b}`", "none"), ("x", "`test_x.py::test_three`, `q/test_x.c::it_is_so`, `test_x.c::it`"))
        self.assertEqual(5, len(problems), problems)
        self.assertIn("docs/compatibility.md:9: no test", problems)
        self.assertIn("docs/compatibility.md: no row for PUT /a/{b}", problems)


class Layers(Tree):
    def test_through_the_port_is_fine(self):
        self.put("gateway/a.c", '#include "ports/invoker.h"\n#include "gateway/a.h"\n')
        self.assertEqual(([], 1), layers.check(self.root))

    def test_another_component(self):
        self.put("gateway/a.c", '#include "invoker/pool.h"\n')
        problems, _ = layers.check(self.root)
        self.assertEqual(1, len(problems))
        self.assertIn("gateway/a.c:1: may not include invoker/pool.h", problems[0])

    def test_base_does_without_libuv(self):
        self.put("common/base/a.h", "#include <uv.h>\n")
        self.assertEqual(1, len(layers.check(self.root)[0]))

    def test_base_does_not_look_up(self):
        self.put("common/base/a.h", '#include "common/net/loop.h"\n')
        self.assertEqual(1, len(layers.check(self.root)[0]))

    def test_what_a_comment_says_does_not_count(self):
        self.put("ports/a.h", '/*\n#include "gateway/a.h"\n*/\n')
        self.assertEqual([], layers.check(self.root)[0])


class SchemaSteps(Tree):
    def check(self, last, now, version="2.0"):
        self.put("meson.build", "project('x', 'c',\n  version: '%s')\n" % version)
        self.put("packaging/schema-steps", "# why\n" + last)
        self.put("common/data/schema_versions.h", "".join("#define NR_SCHEMA_%s %d /* x.c */\n" % one for one in now))
        return schema_steps.check(self.root)

    def test_as_many_and_one_more(self):
        self.assertEqual(([], 2), self.check("release 1.0\nmeta 3\ncalls 7\n", [("META", 3), ("CALLS", 8)]))

    def test_two_more_and_one_less(self):
        problems, _ = self.check("release 1.0\nmeta 3\ncalls 7\n", [("META", 5), ("CALLS", 6)])
        self.assertEqual(2, len(problems))
        self.assertIn("steps never go", problems[0])
        self.assertIn("2 more than release 1.0", problems[1])

    def test_the_release_itself(self):
        problems, _ = self.check("release 2.0\nmeta 3\n", [("META", 4)])
        self.assertIn("the sources of release 2.0", problems[0])

    def test_what_is_not_in_both(self):
        self.assertEqual(2, len(self.check("release 1.0\nmeta 3\n", [("CALLS", 3)])[0]))

    def test_a_file_that_is_none(self):
        self.assertEqual(2, len(self.check("meta three\nmeta 3\n", [("META", 3)])[0]))


class Sizes(Tree):
    def body(self, name, lines):
        return "int %s(int a)\n{\n%s    return a;\n}\n" % (name, "    a++;\n" * (lines - 3))

    def test_at_the_limit_and_one_above(self):
        self.put("cli/a.c", self.body("short_one", 100) + self.body("long_one", 101))
        problems, checked = sizes.check(self.root)
        self.assertEqual(2, checked)
        self.assertEqual(["cli/a.c:103: long_one() has 101 lines, at most 100"], problems)

    def test_a_tick_tells_its_story(self):
        self.put("cli/a.c", self.body("controller_tick", 150))
        self.assertEqual([], sizes.check(self.root)[0])

    def test_a_table_is_no_function(self):
        self.put("cli/a.c", "static const int t[] = {\n%s};\n" % ("    1,\n" * 200))
        self.assertEqual(([], 0), sizes.check(self.root))

    def test_a_long_file(self):
        self.put("cli/a.c", "int a;\n" * 1001)
        self.assertEqual(1, len(sizes.check(self.root)[0]))


class Documented(Tree):
    def test_above_beside_in_a_group_and_not_at_all(self):
        text = ("/* Opens. */\nint a_open(void);\nvoid a_close(void);\n\nint a_one(void); /* one */\n"
                "\nint a_bare(int x,\n           int y);\n\n"
                "struct a {\n    int (*run)(void);\n};\n"
                "static inline int a_in(void)\n{\n    return 0;\n}\n")
        self.assertEqual([("a_open", 2, True), ("a_close", 3, True), ("a_one", 5, True),
                          ("a_bare", 7, False)], documented.prototypes(text))

    def test_the_floor(self):
        good = "/* Does. */\nint a_%d(void);\n\n"
        self.put("ports/a.h", "".join(good % i for i in range(9)) + "int a_x(void);\n")
        self.assertEqual([], documented.check(self.root)[0])
        self.put("ports/b.h", "int b_x(void);\n")
        self.assertEqual(3, len(documented.check(self.root)[0]))


class Headers(Tree):
    def check(self):
        self.commands(self.compiled("cli/a.c", "int a_a(void);\nint a_a(void) { return 0; }\n"))
        return headers.check(self.root, self.root, ["cc"])

    def test_good(self):
        self.put("cli/a.h", "#ifndef A\n#define A\n#include <stddef.h>\nstruct a { size_t n; };\n"
                            "#endif\n")
        self.assertEqual(([], 1), self.check())

    def test_no_guard(self):
        self.put("cli/a.h", "struct a { int n; };\n")
        self.assertEqual(1, len(self.check()[0]))

    def test_something_missing(self):
        self.put("cli/a.h", "#ifndef A\n#define A\nstruct a { size_t n; };\n#endif\n")
        self.assertEqual(1, len(self.check()[0]))


class Globals(Tree):
    GOOD = ("extern int puts(const char *);\n"
            "static const char *const names[] = {\"a\", \"b\"};\n"
            "static const int table[] = {1, 2};\n"
            "int f(int i);\nint f(int i) { return puts(names[i]) + table[i]; }\n")
    BAD = "int f(void);\nint f(void) { static int calls; return ++calls; }\n"

    def test_constants(self):
        self.commands(self.compiled("cli/a.c", self.GOOD, "-fPIE"))
        self.assertEqual(([], 1), globals_gate.check(self.root, self.root))

    def test_a_static_local_that_counts(self):
        self.commands(self.compiled("cli/a.c", self.BAD))
        problems, _ = globals_gate.check(self.root, self.root)
        self.assertEqual(1, len(problems))
        self.assertIn("cli/a.c: calls", problems[0])

    def test_thread_local_and_initialised(self):
        self.commands(self.compiled("cli/a.c", "__thread int t;\nint d = 3;\n"))
        self.assertEqual(2, len(globals_gate.check(self.root, self.root)[0]))

    def test_what_is_allowed_by_name(self):
        self.commands(self.compiled("common/base/map.c", "unsigned seed, other;\n"))
        problems, _ = globals_gate.check(self.root, self.root)
        self.assertEqual(["common/base/map.c: other can change and lives for ever"], problems)

    def test_main_is_free(self):
        self.commands(self.compiled("daemon/main.c", self.BAD))
        self.assertEqual(([], 0), globals_gate.check(self.root, self.root))


class Hardening(Tree):
    SOURCE = ("#include <string.h>\n"
              "int main(int argc, char **argv) { char b[64]; strncpy(b, argv[0], 63); b[63] = 0;"
              " return (int)strlen(b) + argc; }\n")

    def program(self, *flags):
        source, out = self.put("a.c", self.SOURCE), os.path.join(self.root, "a")
        subprocess.run(["cc", "-O1", *flags, source, "-o", out], check=True)
        return hardening.faults(out)

    def test_hard(self):
        self.assertEqual([], self.program("-fPIE", "-pie", "-fstack-protector-all",
                                          "-Wl,-z,relro", "-Wl,-z,now"))

    def test_static_and_stripped(self):
        hard = ["-fPIE", "-static-pie", "-Wl,-s", "-Wl,-z,relro"]
        for protector, found in (("-fstack-protector-all", []),
                                 ("-fno-stack-protector", ["stack canaries"])):
            source, out = self.put("a.c", self.SOURCE), os.path.join(self.root, "a")
            os.makedirs(out + ".p", exist_ok=True)
            subprocess.run(["cc", "-O1", "-fPIE", protector, "-c", source, "-o", out + ".p/a.o"],
                           check=True)
            subprocess.run(["cc", *hard, out + ".p/a.o", "-o", out], check=True)
            self.assertEqual(found, hardening.faults(out))

    def test_soft(self):
        found = self.program("-fno-PIE", "-no-pie", "-fno-stack-protector", "-Wl,-z,norelro",
                             "-Wl,-z,lazy", "-Wl,-z,execstack", "-Wl,-rpath,/x")
        self.assertEqual(["position independent", "relocations read-only", "bound at start",
                          "stack not executable", "stack canaries", "no library search path"],
                         found)


class Shell(Tree):
    def test_good(self):
        self.put("scripts/a", "#!/bin/sh\n# Says hello.\necho hello\n", 0o755)
        self.assertEqual(([], 1), shell.check(self.root))

    def test_each_fault(self):
        self.put("scripts/a", "#!/usr/bin/env bash\nif true; then\n")
        self.assertEqual(4, len(shell.check(self.root)[0]))


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
