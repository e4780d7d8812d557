import com.google.gson.JsonElement;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Enumeration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** One jar of everything: what was compiled, what was uploaded beside it, what the uploaded jars hold; and the name of the function. */
final class Jar {
    private static final String ENTRY = "META-INF/narae-main";

    private final ZipOutputStream out;
    private final Set<String> names = new HashSet<>();

    private Jar(ZipOutputStream out) {
        this.out = out;
    }

    /** The first of a name stays. Signatures hold for the jar they came from only. */
    private void add(String name, InputStream bytes) throws IOException {
        boolean signature = name.startsWith("META-INF/") && name.matches(".*\\.(SF|RSA|DSA|EC)");
        if (signature || name.endsWith("/") || name.endsWith(".java") || !names.add(name)) {
            return;
        }
        out.putNextEntry(new ZipEntry(name));
        bytes.transferTo(out);
        out.closeEntry();
    }

    private void addFolder(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> all = Files.walk(folder)) {
            files = all.filter(f -> Files.isRegularFile(f) && !f.toString().endsWith(".jar")).sorted().toList();
        }
        for (Path f : files) {
            try (InputStream in = Files.newInputStream(f)) {
                add(folder.relativize(f).toString(), in);
            }
        }
    }

    private void addJar(Path jar) throws IOException {
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            for (Enumeration<? extends ZipEntry> e = zip.entries(); e.hasMoreElements(); ) {
                ZipEntry entry = e.nextElement();
                try (InputStream in = zip.getInputStream(entry)) {
                    add(entry.getName(), in);
                }
            }
        }
    }

    /** Is there such a function? It is looked at, none of its code runs. */
    private static void check(Path jar, String main) throws IOException, Compile.Refused {
        String type = main.substring(0, main.indexOf('#'));
        String method = main.substring(main.indexOf('#') + 1);
        try (URLClassLoader loader = new URLClassLoader(new URL[] {jar.toUri().toURL()}, Jar.class.getClassLoader())) {
            Class<?> found = Class.forName(type, false, loader);
            boolean good = Arrays.stream(found.getMethods()).anyMatch(m -> m.getName().equals(method) && Modifier.isStatic(m.getModifiers())
                && m.getParameterCount() == 1 && JsonElement.class.isAssignableFrom(m.getParameterTypes()[0])
                && JsonElement.class.isAssignableFrom(m.getReturnType()));
            if (!good || !Modifier.isPublic(found.getModifiers())) {
                throw new Compile.Refused("The public class " + type + " with a method public static JsonObject " + method
                    + "(JsonObject) is expected; it is not there.");
            }
        } catch (ClassNotFoundException | LinkageError e) {
            throw new Compile.Refused("The class " + type + " of the function cannot be loaded: " + e.getMessage());
        }
    }

    static long write(Path folder, Path classes, List<Path> jars, String main) throws IOException, Compile.Refused {
        try (OutputStream file = Files.newOutputStream(Compile.RESULT); ZipOutputStream out = new ZipOutputStream(file)) {
            Jar jar = new Jar(out);
            jar.names.add(ENTRY);
            jar.addFolder(classes);
            jar.addFolder(folder);
            for (Path j : jars) {
                jar.addJar(j);
            }
            out.putNextEntry(new ZipEntry(ENTRY));
            out.write(main.getBytes(StandardCharsets.UTF_8));
            out.closeEntry();
        }
        check(Compile.RESULT, main);
        return Files.size(Compile.RESULT);
    }
}
