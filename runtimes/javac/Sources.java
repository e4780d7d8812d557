import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/** What was uploaded: sources to be compiled, jars and classes that stand beside them; and which class is the function. */
final class Sources extends SimpleFileVisitor<Path> {
    private static final String JSON = "/usr/share/java/gson.jar";
    private static final Path CLASSES = Path.of("/tmp/classes");

    private final List<Path> sources = new ArrayList<>();
    private final List<Path> jars = new ArrayList<>();

    private Sources() {
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
        String name = file.getFileName().toString();
        if (name.endsWith(".java") && !name.equals("module-info.java")) {
            sources.add(file);
        } else if (name.endsWith(".jar")) {
            jars.add(file);
        }
        return FileVisitResult.CONTINUE;
    }

    private static String said(DiagnosticCollector<JavaFileObject> all, Path folder) {
        StringBuilder text = new StringBuilder();
        for (Diagnostic<? extends JavaFileObject> d : all.getDiagnostics()) {
            if (d.getKind() == Diagnostic.Kind.ERROR) {
                text.append(d.getSource() == null ? "" : folder.relativize(Path.of(d.getSource().getName())) + ":" + d.getLineNumber() + ": ")
                    .append(d.getMessage(Locale.ROOT)).append('\n');
            }
        }
        return text.toString().trim();
    }

    /**
     * A single file arrives under a name of the platform's, but a public class has to stand in a file of its own name: it is renamed to
     * the class that it declares, which is also the function unless another is named.
     */
    private String nameSingle(Path folder) throws IOException {
        Path only = folder.resolve("code.java");
        if (sources.size() != 1 || !sources.get(0).equals(only)) {
            return "";
        }
        String text = Files.readString(only, StandardCharsets.UTF_8);
        java.util.regex.Matcher of = java.util.regex.Pattern.compile("(?m)^\\s*public\\s+(?:(?:final|abstract|strictfp)\\s+)*(?:class|record|enum|interface)\\s+([\\p{L}_$][\\p{L}\\p{N}_$]*)")
            .matcher(text);
        java.util.regex.Matcher in = java.util.regex.Pattern.compile("(?m)^\\s*package\\s+([\\p{L}\\p{N}_$.]+)\\s*;").matcher(text);
        String type = of.find() ? of.group(1) : "Main";
        Path named = folder.resolve(type + ".java");
        Files.move(only, named);
        sources.set(0, named);
        return in.find() ? in.group(1) + "." + type : type;
    }

    private void compile(Path folder) throws IOException, Compile.Refused {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        DiagnosticCollector<JavaFileObject> diagnostics = new DiagnosticCollector<>();
        StringBuilder path = new StringBuilder(JSON).append(File.pathSeparator).append(folder);
        jars.forEach(j -> path.append(File.pathSeparator).append(j));
        List<String> options = List.of("-proc:none", "-implicit:none", "-nowarn", "-encoding", "UTF-8", "--release", "17", "-cp", path.toString(),
            "-d", CLASSES.toString());
        try (StandardJavaFileManager files = compiler.getStandardFileManager(diagnostics, Locale.ROOT, StandardCharsets.UTF_8)) {
            StringWriter more = new StringWriter();
            boolean good = compiler.getTask(more, files, diagnostics, options, null, files.getJavaFileObjectsFromPaths(sources)).call();
            if (!good) {
                String text = said(diagnostics, folder);
                throw new Compile.Refused(text.isEmpty() ? more.toString().trim() : text);
            }
        }
    }

    /** Compiles what stands in the folder; returns the bytes of the jar. */
    static long build(Path folder, String main) throws IOException, Compile.Refused {
        Sources s = new Sources();
        Files.createDirectories(CLASSES);
        Files.walkFileTree(folder, s);
        String single = s.nameSingle(folder);
        if (!s.sources.isEmpty()) {
            s.compile(folder);
        }
        String function = main.isEmpty() || main.equals("main") && !single.isEmpty() ? single : main;
        if (function.isEmpty()) {
            throw new Compile.Refused("'main' is missing: the class of the function, such as Hello, example.Hello or example.Hello#handle.");
        }
        return Jar.write(folder, CLASSES, s.jars, function.indexOf('#') < 0 ? function + "#main" : function);
    }
}
