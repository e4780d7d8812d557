import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;

/**
 * The compiler as a function of the platform: one container compiles one upload and hands the result over in pieces.
 *
 * <p>{"main":"Hello"} compiles what stands in the working folder; the answer is {"bytes":n}, or {"refused":"what the compiler said"}.
 * {"piece":0} is answered by {"data":"base64 of the bytes 0..PIECE_BYTES of the result"}; the next piece has the next number.
 *
 * <p>An ActionLoop program: a line of JSON on stdin, a line on descriptor 3. The source is hostile: it is read and compiled here, never run
 * (no annotation processors, no class is initialised), in a container without a network and with bounds that are the host's.
 */
public final class Compile {
    static final Path RESULT = Path.of("/tmp/result.jar");
    private static final int PIECE_BYTES = 700 << 10;
    private static final int SAID_CHARS = 8 << 10;

    private Compile() {
    }

    /** What is wrong with an upload, in words for who deploys it. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String text) {
            super(text.length() > SAID_CHARS ? text.substring(0, SAID_CHARS) + "\n..." : text);
        }
    }

    private static JsonObject one(String name, JsonElement value) {
        JsonObject o = new JsonObject();
        o.add(name, value);
        return o;
    }

    private static JsonObject piece(long number) throws IOException {
        try (RandomAccessFile f = new RandomAccessFile(RESULT.toFile(), "r")) {
            long left = Math.max(0, f.length() - number * PIECE_BYTES);
            byte[] bytes = new byte[(int) Math.min(left, PIECE_BYTES)];
            f.seek(number * PIECE_BYTES);
            f.readFully(bytes);
            return one("data", new com.google.gson.JsonPrimitive(Base64.getEncoder().encodeToString(bytes)));
        }
    }

    private static JsonObject answer(String line) {
        try {
            JsonObject value = JsonParser.parseString(line).getAsJsonObject().getAsJsonObject("value");
            if (value.has("piece")) {
                return piece(value.get("piece").getAsLong());
            }
            long bytes = Sources.build(Path.of("").toAbsolutePath(), value.get("main").getAsString());
            return one("bytes", new com.google.gson.JsonPrimitive(bytes));
        } catch (Refused e) {
            return one("refused", new com.google.gson.JsonPrimitive(e.getMessage()));
        } catch (Exception e) {
            return one("refused", new com.google.gson.JsonPrimitive("The compiler failed: " + e));
        }
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (OutputStream out = new FileOutputStream("/proc/self/fd/3")) {
            String said = "{\"ok\":true}";
            for (String line = ""; line != null; ) {
                out.write((said + "\n").getBytes(StandardCharsets.UTF_8));
                line = in.readLine();
                said = line == null ? "" : answer(line).toString();
            }
        }
    }
}
