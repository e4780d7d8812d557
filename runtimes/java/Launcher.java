import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;

/**
 * Serves a Java function: takes calls as lines of JSON from stdin and answers on descriptor 3.
 *
 * <p>The function comes as the jar that the compiler has made. Its entry META-INF/narae-main says which class and method it is: a public
 * static method that takes one JSON element (JsonObject, JsonArray, JsonElement) and returns one.
 */
public final class Launcher {
    private static final String ACTION = "/action/code.jar";
    private static final String ENTRY = "META-INF/narae-main";
    private static final int BUFFER_BYTES = 64 << 10;

    private final Method[] methods;

    private Launcher(Method[] methods) {
        this.methods = methods;
    }

    /** The methods of the function's name that take one JSON element; there may be one for objects and one for arrays. */
    private static Launcher load(ClassLoader loader, String main) throws ReflectiveOperationException {
        int at = main.indexOf('#');
        Class<?> type = Class.forName(main.substring(0, at), true, loader);
        String name = main.substring(at + 1);
        Method[] found = java.util.Arrays.stream(type.getMethods())
            .filter(m -> m.getName().equals(name) && Modifier.isStatic(m.getModifiers()) && m.getParameterCount() == 1
                && JsonElement.class.isAssignableFrom(m.getParameterTypes()[0]))
            .toArray(Method[]::new);
        if (found.length == 0) {
            throw new NoSuchMethodException(main + " is no public static method that takes a JsonObject");
        }
        for (Method m : found) {
            m.setAccessible(true);
        }
        return new Launcher(found);
    }

    private static Launcher loadAction() throws IOException, ReflectiveOperationException {
        URL jar = Path.of(ACTION).toUri().toURL();
        URLClassLoader loader = new URLClassLoader(new URL[] {jar}, Launcher.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        try (InputStream in = loader.getResourceAsStream(ENTRY)) {
            if (in == null) {
                throw new IOException("the jar has no " + ENTRY);
            }
            return load(loader, new String(in.readAllBytes(), StandardCharsets.UTF_8).trim());
        }
    }

    /** The map behind System.getenv(): what is put there is what functions read. */
    @SuppressWarnings("unchecked")
    private static Map<String, String> environment() {
        try {
            Field inner = Class.forName("java.util.Collections$UnmodifiableMap").getDeclaredField("m");
            inner.setAccessible(true);
            return (Map<String, String>) inner.get(System.getenv());
        } catch (ReflectiveOperationException e) {
            return Collections.emptyMap();
        }
    }

    private static void setEnvironment(Map<String, String> environment, JsonObject call) {
        for (Map.Entry<String, JsonElement> e : call.entrySet()) {
            if (!e.getKey().equals("value") && e.getValue().isJsonPrimitive()) {
                environment.put("__OW_" + e.getKey().toUpperCase(java.util.Locale.ROOT), e.getValue().getAsString());
            }
        }
    }

    private static JsonElement error(String text) {
        JsonObject o = new JsonObject();
        o.addProperty("error", text);
        return o;
    }

    private JsonElement call(JsonElement value) throws Throwable {
        for (Method m : methods) {
            if (m.getParameterTypes()[0].isInstance(value)) {
                try {
                    return (JsonElement) m.invoke(null, value);
                } catch (InvocationTargetException e) {
                    throw e.getCause();
                }
            }
        }
        return error("The function takes no " + value.getClass().getSimpleName() + ".");
    }

    private String answer(String line, Map<String, String> environment) {
        JsonElement result;
        try {
            JsonObject call = JsonParser.parseString(line).getAsJsonObject();
            setEnvironment(environment, call);
            result = call(call.get("value"));
        } catch (Throwable e) {
            e.printStackTrace();
            result = error("An error has occurred: " + (e.getMessage() == null ? e.getClass().getName() : e.getMessage()));
        }
        System.out.flush();
        System.err.flush();
        return String.valueOf(result);
    }

    /** One line without its end, or null at the end of the stream. */
    private static String readLine(InputStream in, ByteArrayOutputStream line) throws IOException {
        line.reset();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                return null;
            }
            line.write(c);
        }
        return line.toString(StandardCharsets.UTF_8);
    }

    private static void say(OutputStream out, String line) throws IOException {
        out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    private void serve(InputStream in, OutputStream out) throws IOException {
        Map<String, String> environment = environment();
        ByteArrayOutputStream buffer = new ByteArrayOutputStream(BUFFER_BYTES);
        for (String line = readLine(in, buffer); line != null; line = readLine(in, buffer)) {
            say(out, answer(line, environment));
        }
    }

    /** For the class archive: what it loads is what every first call needs. */
    public static JsonElement echo(JsonElement value) {
        return value;
    }

    private static void rehearse() throws IOException, ReflectiveOperationException {
        String line = "{\"activation_id\":\"rehearsal\",\"value\":{\"a\":[1,2.5,\"b\"],\"c\":{\"d\":null}}}\n";
        Launcher self = load(Launcher.class.getClassLoader(), "Launcher#echo");
        self.serve(new BufferedInputStream(new java.io.ByteArrayInputStream(line.getBytes(StandardCharsets.UTF_8))), System.out);
    }

    public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
        if (arguments.length > 0 && arguments[0].equals("--rehearse")) {
            rehearse();
            return;
        }
        try (OutputStream out = new FileOutputStream("/proc/self/fd/3")) {
            Launcher function = null;
            try {
                function = loadAction();
            } catch (Throwable e) {
                e.printStackTrace();
            }
            System.out.flush();
            say(out, "{\"ok\":" + (function != null) + "}");
            if (function != null) {
                function.serve(new BufferedInputStream(System.in, BUFFER_BYTES), out);
            }
        }
        System.exit(0); // threads that the function left behind hold up no end
    }
}
