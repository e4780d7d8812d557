import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** One function that behaves in every way the contract's cases ask for. */
public class Every {
    private static int count;

    static {
        if (System.getenv("DIE") != null) {
            System.exit(9);
        }
        System.out.println("loaded");
    }

    private static JsonObject object(String name, Object value) {
        JsonObject o = new JsonObject();
        if (value instanceof Number) {
            o.addProperty(name, (Number) value);
        } else if (value instanceof Boolean) {
            o.addProperty(name, (Boolean) value);
        } else {
            o.addProperty(name, (String) value);
        }
        return o;
    }

    private static JsonElement log(JsonObject in) {
        String tag = in.get("tag").getAsString();
        for (int n = 0; n < in.get("lines").getAsInt(); n++) {
            System.out.println("out " + tag + " " + n);
            System.err.println("err " + tag + " " + n);
        }
        return object("tag", tag);
    }

    private static JsonElement environment(JsonArray names) {
        JsonObject all = new JsonObject();
        for (JsonElement name : names) {
            String value = System.getenv(name.getAsString());
            all.addProperty(name.getAsString(), value == null ? "" : value);
        }
        return all;
    }

    private static JsonElement flood(int lines) {
        for (int n = 0; n < lines; n++) {
            System.out.println("x".repeat(99));
        }
        return object("done", true);
    }

    private static JsonElement bytes() {
        System.out.writeBytes(new byte[] {'a', 0, 'b', (byte) 0xff, (byte) 0xfe, 'c', '\n'});
        System.out.writeBytes(("y".repeat(200000) + "\n" + "z\u00e9".repeat(40000) + "\n").getBytes(StandardCharsets.UTF_8));
        return new JsonObject();
    }

    private static JsonElement memory() {
        List<byte[]> kept = new ArrayList<>();
        for (;;) {
            kept.add(new byte[8 << 20]);
        }
    }

    private static JsonElement sleep(JsonObject in) throws InterruptedException {
        String tag = in.get("tag").getAsString();
        System.out.println("begin " + tag);
        Thread.sleep(in.get("ms").getAsLong());
        System.out.println("end " + tag);
        return object("tag", tag);
    }

    public static JsonElement main(JsonElement value) throws InterruptedException {
        count++;
        JsonObject in = value.isJsonObject() ? value.getAsJsonObject() : new JsonObject();
        switch (in.has("do") ? in.get("do").getAsString() : "echo") {
        case "log": return log(in);
        case "error": {
            JsonObject o = object("error", "bad luck");
            o.addProperty("more", 1);
            return o;
        }
        case "scalar": return new JsonPrimitive(3);
        case "throw": throw new IllegalStateException("boom");
        case "exit":
            System.exit(3);
            return null;
        case "env": return environment(in.getAsJsonArray("names"));
        case "flood": return flood(in.get("lines").getAsInt());
        case "bytes": return bytes();
        case "big": return object("x", "a".repeat(in.get("bytes").getAsInt()));
        case "memory": return memory();
        case "count": {
            JsonObject o = object("count", count);
            o.addProperty("pid", ProcessHandle.current().pid());
            return o;
        }
        case "sleep": return sleep(in);
        default: return value;
        }
    }
}
