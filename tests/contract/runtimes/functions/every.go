// One function that behaves in every way the contract's cases ask for.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

var count int

func init() {
	if os.Getenv("DIE") != "" {
		os.Exit(9)
	}
	fmt.Println("loaded")
}

func number(v interface{}) int {
	f, _ := v.(float64)
	return int(f)
}

type object = map[string]interface{}

var ways = map[string]func(in object) interface{}{
	"log": func(in object) interface{} {
		for n := 0; n < number(in["lines"]); n++ {
			fmt.Printf("out %v %d\n", in["tag"], n)
			fmt.Fprintf(os.Stderr, "err %v %d\n", in["tag"], n)
		}
		return object{"tag": in["tag"]}
	},
	"error":  func(in object) interface{} { return object{"error": "bad luck", "more": 1} },
	"scalar": func(in object) interface{} { return 3 },
	"throw":  func(in object) interface{} { panic("boom") },
	"exit": func(in object) interface{} {
		os.Exit(3)
		return nil
	},
	"env": func(in object) interface{} {
		all := object{}
		for _, name := range in["names"].([]interface{}) {
			all[name.(string)] = os.Getenv(name.(string))
		}
		return all
	},
	"flood": func(in object) interface{} {
		for n := 0; n < number(in["lines"]); n++ {
			fmt.Println(strings.Repeat("x", 99))
		}
		return object{"done": true}
	},
	"bytes": func(in object) interface{} {
		os.Stdout.WriteString("a\x00b\xff\xfec\n" + strings.Repeat("y", 200000) + "\n" + strings.Repeat("z\u00e9", 40000) + "\n")
		return object{}
	},
	"big": func(in object) interface{} { return object{"x": strings.Repeat("a", number(in["bytes"]))} },
	"memory": func(in object) interface{} {
		var kept [][]byte
		for {
			kept = append(kept, bytes.Repeat([]byte{1}, 8<<20))
		}
	},
	"count": func(in object) interface{} { return object{"count": count, "pid": os.Getpid()} },
	"sleep": func(in object) interface{} {
		fmt.Println("begin", in["tag"])
		time.Sleep(time.Duration(number(in["ms"])) * time.Millisecond)
		fmt.Println("end", in["tag"])
		return object{"tag": in["tag"]}
	},
}

// Main is what is called; main() is for who tries it by hand, and stays out of the way.
func Main(value interface{}) interface{} {
	count++
	in, _ := value.(object)
	do, _ := in["do"].(string)
	if way, there := ways[do]; there {
		return way(in)
	}
	return value
}

func main() {
	fmt.Println(Main(object{"do": "echo"}))
}
